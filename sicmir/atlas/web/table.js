"use strict";
// Elements, tables that can be sorted, and their CSV. Text is only ever set as text: names may hold anything.

const sicmirTable = (() => {
  const FIRST = 100;

  function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {}))
      if (typeof value === "function") node.addEventListener(name, value);
      else if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : value);
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  function number(value, digits = 2) {
    if (value === null || value === undefined) return "–";
    return Number.isInteger(value) && digits === 0 ? String(value) : value.toFixed(digits).replace("-", "−");
  }

  function small(value) {
    if (value === null || value === undefined) return "–";
    return value < 0.001 ? value.toExponential(1).replace("-", "−") : value.toFixed(3);
  }

  // A spreadsheet takes words that begin with one of these for a formula; an apostrophe before them makes it text.
  const FORMULA = /^[=+\-@\t\r]/;

  function csv(names, rows) {
    const cell = (value) => {
      let text = value === null || value === undefined ? "" : String(value);
      if (typeof value === "string" && FORMULA.test(text)) text = `'${text}`;
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return [names, ...rows.map((row) => names.map((name) => row[name]))]
      .map((row) => row.map(cell).join(",") + "\n")
      .join("");
  }

  function download(names, rows, file) {
    const address = URL.createObjectURL(new Blob([csv(names, rows)], { type: "text/csv;charset=utf-8" }));
    const link = el("a", { href: address, download: file });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  // columns: {name, head, show(row) → text or node, sort(row), words}; file names the CSV, which holds all of
  // `names`, of all rows.
  function table(columns, rows, { caption, file, names, grey = () => false }) {
    let order = rows;
    let most = FIRST;
    const body = el("tbody");
    const more = el("button", {
      type: "button",
      click: () => {
        most = Infinity;
        fill();
      },
    });
    const fill = () => {
      body.replaceChildren(
        ...order
          .slice(0, most)
          .map((row) =>
            el(
              "tr",
              grey(row) ? { class: "grey" } : {},
              ...columns.map((column, i) =>
                el(
                  i ? "td" : "th",
                  { scope: i ? null : "row", class: column.words ? "words" : "number" },
                  column.show(row),
                ),
              ),
            ),
          ),
      );
      more.hidden = order.length <= most;
      more.textContent = `Show all ${order.length} rows`;
    };
    const heads = columns.map((column) => {
      const head = el("th", { scope: "col", class: column.words ? "words" : "number" });
      head.append(
        el(
          "button",
          {
            type: "button",
            class: "sort",
            title: column.title || null,
            click: () => {
              const up =
                head.getAttribute("aria-sort") === "descending" ||
                (column.words && !head.hasAttribute("aria-sort"));
              for (const other of heads) other.removeAttribute("aria-sort");
              head.setAttribute("aria-sort", up ? "ascending" : "descending");
              order = [...rows].sort((a, b) => compare(column.sort(a), column.sort(b), up));
              fill();
            },
          },
          column.head,
        ),
      );
      return head;
    });
    fill();
    return el(
      "section",
      { class: "table", "aria-label": caption },
      el(
        "div",
        { class: "tools" },
        el("span", {}, `${rows.length} ${rows.length === 1 ? "row" : "rows"}`),
        el(
          "button",
          { type: "button", class: "csv", click: () => download(names, rows, file) },
          "Download CSV",
          el("span", { class: "unseen" }, ` of ${caption}`),
        ),
      ),
      el(
        "div",
        { class: "scroll", role: "region", tabindex: "0", "aria-label": `${caption}, table` },
        el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...heads)), body),
      ),
      more,
    );
  }

  // Nothing comes last, whatever the direction.
  function compare(a, b, up) {
    const none = (value) => value === null || value === undefined;
    if (none(a) || none(b)) return none(a) - none(b);
    const sign = typeof a === "string" ? a.localeCompare(b) : a - b;
    return up ? sign : -sign;
  }

  return { el, number, small, csv, table };
})();

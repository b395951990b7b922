"use strict";
// Figures, drawn by hand as SVG. Each is an image with a name; the table below it tells the same in words.

const sicmirDraw = (() => {
  const NARROW = 640;
  const MOST = 60;

  function svg(tag, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function ticks(low, high, most) {
    const raw = (high - low) / most || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find((k) => k * power >= raw) * power;
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(at);
    return found.map((at) => Number(at.toPrecision(12)));
  }

  function cut(text, most) {
    return text.length > most ? `${text.slice(0, most - 1)}…` : text;
  }

  function figure(node, caption, hidden) {
    const made = document.createElement("figure");
    const words = document.createElement("figcaption");
    words.textContent =
      caption + (hidden > 0 ? ` The first ${MOST} rows; ${hidden} more are in the table.` : "");
    made.append(node, words);
    return made;
  }

  // A line for each row on a common axis. mark(row, x, y) gives what is drawn in it.
  function lines(rows, options) {
    const shown = rows.slice(0, MOST);
    const width = options.width;
    const narrow = width < NARROW;
    const longest = Math.max(...shown.map((row) => options.name(row).length), 0);
    const left = narrow ? 8 : Math.min(width * 0.4, 24 + 6.8 * longest);
    const right = 16;
    const height = narrow ? 44 : 26;
    const top = 8;
    if (!shown.length)
      return sicmirTable.el("p", { class: "message" }, "Nothing can be drawn: no row has a number.");
    const all = shown.flatMap((row) => options.values(row)).filter((value) => value !== null);
    if (options.zero) all.push(0);
    const low = Math.min(...all);
    const high = Math.max(...all);
    const pad = (high - low) * 0.04 || 1;
    const x = (value) => left + ((value - low + pad) / (high - low + 2 * pad)) * (width - left - right);
    const bottom = top + shown.length * height;
    const root = svg("svg", {
      role: "img",
      width,
      height: bottom + 46,
      viewBox: `0 0 ${width} ${bottom + 46}`,
      "aria-label": `${options.label} The table below holds the same numbers.`,
    });
    for (const at of ticks(low - pad, high + pad, narrow ? 5 : 8)) {
      root.append(
        svg("line", {
          class: at === 0 && options.zero ? "zero" : "grid",
          x1: x(at),
          x2: x(at),
          y1: top,
          y2: bottom,
        }),
      );
      root.append(
        svg("text", { class: "tick", x: x(at), y: bottom + 16, "text-anchor": "middle" }, String(at)),
      );
    }
    root.append(
      svg(
        "text",
        { class: "axis", x: (left + width - right) / 2, y: bottom + 36, "text-anchor": "middle" },
        options.axis,
      ),
    );
    shown.forEach((row, i) => {
      const y = top + i * height + (narrow ? 30 : height / 2);
      const name = options.name(row);
      const text = narrow
        ? svg("text", { class: "name", x: left, y: y - 13 }, cut(name, Math.floor(width / 7)))
        : svg(
            "text",
            { class: "name", x: left - 10, y: y + 4, "text-anchor": "end" },
            cut(name, Math.floor((left - 10) / 6.6)),
          );
      const group = svg(
        "g",
        { class: options.grey(row) ? "row grey" : "row" },
        svg("title", {}, options.told(row)),
        text,
      );
      group.append(...options.mark(row, x, y));
      root.append(group);
    });
    return figure(root, options.caption, rows.length - shown.length);
  }

  function bar(low, high, x, y) {
    return low === null || high === null
      ? []
      : [svg("line", { class: "bar", x1: x(low), x2: x(high), y1: y, y2: y })];
  }

  // Position: mean; area: fraction above the baseline; line: interval.
  function dots(rows, options) {
    return lines(
      rows.filter((row) => row.mean !== null),
      {
        ...options,
        values: (row) => [row.mean, row.lower ?? null, row.upper ?? null],
        mark: (row, x, y) => {
          const share = row.fraction_above ?? null;
          const radius = share === null ? 4 : Math.sqrt(6 + 75 * share);
          return [
            ...bar(row.lower ?? null, row.upper ?? null, x, y),
            svg("circle", { class: `dot ${options.kind(row)}`, cx: x(row.mean), cy: y, r: radius }),
          ];
        },
      },
    );
  }

  // An estimate with its limits.
  function forest(rows, options) {
    return lines(
      rows.filter((row) => row.effect !== null),
      {
        ...options,
        zero: true,
        values: (row) => [row.effect, row.lower, row.upper],
        mark: (row, x, y) => [
          ...bar(row.lower, row.upper, x, y),
          svg("rect", {
            class: row.finding ? "dot found" : "dot",
            x: x(row.effect) - 4,
            y: y - 4,
            width: 8,
            height: 8,
          }),
        ],
      },
    );
  }

  function quantile(sorted, q) {
    const at = (sorted.length - 1) * q;
    const low = Math.floor(at);
    return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
  }

  // Points of donors, with a box of quartiles from five on. Each row holds its donors.
  function boxes(rows, options) {
    return lines(
      rows.filter((row) => row.donors.length),
      {
        ...options,
        values: (row) => row.donors,
        mark: (row, x, y) => {
          const sorted = [...row.donors].sort((a, b) => a - b);
          const made = [];
          if (sorted.length > 4) {
            const [low, middle, high] = [0.25, 0.5, 0.75].map((q) => x(quantile(sorted, q)));
            made.push(
              svg("line", { class: "bar", x1: x(sorted[0]), x2: x(sorted[sorted.length - 1]), y1: y, y2: y }),
            );
            made.push(
              svg("rect", { class: "box", x: low, y: y - 8, width: Math.max(high - low, 1), height: 16 }),
            );
            made.push(svg("line", { class: "middle", x1: middle, x2: middle, y1: y - 8, y2: y + 8 }));
          }
          // Points are set apart in turns, always in the same way.
          sorted.forEach((value, i) =>
            made.push(
              svg("circle", {
                class: `point ${options.kind(row)}`,
                cx: x(value),
                cy: y + (((i * 2) % 5) - 2) * 2,
                r: 3,
              }),
            ),
          );
          return made;
        },
      },
    );
  }

  // The miRNA and the targets that most go against it: blue and whole against it, orange and broken with it.
  function star(name, rows, options) {
    const shown = rows.slice(0, 24);
    const width = options.width;
    const height = Math.max(120, shown.length * 22 + 16);
    const from = { x: 12, y: height / 2 };
    const to = Math.max(190, width * 0.5);
    const root = svg("svg", {
      role: "img",
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      "aria-label": `${options.label} The table below holds the same numbers.`,
    });
    const largest = Math.max(...shown.map((row) => Math.abs(row.difference ?? 0)), 1e-9);
    shown.forEach((row, i) => {
      const y = 16 + i * 22;
      const product = (row.difference ?? 0) * (row.mirna_difference ?? 0);
      const kind = product < 0 ? "against" : product > 0 ? "with" : "unknown";
      const group = svg("g", { class: `edge ${kind}` }, svg("title", {}, options.told(row)));
      group.append(
        svg("line", {
          x1: from.x + 96,
          y1: from.y,
          x2: to - 8,
          y2: y,
          "stroke-width": 0.75 + (4 * Math.abs(row.difference ?? 0)) / largest,
        }),
      );
      group.append(
        svg("circle", { cx: to, cy: y, r: 5 }),
        svg("text", { class: "name", x: to + 12, y: y + 4 }, cut(row.gene, 18)),
      );
      root.append(group);
    });
    root.append(
      svg("rect", {
        class: options.grey ? "node grey" : "node",
        x: from.x,
        y: from.y - 16,
        width: 132,
        height: 32,
        rx: 6,
      }),
    );
    root.append(
      svg(
        "text",
        { class: "node-name", x: from.x + 66, y: from.y + 4, "text-anchor": "middle" },
        cut(name.replace(/^[a-z]{3}-/, ""), 18),
      ),
    );
    const made = figure(root, options.caption, 0);
    if (rows.length > shown.length)
      made.lastChild.textContent += ` The first ${shown.length} of ${rows.length} targets; all are in the table.`;
    return made;
  }

  return { dots, forest, boxes, star, quantile };
})();

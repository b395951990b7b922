"use strict";
// What the views share: columns of tables, filters, headings, what is said of trust.

const sicmirParts = (() => {
  const { el, number } = sicmirTable;
  const { shard } = sicmirLoad;
  const TRUST = ["grade", "mean_log2_rpm", "within_r", "unseen_within_r", "single_cell_r", "n_cell_types"];

  const against = (row) => `${row.case} against ${row.reference}`;
  const link = (parameters) => `#${new URLSearchParams(parameters)}`;
  const anchor = (text, parameters) => el("a", { href: link(parameters) }, text);
  const below = (atlas, grade) => Boolean(atlas.facts.min_grade) && grade > atlas.facts.min_grade;
  const limits = (low, high) =>
    low === null || low === undefined ? "–" : `${number(low)} to ${number(high)}`;
  const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`);
  const file = (...words) =>
    `${words
      .join("-")
      .replace(/[^A-Za-z0-9_.-]+/g, "_")
      .slice(0, 80)}.csv`;
  const interval = (atlas) =>
    atlas.facts.interval === null ? "interval" : `${atlas.facts.interval} % interval`;

  // Columns of tables: of words, of numbers, of counts.
  const word = (name, head, show) => ({
    name,
    head,
    words: true,
    show: show || ((row) => row[name]),
    sort: (row) => row[name],
  });
  const value = (name, head, show, title) => ({
    name,
    head,
    title,
    show: show || ((row) => number(row[name])),
    sort: (row) => row[name],
  });
  const count = (name, head) => value(name, head, (row) => number(row[name], 0));
  const ofMirna = (fixed) =>
    word("mirna", "miRNA", (row) => anchor(row.mirna, { mirna: row.mirna, ...fixed }));
  const gradeOf = (atlas) =>
    word("grade", "Grade", (row) => (row.grade || "–") + (below(atlas, row.grade) ? " (not counted)" : ""));

  const ofDataset = (atlas) =>
    word(
      "dataset",
      "Data set",
      (row) => row.dataset + (atlas.synthetic.has(row.dataset) ? " (synthetic)" : ""),
    );

  function width() {
    return Math.max(280, Math.min(document.getElementById("main").clientWidth, 1000));
  }

  function choice(name, head, values, parameters) {
    const select = el("select", {
      id: `choose-${name}`,
      change: () => go({ ...parameters, [name]: select.value }),
    });
    for (const one of values) {
      const option = el("option", { value: one }, one || "all");
      option.selected = one === (parameters[name] || "");
      select.append(option);
    }
    return el("label", { class: "choice" }, `${head} `, select);
  }

  // A choice replaces the address, so that going back leaves the view.
  function go(parameters) {
    const kept = Object.fromEntries(Object.entries(parameters).filter(([, one]) => one));
    history.replaceState(null, "", link(kept));
    window.dispatchEvent(new CustomEvent("sicmir-choice"));
  }

  function tabs(current, names, parameters) {
    return el(
      "nav",
      { class: "tabs", "aria-label": "Views" },
      ...Object.entries(names).map(([key, head]) =>
        el(
          "a",
          { href: link({ ...parameters, view: key }), "aria-current": key === current ? "page" : null },
          head,
        ),
      ),
    );
  }

  function message(text) {
    return el("p", { class: "message" }, text);
  }

  function trust(atlas, mirna) {
    const meaning =
      atlas.facts.grades[mirna.grade] || "The model has no grades: nothing tells how far it can be believed.";
    const grey = below(atlas, mirna.grade);
    return el(
      "p",
      { class: grey ? "trust grey" : "trust" },
      el("strong", {}, mirna.grade ? `Grade ${mirna.grade}. ` : ""),
      `${meaning}${grey ? " It is greyed and counts for no finding." : ""} `,
      `Correlation with measured values within cancer types: ${number(mirna.within_r)}, in types that were not trained on: `,
      `${number(mirna.unseen_within_r)}, over ${mirna.n_cell_types} measured cell types: ${number(mirna.single_cell_r)}. `,
      `Baseline: ${number(mirna.mean_log2_rpm)} log2(RPM+1), the mean of the training samples.`,
    );
  }

  function head(kind, name, parameters) {
    return [
      el("p", { class: "kind" }, kind),
      el("h1", { tabindex: "-1" }, name),
      el("p", { class: "here" }, el("a", { href: link(parameters) }, "Link to this view")),
    ];
  }

  function place(atlas, row) {
    return [
      row.cell_type,
      ...["tissue", "disease"].filter((name) => atlas.several[name]).map((name) => row[name]),
    ].join(" · ");
  }

  const sick = (row) => (row.disease === "normal" ? "normal" : "disease");
  const chosen =
    (parameters, ...names) =>
    (row) =>
      names.every((name) => !parameters[name] || row[name] === parameters[name]);
  const unique = (list, name) => [...new Set(list.map((row) => row[name]))].sort();

  function filters(atlas, parameters) {
    return el(
      "div",
      { class: "filters", role: "group", "aria-label": "Filters" },
      ...["tissue", "disease"].map((name) =>
        choice(name, name[0].toUpperCase() + name.slice(1), ["", ...unique(atlas.groups, name)], parameters),
      ),
    );
  }

  // What the views of a miRNA and of a cell type have in common: heading, what is said of it, links to its
  // other views, the view. `key` names it in the address and its shards; views: name → [heading, view].
  async function framed(atlas, parameters, { key, kind, head: above, list, told, views }) {
    const at = list.findIndex((one) => one[key] === parameters[key]);
    if (at < 0) return missing(kind, parameters[key]);
    const one = list[at];
    const found = await shard(`${key}-${at}`);
    const there = typeof views === "function" ? views(one) : views;
    const view = Object.hasOwn(there, parameters.view) ? parameters.view : Object.keys(there)[0];
    const heads = Object.fromEntries(Object.entries(there).map(([name, [text]]) => [name, text]));
    const [, show] = there[view];
    return {
      title: `${one[key]}: ${heads[view]}`,
      nodes: [
        ...head(above, one[key], parameters),
        told(one),
        tabs(view, heads, { [key]: one[key] }),
        ...(await show(atlas, one, found, parameters)),
      ],
    };
  }

  function missing(kind, name, more = "") {
    return {
      title: `No ${kind} ${name}`,
      nodes: [
        el("h1", { tabindex: "-1" }, `No ${kind} “${name}”`),
        message(`The atlas has no ${kind} of that name.${more}`),
        el("p", {}, anchor(`Search for “${name}”`, { q: name })),
      ],
    };
  }

  return {
    TRUST,
    against,
    link,
    anchor,
    below,
    limits,
    percent,
    file,
    interval,
    word,
    value,
    count,
    ofMirna,
    ofDataset,
    gradeOf,
    width,
    choice,
    go,
    tabs,
    message,
    trust,
    head,
    place,
    sick,
    chosen,
    unique,
    filters,
    framed,
    missing,
  };
})();

"use strict";
// The address tells the view (#mirna=…, #cell_type=…, #gene=…, #q=…): what is shown can be linked to.

(() => {
  const { el, table } = sicmirTable;
  const { against, anchor, message, below, link, ofDataset, word, count } = sicmirParts;
  const MOST = 40;
  const main = document.getElementById("main");
  const query = document.getElementById("query");
  const status = document.getElementById("status");
  let atlas = null;
  let turn = 0;

  const address = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

  function opened(tables) {
    const { rows } = sicmirLoad;
    const mirnas = rows(tables.mirnas);
    const groups = rows(tables.groups);
    const datasets = rows(tables.datasets);
    const several = (name) => new Set(groups.map((row) => row[name])).size > 1;
    return {
      facts: tables.facts,
      columns: tables,
      datasets,
      synthetic: new Set(datasets.filter((row) => row.synthetic).map((row) => row.dataset)),
      contrasts: rows(tables.contrasts),
      mirnas,
      cell_types: rows(tables.cell_types),
      genes: rows(tables.genes).map((row) => row.gene),
      groups,
      several: { tissue: several("tissue"), disease: several("disease") },
      of: new Map(mirnas.map((row) => [row.mirna, row])),
    };
  }

  function frame() {
    const { facts, synthetic, datasets } = atlas;
    const some = synthetic.size && synthetic.size < datasets.length;
    document.getElementById("home").textContent = facts.title;
    document
      .getElementById("banner")
      .replaceChildren(
        ...(synthetic.size
          ? [
              el(
                "section",
                { class: "synthetic", "aria-label": "Synthetic data" },
                el("strong", {}, "Synthetic data: "),
                `the cells or the model of ${some ? [...synthetic].join(", ") : "this atlas"} are made up. ${some ? "What was computed from them is among all numbers; it says" : "The numbers show that the method runs; they say"} nothing of biology.`,
              ),
            ]
          : []),
      );
    document
      .getElementById("footer")
      .replaceChildren(
        `Predicted by the model ${facts.model} (${facts.level} level) of sicmir ${facts.version}; numbers are rounded. `,
        facts.back ? el("a", { href: facts.back }, "Back to the book") : "",
      );
  }

  function home() {
    const { facts } = atlas;
    const donors = atlas.datasets.reduce((sum, row) => sum + row.n_donors, 0);
    const cells = atlas.datasets.reduce((sum, row) => sum + row.n_cells, 0);
    return {
      title: "",
      nodes: [
        el("h1", { tabindex: "-1" }, facts.title),
        el(
          "p",
          {},
          `${atlas.mirnas.length} miRNAs predicted from the 977 landmark genes in ${cells} cells of ${donors} donors, ${atlas.cell_types.length} cell types and ${atlas.datasets.length} data sets. Nothing here was measured but the genes. Each miRNA has a grade that tells how far it can be believed:`,
        ),
        el(
          "dl",
          { class: "grades" },
          ...Object.entries(facts.grades).flatMap(([grade, meaning]) => [
            el("dt", {}, `${grade}, ${atlas.mirnas.filter((row) => row.grade === grade).length} miRNAs`),
            el("dd", { class: below(atlas, grade) ? "grey" : null }, meaning),
          ]),
        ),
        el("h2", {}, "Cell types"),
        el(
          "ul",
          { class: "names" },
          ...atlas.cell_types.map((row) =>
            el(
              "li",
              {},
              anchor(row.cell_type, { cell_type: row.cell_type }),
              ` ${row.n_donors} ${row.n_donors === 1 ? "donor" : "donors"}`,
            ),
          ),
        ),
        ...(atlas.contrasts.length
          ? [
              el("h2", {}, "Diseases and conditions"),
              table(
                [
                  word("cell_type", "Cell type", (row) => 
                    anchor(row.cell_type, {
                      cell_type: row.cell_type,
                      view: "difference",
                      compared: against(row),
                    }),
                  ),
                  word("case", "Compared"),
                  word("reference", "Against"),
                  count("n_donors", "Donors"),
                  count("n_datasets", "Data sets"),
                  count("n_tested", "Tested miRNAs"),
                  count("n_findings", "Findings"),
                ],
                atlas.contrasts,
                {
                  caption: "Differences within data sets that have both",
                  file: "differences.csv",
                  names: ["cell_type", "by", "case", "reference", "n_donors", "n_datasets", "n_tested", "n_findings"],
                },
              ),
            ]
          : []),
        el("h2", {}, "Data sets"),
        table(
          [
            ofDataset(atlas),
            word("tissue", "Tissue"),
            word("disease", "Disease"),
            count("n_cells", "Cells"),
            count("n_donors", "Donors"),
            count("n_cell_types", "Cell types"),
            count("n_groups", "Groups"),
            count("n_predicted", "Predicted groups"),
            word("source", "File"),
          ],
          atlas.datasets,
          {
            caption: "Data sets",
            file: "datasets.csv",
            names: [
              "dataset",
              "tissue",
              "tissue_id",
              "disease",
              "disease_id",
              "n_cells",
              "n_donors",
              "n_cell_types",
              "n_groups",
              "n_predicted",
              "source",
              "synthetic",
              "version",
            ],
          },
        ),
      ],
    };
  }

  // Names that hold the text: those that begin with it first, and miR-21 before miR-210.
  function matches(names, text) {
    const wanted = text.trim().toLowerCase();
    const rank = (name) => {
      const low = name.toLowerCase();
      const at = low.indexOf(wanted);
      const rest = low[at + wanted.length] || "";
      return (
        (low === wanted ? 0 : 4) +
        (at === 0 || low.slice(0, at).match(/^[a-z]{3}-$/) ? 0 : 2) +
        (/[0-9]/.test(rest) ? 1 : 0)
      );
    };
    return names
      .filter((name) => name.toLowerCase().includes(wanted))
      .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b, "en", { numeric: true }));
  }

  function search(text) {
    // A model of stem-loops knows no arms.
    const stem = atlas.facts.level === "stem-loop";
    const loop = stem ? text.replace(/-[35]p$/i, "") : text;
    const kinds = [
      ["miRNAs", "mirna", atlas.mirnas.map((row) => row.mirna)],
      ["Cell types", "cell_type", atlas.cell_types.map((row) => row.cell_type)],
      ["Target genes", "gene", atlas.genes],
    ].map(([head, key, names]) => [head, key, matches(names, key === "mirna" ? loop : text)]);
    const told = kinds
      .map(([head, , found]) => `${found.length} ${head.toLowerCase().replace("mirnas", "miRNAs")}`)
      .join(", ");
    const nodes = [el("h1", { tabindex: "-1" }, `Search: ${text}`), el("p", { id: "found" }, `${told}.`)];
    for (const [head, key, found] of kinds)
      if (found.length)
        nodes.push(
          el("h2", {}, head),
          el(
            "ul",
            { class: "names" },
            ...found.slice(0, MOST).map((name) => {
              const grade = key === "mirna" ? atlas.of.get(name).grade : "";
              return el(
                "li",
                { class: grade && below(atlas, grade) ? "grey" : null },
                anchor(name, { [key]: name }),
                grade ? ` grade ${grade}` : "",
              );
            }),
          ),
          found.length > MOST ? el("p", {}, `and ${found.length - MOST} more; type more of the name.`) : "",
        );
    if (kinds.every(([, , found]) => !found.length))
      nodes.push(
        message(
          `Nothing in the atlas is called “${text}”. miRNAs are named as in miRBase${stem ? ", stem-loops such as hsa-mir-21" : ""}, genes by their current symbols.`,
        ),
      );
    return { title: `Search: ${text}`, told, nodes };
  }

  function failed(error) {
    return {
      title: "Not shown",
      nodes: [
        el("h1", { tabindex: "-1" }, "This cannot be shown"),
        el("p", { class: "message", role: "alert" }, error.message),
        el("button", { type: "button", click: () => show(true) }, "Try again"),
      ],
    };
  }

  async function view(parameters) {
    if (!atlas) {
      atlas = opened(await sicmirLoad.shard("index"));
      frame();
    }
    if (parameters.mirna) return sicmirMirna(atlas, parameters);
    if (parameters.cell_type) return sicmirCellType(atlas, parameters);
    if (parameters.gene) return sicmirGene(atlas, parameters);
    return parameters.q ? search(parameters.q) : home();
  }

  // focus: a view that was gone to is read out; a filter or a letter typed leaves the focus where it is.
  async function show(focus) {
    const mine = ++turn;
    const held = document.activeElement && document.activeElement.id;
    const parameters = address();
    const late = setTimeout(() => {
      if (mine === turn) status.textContent = "Loading …";
    }, 300);
    let found;
    try {
      found = await view(parameters);
    } catch (error) {
      found = failed(error);
    }
    clearTimeout(late);
    if (mine !== turn) return;
    if (document.activeElement !== query) query.value = parameters.q || "";
    main.replaceChildren(...found.nodes.filter((node) => node !== null && node !== ""));
    main.dataset.shown = location.hash;
    document.title = [found.title, atlas ? atlas.facts.title : "miRNA atlas"].filter(Boolean).join(" – ");
    status.textContent = found.told || document.title;
    const heading = main.querySelector("h1");
    if (focus && heading) {
      heading.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    } else if (held && document.getElementById(held))
      document.getElementById(held).focus({ preventScroll: true });
  }

  let typed = 0;
  query.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => {
      const text = query.value.trim();
      history.replaceState(null, "", text ? link({ q: text }) : "#");
      show(false);
    }, 120);
  });
  document.getElementById("search").addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(typed);
    const text = query.value.trim();
    history.replaceState(null, "", text ? link({ q: text }) : "#");
    await show(false);
    const found = main.querySelectorAll("ul.names a");
    if (text && found.length === 1) location.hash = found[0].hash;
    else if (text && found.length) found[0].focus();
  });
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  window.addEventListener("hashchange", () => show(true));
  window.addEventListener("sicmir-choice", () => show(false));
  let drawn = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== drawn && main.querySelector("svg")) show(false);
    drawn = window.innerWidth;
  });
  show(false);
})();

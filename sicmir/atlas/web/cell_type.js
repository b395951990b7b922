"use strict";
// The views of a cell type: markers, expression of all miRNAs, similar cell types.

const sicmirCellType = (() => {
  const { el, number, small, table } = sicmirTable;
  const { shard, rows } = sicmirLoad;
  const {
    anchor,
    below,
    count,
    file,
    go,
    gradeOf,
    head,
    interval,
    limits,
    message,
    missing,
    ofMirna,
    percent,
    tabs,
    TRUST,
    value,
    width,
    word,
  } = sicmirParts;

  async function cellType(atlas, parameters) {
    const at = atlas.cell_types.findIndex((one) => one.cell_type === parameters.cell_type);
    if (at < 0) return missing("cell type", parameters.cell_type);
    const one = atlas.cell_types[at];
    const found = await shard(`cell_type-${at}`);
    const views = { markers: "Markers", expression: "Expression", similar: "Similar cell types" };
    const view = Object.hasOwn(views, parameters.view) ? parameters.view : "markers";
    const inside =
      view === "expression"
        ? levels(atlas, one, found, parameters)
        : found.refused
          ? [message(found.refused)]
          : (view === "markers" ? markers : similar)(atlas, one, found, parameters);
    return {
      title: `${one.cell_type}: ${views[view]}`,
      nodes: [
        ...head("Cell type", one.cell_type, parameters),
        el(
          "p",
          {},
          `Donors predicted: ${one.n_donors}, abstained: ${one.n_abstained}; cells: ${one.n_cells}; data sets: ${one.n_datasets}.`,
        ),
        tabs(view, views, { cell_type: one.cell_type }),
        ...inside,
      ],
    };
  }

  // miRNAs of a cell type, by part of a name and by grade.
  function some(atlas, parameters, list) {
    const input = el("input", {
      type: "search",
      id: "choose-name",
      value: parameters.name || "",
      change: () => go({ ...parameters, name: input.value }),
    });
    const box = el("input", {
      type: "checkbox",
      id: "choose-counted",
      change: () => go({ ...parameters, counted: box.checked ? "1" : "" }),
    });
    box.checked = parameters.counted === "1";
    const choose = el(
      "div",
      { class: "filters", role: "group", "aria-label": "Filters" },
      el("label", { class: "choice" }, "Name holds ", input),
      atlas.facts.min_grade
        ? el("label", { class: "choice" }, box, ` Only grade ${atlas.facts.min_grade} or better`)
        : "",
    );
    const part = (parameters.name || "").toLowerCase();
    const kept = list
      .map((row) => ({ ...atlas.of.get(row.mirna), ...row }))
      .filter(
        (row) =>
          row.mirna.toLowerCase().includes(part) && !(parameters.counted === "1" && below(atlas, row.grade)),
      );
    return [choose, kept];
  }

  const DRAWN = 30;
  const first = (list) =>
    list.length > DRAWN ? `The first ${DRAWN} of ${list.length} miRNAs.` : `${list.length} miRNAs.`;

  function markers(atlas, one, found, parameters) {
    const [choose, list] = some(atlas, parameters, rows(found.markers));
    if (!list.length) return [choose, message("No miRNA fits these filters.")];
    const caption = `Markers of ${one.cell_type}, ranked`;
    return [
      choose,
      sicmirDraw.forest(list.slice(0, DRAWN), {
        width: width(),
        axis: "difference from other cell types of the donors, log2",
        label: `${caption}.`,
        name: (row) => `${row.mirna} (${row.grade || "no grade"})`,
        grey: (row) => below(atlas, row.grade),
        told: (row) =>
          `${row.mirna}: ${number(row.effect)} (${limits(row.lower, row.upper)}), q ${small(row.q)}, grade ${row.grade}`,
        caption: `${first(list)} Line: 95 % confidence limits over donors; ${atlas.facts.across === "fixed" ? "data sets stand for themselves (fixed effects)" : "data sets stand for others like them (random effects)"}. Filled: a finding (false discovery rate 5 %). Grey: too low a grade to count.`,
      }),
      table(
        [
          ofMirna(),
          gradeOf(atlas),
          value("effect", "Difference, log2"),
          value("lower", "95 % limits", (row) => limits(row.lower, row.upper)),
          value("lower_total", "With errors of prediction", (row) =>
            limits(row.lower_total, row.upper_total),
          ),
          value("p", "p", (row) => small(row.p)),
          value("q", "q", (row) => small(row.q)),
          word("finding", "Finding", (row) => (row.finding ? "yes" : "no")),
          count("n_datasets", "Data sets"),
          count("n_donors", "Donors"),
          count("n_untested", "Untested sets"),
          value("i2", "I²", (row) => percent(row.i2)),
        ],
        list,
        {
          caption,
          file: file(one.cell_type, "markers"),
          grey: (row) => below(atlas, row.grade),
          names: [
            "mirna",
            "effect",
            "lower",
            "upper",
            "df",
            "p",
            "tau2",
            "i2",
            "lower_total",
            "upper_total",
            "exceeds_error",
            "n_datasets",
            "n_donors",
            "n_untested",
            "greyed",
            "q",
            "finding",
            ...TRUST,
          ],
        },
      ),
      el(
        "p",
        { class: "note" },
        "Cell types that were told apart by the values that are tested have markers by construction.",
      ),
    ];
  }

  function levels(atlas, one, found, parameters) {
    const [choose, list] = some(atlas, parameters, rows(found.expression));
    if (!list.length) return [choose, message("No miRNA fits these filters.")];
    const caption = `Predicted expression of all miRNAs in ${one.cell_type}`;
    return [
      choose,
      sicmirDraw.dots(list.slice(0, DRAWN), {
        width: width(),
        axis: "predicted log2(RPM+1)",
        label: `${caption}.`,
        kind: () => "normal",
        name: (row) => `${row.mirna} (${row.grade || "no grade"})`,
        grey: (row) => below(atlas, row.grade),
        told: (row) =>
          `${row.mirna}: ${number(row.mean)} (${limits(row.lower, row.upper)}), grade ${row.grade}`,
        caption: `${first(list)} Dot: mean over donors; its size: fraction above the baseline. Line: ${interval(atlas)} of prediction of one donor.`,
      }),
      table(
        [
          ofMirna(),
          gradeOf(atlas),
          value("mean", "Mean"),
          value("lower", interval(atlas), (row) => limits(row.lower, row.upper)),
          value("fraction_above", "Above baseline", (row) => percent(row.fraction_above)),
          value("sd", "SD of donors"),
          count("n_donors", "Donors"),
          value("in_domain", "In domain", (row) => percent(row.in_domain)),
        ],
        list,
        {
          caption,
          file: file(one.cell_type, "expression"),
          grey: (row) => below(atlas, row.grade),
          names: [
            "mirna",
            "n_datasets",
            "n_donors",
            "n_abstained",
            "n_cells",
            "mean",
            "sd",
            "lower",
            "upper",
            "fraction_above",
            "in_domain",
            ...TRUST,
          ],
        },
      ),
    ];
  }

  function similar(atlas, one, found) {
    const list = rows(found.similar);
    if (!list.length) return [message("There is no other cell type to compare it with.")];
    const caption = `Cell types with markers like those of ${one.cell_type}`;
    return [
      table(
        [
          word("cell_type", "Cell type", (row) =>
            anchor(row.cell_type, { cell_type: row.cell_type, view: "similar" }),
          ),
          value("r", "r of markers"),
          count("n_mirnas", "miRNAs"),
          count("n_datasets", "Data sets"),
          count("n_donors", "Donors"),
          count("shared", "Data sets with both"),
        ],
        list,
        {
          caption,
          file: file(one.cell_type, "similar"),
          names: ["cell_type", "r", "n_mirnas", "n_datasets", "n_donors", "shared"],
        },
      ),
      el(
        "p",
        { class: "note" },
        `Pearson correlation of differences from the other cell types, over miRNAs of grade ${atlas.facts.min_grade || "any"} or better. In a data set of two cell types it is −1 by construction.`,
      ),
    ];
  }

  return cellType;
})();

"use strict";
// Lists of miRNAs that can be narrowed, and differences with their limits: a figure and its table.

const sicmirEffects = (() => {
  const { el, number, small, table } = sicmirTable;
  const { below, count, go, gradeOf, limits, message, ofMirna, percent, TRUST, value, width, word } = sicmirParts;

  // The choice of miRNAs by part of a name and by grade, and the rows that are left.
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

  // fixed: what all rows have in common, written into the CSV.
  function effects(atlas, parameters, rows, { caption, axis, file, fixed = {} }) {
    const [choose, kept] = some(atlas, parameters, rows);
    if (!kept.length) return [choose, message("No miRNA fits these filters.")];
    const list = kept.map((row) => ({ ...row, ...fixed }));
    const grey = (row) => below(atlas, row.grade);
    return [
      choose,
      sicmirDraw.forest(list.slice(0, DRAWN), {
        width: width(),
        axis,
        label: `${caption}.`,
        name: (row) => `${row.mirna} (${row.grade || "no grade"})`,
        grey,
        told: (row) =>
          `${row.mirna}: ${number(row.effect)} (${limits(row.lower, row.upper)}), q ${small(row.q)}, I² ${percent(row.i2)}, grade ${row.grade}`,
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
          file,
          grey,
          names: [
            ...Object.keys(fixed),
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
    ];
  }

  return { effects, first, some, DRAWN };
})();

"use strict";
// The views of a miRNA: over cell types, in donors, with its targets.

const sicmirMirna = (() => {
  const { el, number, small, table } = sicmirTable;
  const { rows } = sicmirLoad;
  const {
    anchor,
    below,
    choice,
    chosen,
    count,
    file,
    filters,
    framed,
    gradeOf,
    interval,
    limits,
    message,
    ofDataset,
    percent,
    place,
    sick,
    trust,
    TRUST,
    unique,
    value,
    width,
    word,
  } = sicmirParts;

  const mirna = (atlas, parameters) =>
    framed(atlas, parameters, {
      key: "mirna",
      kind: "miRNA",
      head: "miRNA, predicted",
      list: atlas.mirnas,
      told: (one) => trust(atlas, one),
      views: {
        cells: ["Cell types", mirnaCells],
        donors: ["Donors", mirnaDonors],
        targets: ["Targets", mirnaTargets],
      },
    });

  function mirnaCells(atlas, one, found, parameters) {
    const list = rows(atlas.columns.groups, found.groups)
      .filter(chosen(parameters, "tissue", "disease"))
      .map((row) => ({ ...one, ...row }))
      .sort((a, b) => (b.mean ?? -1) - (a.mean ?? -1));
    if (!list.length) return [filters(atlas, parameters), message("No group of cells fits these filters.")];
    const caption = `Predicted expression of ${one.mirna} over cell types`;
    return [
      filters(atlas, parameters),
      sicmirDraw.dots(list, {
        width: width(),
        axis: "predicted log2(RPM+1)",
        label: `${caption}.`,
        kind: sick,
        name: (row) => place(atlas, row),
        grey: (row) => below(atlas, row.grade),
        told: (row) =>
          `${place(atlas, row)}: ${number(row.mean)} (${limits(row.lower, row.upper)}), ${percent(row.fraction_above)} above baseline, ${row.n_donors} donors, grade ${row.grade}`,
        caption: `Dot: mean over donors; its size: fraction of parts of the cells above the baseline. Line: ${interval(atlas)} of prediction of one donor, no confidence interval of the mean. Blue: normal, orange: disease.${list.some((row) => row.mean === null) ? " Cell types without a prediction are in the table alone." : ""}${below(atlas, one.grade) ? " Grey: below grade " + atlas.facts.min_grade + "." : ""}`,
      }),
      table(
        [
          word("cell_type", "Cell type", (row) => anchor(row.cell_type, { cell_type: row.cell_type })),
          word("tissue", "Tissue"),
          word("disease", "Disease"),
          value("mean", "Mean"),
          value("lower", interval(atlas), (row) => limits(row.lower, row.upper)),
          gradeOf(atlas),
          value("fraction_above", "Above baseline", (row) => percent(row.fraction_above)),
          value("sd", "SD of donors"),
          count("n_donors", "Donors"),
          count("n_abstained", "Abstained"),
          count("n_cells", "Cells"),
          value("in_domain", "In domain", (row) => percent(row.in_domain)),
        ],
        list,
        {
          caption,
          file: file(one.mirna, "cell_types"),
          grey: (row) => below(atlas, row.grade),
          names: [
            "mirna",
            "cell_type",
            "tissue",
            "disease",
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

  function mirnaDonors(atlas, one, found, parameters) {
    const all = rows(atlas.columns.donors, found.donors);
    const list = all
      .filter(chosen(parameters, "tissue", "disease", "cell_type", "dataset"))
      .map((row) => ({ ...one, ...row }));
    const choose = filters(atlas, parameters);
    choose.append(
      choice("cell_type", "Cell type", ["", ...unique(all, "cell_type")], parameters),
      choice("dataset", "Data set", ["", ...unique(all, "dataset")], parameters),
    );
    if (!list.length) return [choose, message("No donor fits these filters.")];
    const caption = `Predicted expression of ${one.mirna} in each donor`;
    const groups = new Map();
    for (const row of list) {
      const key = JSON.stringify([row.cell_type, row.tissue, row.disease]);
      if (!groups.has(key)) groups.set(key, { ...row, donors: [] });
      if (row.mean !== null) groups.get(key).donors.push(row.mean);
    }
    for (const group of groups.values())
      group.middle =
        sicmirDraw.quantile(
          [...group.donors].sort((a, b) => a - b),
          0.5,
        ) ?? null;
    const drawn = [...groups.values()].sort((a, b) => (b.middle ?? -1) - (a.middle ?? -1));
    return [
      choose,
      sicmirDraw.boxes(drawn, {
        width: width(),
        axis: "predicted log2(RPM+1)",
        label: `${caption}.`,
        kind: sick,
        name: (row) => place(atlas, row),
        grey: (row) => below(atlas, row.grade),
        told: (row) =>
          `${place(atlas, row)}: ${row.donors.length} donors, median ${number(row.middle)}, grade ${row.grade}`,
        caption:
          "Point: a donor (and condition). Box: quartiles over donors, line: range, where there are five or more. The interval of prediction of each donor is in the table.",
      }),
      table(
        [
          word("cell_type", "Cell type", (row) => anchor(row.cell_type, { cell_type: row.cell_type })),
          word("donor", "Donor"),
          ofDataset(atlas),
          word("condition", "Condition"),
          word("disease", "Disease"),
          value("mean", "Predicted"),
          value("lower", interval(atlas), (row) => limits(row.lower, row.upper)),
          gradeOf(atlas),
          value("fraction_above", "Above baseline", (row) => percent(row.fraction_above)),
          count("n_cells", "Cells"),
          value("in_domain", "In domain", (row) =>
            row.mean === null
              ? "abstained"
              : row.in_domain === null
                ? "not known"
                : row.in_domain
                  ? "yes"
                  : "no",
          ),
        ],
        list,
        {
          caption,
          file: file(one.mirna, "donors"),
          grey: (row) => below(atlas, row.grade),
          names: [
            "mirna",
            "dataset",
            "donor",
            "cell_type",
            "condition",
            "tissue",
            "disease",
            "n_cells",
            "mean",
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

  function mirnaTargets(atlas, one, found, parameters) {
    const all = rows(found.network);
    if (!all.length)
      return [message(`No target of ${one.mirna} outside the genes that it is predicted from was measured.`)];
    const there = unique(all, "cell_type");
    const compared = (name) =>
      Math.max(...all.filter((row) => row.cell_type === name).map((row) => row.n_compared));
    const best = there.reduce((a, b) => (compared(b) > compared(a) ? b : a));
    const cell_type = there.includes(parameters.cell_type) ? parameters.cell_type : best;
    const given = { ...parameters, cell_type };
    const list = all.filter((row) => row.cell_type === cell_type).map((row) => ({ ...one, ...row }));
    const caption = `Targets of ${one.mirna} in ${cell_type}`;
    const told = (row) =>
      `${row.gene}: difference ${number(row.difference)}, opposite in ${row.n_opposite} of ${row.n_compared} donors`;
    const reasons = unique(
      list.filter((row) => row.r === null),
      "status",
    );
    return [
      el("div", { class: "filters" }, choice("cell_type", "Cell type", there, given)),
      sicmirDraw.star(one.mirna, list, {
        width: width(),
        label: `${caption}.`,
        told,
        grey: below(atlas, one.grade),
        caption: `Targets that most go against the miRNA first. Blue, whole: the gene differs from other cell types against the miRNA; orange, broken: with it; grey: not compared. Thickness: size of the difference of the gene. What makes a cell type drives both: no evidence of repression.`,
      }),
      reasons.length ? message(`No correlation over donors: ${reasons.join(" ")}`) : null,
      table(
        [
          word("gene", "Gene", (row) => anchor(row.gene, { gene: row.gene })),
          word("evidence", "Evidence"),
          gradeOf(atlas),
          value("expression", "Gene, log2(CPM+1)"),
          value("difference", "Gene, difference"),
          value("mirna_difference", "miRNA, difference"),
          value("n_opposite", "Opposite donors", (row) => `${row.n_opposite} of ${row.n_compared}`),
          value("r", "r"),
          value("p", "p", (row) => small(row.p)),
          value("q", "q", (row) => small(row.q)),
          count("n_donors", "Donors"),
        ],
        list,
        {
          caption,
          file: file(one.mirna, cell_type, "targets"),
          grey: (row) => below(atlas, row.grade),
          names: [
            "mirna",
            "cell_type",
            "gene",
            "evidence",
            "expression",
            "n_datasets",
            "n_donors",
            "difference",
            "mirna_difference",
            "n_compared",
            "n_opposite",
            "r",
            "p",
            "q",
            "status",
            ...TRUST,
          ],
        },
      ),
    ];
  }

  return mirna;
})();

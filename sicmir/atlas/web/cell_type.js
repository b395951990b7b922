"use strict";
// The views of a cell type: markers, differences of diseases, expression of all miRNAs, similar cell types.

const sicmirCellType = (() => {
  const { el, number, table } = sicmirTable;
  const { shard, rows } = sicmirLoad;
  const {
    against,
    anchor,
    below,
    choice,
    count,
    file,
    framed,
    gradeOf,
    interval,
    limits,
    message,
    ofMirna,
    percent,
    TRUST,
    value,
    width,
    word,
  } = sicmirParts;
  const { effects, first, some, DRAWN } = sicmirEffects;

  const cellType = (atlas, parameters) =>
    framed(atlas, parameters, {
      key: "cell_type",
      kind: "cell type",
      head: "Cell type",
      list: atlas.cell_types,
      told: (one) =>
        el(
          "p",
          {},
          `Donors predicted: ${one.n_donors}, abstained: ${one.n_abstained}; cells: ${one.n_cells}; data sets: ${one.n_datasets}.`,
        ),
      views: (one) => ({
        markers: ["Markers", markers],
        ...(contrasts(atlas, one).length && { difference: ["Differences", difference] }),
        expression: ["Expression", levels],
        similar: ["Similar cell types", similar],
      }),
    });

  const contrasts = (atlas, one) => atlas.contrasts.filter((row) => row.cell_type === one.cell_type);

  function markers(atlas, one, found, parameters) {
    if (found.refused) return [message(found.refused)];
    return [
      ...effects(atlas, parameters, rows(found.markers), {
        caption: `Markers of ${one.cell_type}, ranked`,
        axis: "difference from other cell types of the donors, log2",
        file: file(one.cell_type, "markers"),
      }),
      el(
        "p",
        { class: "note" },
        "Cell types that were told apart by the values that are tested have markers by construction.",
      ),
    ];
  }

  async function difference(atlas, one, _, parameters) {
    const there = contrasts(atlas, one);
    const chosen = there.find((row) => against(row) === parameters.compared) || there[0];
    const given = { ...parameters, compared: against(chosen) };
    const found = await shard(`difference-${atlas.contrasts.indexOf(chosen)}`);
    return [
      el(
        "div",
        { class: "filters", role: "group", "aria-label": "What is compared" },
        choice("compared", "Compared", there.map(against), given),
      ),
      ...effects(atlas, given, rows(found.difference), {
        caption: `${one.cell_type}: ${against(chosen)}`,
        axis: `${chosen.case} minus ${chosen.reference}, log2`,
        file: file(one.cell_type, chosen.case, "against", chosen.reference),
        fixed: { cell_type: one.cell_type, by: chosen.by, case: chosen.case, reference: chosen.reference },
      }),
      el(
        "p",
        { class: "note" },
        `Donors of both within the same data sets; ${chosen.n_findings} of ${chosen.n_tested} tested miRNAs are findings. The false discovery rate is held over all cell types of these two. Without a p there were too few donors to test.`,
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
    if (found.refused) return [message(found.refused)];
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

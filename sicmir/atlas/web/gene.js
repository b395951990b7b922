"use strict";
// The view of a target gene: the miRNAs that target it, its measured expression.

const sicmirGene = (() => {
  const { el, number, table } = sicmirTable;
  const { shard, rows } = sicmirLoad;
  const {
    anchor,
    below,
    file,
    word,
    value,
    count,
    ofMirna,
    gradeOf,
    width,
    place,
    sick,
    missing,
    head,
    TRUST,
  } = sicmirParts;

  async function gene(atlas, parameters) {
    const wanted = parameters.gene.toUpperCase();
    const at = atlas.genes.findIndex((one) => one.toUpperCase() === wanted);
    if (at < 0)
      return missing(
        "target gene",
        parameters.gene,
        " It holds targets of miRNAs outside the 977 landmark genes, by their current symbols.",
      );
    const name = atlas.genes[at];
    const found = await shard(`gene-${Math.floor(at / atlas.facts.n_genes)}`);
    const mine = (row) => row.gene === name;
    const list = rows(found.targeting)
      .filter(mine)
      .map((row) => ({ ...atlas.of.get(row.mirna), ...row }));
    const measured = rows(found.expression)
      .filter(mine)
      .sort((a, b) => b.mean - a.mean);
    const caption = `Measured expression of ${name}`;
    return {
      title: `${name}: its miRNAs`,
      nodes: [
        ...head("Target gene, measured", name, parameters),
        el("h2", {}, "miRNAs that target it"),
        table(
          [
            ofMirna({ view: "targets" }),
            gradeOf(atlas),
            word("evidence", "Evidence"),
            value("within_r", "r within cancer types"),
            value("unseen_within_r", "r in unseen types"),
            value("single_cell_r", "r over cell types"),
            value("mean_log2_rpm", "Baseline"),
          ],
          list,
          {
            caption: `miRNAs that target ${name}`,
            file: file(name, "mirnas"),
            grey: (row) => below(atlas, row.grade),
            names: ["mirna", "gene", "evidence", ...TRUST],
          },
        ),
        el("h2", {}, "Expression over cell types"),
        sicmirDraw.dots(measured, {
          width: width(),
          axis: "log2(CPM+1), measured",
          label: `${caption} over cell types.`,
          kind: sick,
          name: (row) => place(atlas, row),
          grey: () => false,
          told: (row) => `${place(atlas, row)}: ${number(row.mean)}, ${row.n_donors} donors`,
          caption:
            "Dot: mean over donors of the pooled cells; measured, not predicted. Blue: normal, orange: disease.",
        }),
        table(
          [
            word("cell_type", "Cell type", (row) => anchor(row.cell_type, { cell_type: row.cell_type })),
            word("tissue", "Tissue"),
            word("disease", "Disease"),
            value("mean", "Mean"),
            value("sd", "SD of donors"),
            count("n_donors", "Donors"),
            count("n_cells", "Cells"),
            count("n_datasets", "Data sets"),
          ],
          measured,
          {
            caption,
            file: file(name, "expression"),
            names: [
              "gene",
              "cell_type",
              "tissue",
              "disease",
              "n_datasets",
              "n_donors",
              "n_cells",
              "mean",
              "sd",
            ],
          },
        ),
      ],
    };
  }

  return gene;
})();

"use strict";
// The views of a miRNA, a cell type and a gene: each gives elements for the page, from the index and a shard.

const sicmirViews = (() => {
  const { el, number, small, table } = sicmirTable;
  const { shard, rows } = sicmirLoad;
  const TRUST = ["grade", "mean_log2_rpm", "within_r", "unseen_within_r", "single_cell_r", "n_cell_types"];

  const link = (parameters) => `#${new URLSearchParams(parameters)}`;
  const anchor = (text, parameters) => el("a", { href: link(parameters) }, text);
  const below = (atlas, grade) => Boolean(atlas.facts.min_grade) && grade > atlas.facts.min_grade;
  const limits = (low, high) => (low === null || low === undefined ? "–" : `${number(low)} to ${number(high)}`);
  const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`);
  const file = (...words) => `${words.join("-").replace(/[^A-Za-z0-9_.-]+/g, "_").slice(0, 80)}.csv`;
  const interval = (atlas) => (atlas.facts.interval === null ? "interval" : `${atlas.facts.interval} % interval`);

  const word = (name, head, show) => ({ name, head, words: true, show: show || ((row) => row[name]), sort: (row) => row[name] });
  const value = (name, head, show, title) => ({ name, head, title, show: show || ((row) => number(row[name])), sort: (row) => row[name] });
  const count = (name, head) => value(name, head, (row) => number(row[name], 0));
  const ofMirna = (fixed) => word("mirna", "miRNA", (row) => anchor(row.mirna, { mirna: row.mirna, ...fixed }));
  const gradeOf = (atlas) => word("grade", "Grade", (row) => (row.grade || "–") + (below(atlas, row.grade) ? " (not counted)" : ""));

  function width() {
    return Math.max(280, Math.min(document.getElementById("main").clientWidth, 1000));
  }

  function choice(name, head, values, parameters) {
    const select = el("select", { id: `choose-${name}`, change: () => go({ ...parameters, [name]: select.value }) });
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
    return el("nav", { class: "tabs", "aria-label": "Views" }, ...Object.entries(names).map(([key, head]) =>
      el("a", { href: link({ ...parameters, view: key }), "aria-current": key === current ? "page" : null }, head)));
  }

  function message(text) {
    return el("p", { class: "message" }, text);
  }

  function trust(atlas, mirna) {
    const meaning = atlas.facts.grades[mirna.grade] || "The model has no grades: nothing tells how far it can be believed.";
    const grey = below(atlas, mirna.grade);
    return el("p", { class: grey ? "trust grey" : "trust" }, el("strong", {}, mirna.grade ? `Grade ${mirna.grade}. ` : ""),
      `${meaning}${grey ? " It is greyed and counts for no finding." : ""} `,
      `Correlation with measured values within cancer types: ${number(mirna.within_r)}, in types that were not trained on: `,
      `${number(mirna.unseen_within_r)}, over ${mirna.n_cell_types} measured cell types: ${number(mirna.single_cell_r)}. `,
      `Baseline: ${number(mirna.mean_log2_rpm)} log2(RPM+1), the mean of the training samples.`);
  }

  function head(kind, name, parameters) {
    return [el("p", { class: "kind" }, kind), el("h1", { tabindex: "-1" }, name),
      el("p", { class: "here" }, el("a", { href: link(parameters) }, "Link to this view"))];
  }

  function place(atlas, row) {
    return [row.cell_type, ...["tissue", "disease"].filter((name) => atlas.several[name]).map((name) => row[name])].join(" · ");
  }

  const sick = (row) => (row.disease === "normal" ? "normal" : "disease");
  const chosen = (parameters, ...names) => (row) => names.every((name) => !parameters[name] || row[name] === parameters[name]);
  const unique = (list, name) => [...new Set(list.map((row) => row[name]))].sort();

  async function mirna(atlas, parameters) {
    const at = atlas.mirnas.findIndex((one) => one.mirna === parameters.mirna);
    if (at < 0) return missing("miRNA", parameters.mirna);
    const one = atlas.mirnas[at];
    const found = await shard(`mirna-${at}`);
    const views = { cells: "Cell types", donors: "Donors", targets: "Targets" };
    const view = views[parameters.view] ? parameters.view : "cells";
    const own = { mirna: one.mirna };
    const inside = { cells: mirnaCells, donors: mirnaDonors, targets: mirnaTargets }[view](atlas, one, found, parameters);
    return { title: `${one.mirna}: ${views[view]}`, nodes: [...head("miRNA, predicted", one.mirna, parameters), trust(atlas, one), tabs(view, views, own), ...inside] };
  }

  function filters(atlas, parameters) {
    return el("div", { class: "filters", role: "group", "aria-label": "Filters" },
      ...["tissue", "disease"].map((name) => choice(name, name[0].toUpperCase() + name.slice(1), ["", ...unique(atlas.groups, name)], parameters)));
  }

  function mirnaCells(atlas, one, found, parameters) {
    const list = rows(atlas.columns.groups, found.groups).filter(chosen(parameters, "tissue", "disease"))
      .map((row) => ({ ...one, ...row })).sort((a, b) => (b.mean ?? -1) - (a.mean ?? -1));
    if (!list.length) return [filters(atlas, parameters), message("No group of cells fits these filters.")];
    const caption = `Predicted expression of ${one.mirna} over cell types`;
    return [filters(atlas, parameters),
      sicmirDraw.dots(list, {
        width: width(), axis: "predicted log2(RPM+1)", label: `${caption}.`, kind: sick,
        name: (row) => place(atlas, row), grey: (row) => below(atlas, row.grade),
        told: (row) => `${place(atlas, row)}: ${number(row.mean)} (${limits(row.lower, row.upper)}), ${percent(row.fraction_above)} above baseline, ${row.n_donors} donors, grade ${row.grade}`,
        caption: `Dot: mean over donors; its size: fraction of parts of the cells above the baseline. Line: ${interval(atlas)} of prediction of one donor, no confidence interval of the mean. Blue: normal, orange: disease.${below(atlas, one.grade) ? " Grey: below grade " + atlas.facts.min_grade + "." : ""}`,
      }),
      table([word("cell_type", "Cell type", (row) => anchor(row.cell_type, { cell_type: row.cell_type })), word("tissue", "Tissue"), word("disease", "Disease"),
        value("mean", "Mean"), value("lower", interval(atlas), (row) => limits(row.lower, row.upper)), gradeOf(atlas),
        value("fraction_above", "Above baseline", (row) => percent(row.fraction_above)), value("sd", "SD of donors"), count("n_donors", "Donors"),
        count("n_abstained", "Abstained"), count("n_cells", "Cells"), value("in_domain", "In domain", (row) => percent(row.in_domain))],
      list, { caption, file: file(one.mirna, "cell_types"), grey: (row) => below(atlas, row.grade),
        names: ["mirna", "cell_type", "tissue", "disease", "n_datasets", "n_donors", "n_abstained", "n_cells", "mean", "sd", "lower", "upper", "fraction_above", "in_domain", ...TRUST] })];
  }

  function mirnaDonors(atlas, one, found, parameters) {
    const all = rows(atlas.columns.donors, found.donors);
    const list = all.filter(chosen(parameters, "tissue", "disease", "cell_type", "dataset")).map((row) => ({ ...one, ...row }));
    const choose = filters(atlas, parameters);
    choose.append(choice("cell_type", "Cell type", ["", ...unique(all, "cell_type")], parameters), choice("dataset", "Data set", ["", ...unique(all, "dataset")], parameters));
    if (!list.length) return [choose, message("No donor fits these filters.")];
    const caption = `Predicted expression of ${one.mirna} in each donor`;
    const groups = new Map();
    for (const row of list) {
      const key = JSON.stringify([row.cell_type, row.tissue, row.disease]);
      if (!groups.has(key)) groups.set(key, { ...row, donors: [] });
      if (row.mean !== null) groups.get(key).donors.push(row.mean);
    }
    for (const group of groups.values()) group.middle = sicmirDraw.quantile([...group.donors].sort((a, b) => a - b), 0.5) ?? null;
    const drawn = [...groups.values()].sort((a, b) => (b.middle ?? -1) - (a.middle ?? -1));
    return [choose,
      sicmirDraw.boxes(drawn, {
        width: width(), axis: "predicted log2(RPM+1)", label: `${caption}.`, kind: sick,
        name: (row) => place(atlas, row), grey: (row) => below(atlas, row.grade),
        told: (row) => `${place(atlas, row)}: ${row.donors.length} donors, median ${number(row.middle)}, grade ${row.grade}`,
        caption: "Point: a donor (and condition). Box: quartiles over donors, line: range, where there are five or more. The interval of prediction of each donor is in the table.",
      }),
      table([word("cell_type", "Cell type", (row) => anchor(row.cell_type, { cell_type: row.cell_type })), word("donor", "Donor"), word("dataset", "Data set"), word("condition", "Condition"), word("disease", "Disease"),
        value("mean", "Predicted"), value("lower", interval(atlas), (row) => limits(row.lower, row.upper)), gradeOf(atlas),
        value("fraction_above", "Above baseline", (row) => percent(row.fraction_above)), count("n_cells", "Cells"),
        value("in_domain", "In domain", (row) => row.mean === null ? "abstained" : row.in_domain ? "yes" : "no")],
      list, { caption, file: file(one.mirna, "donors"), grey: (row) => below(atlas, row.grade),
        names: ["mirna", "dataset", "donor", "cell_type", "condition", "tissue", "disease", "n_cells", "mean", "lower", "upper", "fraction_above", "in_domain", ...TRUST] })];
  }

  function mirnaTargets(atlas, one, found, parameters) {
    const all = rows(found.network);
    if (!all.length) return [message(`No target of ${one.mirna} outside the genes that it is predicted from was measured.`)];
    const there = unique(all, "cell_type");
    const compared = (name) => Math.max(...all.filter((row) => row.cell_type === name).map((row) => row.n_compared));
    const best = there.reduce((a, b) => (compared(b) > compared(a) ? b : a));
    const cell_type = there.includes(parameters.cell_type) ? parameters.cell_type : best;
    const given = { ...parameters, cell_type };
    const list = all.filter((row) => row.cell_type === cell_type).map((row) => ({ ...one, ...row }));
    const caption = `Targets of ${one.mirna} in ${cell_type}`;
    const told = (row) => `${row.gene}: difference ${number(row.difference)}, opposite in ${row.n_opposite} of ${row.n_compared} donors`;
    const reasons = unique(list.filter((row) => row.r === null), "status");
    return [el("div", { class: "filters" }, choice("cell_type", "Cell type", there, given)),
      sicmirDraw.star(one.mirna, list, { width: width(), label: `${caption}.`, told, grey: below(atlas, one.grade),
        caption: `Targets that most go against the miRNA first. Blue, whole: the gene differs from other cell types against the miRNA; orange, broken: with it; grey: not compared. Thickness: size of the difference of the gene. What makes a cell type drives both: no evidence of repression.` }),
      reasons.length ? message(`No correlation over donors: ${reasons.join(" ")}`) : null,
      table([word("gene", "Gene", (row) => anchor(row.gene, { gene: row.gene })), word("evidence", "Evidence"), gradeOf(atlas),
        value("expression", "Gene, log2(CPM+1)"), value("difference", "Gene, difference"), value("mirna_difference", "miRNA, difference"),
        value("n_opposite", "Opposite donors", (row) => `${row.n_opposite} of ${row.n_compared}`), value("r", "r"), value("p", "p", (row) => small(row.p)), value("q", "q", (row) => small(row.q)), count("n_donors", "Donors")],
      list, { caption, file: file(one.mirna, cell_type, "targets"), grey: (row) => below(atlas, row.grade),
        names: ["mirna", "cell_type", "gene", "evidence", "expression", "n_datasets", "n_donors", "difference", "mirna_difference", "n_compared", "n_opposite", "r", "p", "q", "status", ...TRUST] })];
  }

  async function cellType(atlas, parameters) {
    const at = atlas.cell_types.findIndex((one) => one.cell_type === parameters.cell_type);
    if (at < 0) return missing("cell type", parameters.cell_type);
    const one = atlas.cell_types[at];
    const found = await shard(`cell_type-${at}`);
    const views = { markers: "Markers", expression: "Expression", similar: "Similar cell types" };
    const view = views[parameters.view] ? parameters.view : "markers";
    const inside = view === "expression" ? levels(atlas, one, found, parameters) : found.refused
      ? [message(found.refused)]
      : (view === "markers" ? markers : similar)(atlas, one, found, parameters);
    return { title: `${one.cell_type}: ${views[view]}`, nodes: [...head("Cell type", one.cell_type, parameters),
      el("p", {}, `Donors predicted: ${one.n_donors}, abstained: ${one.n_abstained}; cells: ${one.n_cells}; data sets: ${one.n_datasets}.`),
      tabs(view, views, { cell_type: one.cell_type }), ...inside] };
  }

  // miRNAs of a cell type, by part of a name and by grade.
  function some(atlas, parameters, list) {
    const input = el("input", { type: "search", id: "choose-name", value: parameters.name || "", change: () => go({ ...parameters, name: input.value }) });
    const box = el("input", { type: "checkbox", id: "choose-counted", change: () => go({ ...parameters, counted: box.checked ? "1" : "" }) });
    box.checked = parameters.counted === "1";
    const choose = el("div", { class: "filters", role: "group", "aria-label": "Filters" }, el("label", { class: "choice" }, "Name holds ", input),
      atlas.facts.min_grade ? el("label", { class: "choice" }, box, ` Only grade ${atlas.facts.min_grade} or better`) : "");
    const part = (parameters.name || "").toLowerCase();
    const kept = list.map((row) => ({ ...atlas.of.get(row.mirna), ...row }))
      .filter((row) => row.mirna.toLowerCase().includes(part) && !(parameters.counted === "1" && below(atlas, row.grade)));
    return [choose, kept];
  }

  const DRAWN = 30;
  const first = (list) => (list.length > DRAWN ? `The first ${DRAWN} of ${list.length} miRNAs.` : `${list.length} miRNAs.`);

  function markers(atlas, one, found, parameters) {
    const [choose, list] = some(atlas, parameters, rows(found.markers));
    if (!list.length) return [choose, message("No miRNA fits these filters.")];
    const caption = `Markers of ${one.cell_type}, ranked`;
    return [choose,
      sicmirDraw.forest(list.slice(0, DRAWN), {
        width: width(), axis: "difference from other cell types of the donors, log2", label: `${caption}.`,
        name: (row) => `${row.mirna} (${row.grade || "no grade"})`, grey: (row) => below(atlas, row.grade),
        told: (row) => `${row.mirna}: ${number(row.effect)} (${limits(row.lower, row.upper)}), q ${small(row.q)}, grade ${row.grade}`,
        caption: `${first(list)} Line: 95 % confidence limits over donors; ${atlas.facts.across === "fixed" ? "data sets stand for themselves (fixed effects)" : "data sets stand for others like them (random effects)"}. Filled: a finding (false discovery rate 5 %). Grey: too low a grade to count.`,
      }),
      table([ofMirna(), gradeOf(atlas), value("effect", "Difference, log2"), value("lower", "95 % limits", (row) => limits(row.lower, row.upper)),
        value("lower_total", "With errors of prediction", (row) => limits(row.lower_total, row.upper_total)), value("p", "p", (row) => small(row.p)), value("q", "q", (row) => small(row.q)),
        word("finding", "Finding", (row) => (row.finding ? "yes" : "no")), count("n_datasets", "Data sets"), count("n_donors", "Donors"), count("n_untested", "Untested sets"), value("i2", "I²", (row) => percent(row.i2))],
      list, { caption, file: file(one.cell_type, "markers"), grey: (row) => below(atlas, row.grade),
        names: ["mirna", "effect", "lower", "upper", "df", "p", "tau2", "i2", "lower_total", "upper_total", "exceeds_error", "n_datasets", "n_donors", "n_untested", "greyed", "q", "finding", ...TRUST] }),
      el("p", { class: "note" }, "Cell types that were told apart by the values that are tested have markers by construction.")];
  }

  function levels(atlas, one, found, parameters) {
    const [choose, list] = some(atlas, parameters, rows(found.expression));
    if (!list.length) return [choose, message("No miRNA fits these filters.")];
    const caption = `Predicted expression of all miRNAs in ${one.cell_type}`;
    return [choose,
      sicmirDraw.dots(list.slice(0, DRAWN), {
        width: width(), axis: "predicted log2(RPM+1)", label: `${caption}.`, kind: () => "normal",
        name: (row) => `${row.mirna} (${row.grade || "no grade"})`, grey: (row) => below(atlas, row.grade),
        told: (row) => `${row.mirna}: ${number(row.mean)} (${limits(row.lower, row.upper)}), grade ${row.grade}`,
        caption: `${first(list)} Dot: mean over donors; its size: fraction above the baseline. Line: ${interval(atlas)} of prediction of one donor.`,
      }),
      table([ofMirna(), gradeOf(atlas), value("mean", "Mean"), value("lower", interval(atlas), (row) => limits(row.lower, row.upper)), value("fraction_above", "Above baseline", (row) => percent(row.fraction_above)),
        value("sd", "SD of donors"), count("n_donors", "Donors"), value("in_domain", "In domain", (row) => percent(row.in_domain))],
      list, { caption, file: file(one.cell_type, "expression"), grey: (row) => below(atlas, row.grade),
        names: ["mirna", "n_datasets", "n_donors", "n_abstained", "n_cells", "mean", "sd", "lower", "upper", "fraction_above", "in_domain", ...TRUST] })];
  }

  function similar(atlas, one, found) {
    const list = rows(found.similar);
    if (!list.length) return [message("There is no other cell type to compare it with.")];
    const caption = `Cell types with markers like those of ${one.cell_type}`;
    return [table([word("cell_type", "Cell type", (row) => anchor(row.cell_type, { cell_type: row.cell_type, view: "similar" })), value("r", "r of markers"), count("n_mirnas", "miRNAs"), count("n_datasets", "Data sets"), count("n_donors", "Donors"), count("shared", "Data sets with both")],
      list, { caption, file: file(one.cell_type, "similar"), names: ["cell_type", "r", "n_mirnas", "n_datasets", "n_donors", "shared"] }),
      el("p", { class: "note" }, `Pearson correlation of differences from the other cell types, over miRNAs of grade ${atlas.facts.min_grade || "any"} or better. In a data set of two cell types it is −1 by construction.`)];
  }

  async function gene(atlas, parameters) {
    const wanted = parameters.gene.toUpperCase();
    const at = atlas.genes.findIndex((one) => one.toUpperCase() === wanted);
    if (at < 0) return missing("target gene", parameters.gene, " It holds targets of miRNAs outside the 977 landmark genes, by their current symbols.");
    const name = atlas.genes[at];
    const found = await shard(`gene-${Math.floor(at / atlas.facts.n_genes)}`);
    const mine = (row) => row.gene === name;
    const list = rows(found.targeting).filter(mine).map((row) => ({ ...atlas.of.get(row.mirna), ...row }));
    const measured = rows(found.expression).filter(mine).sort((a, b) => b.mean - a.mean);
    const caption = `Measured expression of ${name}`;
    return { title: `${name}: its miRNAs`, nodes: [...head("Target gene, measured", name, parameters),
      el("h2", {}, "miRNAs that target it"),
      table([ofMirna({ view: "targets" }), gradeOf(atlas), word("evidence", "Evidence"), value("within_r", "r within cancer types"), value("unseen_within_r", "r in unseen types"), value("single_cell_r", "r over cell types"), value("mean_log2_rpm", "Baseline")],
        list, { caption: `miRNAs that target ${name}`, file: file(name, "mirnas"), grey: (row) => below(atlas, row.grade), names: ["mirna", "gene", "evidence", ...TRUST] }),
      el("h2", {}, "Expression over cell types"),
      sicmirDraw.dots(measured, { width: width(), axis: "log2(CPM+1), measured", label: `${caption} over cell types.`, kind: sick, name: (row) => place(atlas, row), grey: () => false,
        told: (row) => `${place(atlas, row)}: ${number(row.mean)}, ${row.n_donors} donors`, caption: "Dot: mean over donors of the pooled cells; measured, not predicted. Blue: normal, orange: disease." }),
      table([word("cell_type", "Cell type", (row) => anchor(row.cell_type, { cell_type: row.cell_type })), word("tissue", "Tissue"), word("disease", "Disease"), value("mean", "Mean"), value("sd", "SD of donors"), count("n_donors", "Donors"), count("n_cells", "Cells"), count("n_datasets", "Data sets")],
        measured, { caption, file: file(name, "expression"), names: ["gene", "cell_type", "tissue", "disease", "n_datasets", "n_donors", "n_cells", "mean", "sd"] })] };
  }

  function missing(kind, name, more = "") {
    return { title: `No ${kind} ${name}`, nodes: [el("h1", { tabindex: "-1" }, `No ${kind} “${name}”`), message(`The atlas has no ${kind} of that name.${more}`),
      el("p", {}, anchor(`Search for “${name}”`, { q: name }))] };
  }

  return { mirna, cellType, gene, anchor, link, message, below };
})();

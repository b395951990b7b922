"""Commands of the atlas: ``sicmir atlas add``, ``add-all``, ``query``, ``explorer``, ``list`` and so on."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sicmir.cli_options import columns, in_options
from sicmir.errors import SicmirError

app = typer.Typer(
    help="Predicted miRNAs of many single-cell data sets in one store: add, query, explore, list, check, "
    "remove.",
    no_args_is_help=True,
)

Store = Annotated[
    str, typer.Option("--store", metavar="FOLDER", help="Folder of the atlas, if not SICMIR_ATLAS.")
]


@app.command(
    epilog="Example: sicmir atlas add cells.h5ad --dataset mine --tissue blood --disease normal --targets ''"
)
def add(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help=".h5ad or .zarr: cells with labels.")],
    dataset: Annotated[str, typer.Option(help="Name of the data set in the atlas.")],
    tissue: Annotated[str, typer.Option(help="Tissue, in words.")],
    disease: Annotated[str, typer.Option(help="Disease, in words; normal for none.")],
    cell_type_key: Annotated[str, typer.Option(help="Column of obs with the cell type.")] = "cell_type",
    donor_key: Annotated[str, typer.Option(help="Column of obs with the donor.")] = "donor",
    condition_key: Annotated[str, typer.Option(help="Column of obs with the condition.")] = "",
    normal: Annotated[str, typer.Option(help="The condition whose cells have no disease.")] = "",
    tissue_id: Annotated[str, typer.Option(help="Term of Uberon, such as UBERON:0001264.")] = "",
    tissue_key: Annotated[
        str, typer.Option(help="Column of obs with the tissue, where not all cells are of --tissue.")
    ] = "",
    tissue_id_key: Annotated[str, typer.Option(help="Column of obs with the term of that tissue.")] = "",
    disease_id: Annotated[str, typer.Option(help="Term of Mondo, such as MONDO:0006047.")] = "",
    cell_type_map: Annotated[
        str,
        typer.Option(help=".csv with the columns label, cell_type and id (CL:0000000): names in the atlas."),
    ] = "",
    model: Annotated[str, typer.Option(help="Folder of a model bundle.")] = "default",
    targets: Annotated[
        str, typer.Option(help="mirtarbase, targetscan, a table of mirna and gene, or '' for none.")
    ] = "mirtarbase",
    transform: Annotated[
        Literal["auto", "frozen", "rank"], typer.Option(help="How values meet the training data.")
    ] = "auto",
    layer: Annotated[str, typer.Option(help="X, raw or a layer, where the wrong one is found.")] = "",
    units: Annotated[str, typer.Option(help="Units, where they cannot be told.")] = "",
    gene_key: Annotated[str, typer.Option(help="Column of var with the names of genes.")] = "",
    min_cells: Annotated[int, typer.Option(help="Leave out groups of fewer cells.")] = 10,
    part_cells: Annotated[
        int, typer.Option(help="Fewest cells of the parts by which spread within a group is told.")
    ] = 50,
    max_parts: Annotated[int, typer.Option(help="Most parts of a group.")] = 20,
    missing: Annotated[
        Literal["raise", "drop"], typer.Option(help="Refuse cells without a label, or leave them out.")
    ] = "raise",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a data set of that name made of something else.")
    ] = False,
    store: Store = "",
) -> None:
    """Predict the cells of a file by donor, cell type and condition, and keep what is found in the atlas.

    The data set appears when it is whole. To add it again, from the same file and model, does nothing.
    """
    from sicmir.atlas.add import add

    warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
    keys: dict[str, Any] = {
        "cell_type_key": cell_type_key,
        "donor_key": donor_key,
        "condition_key": condition_key,
    }
    terms: dict[str, Any] = {"tissue_id": tissue_id, "disease_id": disease_id, "cell_type_map": cell_type_map}
    terms |= {"tissue_key": tissue_key, "tissue_id_key": tissue_id_key}
    reading: dict[str, Any] = {"transform": transform, "layer": layer, "units": units, "gene_key": gene_key}
    sizes: dict[str, Any] = {"min_cells": min_cells, "part_cells": part_cells, "max_parts": max_parts}
    rest: dict[str, Any] = {
        "normal": normal,
        "model": model,
        "targets": targets,
        "missing": missing,
        "folder": store,
    }
    try:
        done = add(
            source, dataset, tissue, disease, overwrite=overwrite, **keys, **terms, **reading, **sizes, **rest
        )
    except SicmirError as error:
        raise type(error)(in_options(str(error), context)) from error
    typer.echo(done.summary())


@app.command(epilog="Example: sicmir atlas add-all files.yaml --workers 2 --targets ''")
def add_all(
    files: Annotated[
        Path,
        typer.Argument(
            metavar="LIST",
            help=".yaml, a list with source, dataset, tissue, disease and other options of add for each file "
            "(as cell_type_key: cluster); or .csv, a column an option. Paths are relative to it.",
        ),
    ],
    workers: Annotated[
        int, typer.Option(help="Files that are worked on at once; more than 1 need Dask.")
    ] = 1,
    model: Annotated[str, typer.Option(help="Folder of a model bundle.")] = "default",
    targets: Annotated[
        str, typer.Option(help="mirtarbase, targetscan, a table of mirna and gene, or '' for none.")
    ] = "mirtarbase",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace data sets of these names made of something else.")
    ] = False,
    store: Store = "",
) -> None:
    """Add many files, several at once; those that fail are named at the end, with exit code 1.

    What is in the atlas already stays, so that the same command goes on where it was stopped.
    """
    from sicmir.atlas.add_many import add_many, read_list

    common = {"model": model, "targets": targets, "overwrite": overwrite, "folder": store}
    done = add_many(read_list(files), workers=workers, **common)
    typer.echo(done.summary())
    for failed in done.failed:
        typer.echo(f"{failed.source} ({failed.dataset}): {failed.problem}", err=True)
    if done.failed:
        raise typer.Exit(1)


@app.command(epilog="Example: sicmir atlas compact")
def compact(store: Store = "") -> None:
    """Write a sorted copy of all tables, from which a store of hundreds of data sets answers sooner.

    Data sets that are added or replaced later are read beside it, so that it need not be made anew at once.
    """
    from sicmir.atlas.compact import compact

    typer.echo(f"Questions are answered from {compact(store)}.")


@app.command(epilog="Example: sicmir atlas query expression --mirna miR-21 --out mir-21.csv")
def query(
    context: typer.Context,
    what: Annotated[
        Literal["expression", "markers", "difference", "similar", "network", "gene"],
        typer.Argument(
            help="expression of a miRNA over cell types, tissues and diseases, or of all in a cell type; "
            "markers of a cell type; difference of a disease or condition from another; similar cell types; "
            "network of a miRNA in a cell type; expression of a target gene."
        ),
    ],
    mirna: Annotated[str | None, typer.Option(help="miRNA, also short as miR-21.")] = None,
    cell_type: Annotated[str | None, typer.Option(help="Cell type, by its name in the atlas.")] = None,
    gene: Annotated[str | None, typer.Option(help="Target gene, by symbol.")] = None,
    tissue: Annotated[str | None, typer.Option(help="Only this tissue.")] = None,
    disease: Annotated[str | None, typer.Option(help="Only this disease.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMNS",
            help="What is told apart: cell_type, tissue, disease, dataset, condition, donor; of a difference "
            "disease or condition.",
        ),
    ] = None,
    case: Annotated[str | None, typer.Option(help="Of a difference: this disease or condition ...")] = None,
    reference: Annotated[str | None, typer.Option(help="... against this one, or else normal.")] = None,
    min_grade: Annotated[
        str | None, typer.Option(help="Worst grade that counts, '' for all; else B.")
    ] = None,
    fdr: Annotated[float | None, typer.Option(help="Largest q of a finding, else 0.05.")] = None,
    across: Annotated[
        Literal["random", "fixed"] | None,
        typer.Option(
            help="Data sets stand for others like them (random), or for themselves (fixed); else random."
        ),
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows that are shown; a file holds all.")] = 20,
    out: Annotated[str, typer.Option("--out", help=".csv or .parquet to write.")] = "",
    store: Store = "",
) -> None:
    """Ask the atlas. Donors are the units, and every row tells how far its miRNA can be believed.

    A question takes the options that it needs, and refuses others.
    """
    from sicmir.atlas.answers import answer, write_answer

    names = {"mirna": mirna, "cell_type": cell_type, "gene": gene, "tissue": tissue, "disease": disease}
    names |= {"dataset": dataset, "case": case, "reference": reference, "min_grade": min_grade}
    try:
        table = answer(what, by=columns(by) or None, fdr=fdr, across=across, folder=store, **names)
        if out:
            write_answer(table, Path(out))
    except SicmirError as error:
        raise type(error)(in_options(str(error), context)) from error
    if out:
        typer.echo(f"{len(table)} rows written to {out}.")
        return
    more = f"\n{len(table) - rows} more rows; --rows or --out." if len(table) > rows else ""
    typer.echo(f"{table.head(rows).to_string(index=False, float_format='%.3g', na_rep='')}{more}")


@app.command(epilog="Example: sicmir atlas explorer pages")
def explorer(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; an explorer is replaced.")],
    title: Annotated[str, typer.Option(help="Heading of the pages.")] = "miRNA atlas",
    back: Annotated[str, typer.Option(help="Address of a page that they link back to.")] = "",
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Say on every page that the cells are made up.")
    ] = False,
    across: Annotated[
        Literal["random", "fixed"], typer.Option(help="How markers are combined over data sets.")
    ] = "random",
    store: Store = "",
) -> None:
    """Write the atlas as static pages, to be opened from disk or put on any web server."""
    from sicmir.atlas.explorer import write

    page = write(store, out, title=title, back=back, synthetic=synthetic, across=across)
    typer.echo(f"Open {page} in a browser.")


@app.command(name="list", epilog="Example: sicmir atlas list")
def list_datasets(store: Store = "") -> None:
    """List the data sets of the atlas."""
    from sicmir import paths
    from sicmir.atlas import compact, record
    from sicmir.atlas.store import read_records

    place = paths.atlas(store)
    found = read_records(place)
    for row in record.registry(found).itertuples():
        terms = ", ".join(
            f"{name}{f' ({term})' if term else ''}"
            for name, term in ((row.tissue, row.tissue_id), (row.disease, row.disease_id))
        )
        typer.echo(
            f"{row.dataset}: {terms}; {row.n_cells} cells, {row.n_donors} donors, {row.n_cell_types} cell "
            f"types, {row.n_predicted} of {row.n_groups} groups predicted by the model {row.model}"
        )
    if remark := compact.remark(place, found, compact.usable(place, found)):
        typer.echo(remark, err=True)


@app.command(epilog="Example: sicmir atlas remove mine")
def remove(dataset: Annotated[str, typer.Argument(help="Name of the data set.")], store: Store = "") -> None:
    """Take a data set out of the atlas; the others are not touched."""
    from sicmir.atlas.store import remove

    remove(dataset, store)
    typer.echo(f"{dataset} was removed.")


@app.command(epilog="Example: sicmir atlas check")
def check(store: Store = "") -> None:
    """Look for damaged data sets: checksums, columns, rows, values, records. Exit code 1 if there are any."""
    from sicmir.atlas.check import check

    found = check(store)
    for problem in found.problems:
        typer.echo(f"{problem.dataset or 'atlas'}, {problem.file}: {problem.problem}", err=True)
    for name in found.leftovers:
        typer.echo(f"{name}: of a run that was stopped, or of one that runs now; it does no harm.")
    for remark in found.remarks:
        typer.echo(remark)
    n_bad = len({problem.dataset for problem in found.problems})
    if found.problems:
        typer.echo(f"{n_bad} with problems. Remove what is damaged and add it again.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{found.n_datasets} data sets, all whole.")

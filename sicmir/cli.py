"""Command line of sicmir. Heavy imports happen inside the commands, so that ``--help`` is instant."""

from __future__ import annotations

import os
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from sicmir import __version__
from sicmir.atlas.commands import app as atlas
from sicmir.cli_options import OfPage, columns, in_options, parameter_lines, refuse_given
from sicmir.errors import SicmirError


class _Group(TyperGroup):
    """Commands whose deliberate errors are one message on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (SicmirError, OSError) as error:
            if os.environ.get("SICMIR_DEBUG") == "1":
                raise
            typer.echo(f"sicmir: {error}", err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    name="sicmir",
    cls=_Group,
    help="Predict microRNA expression from 977 landmark genes; read, rerun and extend the book about it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(atlas, name="atlas")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: sicmir fetch tcga-small")
def fetch(key: Annotated[str, typer.Argument(help="Key of a data set; `sicmir data` lists them.")]) -> None:
    """Download the files of a data set into the cache and check them."""
    from sicmir import data

    for path in data.fetch(key, progress=True).values():
        typer.echo(path)


@app.command(epilog="Example: sicmir data")
def data() -> None:
    """List the data sets of the manifest, with size, licence and where they are."""
    from sicmir import data
    from sicmir.publishing.report import size

    for row in data.describe().itertuples():
        more = f" + {row.unsized} file{'s' * (row.unsized > 1)} of unknown size" if row.unsized else ""
        typer.echo(f"{row.key}: {row.title} ({size(row.bytes)}{more}, {row.state})\n    {row.licence}")


@app.command(epilog="Example: sicmir train toy --out my-model --method kernel")
def train(
    dataset: Annotated[str, typer.Argument(help="Manifest key, or folder with a paired data set.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the model bundle.")],
    method: Annotated[str, typer.Option(help="network or kernel.")] = "network",
    seed: Annotated[int, typer.Option(help="Seed of the split and of the network's weights.")] = 0,
) -> None:
    """Train a model on a paired data set and save it as a model bundle."""
    from sicmir.recipe import train_bundle

    trained = train_bundle(dataset, out, method=method, seed=seed, progress=True)
    r = trained.test["pearson"].groupby("method", sort=False).median().rename({"sicmir": "the model"})
    measured = ", ".join(f"{name} {value:.2f}" for name, value in r.items())
    typer.echo(f"Median Pearson r of miRNAs on donors that it was not trained on: {measured}.")
    typer.echo(f"The model bundle is in {out}. Its test_metrics.csv tells of each miRNA.")


@app.command(name="import-published", epilog="Example: sicmir import-published DNN_miRNA.pth --out published")
def import_published(
    out: Annotated[Path, typer.Option("--out", help="Folder for the model bundle.")],
    weights: Annotated[str, typer.Argument(help="DNN_miRNA.pth; left out, it is fetched.")] = "",
    order: Annotated[
        Literal["relu-norm", "norm-relu", "mixed"] | None,
        typer.Option(help="Order of layers, instead of what the file says."),
    ] = None,
) -> None:
    """Turn the published network into a model bundle. Nothing in its file is executed."""
    from sicmir.benchmark import published
    from sicmir.learning.bundle_files import check_free

    check_free(out)
    published.import_published(weights, order).save(out)
    typer.echo(f"The model bundle is in {out}. Its predictions are z-scores, not log2(RPM+1).")


@app.command(name="verify-published", epilog="Example: sicmir verify-published")
def verify_published(
    weights: Annotated[str, typer.Argument(help="DNN_miRNA.pth; left out, it is fetched.")] = "",
) -> None:
    """Compare the published network with its authors' own output, in every order of layers."""
    from sicmir.benchmark import published

    done = published.verify_published(weights)
    for row in done.table.itertuples():
        typer.echo(
            f"{row.order}, {row.pair} ({row.n_samples} samples): "
            f"{'' if row.reproduced else 'not '}reproduced, largest difference {row.max_difference:.3g}, "
            f"median {row.median_difference:.3g}"
        )
    typer.echo(f"Reproduced in the order {done.order}; the file says {done.file_order}.")


@app.command(epilog="Example: sicmir predict cells.h5ad mirnas.h5ad --by cell_type,donor")
def predict(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="h5ad, zarr, 10x folder or .h5, loom, gct, gctx, csv or tsv: samples or cells."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help=".h5ad, .zarr, .parquet or .csv to write.")],
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMNS",
            help="Pool first, then predict: sum up the counts of the cells that share these columns of obs, "
            "e.g. cell_type,donor, and predict each pool. Right for sparse single cells. May be repeated.",
        ),
    ] = None,
    summarise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMNS",
            help="Predict first, then average: predict every cell, and write only mean, variance and number "
            "of the cells that share these columns of obs. May be repeated.",
        ),
    ] = None,
    min_cells: Annotated[
        int, typer.Option(help="Leave out pools of fewer cells, and groups of fewer that can be predicted.")
    ] = 10,
    missing: Annotated[
        Literal["raise", "drop"],
        typer.Option(help="Refuse cells without a label in these columns, or leave them out."),
    ] = "raise",
    transform: Annotated[
        Literal["auto", "frozen", "rank", "cohort"], typer.Option(help="How values meet the training data.")
    ] = "auto",
    layer: Annotated[str, typer.Option(help="X, raw or a layer, where the wrong one is found.")] = "",
    units: Annotated[
        str,
        typer.Option(
            help="Units, where they cannot be told: counts, CPM, TPM, CP10K, FPKM, RSEM, or a logarithm of "
            "one, e.g. log1p(CP10K) or log2(TPM+1); log2(x+1) if no more is known."
        ),
    ] = "",
    model: Annotated[str, typer.Option(help="Folder of a model bundle.")] = "default",
    min_coverage: Annotated[float, typer.Option(help="Smallest share of the 977 genes.")] = 0.5,
    gene_key: Annotated[str, typer.Option(help="Column of var with the names of genes.")] = "",
    keep_far: Annotated[
        bool, typer.Option("--keep-far", help="Predict rows unlike the training data too; they are flagged.")
    ] = False,
    chunk_size: Annotated[
        int, typer.Option(help="Cells of .h5ad and .zarr that are read, predicted and written at a time.")
    ] = 4000,
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option(help="Of the predictions; float16 halves the file.")
    ] = "float32",
    no_intervals: Annotated[
        bool, typer.Option("--no-intervals", help="Leave out the lower and upper bounds.")
    ] = False,
    scheduler: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Dask scheduler whose workers see the same files, e.g. tcp://host:8786; extra dask.",
        ),
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUT, and what another command left unfinished.")
    ] = False,
) -> None:
    """Predict the miRNA of the samples or cells in a file.

    Files of .h5ad and .zarr may be larger than memory. If a run is stopped, the same command goes on where it
    was; OUT appears when it is whole.
    """
    from sicmir.streaming import predict_file
    from sicmir.streams.result_files import tables_beside

    # Several columns of one gene are dealt with, and told, by sicmir itself.
    warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
    options: dict[str, Any] = {"layer": layer, "units": units, "gene_key": gene_key}
    options |= {
        "min_coverage": min_coverage,
        "abstain": not keep_far,
        "chunk_size": chunk_size,
        "dtype": dtype,
        "scheduler": scheduler,
    }
    options |= {"intervals": not no_intervals, "min_cells": min_cells, "overwrite": overwrite}
    options |= {"missing": missing}
    try:
        if not by and not summarise:
            refuse_given(context, ("min_cells", "missing"), "pools (by) and groups (summarise)")
        done = predict_file(source, out, model, transform, columns(by), columns(summarise), **options)
    except SicmirError as error:
        raise type(error)(in_options(str(error), context)) from error
    if done.resumed:
        typer.echo(f"{done.resumed} rows were there from an earlier run.")
    beside = ", ".join(table.name for table in tables_beside(done.path))
    typer.echo(in_options(done.summary, context))
    typer.echo(f"Written to {out}{f'; beside it: {beside}' if beside else ''}.")


@app.command(epilog="Example: sicmir doctor")
def doctor(
    model: Annotated[str, typer.Option(help="Folder of a model bundle to look at.")] = "default",
) -> None:
    """Tell versions, threads, folders and the model that is used; what to send along with a question."""
    from sicmir import doctor

    found = doctor.examine(model)
    typer.echo("\n".join(found.lines))
    raise typer.Exit(0 if found.well else 1)


@app.command(cls=OfPage, epilog="Example: sicmir run 10_training -p dataset toy -p seed 3")
def run(
    page: Annotated[str, typer.Argument(help="Id of a page; `sicmir pages` lists them.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="NAME VALUE", help="A parameter of the page. May be repeated."),
    ] = None,
    profile: Annotated[str, typer.Option(help="Named set of parameters, e.g. full.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for the notebook and its tables, if not results/runs/PAGE-TIME.",
            show_default=False,
        ),
    ] = None,
    help_parameters: Annotated[
        bool,
        typer.Option(
            "--parameters",
            "--help-parameters",
            help="List the parameters of the page and stop; so does --help behind its name.",
        ),
    ] = False,
) -> None:
    """Run a page with your own parameters. The published book is not touched."""
    from sicmir import paths
    from sicmir.publishing import pages

    notebook = paths.project() / pages.find_page(page).notebook
    known = pages.declared(notebook)
    if help_parameters:
        typer.echo("\n".join(parameter_lines(known.values())))
        return
    values = pages.parse([(n, v) for n, _, v in (p.partition("=") for p in parameter or [])], known)
    if out is None:
        out = paths.project() / "results" / "runs" / f"{page}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    from sicmir.data import check_paired
    from sicmir.publishing.runner import run_page

    # Pages of cells take a file of them as well; whether it can be read, they say themselves.
    cells = "cell_type_key" in known and Path(str(values.get("dataset", ""))).suffix in (".h5ad", ".zarr")
    if "dataset" in values and not cells:
        check_paired(str(values["dataset"]))
    done = run_page(page, values, profile, out)
    typer.echo(f"{page} ran in {done.seconds:.0f} s on {done.data} data: {done.path}")


@app.command(epilog="Example: sicmir pages")
def pages() -> None:
    """List the pages of the book with their profiles and parameters."""
    from sicmir import paths
    from sicmir.publishing import pages

    for page in pages.load_pages().values():
        typer.echo(f"{page.id}: {page.title} (profiles: {', '.join(page.profiles)})")
        typer.echo("\n".join(parameter_lines(pages.declared(paths.project() / page.notebook).values())))


@app.command(epilog="Example: sicmir book --profile ci")
def book(
    profile: Annotated[str, typer.Option(help="ci (minutes) or full.")] = "ci",
    force: Annotated[
        bool, typer.Option("--force", help="Run every page, also where nothing changed.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Pages that run at a time.")] = 1,
) -> None:
    """Run the pages that are out of date and build the book."""
    from sicmir.publishing.book import build

    built = build(profile, force=force, jobs=jobs)
    typer.echo(f"Open {built.index}")
    if built.failures:
        typer.echo(f"Failed: {', '.join(built.failures)}; see the status page.", err=True)
        raise typer.Exit(1)


def main() -> None:
    """Entry point. A deliberate error is one message on stderr and exit code 1.

    With ``SICMIR_DEBUG=1`` the traceback is shown as well.
    """
    app()

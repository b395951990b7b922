"""Build the book: run what is stale, write the data, status and manual pages, render to HTML."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock, Timeout

from sicmir import paths
from sicmir.data.manifest import Manifest, load_manifest
from sicmir.errors import FetchError, PageError, ParameterError
from sicmir.publishing.manual import command_page, function_page
from sicmir.publishing.pages import Page, load_pages
from sicmir.publishing.rendered import finish
from sicmir.publishing.report import size
from sicmir.publishing.runner import Run, read_status, run_page
from sicmir.publishing.scrub import scrub_text
from sicmir.publishing.stamp import shown_time

__all__ = ["Built", "build", "data_page", "run_page", "status_page"]


@dataclass(frozen=True)
class Built:
    """A built book: its first page, the run of every page, and the pages that failed with their error."""

    index: Path
    runs: tuple[Run, ...]
    failures: Mapping[str, str]


def build(
    profile: str = "ci",
    *,
    force: bool = False,
    jobs: int = 1,
    root: Path | None = None,
    data_state: str | None = None,
    progress: bool = True,
) -> Built:
    """Run the stale pages and render the book into ``book/_build/html``.

    A page that fails is reported and the build goes on: its last published run stays in the book, and the
    status page says so.

    Parameters
    ----------
    profile
        Named set of parameters that every page is run with.
    force
        Run every page, also where its published run is still valid.
    jobs
        Pages that run at a time, each in a process of its own if more than one.
    root
        Folder that holds ``book/`` and ``notebooks/``; the source tree if not given.
    data_state
        Whether the data can be reached, in any words; a change makes every page stale. By default the data
        set behind ``dataset="auto"`` is fetched to find out.
    progress
        Show what is done on stderr, with a bar of cells where pages run one by one.

    Raises
    ------
    ParameterError
        If ``jobs`` is below 1, ``book/pages.yml`` is wrong, a page lacks the profile, or the packages of
        the book are missing.
    PageError
        If another build runs, or Sphinx gave a warning.
    """
    if jobs < 1:
        raise ParameterError(f"jobs={jobs}: at least one page has to run at a time.")
    root = (root or paths.project()).resolve()
    book = root / "book"
    for package in ("jupyter_book", "ipykernel", "sphinx-mathjax-offline"):
        if find_spec(package) is None:
            raise ParameterError(f"The book needs {package}. Install it with `pip install -e '.[book]'`.")
    pages = load_pages(root)
    (book / "_build").mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(book / "_build" / ".lock", timeout=0):
            state = reachable() if data_state is None else data_state
            attempt = partial(
                _attempt,
                profile=profile,
                root=root,
                data_state=state,
                force=force,
                progress=progress and jobs == 1,
            )
            runs, failures = _told(zip(pages, _each(attempt, pages, jobs), strict=True), root, progress)
            generated = book / "generated"
            generated.mkdir(exist_ok=True)
            (generated / "data.md").write_text(
                data_page(load_manifest(root / "data_manifest.yaml"), pages), encoding="utf-8"
            )
            (generated / "status.md").write_text(status_page(pages, failures, root), encoding="utf-8")
            (generated / "functions.md").write_text(function_page(), encoding="utf-8")
            (generated / "command.md").write_text(command_page(), encoding="utf-8")
            for page in pages.values():
                _write_placeholder(page, root)
            _render(book)
            add_explorer(pages, root)
    except Timeout:
        raise PageError("Another build of the book is running; wait for it to end.") from None
    return Built(book / "_build" / "html" / "index.html", tuple(runs), failures)


def reachable() -> str:
    """Fetch the data set that ``dataset="auto"`` stands for; say whether pages will find it."""
    from sicmir.data.catalogue import AUTO
    from sicmir.data.fetching import fetch

    try:
        fetch(AUTO)
    except FetchError as error:
        return f"{AUTO}: {type(error).__name__}"
    return f"{AUTO}: at hand"


def add_explorer(pages: Mapping[str, Page], root: Path) -> Path | None:
    """Copy the explorer that a page left among its results (``explorer/``) into the rendered book.

    Returns
    -------
    Its folder in the book, or None if no page has one; an older one is removed.
    """
    place = root / "book" / "_build" / "html" / "explorer"
    paths.remove(place)
    for page in pages.values():
        made = root / "results" / page.id / "explorer"
        if made.is_dir():
            shutil.copytree(made, place)
            return place
    return None


def data_page(manifest: Manifest, pages: Mapping[str, Page]) -> str:
    """Give the Markdown of the data page: every data set of the manifest with its files and checksums."""
    by_name = {key.lstrip("0123456789_"): page for key, page in pages.items()}
    parts = [
        "# Data\n",
        "Every data set that the book can use, as listed in `data_manifest.yaml`. A file is looked for in "
        "the cache, then in the mirror, then at its source, and is used only if its size and checksum are "
        "right.\n",
    ]
    for key, entry in manifest.datasets.items():
        users = [_link(by_name[name]) for name in entry.used_by if name in by_name]
        files = [f"| [`{_text(f.name)}`]({f.url}) | {_size(f.bytes)} | `{f.checksum}` |" for f in entry.files]
        parts += [
            f"(data-{key})=\n## {_text(entry.title)}\n",
            f"{_text(entry.description)}\n",
            f"- **Key:** `{key}` (`sicmir fetch {key}`)",
            f"- **Citation:** <https://doi.org/{entry.citation}>",
            f"- **Licence:** {_text(entry.licence)}",
            f"- **Used by:** {', '.join(users) or 'no page of this book'}\n",
            "| File | Size | Checksum |\n|---|---|---|\n" + "\n".join(files) + "\n",
        ]
    return "\n".join(parts)


def status_page(pages: Mapping[str, Page], failures: Mapping[str, str], root: Path) -> str:
    """Give the Markdown of the status page: per page, when it last ran, on what data, with what result."""
    status = read_status(root)
    rows = [
        "| Page | Result | Published run | Profile | Data | Run time, s | System |",
        "|---|---|---|---|---|---|---|",
    ]
    broken = []
    for key, page in pages.items():
        entry = status.get(key, {})
        kept = entry.get("published")
        error = failures.get(key) or (entry.get("failure") or {}).get("error")
        run = (
            [shown_time(kept["when"]), kept["profile"], _data(kept), f"{kept['seconds']:.0f}", kept["system"]]
            if kept
            else []
        )
        rows.append(f"| {_link(page)} | {'**failed**' if error else 'ok' if kept else 'not run'} | ")
        rows[-1] += " | ".join(_text(cell) for cell in run or ["never", "", "", "", ""]) + " |"
        if error:
            shown = "its last successful run is shown" if kept else "it has no successful run yet"
            broken.append(f"- **{_text(page.title)}** failed; {shown}. Error: {_code(error)}")
    parts = [
        "# Status",
        "What the book was made from. A page is run again when its notebook, its parameters, the package, "
        "the data manifest or the reachable data change. The profile `ci` has small settings and takes "
        "minutes, `full` is the whole analysis. Benchmark and Statistics also show stored tables of a full "
        "run.",
        "\n".join(rows),
    ]
    if broken:
        parts.append(":::{warning}\n" + "\n".join(broken) + "\n:::")
    return "\n\n".join(parts) + "\n"


def _attempt(page: str, **options: Any) -> Run | PageError:
    """Run a page; an error is handed back, so that it leaves a process and stops no other page."""
    try:
        return run_page(page, **options)
    except PageError as error:
        return error


def _each(
    attempt: Callable[[str], Run | PageError], pages: Iterable[str], jobs: int
) -> Iterator[Run | PageError]:
    """What becomes of each page, in their order."""
    if jobs == 1:
        yield from map(attempt, pages)
        return
    # papermill changes the working directory, so that pages need processes and not threads.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        yield from pool.map(attempt, pages)


def _told(
    found: Iterable[tuple[str, Run | PageError]], root: Path, progress: bool
) -> tuple[list[Run], dict[str, str]]:
    """Sort runs from failures, and say what became of each page as it is known."""
    runs, failures = [], {}
    for key, run in found:
        if isinstance(run, PageError):
            print(run, file=sys.stderr)
            failures[key] = scrub_text(str(run).splitlines()[0], root)
            continue
        runs.append(run)
        if progress:
            done = "is up to date" if run.skipped else f"ran in {run.seconds:.0f} s on {run.data} data"
            print(f"{key} {done}", file=sys.stderr)
    return runs, failures


def _write_placeholder(page: Page, root: Path) -> None:
    """Keep links and the table of contents whole for a page that has no published run yet."""
    path = root / "book" / "pages" / f"{page.id}.ipynb"
    if path.is_file():
        return
    text = (
        f"# {_text(page.title)}\n\nThis page has no successful run yet: see [Status](../generated/status.md)."
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    with paths.replacing(path) as part:
        nbformat.write(notebook, part)


def _render(book: Path) -> None:
    # jupyter_book has no __main__; this runs the one of this interpreter, whatever the PATH says
    start = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "build", str(book), "-W", "-n", "--keep-going", "--all", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        told = [line for line in lines if "WARNING" in line or "ERROR" in line or "CRITICAL" in line]
        raise PageError(
            "Sphinx refused the book; correct the source of each warning:\n" + "\n".join(told or lines[-30:])
        )
    finish(book / "_build" / "html")


def _data(record: Mapping) -> str:
    named = ", ".join(record["datasets"])
    return f"{record['data']} ({named})" if named else record["data"]


def _link(page: Page) -> str:
    return f"[{_text(page.title)}](../pages/{page.id}.ipynb)"


def _size(n_bytes: int | None) -> str:
    return size(n_bytes).replace(" ", "&nbsp;") if n_bytes else ""


def _code(text: str) -> str:
    return f"`` {' '.join(text.split())} ``"


def _text(text: str) -> str:
    """Text for a Markdown paragraph or table cell: no raw HTML, no column break, one line."""
    return " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")

"""Run a notebook as a page: in this interpreter's environment, published only when it succeeded."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from filelock import FileLock
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from papermill import PapermillExecutionError, execute_notebook

from sicmir import paths
from sicmir.errors import PageError, ParameterError
from sicmir.publishing import pages
from sicmir.publishing.pages import Value
from sicmir.publishing.plain_text import make_plain
from sicmir.publishing.report import versions
from sicmir.publishing.scrub import scrub, scrub_text
from sicmir.publishing.stamp import Run, data_used, stamp

_IGNORED = {"__pycache__", ".ipynb_checkpoints"}


class _ThisInterpreter(AsyncKernelManager):
    """Kernel ``python3`` of the interpreter that runs now, whatever kernels the machine has registered."""

    @property
    def kernel_spec(self) -> KernelSpec:
        own = get_kernel_dict(["--log-level=50"])  # the kernel's own log would break the progress bar
        env = {"TQDM_DISABLE": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        # Libraries that import tqdm.auto in a kernel ask for ipywidgets, which a page cannot show.
        own_filters = os.environ.get("PYTHONWARNINGS")
        env["PYTHONWARNINGS"] = ",".join(filter(None, [own_filters, "ignore:IProgress not found"]))
        # Matrices of a page are small: more threads wait for each other more than they compute.
        env["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or "1"
        return KernelSpec(**own, env=env)


def run_page(
    page: str,
    parameters: Mapping[str, Value] | None = None,
    profile: str = "",
    out: Path | None = None,
    *,
    root: Path | None = None,
    data_state: str = "",
    force: bool = False,
    progress: bool = True,
) -> Run:
    """Run one page with papermill.

    Parameters
    ----------
    page
        Id of the page in ``book/pages.yml``.
    parameters
        Values of declared parameters; they win over the profile's.
    profile
        Named set of parameters of the page; none if empty.
    out
        Folder for the executed notebook and its results. If not given, the page is published as
        ``book/pages/<page>.ipynb``, and skipped while its fingerprint is unchanged.
    root
        Folder that holds ``book/`` and ``notebooks/``; the source tree if not given.
    data_state
        Which data sets can be reached now, in any words; a change makes a published page stale.
    force
        Run even where the published page is still valid.
    progress
        Show a progress bar of cells on stderr.

    Raises
    ------
    ParameterError
        If the page, the profile or a parameter is unknown, a value is not of the declared type, or ``out``
        or ``out_dir`` lies among the published pages or their results.
    PageError
        If a cell failed. The older published page stays; the failed notebook is kept under
        ``results/failed/`` (or in ``out``).
    """
    root = (root or paths.project()).resolve()
    entry = pages.find_page(page, root)
    notebook = root / entry.notebook
    known = pages.declared(notebook)
    given = {**(pages.profile_parameters(entry, profile) if profile else {}), **(parameters or {})}
    pages.check(given, known)
    if out is not None:
        given_folder = str(given.get("out_dir") or "")
        out = _apart(Path(out), "--out", root)
        if given_folder:
            _apart(Path(given_folder), "out_dir", root)
        out.mkdir(parents=True, exist_ok=True)
    values = {name: given.get(name, parameter.default) for name, parameter in known.items()}
    published = root / "book" / "pages" / f"{page}.ipynb"
    digest = fingerprint(notebook, values, data_state, root)
    last = read_status(root).get(page, {})
    if out is None and not force and published.is_file() and not last.get("failure"):
        kept = last.get("published") or {}
        if kept.get("fingerprint") == digest:
            return replace(_run_from(kept), skipped=True)

    if "out_dir" in known and not given.get("out_dir"):
        given["out_dir"] = str(out or root / "results" / page)
    start = time.monotonic()
    run = Run(page, profile, values, digest, datetime.now(UTC).isoformat(timespec="seconds"), 0.0, _system())
    failed = (out or root / "results" / "failed") / (f"{page}.failed.ipynb" if out else f"{page}.ipynb")
    target = out / f"{page}.ipynb" if out else published
    with tempfile.TemporaryDirectory(prefix="sicmir-") as scratch:
        work = Path(scratch) / f"{page}.ipynb"
        try:
            execute_notebook(
                str(notebook),
                str(work),
                parameters=given,
                kernel_name="python3",
                language="python",
                kernel_manager_class=_ThisInterpreter,
                start_timeout=300,
                cwd=str(Path.cwd() if out else root),
                progress_bar={"desc": page} if progress else False,
            )
        except (PapermillExecutionError, RuntimeError) as error:
            with paths.replacing(failed) as part:
                shutil.copyfile(work, part)
            if out is None:
                line = scrub_text(_summary(error), root)
                _record(replace(run, error=line, seconds=_since(start)), root)
            raise PageError(_failure(page, error, failed)) from None
        executed = nbformat.read(work, as_version=4)
    datasets, data = data_used(executed)
    run = replace(run, seconds=_since(start), datasets=datasets, data=data, path=str(target))
    stamp(executed, run, known, entry.notebook)
    if out is not None:  # the book's builder will not see it
        make_plain(executed, root / "book" / "references.bib")
    scrub(executed, root)
    with paths.replacing(target) as part:
        nbformat.write(executed, part)
    if out is None:
        _record(run, root)
        failed.unlink(missing_ok=True)
    return run


def fingerprint(notebook: Path, values: Mapping[str, Value], data_state: str, root: Path) -> str:
    """Hash what a page depends on: notebook, parameters, package files and versions, manifest, data state."""
    digest = hashlib.sha256(json.dumps([dict(values), data_state, versions()], sort_keys=True).encode())
    for path in [notebook, root / "data_manifest.yaml", *_files(root / "sicmir")]:
        if path.is_file():
            digest.update(f"\0{path.relative_to(root).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_status(root: Path | None = None) -> dict[str, dict[str, dict | None]]:
    """Read ``book/pages/status.json``: per page its ``published`` run and its last ``failure``, or None."""
    path = (root or paths.project()) / "book" / "pages" / "status.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _record(run: Run, root: Path) -> None:
    """Note the run in ``status.json``; a failure leaves the record of the page that is still published."""
    path = root / "book" / "pages" / "status.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(".status.lock")):
        status = read_status(root)
        entry = status.setdefault(run.page, {"published": None, "failure": None})
        record = asdict(replace(run, path="")) | {"datasets": list(run.datasets)}
        entry["failure"] = record if run.error else None
        if not run.error:
            entry["published"] = record
        elif not path.with_name(f"{run.page}.ipynb").is_file():
            entry["published"] = None
        with paths.replacing(path) as part:
            part.write_text(json.dumps(status, indent=1), encoding="utf-8")


def _run_from(record: dict) -> Run:
    return Run(**{**record, "datasets": tuple(record["datasets"])})


def _apart(folder: Path, option: str, root: Path) -> Path:
    """Refuse a folder of a rerun that holds, or would mix with, what the book shows."""
    folder = folder.expanduser().resolve()
    own = [root / "book", root / "notebooks", *(root / "results" / page for page in pages.load_pages(root))]
    if folder in (root, root / "results") or any(folder.is_relative_to(one) for one in own):
        raise ParameterError(
            f"{option} {folder} lies among the project's own pages; choose another folder, such as "
            f"{root / 'results' / 'mine'}."
        )
    return folder


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file() and not _IGNORED & set(p.parts))


def _since(start: float) -> float:
    return round(time.monotonic() - start, 1)


def _system() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {cores} cores"


def _summary(error: Exception) -> str:
    if isinstance(error, PapermillExecutionError):
        return f"cell [{error.exec_count}]: {error.ename}: {error.evalue}"
    return f"the kernel: {error}"


def _failure(page: str, error: Exception, failed: Path) -> str:
    detail = ""
    if isinstance(error, PapermillExecutionError):
        trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
        detail = f"\n\n{error.source}\n\n{trace}\n"
    return f"Page {page!r} failed in {_summary(error)}{detail}\nThe notebook as far as it ran: {failed}"

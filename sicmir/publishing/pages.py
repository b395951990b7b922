"""The pages of the book: their list in ``book/pages.yml`` and the parameters that their notebooks declare.

A parameter is a line ``name: type = default  # meaning`` in the notebook's cell tagged ``parameters``.
papermill only warns of an unknown parameter and then runs with the defaults, infers types loosely and
silently leaves out lines that it cannot read; everything is therefore checked here before a run.
"""

from __future__ import annotations

import ast
import difflib
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import nbformat
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from sicmir import paths
from sicmir.errors import PageError, ParameterError

Value = bool | int | float | str
_TYPES = {"bool": bool, "int": int, "float": float, "str": str}


class Page(BaseModel):
    """One page: a notebook and the named sets of parameters it is run with."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Annotated[str, Field(pattern=r"^[0-9a-z][0-9a-z_]*$")]
    notebook: Annotated[str, Field(pattern=r"^[^/].*\.ipynb$", description="path from the project's root")]
    title: Annotated[str, Field(min_length=1)]
    profiles: Annotated[
        dict[str, dict[str, StrictBool | StrictInt | StrictFloat | StrictStr]], Field(min_length=1)
    ]


class _PageList(BaseModel):
    model_config = ConfigDict(extra="forbid")
    pages: list[Page]


@dataclass(frozen=True)
class Parameter:
    """A declared parameter of a notebook: its name, type (``bool int float str``), default and meaning."""

    name: str
    type: str
    default: Value
    help: str


def load_pages(root: Path | None = None) -> dict[str, Page]:
    """Read and check ``book/pages.yml``.

    Parameters
    ----------
    root
        Folder that holds ``book/`` and ``notebooks/``; the source tree if not given.

    Returns
    -------
    Pages by id, in the order of the file.

    Raises
    ------
    ParameterError
        If the file is missing, is not YAML, breaks the schema, names a page twice or a notebook that is
        not there.
    """
    root = root or paths.project()
    path = root / "book" / "pages.yml"
    try:
        pages = _PageList.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).pages
    except (OSError, yaml.YAMLError) as error:
        raise ParameterError(f"book/pages.yml could not be read: {error}") from error
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or 'top level'}: {e['msg']}" for e in error.errors()]
        raise ParameterError("book/pages.yml breaks its schema:\n" + "\n".join(lines)) from error
    listed: dict[str, Page] = {}
    for page in pages:
        if page.id in listed:
            raise ParameterError(f"book/pages.yml lists the page {page.id!r} twice; ids must be unique.")
        if not (root / page.notebook).is_file():
            raise ParameterError(
                f"book/pages.yml: the notebook of {page.id!r}, {page.notebook}, is not there."
            )
        listed[page.id] = page
    return listed


def find_page(name: str, root: Path | None = None) -> Page:
    """Give the page with the id ``name``; an unknown name raises ParameterError with the nearest ones."""
    pages = load_pages(root)
    if name not in pages:
        raise ParameterError(f"There is no page {name!r}.{_known(name, pages, 'pages')}")
    return pages[name]


def profile_parameters(page: Page, profile: str) -> dict[str, Value]:
    """Give the parameters of a named profile of a page; an unknown profile raises ParameterError."""
    if profile not in page.profiles:
        raise ParameterError(
            f"Page {page.id!r} has no profile {profile!r}.{_known(profile, page.profiles, 'profiles')}"
        )
    return dict(page.profiles[profile])


def declared(notebook: Path) -> dict[str, Parameter]:
    """List the parameters that a notebook declares, in its order.

    Raises
    ------
    PageError
        If the cell tagged ``parameters`` holds a line that is not ``name: type = literal  # meaning`` with a
        type among bool, int, float and str, or that papermill cannot read.
    """
    from papermill import inspect_notebook

    cell = parameters_cell(nbformat.read(notebook, as_version=4))
    if cell is None:
        return {}
    literals = {target: ast.literal_eval(node) for target, node in _assignments(cell.source, notebook)}
    listed = inspect_notebook(str(notebook))
    parameters = {}
    for name, value in literals.items():
        entry = listed.get(name)
        if entry is None or _literal(entry["default"]) != value:
            raise PageError(
                f"{notebook.name}: papermill cannot read the parameter {name!r}. Write it as "
                "`name: type = default  # meaning` with a single `=` in the line, the comment included."
            )
        kind = entry["inferred_type_name"]
        if not _fits(value, kind):
            raise PageError(
                f"{notebook.name}: the parameter {name!r} is declared as {kind} = {value!r}; expected one of "
                f"{', '.join(_TYPES)} and a default of that type."
            )
        parameters[name] = Parameter(name, kind, value, entry["help"])
    return parameters


def parse(pairs: Iterable[tuple[str, str]], known: Mapping[str, Parameter]) -> dict[str, Value]:
    """Turn ``("seed", "3")`` from a command line into ``{"seed": 3}`` by the declared types.

    Raises
    ------
    ParameterError
        If a name is unknown or given twice, or a text is not of the declared type.
    """
    values: dict[str, Value] = {}
    for name, text in pairs:
        check({name: text}, known, types=False)
        if name in values:
            raise ParameterError(f"The parameter {name!r} was given twice; give it once.")
        values[name] = _from_text(text, known[name])
    return values


def check(values: Mapping[str, object], known: Mapping[str, Parameter], *, types: bool = True) -> None:
    """Raise ParameterError for a value that is unknown or (with ``types``) not of its declared type."""
    for name, value in values.items():
        if name not in known:
            raise ParameterError(f"There is no parameter {name!r}.{_known(name, known, 'parameters')}")
        if types and not _fits(value, known[name].type):
            raise ParameterError(
                f"The parameter {name!r} expects {known[name].type}, "
                f"found {value!r} ({type(value).__name__})."
            )


def rerun_command(page: str, values: Mapping[str, Value], known: Mapping[str, Parameter]) -> str:
    """Give the command that runs a page again with these values; defaults are left out."""
    changed = [n for n in known if n != "out_dir" and values.get(n, known[n].default) != known[n].default]
    return " ".join(["sicmir run", page, *(f"-p {n} {shlex.quote(str(values[n]))}" for n in changed)])


def parameters_cell(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """Give the first cell tagged ``parameters``, or None."""
    return next((c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])), None)


def with_values(source: str, values: Mapping[str, Value]) -> str:
    """Rewrite the defaults in the source of a parameters cell to ``values``; the comments stay.

    A published notebook thus holds the values it was run with and gives the same page when it is run again.
    """
    text = source.encode()  # ast counts columns in UTF-8 bytes
    starts = [0]
    for line in text.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    for name, node in reversed(_assignments(source, Path("parameters"))):
        if name in values:
            first = starts[node.lineno - 1] + node.col_offset
            last = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
            text = text[:first] + repr(values[name]).encode() + text[last:]
    return text.decode()


def _assignments(source: str, notebook: Path) -> list[tuple[str, ast.expr]]:
    """Names and value nodes of the assignments of a parameters cell, which may hold nothing else."""
    found = []
    try:
        for node in ast.parse(source).body:
            match node:
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    ast.literal_eval(value)
                    found.append((name, value))
                case _:
                    raise ValueError(f"line {node.lineno} is {ast.unparse(node)!r}")
    except (SyntaxError, ValueError) as error:
        raise PageError(
            f"{notebook.name}: the parameters cell may only hold lines "
            f"`name: type = literal  # meaning`; {error}."
        ) from error
    return found


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return None


def _fits(value: object, kind: str) -> bool:
    if kind not in _TYPES or (isinstance(value, bool) and kind != "bool"):
        return False
    return isinstance(value, (int, float) if kind == "float" else _TYPES[kind])


def _from_text(text: str, parameter: Parameter) -> Value:
    kind = parameter.type
    if kind == "str":
        return text
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int" and re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if kind == "float":
        try:
            return float(text)
        except ValueError:
            pass
    wanted = "true or false" if kind == "bool" else kind
    raise ParameterError(f"The parameter {parameter.name!r} expects {wanted}, found {text!r}.")


def _known(name: str, names: Iterable[str], what: str) -> str:
    near = difflib.get_close_matches(name, list(names), n=3)
    guess = f" Did you mean {', '.join(near)}?" if near else ""
    return f"{guess} Known {what}: {', '.join(names) or 'none'}."

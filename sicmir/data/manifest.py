"""``data_manifest.yaml``: which files a data set is made of, and how each is checked and read."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from sicmir import paths
from sicmir.data.readers import READERS
from sicmir.errors import ManifestError, ParameterError

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
_LENGTHS = {"sha256": 64, "md5": 32, "git_blob_sha1": 40}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FileEntry(_Strict):
    """One file of a data set.

    ``bytes`` may be left out only beside ``git_blob_sha1``: that hash covers the length as well.
    A file without a ``reader`` is fetched but not read.
    """

    name: Text
    url: Text
    sha256: Text | None = None
    md5: Text | None = None
    git_blob_sha1: Text | None = None
    bytes: Annotated[int, Field(gt=0)] | None = None
    reader: Text | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _name_stays_inside(cls, name: str) -> str:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or str(path) != name:
            raise ValueError("expected a plain path below the mirror, without '..', drive or leading slash")
        return name

    @field_validator("url")
    @classmethod
    def _url_is_https(cls, url: str) -> str:
        if not url.startswith("https://"):
            raise ValueError("expected an address that starts with https://")
        return url

    @field_validator("sha256", "md5", "git_blob_sha1")
    @classmethod
    def _checksum_is_hexadecimal(cls, value: str | None, info: Any) -> str | None:
        length = _LENGTHS[info.field_name]
        if value is not None and (len(value) != length or set(value) - set("0123456789abcdef")):
            raise ValueError(f"expected {length} lower-case hexadecimal digits")
        return value

    @field_validator("reader")
    @classmethod
    def _reader_is_registered(cls, reader: str | None) -> str | None:
        if reader is not None and reader not in READERS:
            raise ValueError(f"expected one of {', '.join(READERS)}")
        return reader

    @model_validator(mode="after")
    def _belongs_together(self) -> FileEntry:
        given = [name for name in _LENGTHS if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                f"expected exactly one of {', '.join(_LENGTHS)}, found {', '.join(given) or 'none'}"
            )
        if self.bytes is None and self.git_blob_sha1 is None:
            raise ValueError("bytes is missing; only git_blob_sha1, which covers the length, does without")
        if self.arguments and not self.reader:
            raise ValueError("arguments without a reader")
        if self.reader:
            try:
                READERS[self.reader].check(self.arguments)
            except ParameterError as error:
                raise ValueError(str(error)) from error
        return self

    @property
    def checksum(self) -> str:
        """``algorithm:digest``."""
        return next(f"{name}:{value}" for name in _LENGTHS if (value := getattr(self, name)))


class Dataset(_Strict):
    """A data set: what it is, whose it is, and its files."""

    title: Text
    description: Text
    citation: Annotated[str, StringConstraints(pattern=r"^10\.\d{4,9}/\S+$")]
    licence: Text
    used_by: list[Text]
    files: Annotated[list[FileEntry], Field(min_length=1)]

    @property
    def bytes(self) -> int:
        """Size of all files of known size."""
        return sum(entry.bytes or 0 for entry in self.files)


class Manifest(_Strict):
    """The whole file."""

    version: Literal[1]
    datasets: dict[Text, Dataset]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Manifest:
        seen: dict[str, str] = {}
        for key, dataset in self.datasets.items():
            for entry in dataset.files:
                if entry.name in seen:
                    raise ValueError(f"file name {entry.name} occurs in {seen[entry.name]} and in {key}")
                seen[entry.name] = key
        return self

    def __getitem__(self, key: str) -> Dataset:
        """Give a data set.

        Raises
        ------
        ManifestError
            If the key is not there; names the closest ones.
        """
        if key not in self.datasets:
            close = difflib.get_close_matches(key, self.datasets, n=3, cutoff=0.4)
            hint = f"Did you mean {' or '.join(close)}? " if close else ""
            raise ManifestError(
                f"Data set {key!r} is not in the manifest. {hint}Known: {', '.join(self.datasets)}."
            )
        return self.datasets[key]

    def __contains__(self, key: str) -> bool:
        return key in self.datasets


def load_manifest(path: str | Path | None = None) -> Manifest:
    """Read and check a manifest.

    Parameters
    ----------
    path
        The file; without it, the manifest that belongs to this package.

    Raises
    ------
    ManifestError
        If the file is missing, is no YAML, holds a key twice, or breaks the schema; names file, line and key.
    """
    path = Path(path) if path else paths.manifest()
    try:
        stat = path.stat()
    except OSError as error:
        raise ManifestError(f"{path}: the manifest cannot be read ({error.strerror}).") from error
    return _load(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _load(path: Path, _modified: int, _size: int) -> Manifest:
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: expected UTF-8 text ({error}).") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ManifestError(
            f"{path}{line}: not valid YAML ({getattr(error, 'problem', None) or error})."
        ) from error
    if not isinstance(tree, yaml.MappingNode):
        raise ManifestError(f"{path}, line 1: expected the keys version and datasets, found no mapping.")
    for number, key in _duplicates(tree):
        raise ManifestError(
            f"{path}, line {number}: key {key!r} occurs twice in one mapping; keep one of them."
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            location = tuple(part for part in problem["loc"] if part != "[key]")
            key = ".".join(map(str, location)) or "(whole file)"
            given = f", found {problem['input']!r}" if not isinstance(problem["input"], dict | list) else ""
            message = problem["msg"].removeprefix("Value error, ")
            problems.append(f"{path}, line {_line(tree, location)}, {key}: {message.rstrip('.')}{given}.")
        raise ManifestError("\n".join(problems)) from error


def _duplicates(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """Find keys that occur twice; PyYAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, key.value
            seen.add(key.value)
            yield from _duplicates(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicates(item)


def _line(node: yaml.Node, location: tuple[str | int, ...]) -> int:
    """Line of the deepest part of ``location`` that the file has."""
    line = node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line

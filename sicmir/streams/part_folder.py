"""The folder of an unfinished result: what is done of it, and whether a rerun may go on from there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from filelock import FileLock, Timeout

from sicmir import paths
from sicmir.errors import DataError, PanelError, ParameterError

PROGRESS, ROWS, LOCK = "progress.json", "rows.zarr", "lock"

_OWN = re.compile(r"progress\.json|rows\.zarr|cells\.zarr|lock|model|groups-\d+\.npz|\..*")
"""Names of what a run puts into the folder."""


def part_folder(out: Path) -> Path:
    """Where the result ``out`` is until it is whole."""
    return out.with_name(f".{out.name}.part")


class PartFolder:
    """Folder ``.NAME.part`` beside the result NAME, in which the result grows until it is whole.

    A process that is killed leaves it as it is. Only one process may work in it; use it as a context manager.

    Parameters
    ----------
    out
        The result.
    identity
        What the result depends on: input, model, options. A rerun goes on only if all are the same.
    overwrite
        Whether an unfinished result of another identity is thrown away; otherwise it is an error.

    Attributes
    ----------
    path
        The folder.
    done
        Number of rows that are in it.
    measured
        Of each gene of the model, whether a row has a value; empty at the start.
    summary
        What will be told of the result; "" until all rows are done.

    Raises
    ------
    ParameterError
        If another process works in it, it belongs to another command, or it holds files that are no part
        of a result, which would be removed with it.
    """

    def __init__(self, out: Path, identity: Mapping[str, str], overwrite: bool = False) -> None:
        self.path = part_folder(out)
        self._identity = dict(identity)
        self.done, self.measured, self.summary = 0, np.empty(0, bool), ""
        with paths.writing(out):
            self.path.mkdir(parents=True, exist_ok=True)
            foreign = [part for part in self.path.iterdir() if not _OWN.fullmatch(part.name)]
            if foreign or self.path.is_symlink():
                raise ParameterError(
                    f"{foreign[0] if foreign else self.path} is where {out.name} would grow, but belongs to "
                    "no unfinished result. Move it away, or choose another name."
                )
            self._lock = FileLock(self.path / LOCK)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise ParameterError(
                    f"{out} is being written by another process, which works in {self.path}."
                ) from None
        try:
            self._take_up(overwrite)
        except ParameterError:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Wrong values will be wrong the next time too; whatever else happened, a rerun can go on.
        hopeless = kind is not None and issubclass(kind, DataError | PanelError)
        if self.path.exists() and (hopeless or not self.done):
            self.remove()
        self._lock.release()

    def note(self, done: int, measured: np.ndarray, summary: str = "") -> None:
        """Keep what is done, after the rows themselves were written."""
        self.done, self.measured, self.summary = done, measured, summary
        bits = np.packbits(measured).tobytes().hex()
        progress = {"done": done, "n_genes": len(measured), "measured": bits, "summary": summary}
        with paths.replacing(self.path / PROGRESS) as part:
            part.write_text(json.dumps({"identity": self._identity, **progress}, indent=1))

    def rows(self, n_obs: int, chunk_size: int, kinds: Mapping[str, str]) -> dict[str, zarr.Array]:
        """Arrays of one value a row, kept beside the result; made when they are not there.

        Parameters
        ----------
        n_obs, chunk_size
            Number of rows, in all and in each write.
        kinds
            Name and dtype of each array.
        """
        group = zarr.open_group(self.path / ROWS, mode="a")
        return {
            name: group.require_array(name, shape=(n_obs,), dtype=kind, chunks=(chunk_size,))
            for name, kind in kinds.items()
        }

    def remove(self) -> None:
        """Remove the folder; the result is whole."""
        paths.remove(self.path)

    def _take_up(self, overwrite: bool) -> None:
        found = self._read()
        other = found.get("identity", {}) if found else self._identity
        differing = [key for key in self._identity if other.get(key) != self._identity[key]]
        if differing and not overwrite:
            raise ParameterError(
                f"{self.path} holds an unfinished result of another command; it differs in "
                f"{', '.join(differing)}. Give that command again to finish it, or overwrite the result or "
                "delete the folder to start anew."
            )
        if found is None or differing:
            for part in self.path.iterdir():
                if part.name != LOCK:
                    shutil.rmtree(part) if part.is_dir() else part.unlink()
            return
        self.done, self.summary = int(found["done"]), str(found["summary"])
        bits = np.frombuffer(bytes.fromhex(found["measured"]), dtype=np.uint8)
        self.measured = np.unpackbits(bits, count=int(found["n_genes"])).astype(bool)

    def _read(self) -> dict[str, Any] | None:
        """Progress that was noted; None if there is none that can be read."""
        try:
            found = json.loads((self.path / PROGRESS).read_text())
            return found if {"done", "n_genes", "measured", "summary", "identity"} <= found.keys() else None
        except (OSError, ValueError, AttributeError):
            return None

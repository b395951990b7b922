"""Fuzz the readers: change good files at random and see that each is read, or refused by a sicmir error.

Run outside continuous integration, for example ``python benchmarks/fuzz_readers.py --minutes 40``. What is
found is kept, shrunk by hypothesis, under ``--out``: the file, and a text with the traceback. Anything but a
:class:`sicmir.errors.SicmirError` counts, and so do infinite values in ``X``, a read that takes longer than
``--seconds``, memory beyond ``--gigabytes`` and a crash of the interpreter. The work is done in a process of
its own that is started anew after a crash.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
from fuzz_seeds import SEEDS, Seed
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from scipy import sparse

from sicmir.errors import SicmirError

FIELDS = (
    *("", " ", "NA", "nan", "-666", "inf", "-inf", "1e39", "1e400", "-1", "0.5", "007", "²", "٣", "1_0"),
    *("99999999999999999999", "True", '"', "'", '"a,b"', "a\tb", "a,b", "é", "\ufeff", "\0", "\r", "#"),
    *("Name", "s1", "PSME1", "TCGA-OR-A5J1-01A-11R-A29S-07", "../../x", "<b>", "=1+1", "[", "{", "&a", "*a"),
)
"""What is put into a field of a text."""

ATTRIBUTES = ("", "array", "dataframe", -1, 2**40, [0, 0], 1.5)
"""What is put into an attribute of HDF5."""

Draw = Callable[[st.SearchStrategy], Any]


def _place(draw: Draw, length: int) -> int:
    return draw(st.integers(0, max(0, length - 1)))


def change_text(draw: Draw, text: str) -> str:
    """Change lines and fields."""
    lines = text.split("\n")
    for _ in range(draw(st.integers(1, 3))):
        row = _place(draw, len(lines))
        what = draw(st.sampled_from(("field", "drop", "double", "swap", "cut", "empty", "join")))
        if what == "field":
            mark = "," if "," in lines[row] and "\t" not in lines[row] else "\t"
            fields = lines[row].split(mark)
            fields[_place(draw, len(fields))] = draw(st.sampled_from(FIELDS) | st.text(max_size=4))
            lines[row] = mark.join(fields)
        elif what == "drop":
            del lines[row]
        elif what == "double":
            lines.insert(row, lines[row])
        elif what == "swap":
            other = _place(draw, len(lines))
            lines[row], lines[other] = lines[other], lines[row]
        elif what == "cut":
            lines[row] = lines[row][: _place(draw, len(lines[row]) + 1)]
        elif what == "empty":
            lines[row] = ""
        else:
            lines[row : row + 2] = ["".join(lines[row : row + 2])]
        lines = lines or [""]
    return "\n".join(lines)


def change_bytes(draw: Draw, content: bytes) -> bytes:
    """Change, cut, double and insert bytes."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = _place(draw, len(data))
        stop = start + draw(st.integers(1, 8))
        what = draw(st.sampled_from(("set", "cut", "end", "insert", "zero", "high")))
        if what == "set" and data:
            data[start] = draw(st.integers(0, 255))
        elif what == "cut":
            del data[start:stop]
        elif what == "end":
            del data[start:]
        elif what == "insert":
            data[start:start] = draw(st.binary(min_size=1, max_size=8))
        else:
            data[start:stop] = (b"\0" if what == "zero" else b"\xff") * (stop - start)
    return bytes(data)


def change_hdf5(draw: Draw, path: Path) -> None:
    """Remove, replace and rename what an HDF5 file holds, and change its attributes."""
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        for _ in range(draw(st.integers(1, 2))):
            name = draw(st.sampled_from(names))
            if name not in file:
                continue
            what = draw(st.sampled_from(("remove", "replace", "value", "move", "attribute")))
            if what == "attribute":
                attributes = file[name].attrs
                keys = list(attributes) or ["encoding-type"]
                key = draw(st.sampled_from(keys))
                if draw(st.booleans()):
                    attributes.pop(key, None)
                else:
                    attributes[key] = draw(
                        st.sampled_from(("", "array", "dataframe", -1, 2**40, [0, 0], 1.5))
                    )
            elif what == "value" and isinstance(file[name], h5py.Dataset) and file[name].size:
                _change_value(draw, file[name])
            else:
                old = file[name][()] if isinstance(file[name], h5py.Dataset) else None
                del file[name]
                if what == "replace":
                    file[name] = _other(draw, old)
                elif what == "move" and old is not None:
                    file[f"{name}/inside"] = old


def _change_value(draw: Draw, dataset: h5py.Dataset) -> None:
    place = tuple(_place(draw, size) for size in dataset.shape)
    kind = dataset.dtype.kind
    values = {
        "f": (np.nan, np.inf, -1.0, 1e38, 0.5),
        "i": (-1, 0, 2**31 - 1, 100),
        "u": (0, 255, 100),
    }.get(kind, (b"", b"s1", b"\xff\xfe", b"a\0b", b"x" * 300))
    with suppress(TypeError, ValueError, OverflowError):
        dataset[place] = draw(st.sampled_from(values))


def _other(draw: Draw, old: Any) -> Any:
    array = np.asarray(old if old is not None else 0)
    return draw(
        st.sampled_from(
            (
                np.zeros(0),
                np.float64(1.5),
                np.zeros((2, 2)),
                np.zeros((0, 3), np.float32),
                np.array(["a", "b"], dtype="S"),
                np.arange(7),
                np.full(4, -1, np.int64),
                np.array([2**62, 2**62]),
                np.array([True, False]),
                np.array([1 + 2j, 3]),
                array.ravel()[:-1] if array.size > 1 else np.zeros(1),
                np.repeat(array.ravel(), 2) if array.ndim else np.zeros(2),
            )
        )
    )


def change(draw: Draw, kind: str, path: Path) -> None:
    """Change the file or folder at ``path`` in place."""
    if kind == "folder":
        parts = sorted(part for part in path.rglob("*") if part.is_file() and not part.is_symlink())
        part = draw(st.sampled_from(parts))
        if draw(st.integers(0, 9)) == 0:
            part.unlink()
            return
        text = part.suffix in (".tsv", ".csv", ".mtx", ".json", "")
        change(draw, "text" if text and draw(st.booleans()) else "bytes", part)
    elif kind == "hdf5" and draw(st.integers(0, 3)):
        change_hdf5(draw, path)
    elif kind in ("text", "gzip") and draw(st.integers(0, 4)):
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if kind == "gzip" else raw).decode("utf-8", "replace")
        changed = change_text(draw, text).encode("utf-8", "surrogatepass")
        path.write_bytes(gzip.compress(changed) if kind == "gzip" else changed)
    else:
        path.write_bytes(change_bytes(draw, path.read_bytes()))


class Slow(BaseException):
    """A read took too long. No Exception, so that no reader takes it for a fault of the file."""


def _too_long(*_: object) -> None:
    raise Slow("longer than may be")


def _frame(error: BaseException) -> str:
    """Deepest place in sicmir that an error came through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/sicmir/" in f.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "outside sicmir"


def judge(one: Seed, path: Path, seconds: int) -> tuple[str, str]:
    """Read a changed file; give the sort of what is wrong ("" for nothing) and its traceback."""
    signal.alarm(seconds)
    try:
        found = one.read(path)
        wrong = ""
        if isinstance(found, ad.AnnData) and found.X is not None:
            values = found.X.data if sparse.issparse(found.X) else np.asarray(found.X)
            if values.dtype.kind == "f" and np.isinf(values).any():
                wrong = "infinite values came through"
        return wrong, wrong
    except SicmirError:
        return "", ""
    except (Exception, Slow) as error:
        return f"{type(error).__name__} at {_frame(error)}", traceback.format_exc()
    finally:
        signal.alarm(0)


class Found(Exception):
    """A sort of fault that is not known yet."""


def one_round(
    one: Seed, good: Path, path: Path, number: int, known: set[str], seconds: int
) -> tuple[int, str, str]:
    """Read 150 changed files; give their number, and of a new sort of fault the sort and the traceback.

    The file of the fault, shrunk, is left at ``path``.
    """
    tried, faults = Counter(), []

    @seed(number)
    @settings(
        max_examples=150,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(st.data())
    def attempt(data: st.DataObject) -> None:
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir(parents=True)
        if good.is_dir():
            shutil.copytree(good, path, symlinks=True)
        else:
            shutil.copyfile(good, path)
        change(data.draw, one.kind, path)
        tried["files"] += 1
        sort, told = judge(one, path, seconds)
        if sort and sort not in known and (not faults or faults[-1][0] == sort):
            faults.append((sort, told))
            raise Found(sort)

    try:
        attempt()
    except (
        Found,
        FlakyFailure,
    ):  # no call is like another: a read out of bounds
        return tried["files"], *faults[-1]
    return tried["files"], "", ""


def work(out: Path, number: int, until: float, seconds: int, gigabytes: int) -> None:
    """Fuzz in this process until ``until``, seed after seed of the random numbers."""
    signal.signal(signal.SIGALRM, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (gigabytes << 30, gigabytes << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    log = out / "log.json"
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        for one in SEEDS:
            one.write(Path(scratch, one.name))
            sort, told = judge(one, Path(scratch, one.name), 600)
            if sort:
                sys.exit(f"{one.name} should be read as it is: {told}")
        while time.time() < until:
            one = SEEDS[number % len(SEEDS)]
            record = json.loads(log.read_text())
            record["now"] = [one.name, number]
            log.write_text(json.dumps(record))
            known = {sort for sorts in record["found"].values() for sort in sorts}
            path = out / "now" / one.name
            files, sort, told = one_round(one, Path(scratch, one.name), path, number, known, seconds)
            if sort:
                record["found"].setdefault(one.name, []).append(sort)
                place = out / f"found-{len(known):03d}"
                shutil.copytree(path.parent, place, symlinks=True, dirs_exist_ok=True)
                (place / "traceback.txt").write_text(f"{one.name}, number {number}: {sort}\n\n{told}")
                print(f"{one.name}: {sort}", flush=True)
            record["files"][one.name] = record["files"].get(one.name, 0) + files
            number += 1
            record["next"] = number
            log.write_text(json.dumps(record))


def main() -> None:
    """Start workers until the time is over; tell of each crash, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0, help="first seed of the random numbers")
    parser.add_argument("--seconds", type=int, default=20, help="longest that one read may take")
    parser.add_argument("--gigabytes", type=int, default=8, help="address space of the worker")
    parser.add_argument("--out", type=Path, default=Path("results/fuzz"), help="folder for what is found")
    parser.add_argument("--worker", type=float, default=0, help=argparse.SUPPRESS)
    given_ = parser.parse_args()
    out = given_.out.resolve()
    if given_.worker:
        work(out, given_.seed, given_.worker, given_.seconds, given_.gigabytes)
        return
    out.mkdir(parents=True, exist_ok=True)
    log = out / "log.json"
    log.write_text(json.dumps({"files": {}, "found": {}, "now": None, "next": given_.seed, "crashes": []}))
    until = time.time() + given_.minutes * 60
    while time.time() < until:
        start = json.loads(log.read_text())["next"]
        command = [sys.executable, __file__, "--out", str(out), "--worker", str(until), "--seed", str(start)]
        command += ["--seconds", str(given_.seconds), "--gigabytes", str(given_.gigabytes)]
        done = subprocess.run(command, check=False)
        if done.returncode:
            record = json.loads(log.read_text())
            record["crashes"].append([*(record["now"] or []), done.returncode])
            record["next"] = start = (record["now"] or ["", start])[1] + 1
            log.write_text(json.dumps(record))
            with suppress(OSError):
                place = out / f"crash-{len(record['crashes']):03d}"
                shutil.copytree(out / "now", place, symlinks=True, dirs_exist_ok=True)
            if not record["now"]:
                break
    record = json.loads(log.read_text())
    print(f"{sum(record['files'].values())} files read, {record['files']}")
    print(f"found: {record['found']}; crashes: {record['crashes']}")


if __name__ == "__main__":
    main()

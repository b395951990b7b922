"""Barcodes, the registry of readers, and the cache of parsed files."""

import hashlib
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_files import GENES, barcode, rnaseq_frame, write_rda
from hypothesis import given
from hypothesis import strategies as st

import sicmir
from sicmir import paths
from sicmir.data import load, read, tcga
from sicmir.data.manifest import FileEntry
from sicmir.data.parsed import fingerprint, parsed_path, read_entry
from sicmir.data.readers import reader_for
from sicmir.errors import DataError, ParameterError, ReadError

BARCODES = [barcode("A5J1"), barcode("A5J2"), barcode("A5J2", "11")]


@pytest.mark.parametrize(
    ("text", "sample", "condition"),
    [
        ("TCGA-OR-A5J1-01A-11R-A29S-07", "TCGA-OR-A5J1-01", "tumour"),
        ("TCGA.OR.A5J1.11A.11R.A29S.07", "TCGA-OR-A5J1-11", "normal"),
        ("tcga-or-a5j1-06a", "TCGA-OR-A5J1-06", "tumour"),
        ("TCGA-OR-A5J1-20", "TCGA-OR-A5J1-20", "control"),
        ("TCGA-OR-A5J1", "", ""),
    ],
)
def test_barcode(text, sample, condition):
    parsed = tcga.parse(text)
    assert (parsed.donor, parsed.sample, parsed.condition) == ("TCGA-OR-A5J1", sample, condition)


@pytest.mark.parametrize(
    "text", ["", "TCGA", "GSM123", "TCGA-OR-A5J1-1", "TCGA-OR-A5J1-00", "TCGA-OR-A5J1-99A"]
)
def test_no_barcode(text):
    with pytest.raises(DataError, match="arcode"):
        tcga.parse(text)


@given(st.text())
def test_any_text_is_parsed_or_refused(text):
    assert tcga.is_barcode(text) in (True, False)
    with suppress(DataError):
        assert tcga.parse(text).donor.startswith("TCGA-")


def test_annotate_wants_samples():
    obs = tcga.annotate(BARCODES, "ACC")
    assert obs["sample_type"].tolist() == ["01", "01", "11"]
    assert obs["donor"].nunique() == 2
    with pytest.raises(DataError, match="name a donor but no sample"):
        tcga.annotate(["TCGA-OR-A5J1"])


def test_registry_refuses(tmp_path):
    with pytest.raises(ParameterError, match=r"'nonsense'.*rtcga_rnaseq"):
        read(tmp_path, "nonsense")
    with pytest.raises(ReadError, match="no such file"):
        read(tmp_path / "none.csv", "table", modality="mrna", units="z")
    with pytest.raises(ParameterError, match="cannot tell the format"):
        reader_for(tmp_path / "x.xlsx")


@pytest.fixture
def item(tmp_path, monkeypatch):
    monkeypatch.setenv("SICMIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SICMIR_MIRROR", str(tmp_path))
    path = write_rda(tmp_path / "set" / "x.rda", x=rnaseq_frame(BARCODES)[0])
    return FileEntry(
        name="set/x.rda",
        url="https://data.invalid/x.rda",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        bytes=path.stat().st_size,
        reader="rtcga_rnaseq",
        arguments={"cohort": "ACC"},
    )


def test_nothing_is_parsed_twice(item, monkeypatch):
    first = read_entry(item)
    monkeypatch.setattr("sicmir.data.rda.read_single", lambda _: pytest.fail("parsed again"))
    second = read_entry(item)
    np.testing.assert_array_equal(first.X, second.X)
    pd.testing.assert_frame_equal(first.obs, second.obs, check_dtype=False, check_categorical=False)
    assert second.uns["sicmir"]["sources"]["checksum"].tolist() == [item.checksum]
    assert int(second.uns["sicmir"]["sources"]["bytes"].iloc[0]) == item.bytes


def test_damaged_parsed_file_is_made_again(item):
    first = read_entry(item)
    kept = parsed_path(item)
    content = kept.read_bytes()
    for length in (0, len(content) // 3, len(content) - 1):
        kept.write_bytes(content[:length])
        np.testing.assert_array_equal(read_entry(item).X, first.X)
        assert kept.stat().st_size == len(content)


def test_damaged_parsed_file_is_removed_even_if_the_source_fails(item, monkeypatch):
    read_entry(item)
    kept = parsed_path(item)
    kept.write_bytes(b"cut")

    def fail(path):
        raise ReadError(f"{path}: damaged")

    monkeypatch.setattr("sicmir.data.rda.read_single", fail)
    with pytest.raises(ReadError, match="damaged"):
        read_entry(item)
    assert not kept.exists()


def test_parsed_name_follows_what_it_depends_on(item, monkeypatch):
    names = {parsed_path(item)}
    names.add(parsed_path(item.model_copy(update={"arguments": {"cohort": "UVM"}})))
    names.add(parsed_path(item.model_copy(update={"sha256": "0" * 64})))
    names.add(parsed_path(item.model_copy(update={"reader": "rtcga_mirnaseq"})))
    monkeypatch.setattr("sicmir.data.parsed.fingerprint", lambda _: "another")
    names.add(parsed_path(item))
    assert len(names) == 5
    with pytest.raises(ParameterError, match="names no reader"):
        parsed_path(item.model_copy(update={"reader": None}))


def test_fingerprint_covers_sources_landmarks_and_packages(tmp_path, monkeypatch):
    package = tmp_path / "sicmir"
    original = Path(sicmir.__file__).parent
    shutil.copytree(original / "data", package / "data")
    (package / "names").mkdir()
    shutil.copy(original / "names" / "gene_names.py", package / "names")
    landmarks = shutil.copy(paths.reference("landmarks.csv"), tmp_path)
    monkeypatch.setattr(paths, "reference", lambda _: Path(landmarks))
    found = {fingerprint(package)}
    assert found == {fingerprint(package), fingerprint(original)}
    changed = [*(package / "data").glob("*.py"), package / "names" / "gene_names.py", Path(landmarks)]
    for path in changed:
        path.write_text(path.read_text() + "\n")
        found.add(fingerprint(package))
    for name in ("rdata", "pandas", "anndata"):
        monkeypatch.setattr(
            "sicmir.data.parsed.version", lambda asked, name=name: "0" if asked == name else version(asked)
        )
        found.add(fingerprint(package))
    assert len(found) == 1 + len(changed) + 3


def test_parsing_works_without_a_cache_to_write_to(item, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("SICMIR_CACHE", str(tmp_path / "taken"))
    assert read_entry(item).shape == (3, len(GENES))


@pytest.mark.real
def test_real_files_read_as_expected(real_data):
    found = load("tcga-small")
    shapes = {name.split("/")[1]: adata.shape for name, adata in found.items()}
    assert shapes["ACC.rnaseq.20160128.rda"] == (79, 20531)
    assert shapes["ACC.miRNASeq.rda"] == (80, 1046)
    assert len(shapes) == 10

"""The manifest: what it accepts, and that errors lead to the line and the key."""

import re

import pytest
import yaml
from data_files import dataset, write_manifest

from sicmir import paths
from sicmir.data import READERS, FileEntry, load, load_manifest, status
from sicmir.errors import ManifestError, ParameterError

GOOD = {
    "name": "set/a.rda",
    "url": "https://data.invalid/a.rda",
    "sha256": "0" * 64,
    "bytes": 10,
    "reader": "rtcga_rnaseq",
    "arguments": {"cohort": "ACC"},
}


def written(tmp_path, **changes):
    entry = {key: value for key, value in (GOOD | changes).items() if value is not None}
    return write_manifest(tmp_path / "data_manifest.yaml", **{"my-set": dataset([entry])})


def line_of(path, text):
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_shipped_manifest_is_valid_and_complete():
    manifest = load_manifest()
    bulk = ["tcga-small", "tcga-pancan", "hcc", "nci60", "pituitary", "pituitary-mouse", "pdac-spatial"]
    cells = ["hcc-cells", "pdac", "pancreas", "gbm", "glioma", "brain", "k562", "pscsr"]
    facts = ["sicmir-published", "mirna-references", "mirna-names", "targets", "ev"]
    assert set(manifest.datasets) == {*bulk, *cells, *facts}
    small = manifest["tcga-small"].files
    assert sorted((entry.reader, entry.arguments["cohort"]) for entry in small) == sorted(
        (reader, cohort)
        for reader in ("rtcga_rnaseq", "rtcga_mirnaseq")
        for cohort in ("ACC", "CHOL", "DLBC", "UCS", "UVM")
    )
    assert manifest["tcga-pancan"].bytes == 1882540959 + 67167640 + 553408 + 2945129 + 8463670
    assert [entry.name for entry in manifest["sicmir-published"].files if entry.bytes is None] == [
        "sicmir-published/DNN_miRNA.pth"
    ]
    for key, entry_set in manifest.datasets.items():
        assert all(entry.name.startswith(f"{key}/") for entry in entry_set.files)


def test_every_matrix_of_10x_has_its_barcodes_and_genes():
    names = {entry.name for entry_set in load_manifest().datasets.values() for entry in entry_set.files}
    matrices = {name for name in names if "matrix.mtx" in name}
    assert len(matrices) == 5
    for name in matrices:
        prefix = name.removesuffix("matrix.mtx.gz")
        assert f"{prefix}barcodes.tsv.gz" in names
        assert {f"{prefix}features.tsv.gz", f"{prefix}genes.tsv.gz"} & names


@pytest.mark.real
def test_every_file_with_a_reader_can_be_read():
    slow = {"rtcga_rnaseq", "rtcga_mirnaseq", "pancan_mrna"}  # read by the tests of paired sets
    readers = {
        key: {entry.reader for entry in entry_set.files} - {None}
        for key, entry_set in load_manifest().datasets.items()
    }
    reached = [
        key for key, names in readers.items() if names and not names & slow and status(key) != "online"
    ]
    if not reached:
        pytest.skip("REAL DATA NOT REACHED, so this test did not run: neither cache nor mirror has any")
    for key in reached:
        found = load(key)
        for adata in found.values() if isinstance(found, dict) else [found]:
            assert adata.n_obs > 1
            assert adata.uns["sicmir"]["dataset"] == key


def test_shipped_manifest_agrees_with_its_text():
    raw = yaml.safe_load(paths.manifest().read_text())
    for key, entry_set in load_manifest().datasets.items():
        assert [entry.checksum.split(":")[1] for entry in entry_set.files] == [
            next(row[name] for name in ("sha256", "md5", "git_blob_sha1") if name in row)
            for row in raw["datasets"][key]["files"]
        ]


def test_a_good_manifest_loads(tmp_path):
    entry = load_manifest(written(tmp_path))["my-set"].files[0]
    assert entry.checksum == "sha256:" + "0" * 64
    assert entry.arguments == {"cohort": "ACC"}


@pytest.mark.parametrize(
    ("changes", "at", "words"),
    [
        ({"sha256": "0" * 63}, "sha256:", "64 lower-case hexadecimal digits"),
        ({"sha256": "G" * 64}, "sha256:", "64 lower-case hexadecimal digits"),
        ({"name": "../a.rda"}, "name:", "plain path below the mirror"),
        ({"name": "/etc/a.rda"}, "name:", "plain path below the mirror"),
        ({"name": "set//a.rda"}, "name:", "plain path below the mirror"),
        ({"url": "http://data.invalid/a.rda"}, "url:", "https://"),
        ({"bytes": "10"}, "bytes:", "valid integer"),
        ({"bytes": 0}, "bytes:", "greater than 0"),
        ({"reader": "pickle"}, "reader:", "rtcga_rnaseq, rtcga_mirnaseq"),
        ({"colour": "red"}, "colour:", "Extra inputs are not permitted"),
        ({"url": None}, "name:", "Field required"),
        ({"md5": "0" * 32}, "name:", "exactly one of sha256, md5, git_blob_sha1, found sha256, md5"),
        ({"sha256": None}, "name:", "exactly one of sha256, md5, git_blob_sha1, found none"),
        ({"bytes": None}, "name:", "bytes is missing"),
        ({"arguments": {"cohrt": "ACC"}}, "name:", "cohort"),
        ({"reader": None}, "name:", "arguments without a reader"),
    ],
)
def test_error_names_line_and_key(tmp_path, changes, at, words):
    path = written(tmp_path, **changes)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    message = str(caught.value)
    assert words in message
    assert f"{path}, line {line_of(path, at)}, datasets.my-set.files.0" in message


def test_git_blob_may_go_without_bytes(tmp_path):
    path = written(tmp_path, sha256=None, bytes=None, git_blob_sha1="a" * 40)
    assert load_manifest(path)["my-set"].files[0].bytes is None


def test_every_problem_is_reported_at_once(tmp_path):
    path = written(tmp_path, url="ftp://x", bytes=-1)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("version: 1\ndatasets: {}\nversion: 1\n", 3, "'version' occurs twice"),
        ("version: 1\ndatasets:\n  a: {title: x, title: y}\n", 3, "'title' occurs twice"),
        ("version: 1\ndatasets: [\n", 3, "not valid YAML"),
        ("- version\n", 1, "found no mapping"),
        ("", 1, "found no mapping"),
        ("version: 2\ndatasets: {}\n", 1, "version"),
    ],
)
def test_broken_text(tmp_path, text, line, words):
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=rf"line {line}.*{words}"):
        load_manifest(path)


def test_one_name_in_two_sets_is_refused(tmp_path):
    path = write_manifest(tmp_path / "m.yaml", one=dataset([GOOD]), two=dataset([GOOD]))
    with pytest.raises(ManifestError, match=r"set/a\.rda occurs in one and in two"):
        load_manifest(path)


def test_bad_citation_is_refused(tmp_path):
    path = write_manifest(tmp_path / "m.yaml", one=dataset([GOOD]) | {"citation": "Nature 2013"})
    with pytest.raises(ManifestError, match=rf"line {line_of(path, 'citation')}, datasets\.one\.citation"):
        load_manifest(path)


def test_unknown_key_names_close_ones():
    with pytest.raises(ManifestError, match=r"'tgca-smal'.*Did you mean tcga-small"):
        load_manifest()["tgca-smal"]
    assert "tcga-small" in load_manifest()
    assert "tgca-smal" not in load_manifest()


def test_missing_file(tmp_path):
    with pytest.raises(ManifestError, match=r"nowhere\.yaml: the manifest cannot be read"):
        load_manifest(tmp_path / "nowhere.yaml")


def test_a_changed_manifest_is_read_again(tmp_path):
    path = written(tmp_path)
    assert load_manifest(path)["my-set"].files[0].bytes == 10
    written(tmp_path, bytes=1234567)
    assert load_manifest(path)["my-set"].files[0].bytes == 1234567


def test_entries_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        FileEntry(**GOOD).bytes = 3


@pytest.mark.parametrize(
    ("arguments", "word"), [({}, "cohort"), ({"cohort": "ACC", "nonsense": 1}, "nonsense")]
)
def test_reader_checks_its_arguments(arguments, word):
    with pytest.raises(ParameterError, match=f"rtcga_rnaseq.*{word}"):
        READERS["rtcga_rnaseq"].check(arguments)


READS = {
    r"outcome_sets\.": "tcga-pancan",
    r"pancreatic_samples\(|load_droplets\(": "pdac",
    r"load_half_cells\(": "k562",
    r"brain_cells\b": "brain",
    r"cell_references\.(?:fantom5|tissue_atlas)\b": "mirna-references",
    r"targets\.load_targets\(": "targets",
}
"""What in the source of a chapter reads which data set."""


@pytest.mark.parametrize(
    ("page", "place"),
    [
        ("12_statistics", ()),
        ("11_single_cells", ("chapters/single_cells/cell_sets.py",)),
        ("30_hcc", ("chapters/pairs", "chapters/single_cells/cell_lines.py")),
        ("31_pdac", ("chapters/pancreas",)),
        ("33_glioblastoma", ("chapters/glioblastoma",)),
        ("40_atlas", ("atlas/at_hand.py",)),
    ],
)
def test_a_data_set_names_the_chapters_that_read_it(page, place):
    package = paths.project() / "sicmir"
    files = [paths.project() / "notebooks" / f"{page}.ipynb"]
    for name in place:
        files += sorted((package / name).glob("*.py")) if (package / name).is_dir() else [package / name]
    text = "\n".join(path.read_text("utf-8") for path in files)
    read = {key for pattern, key in READS.items() if re.search(pattern, text)}
    read |= set(re.findall(r'\b(?:load|fetch|_one_table)\("([a-z0-9-]+)"\)', text))
    if "sicmir.load_paired(" in text:
        read.add("tcga-small")
    known = load_manifest().datasets
    assert read & set(known)
    chapter = page.lstrip("0123456789_")
    assert not {key for key in read & set(known) if chapter not in known[key].used_by}

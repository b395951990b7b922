"""The explorer: what is written against the queries, and the pages themselves in a real browser."""

import http.server
import importlib
import io
import json
import os
import shutil
import threading
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import atlas_store as atlas
import chromium
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from sicmir import cli, paths
from sicmir.atlas import explorer, meta, shards
from sicmir.atlas.expression import BY, expression, gene_expression, targeting
from sicmir.atlas.links import network
from sicmir.atlas.query import Atlas
from sicmir.errors import DataError, ParameterError, ReadError

MIRNA = "toy-miR-002"
GREY = "toy-miR-003"
ODD = "<img src=x onerror=\"document.title='run'\"> & 'type', 2"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two data sets: a disease beside healthy cells, and odd names of a cell type and a donor."""
    folder = tmp_path_factory.mktemp("explored") / "store"
    cells = atlas.cells()
    cells.obs["condition"] = np.where(np.arange(cells.n_obs) % 2, "healthy", "tumour")
    atlas.put(folder, "one", adata=cells, disease="flu", condition_key="condition", normal="healthy")
    cells = atlas.cells(1)
    cells.obs = cells.obs.replace({"cell_type": {"type 1": ODD}, "donor": {"d1": '</script>,\u2028"d"'}})
    atlas.put(folder, "two", seed=1, adata=cells, condition_key="condition")
    return folder


@pytest.fixture(scope="module")
def opened(store):
    with Atlas(store) as found:
        yield found


@pytest.fixture(scope="module")
def pages(store, tmp_path_factory):
    return explorer.write(store, tmp_path_factory.mktemp("pages") / "out", progress=False).parent


def shard(pages, key):
    text = (pages / "shards" / f"{key}.js").read_text(encoding="ascii")
    assert text.startswith("sicmirShard({")
    assert text.endswith("});\n")
    found = json.loads(text[len("sicmirShard(") : -3])
    assert found["key"] == key
    return found["tables"]


def table(*parts):
    columns = {name: column for part in parts for name, column in part.items()}
    return pd.DataFrame({
        name: [column["levels"][code] for code in column["codes"]] if isinstance(column, dict) else column
        for name, column in columns.items()
    })  # fmt: skip


def same(found, expected, keys):
    """Rows and numbers of a shard are those of a query, whatever their order."""
    keys = list(keys)
    assert len(found) == len(expected) > 0
    assert not found.duplicated(keys).any()
    expected = expected.set_index(keys)[found.columns.drop(keys)]
    found = found.set_index(keys).loc[expected.index]
    for name in expected:
        if pd.api.types.is_numeric_dtype(expected[name]):
            tolerance = {"rtol": 5e-3} if name in ("p", "q") else {"atol": 5.1e-4}
            values = found[name].astype(float), expected[name].astype(float)
            np.testing.assert_allclose(*values, **({"rtol": 0} | tolerance), equal_nan=True)
        else:
            assert found[name].tolist() == expected[name].tolist()


# What is written


def test_numbers_are_those_of_the_queries(pages, opened):
    index = shard(pages, "index")
    mirnas = table(index["mirnas"])
    same(mirnas, opened.trust.reset_index(), ["mirna"])
    for name in (MIRNA, GREY):
        found = shard(pages, f"mirna-{mirnas['mirna'].tolist().index(name)}")
        same(table(index["groups"], found["groups"]), expression(opened, name), BY)
        by = ["dataset", "donor", "cell_type", "condition", "tissue", "disease"]
        same(table(index["donors"], found["donors"]), expression(opened, name, by=by), by)
        links = table(found["network"])
        for cell_type in opened.values("cell_type"):
            own = links[links["cell_type"] == cell_type].drop(columns=["cell_type", "status"])
            expected = network(opened, name, cell_type)
            same(own, expected, ["gene"])
            assert own["gene"].tolist() == expected["gene"].tolist()
    assert table(index["cell_types"])["cell_type"].tolist() == opened.values("cell_type")
    for place, name in enumerate(opened.values("cell_type")):
        found = shard(pages, f"cell_type-{place}")
        same(table(found["expression"]), expression(opened, cell_type=name, by=["cell_type"]), ["mirna"])
        same(table(found["markers"]), meta.markers(opened, name), ["mirna"])
        same(table(found["similar"]), meta.similar(opened, name), ["cell_type"])
    contrasts = table(index["contrasts"])
    compared = {
        ("disease", "flu", "normal"): meta.difference(opened, "flu"),
        ("condition", "healthy", "tumour"): meta.difference(opened, "healthy", "tumour", "condition"),
    }
    named = contrasts[["by", "case", "reference", "cell_type"]].itertuples(index=False, name=None)
    assert list(named) == [
        (*names, cell_type)
        for names, known in compared.items()
        for cell_type in sorted(known["cell_type"].unique())
    ]
    for place, row in enumerate(contrasts.itertuples()):
        known = compared[row.by, row.case, row.reference]
        own = known[known["cell_type"] == row.cell_type]
        same(table(shard(pages, f"difference-{place}")["difference"]), own, ["mirna"])
        assert row.n_donors == own["n_donors"].max()
        assert (row.n_tested, row.n_findings) == (own["q"].notna().sum(), own["finding"].sum())
    assert contrasts["n_tested"].max() > 0
    genes = table(index["genes"])["gene"].tolist()
    for place in (0, len(genes) - 1):
        found = shard(pages, f"gene-{place // shards.GENES}")
        levels, targets = table(found["expression"]), table(found["targeting"])
        own = levels[levels["gene"] == genes[place]]
        same(own, gene_expression(opened, genes[place]), ["gene", *BY])
        assert targets.loc[targets["gene"] == genes[place], "mirna"].tolist() == (
            targeting(opened, genes[place])["mirna"].tolist()
        )


def test_the_network_of_all_mirnas_is_that_of_each(opened):
    every = network(opened, "", "type 0")
    assert every["mirna"].is_monotonic_increasing
    for name in (MIRNA, GREY):
        own = every[every["mirna"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, network(opened, name, "type 0"))


def test_numbers_that_are_none_and_not_finite():
    made = shards.encode(
        pd.DataFrame(
            {"p": [1.23456e-9, np.nan], "mean": [1.23456, -0.0001], "ok": [True, False], "n": [3, 4]}
        )
    )
    assert made == {"p": [1.23e-9, None], "mean": [1.235, 0], "ok": [1, 0], "n": [3, 4]}
    assert shards.encode(pd.DataFrame({"a": ["x", "y", "x"]})) == {
        "a": {"levels": ["x", "y"], "codes": [0, 1, 0]}
    }
    with pytest.raises(ValueError, match="not JSON compliant"):
        shards.script("a", "b", {"value": float("inf")})


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def test_a_failure_leaves_the_old_pages_and_success_replaces_all(store, pages, tmp_path, monkeypatch):
    out = shutil.copytree(pages, tmp_path / "out")
    (out / "shards" / "mirna-999.js").write_text("of a larger model")
    before = contents(out)

    def fail(_):
        raise DataError("stopped")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(shards, "mirna_shards", lambda atlas, made: fail(atlas))
        with pytest.raises(DataError, match="stopped"):
            explorer.write(store, out, progress=False)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    explorer.write(store, out, title="other", progress=False)
    after = contents(out)
    assert after.keys() == before.keys() - {Path("shards/mirna-999.js")}
    assert {path.parent.name for path in after if after[path] != before[path]} == {"shards"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def stamp(pages):
    (found,) = {path.read_text().partition('"stamp":"')[2][:12] for path in pages.glob("shards/*.js")}
    return found


def test_what_the_pages_depend_on_is_in_their_stamp(store, pages, tmp_path):
    settings = {"across": "fixed"}, {"title": "other"}, {"back": "x.html"}, {"synthetic": ["one"]}, {}
    made = {
        str(given): stamp(explorer.write(store, tmp_path / "out", progress=False, **given).parent)
        for given in settings
    }
    assert made.pop("{}") == stamp(pages)
    # The model of these cells is synthetic: what is said of the cells changes nothing.
    assert made.pop(str({"synthetic": ["one"]})) == stamp(pages)
    assert len({*made.values(), stamp(pages)}) == 4


def test_synthetic_sets_are_told_by_name(opened, monkeypatch):
    monkeypatch.setattr(opened, "registry", opened.registry.assign(synthetic=[True, False]))
    assert explorer._synthetic(opened, False) == {"one"}
    assert explorer._synthetic(opened, ["two"]) == {"one", "two"}
    monkeypatch.setattr(opened, "registry", opened.registry.assign(synthetic=False))
    assert explorer._synthetic(opened, False) == set()
    assert explorer._synthetic(opened, "two") == {"two"}
    assert explorer._synthetic(opened, True) == {"one", "two"}
    with pytest.raises(ParameterError, match="synthetic names three; the atlas holds one, two"):
        explorer._synthetic(opened, ["three", "one"])


def test_other_folders_are_not_replaced(store, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ParameterError, match="is no explorer; nothing was written"):
        explorer.write(store, tmp_path, progress=False)
    with pytest.raises(ParameterError, match="is no explorer"):
        explorer.write(store, tmp_path / "notes.txt", progress=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="holds no data set"):
        explorer.write(tmp_path / "empty", tmp_path / "out", progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "empty"}


def test_the_command_writes_the_same(store, tmp_path, monkeypatch, pages):
    monkeypatch.setenv("SICMIR_ATLAS", str(store))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["atlas", "explorer", "pages"])
    assert done.exit_code == 0, done.output
    assert f"Open {tmp_path / 'pages' / 'index.html'} in a browser." in done.output
    assert contents(tmp_path / "pages") == contents(pages)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_the_old_pages_come_back_where_the_new_ones_cannot_take_their_place(tmp_path, monkeypatch, error):
    place = tmp_path / "pages"
    explorer._write(place, "old", [("index", {})])
    before, rename = contents(place), Path.rename

    def stopped(path, target):
        if path.name.endswith(".new"):
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(error):
        explorer._write(place, "new", [("index", {})])
    assert contents(place) == before
    assert [path.name for path in tmp_path.iterdir()] == ["pages"]


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not chromium.BROWSER:
        pytest.skip("NO BROWSER: the explorer was not tried. Install chromium to test it.")
    page = chromium.Page(tmp_path_factory.mktemp("browser"))
    yield page
    page.close()


@pytest.fixture
def page(browser):
    browser.size(1200)
    browser.problems.clear()
    yield browser
    assert not browser.problems


def see(page, pages, wait="main h1", **address):
    """Open a view by its link alone."""
    page.open(f"{pages.as_uri()}/index.html{'#' + urlencode(address) if address else ''}")
    page.until(f"document.querySelector({json.dumps(wait)})")


def text(page, selector="main"):
    return page.run(f"document.querySelector({json.dumps(selector)}).innerText")


def cells(page, caption):
    """Rows of a table of the page, as texts."""
    tables = "[...document.querySelectorAll('table')].filter((one) => one.caption.innerText === name)"
    rows = f"((name) => {tables}.flatMap((one) => [...one.tBodies[0].rows])"
    return page.run(
        f"{rows}.map((row) => [...row.cells].map((cell) => cell.innerText)))({json.dumps(caption)})"
    )


VIEWS = (
    {},
    {"q": "toy"},
    {"mirna": MIRNA},
    {"mirna": GREY, "view": "donors"},
    {"mirna": MIRNA, "view": "targets"},
    {"cell_type": ODD},
    {"cell_type": "type 0", "view": "expression"},
    {"cell_type": ODD, "view": "similar"},
    {"cell_type": "type 1", "view": "difference", "compared": "flu against normal"},
    {"gene": "GENE"},
)


def test_every_view_has_its_link_and_fits_a_phone(page, pages):
    gene = table(shard(pages, "index")["genes"])["gene"].iloc[0]
    for number, view in enumerate(VIEWS):
        view = {name: gene if value == "GENE" else value for name, value in view.items()}
        page.size(400, dark=bool(number % 2))
        see(page, pages, **view)
        assert page.run("document.documentElement.scrollWidth") <= 400, view
        assert "This cannot be shown" not in text(page)
        assert page.run("getComputedStyle(document.body).backgroundColor") == (
            "rgb(20, 24, 27)" if number % 2 else "rgb(255, 255, 255)"
        )
        if "q" not in view and view:
            assert page.run(
                "new URLSearchParams(document.querySelector('.here a').hash.slice(1)).size"
            ) == len(view)
        # Every figure has a name, and a table beside it; every field has a label.
        named = "one.getAttribute('role') === 'img' && one.getAttribute('aria-label')"
        assert page.run(f"[...document.querySelectorAll('svg')].every((one) => {named})")
        assert page.run(
            "document.querySelectorAll('svg').length <= document.querySelectorAll('table').length"
        )
        assert page.run("[...document.querySelectorAll('input, select')].every((one) => one.labels.length)")
        assert page.run("document.querySelectorAll('h1').length") == 1
        assert page.run("document.querySelectorAll('img').length") == 0
        assert "Synthetic data" in text(page, "#banner")


def test_names_from_data_are_text(page, pages):
    see(page, pages, cell_type=ODD)
    assert text(page, "h1") == ODD
    assert page.run("document.title").startswith(ODD)
    see(page, pages, mirna=MIRNA, view="donors")
    assert '</script>,\u2028"d"' in page.run("document.querySelector('tbody').textContent")
    see(page, pages, q="<b>bold</b>")
    assert page.run("document.querySelectorAll('main b').length") == 0
    assert "Nothing in the atlas is called “<b>bold</b>”" in text(page)


def test_numbers_on_the_page_tell_interval_and_grade(page, pages, opened):
    see(page, pages, mirna=MIRNA)
    rows = cells(page, f"Predicted expression of {MIRNA} over cell types")
    expected = expression(opened, MIRNA)
    assert len(rows) == len(expected)
    for row, known in zip(rows, expected.itertuples(), strict=True):
        assert row[:3] == [known.cell_type, known.tissue, known.disease]
        assert float(row[3]) == pytest.approx(known.mean, abs=0.0056)
        assert [float(part) for part in row[4].split(" to ")] == pytest.approx(
            [known.lower, known.upper], abs=0.0056
        )
        assert row[5] == known.grade == "B"
    assert page.run("document.querySelectorAll('circle.dot').length") == len(rows)
    assert page.run("document.querySelectorAll('.grey').length") == 0
    assert "Grade B. Differences within a cancer type are predicted" in text(page, ".trust")
    see(page, pages, mirna=GREY)
    assert "Grade D. Not shown to be predicted" in text(page, ".trust.grey")
    assert page.run("document.querySelectorAll('tr.grey, svg .row.grey').length") == 2 * len(rows)


def test_search_by_keyboard(page, pages):
    see(page, pages)
    page.run("document.getElementById('query').focus()")
    page.type("TOY-mir-02")
    page.until("location.hash === '#q=TOY-mir-02' && document.getElementById('found')")
    assert text(page, "#found") == "5 miRNAs, 0 cell types, 0 target genes."
    assert page.run("document.activeElement.id") == "query"
    assert text(page, "#status").startswith("5 miRNAs")
    page.key("Enter", 13)
    page.until("document.activeElement.tagName === 'A' && document.activeElement.closest('main')")
    page.key("Enter", 13)
    page.until(
        "location.hash === '#mirna=toy-miR-020' && document.querySelector('h1').innerText === 'toy-miR-020'"
    )
    assert page.run("document.activeElement.tagName") == "H1"
    see(page, pages, q="type 0")
    page.run("document.getElementById('query').focus()")
    page.key("Enter", 13)
    page.until("location.hash === '#cell_type=type+0' && document.querySelector('h1').innerText === 'type 0'")


def test_a_model_of_stem_loops_is_searched_without_arms(page, pages, tmp_path):
    out = shutil.copytree(pages, tmp_path / "out")
    path = out / "shards" / "index.js"
    see(page, out, q=f"{MIRNA}-5p")
    assert "Nothing in the atlas is called" in text(page)
    path.write_text(path.read_text().replace('"level":"mature"', '"level":"stem-loop"'))
    see(page, out, q=f"{MIRNA}-5p")
    assert text(page, "#found").startswith("1 miRNAs")


def test_filters_are_in_the_link(page, pages, opened):
    see(page, pages, mirna=MIRNA)
    choose = "one.focus(); one.value = 'flu'; one.dispatchEvent(new Event('change'));"
    page.run(f"((one) => {{ {choose} }})(document.getElementById('choose-disease'))")
    page.until("location.hash.includes('disease=flu') && document.querySelectorAll('tbody tr').length === 2")
    assert page.run("document.activeElement.id") == "choose-disease"
    see(page, pages, mirna=MIRNA, disease="flu")
    assert [row[2] for row in cells(page, f"Predicted expression of {MIRNA} over cell types")] == [
        "flu",
        "flu",
    ]
    see(page, pages, cell_type="type 0", counted="1", name="02")
    known = meta.markers(opened, "type 0")
    known = known[~known["greyed"] & known["mirna"].str.contains("02")]
    assert [row[0] for row in cells(page, "Markers of type 0, ranked")] == known["mirna"].tolist()
    see(page, pages, cell_type="type 0", name="nothing")
    assert "No miRNA fits these filters." in text(page)
    see(page, pages, mirna="hsa-miR-21-5p")
    assert "The atlas has no miRNA of that name" in text(page)


def test_csv_holds_the_table(page, pages, opened):
    see(page, pages, cell_type="type 0")
    page.run("document.querySelector('button.csv').click()")
    found = pd.read_csv(io.StringIO(page.downloaded("type_0-markers.csv")))
    known = meta.markers(opened, "type 0")
    same(found.drop(columns=["finding", "greyed", "exceeds_error"]), known, ["mirna"])
    assert found["mirna"].tolist() == known["mirna"].tolist()
    see(page, pages, mirna=MIRNA, view="donors")
    page.run("document.querySelector('button.csv').click()")
    found = pd.read_csv(io.StringIO(page.downloaded(f"{MIRNA}-donors.csv")), keep_default_na=False)
    assert set(found["cell_type"]) == {"type 0", "type 1", ODD}
    assert '</script>,\u2028"d"' in set(found["donor"])


def test_diseases_are_compared(page, pages, opened):
    see(page, pages)
    rows = cells(page, "Differences within data sets that have both")
    assert [row[:3] for row in rows[:2]] == [["type 0", "flu", "normal"], ["type 1", "flu", "normal"]]
    page.run("document.querySelectorAll('main tbody a')[1].click()")
    page.until("document.querySelector('.tabs')")
    see(page, pages, cell_type="type 1", view="difference", compared="flu against normal")
    known = meta.difference(opened, "flu", cell_type="type 1")
    rows = cells(page, "type 1: flu against normal")
    assert [row[0] for row in rows] == known["mirna"].tolist()
    for row, one in zip(rows, known.itertuples(), strict=True):
        assert float(row[2].replace("−", "-")) == pytest.approx(one.effect, abs=0.0056)
        assert row[9] == str(one.n_donors)
        assert row[1].startswith(one.grade)
    page.run("document.querySelector('button.csv').click()")
    found = pd.read_csv(io.StringIO(page.downloaded("type_1-flu-against-normal.csv")))
    assert set(found["case"]) == {"flu"}
    assert set(found["reference"]) == {"normal"}
    all_types = meta.difference(opened, "flu")
    same(
        found.drop(columns=["by", "case", "reference", "finding", "greyed", "exceeds_error"]),
        all_types[all_types["cell_type"] == "type 1"],
        ["cell_type", "mirna"],
    )


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx"])
def test_words_of_csv_are_no_formulas(page, pages, name):
    see(page, pages)
    told = page.run(f"sicmirTable.csv(['a', 'b'], [{{a: {json.dumps(name)}, b: -1.5}}, {{a: 'x-1', b: 2}}])")
    found = pd.read_csv(io.StringIO(told))
    assert found["a"].tolist() == [f"'{name}", "x-1"]
    assert found["b"].tolist() == [-1.5, 2]


def test_a_synthetic_set_is_told_wherever_it_is_named(page, pages, tmp_path):
    out = shutil.copytree(pages, tmp_path / "out")
    path = out / "shards" / "index.js"
    path.write_text(path.read_text().replace('"synthetic":[1,1]', '"synthetic":[0,1]'))
    see(page, out)
    assert "model of two are made up" in text(page, "#banner")
    assert [row[0] for row in cells(page, "Data sets")] == ["one", "two (synthetic)"]
    see(page, out, mirna=MIRNA, view="donors")
    rows = cells(page, f"Predicted expression of {MIRNA} in each donor")
    assert {row[2] for row in rows} == {"one", "two (synthetic)"}


def test_tables_are_sorted(page, pages):
    see(page, pages, cell_type="type 0")
    for direction in ("descending", "ascending"):
        page.run("document.querySelectorAll('th .sort')[2].click()")
        assert page.run("document.querySelectorAll('th')[2].getAttribute('aria-sort')") == direction
        effects = [float(row[2].replace("−", "-")) for row in cells(page, "Markers of type 0, ranked")]
        assert effects == sorted(effects, reverse=direction == "descending")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda text: None, "cannot be loaded: it is missing, or there is no connection."),
        (lambda text: text[: len(text) // 2], "is damaged."),
        (lambda text: text.replace('"stamp":"', '"stamp":"x'), "belongs to another version of the atlas."),
        (lambda text: text.replace('"n_donors":[', '"n_donors":[1,'), "is damaged."),
    ],
)
def test_a_broken_shard_is_told_and_tried_again(page, pages, tmp_path, harm, told):
    out = shutil.copytree(pages, tmp_path / "out")
    path = out / "shards" / "mirna-1.js"
    whole = path.read_text()
    harmed = harm(whole)
    if harmed is None:
        path.unlink()
    else:
        path.write_text(harmed)
    see(page, out, mirna=MIRNA)
    assert told in text(page, "main [role=alert]")
    page.problems.clear()  # half a script is no script
    see(page, out, mirna="toy-miR-001")
    assert "Grade" in text(page, ".trust")
    page.run(f"location.hash = 'mirna={MIRNA}'")
    page.until("document.querySelector('main [role=alert] + button')")
    path.write_text(whole)
    page.run("document.querySelector('main [role=alert] + button').click()")
    page.until("document.querySelector('.trust')")
    assert text(page, "h1") == MIRNA
    page.problems.clear()


def test_a_missing_index_is_told(page, pages, tmp_path):
    out = shutil.copytree(pages, tmp_path / "out")
    (out / "shards" / "index.js").unlink()
    see(page, out)
    assert "The file shards/index.js cannot be loaded" in text(page)


def test_a_web_server_gives_the_same_and_little_is_loaded(page, pages):
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(pages))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.open(f"http://127.0.0.1:{server.server_port}/index.html#mirna={MIRNA}")
        page.until("document.querySelector('table')")
        served = text(page)
        names = page.run(
            "performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname.slice(1))"
        )
        server.shutdown()
    see(page, pages, mirna=MIRNA)
    assert text(page) == served
    assert sorted(names) == sorted([*explorer.PAGES[1:], "shards/index.js", "shards/mirna-1.js"])


def test_axe_finds_nothing_grave(pages, tmp_path, monkeypatch):
    axe = os.environ.get("SICMIR_AXE") or paths.project() / "node_modules" / "axe-core" / "axe.min.js"
    if not chromium.BROWSER or not Path(axe).is_file():
        pytest.skip(
            "NO BROWSER OR NO AXE-CORE: accessibility was not measured. Install chromium, and `npm install "
            "axe-core` at the root of the project, or give SICMIR_AXE the path of axe.min.js."
        )
    monkeypatch.syspath_prepend(paths.project() / "benchmarks")
    bench = importlib.import_module("pages")
    shutil.copytree(pages, tmp_path / "site" / "explorer")
    tables = bench.in_browser(tmp_path / "site", [], Path(axe).read_text(encoding="utf-8"), "")
    seen = tables["weight"]["page"]
    assert seen.str.contains("view=difference").sum() == 1
    assert len(seen) == 11
    found = tables["violations"]
    assert found[found["impact"].isin(bench.GRAVE)].to_dict("records") == []
    assert (tables["width"]["over"] == 0).all()
    assert (tables["weight"]["bytes"] < tables["weight"]["allowed"]).all()

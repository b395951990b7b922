"""What pages are held to: links that lead somewhere, order, no scripts that are of no use."""

import importlib

import pandas as pd
import pytest

from sicmir import paths
from sicmir.publishing.rendered import finish, finished

BENCHMARKS = paths.project() / "benchmarks"
GOOD = """<!doctype html><html lang="en"><head><title>A</title></head><body><main><article><h1 id="a">A</h1>
<h2>B</h2><img src="x.png" alt="an x"><a href="b.html#there">b</a><a href="https://example.org/no">out</a>
<table><tr><th>head</th></tr></table></article></main></body></html>"""
OTHER = '<html lang="en"><head><title>B</title></head><body><main><p id="there">B</p></main></body></html>'


@pytest.fixture(scope="module")
def static():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("static_pages")


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("pages")


@pytest.fixture
def site(tmp_path):
    (tmp_path / "a.html").write_text(GOOD)
    (tmp_path / "b.html").write_text(OTHER)
    (tmp_path / "x.png").write_bytes(b"")
    return tmp_path


def faults(static, site):
    pages = static.html_pages(site)
    return [*static.dead_links(site, pages), *static.disorder(pages)]


def test_a_good_site_has_no_faults(static, site):
    assert faults(static, site) == []


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("b.html#there", "c.html", ("a.html", "c.html", "no such file")),
        ("b.html#there", "b.html#nowhere", ("a.html", "b.html#nowhere", "no such place in the page")),
        ("b.html#there", "#b", ("a.html", "#b", "no such place in the page")),
        ("b.html#there", "../../b.html", ("a.html", "../../b.html", "leaves the site")),
        ("x.png", "y.png", ("a.html", "y.png", "no such file")),
        (' alt="an x"', "", ("a.html", "image without alt", "x.png")),
        (' alt="an x"', ' alt=" "', ("a.html", "image without alt", "x.png")),
        ("h2>", "h3>", ("a.html", "h3 after h1", "B")),
        ("h2>", "h1>", ("a.html", "2 headings h1", "article")),
        (' lang="en"', "", ("a.html", "no language", "html")),
        ("<title>A</title>", "", ("a.html", "no title", "head")),
        ("main>", "div>", ("a.html", "no main part", "body")),
        ("th>", "td>", ("a.html", "table without heads", "head")),
    ],
)
def test_each_fault_is_named(static, site, good, bad, told):
    (site / "a.html").write_text(GOOD.replace(good, bad))
    assert faults(static, site) == [told]


def test_goals_that_are_missed_are_named(bench):
    def tables(impact, n_bytes, over):
        return {
            "links": pd.DataFrame(columns=["page"]),
            "order": pd.DataFrame(columns=["page"]),
            "violations": pd.DataFrame({"impact": [impact]}),
            "weight": pd.DataFrame({"page": ["intro.html"], "bytes": [n_bytes], "allowed": [1_000_000]}),
            "width": pd.DataFrame({"page": ["intro.html"], "window": ["phone"], "over": [over]}),
        }

    assert list(bench.goals_missed(tables("minor", 999_999, 0))) == []
    assert list(bench.goals_missed(tables("serious", 1_000_001, 7))) == [
        "violations: 1 serious or critical",
        "weight: intro.html takes more than is allowed",
        "width: intro.html at phone: 7 pixels too wide",
    ]


def test_pages_load_no_script_that_they_do_not_need():
    icons = '<script src="_static/vendor/fontawesome/6.5.2/js/all.min.js?digest=1"></script>\n'
    maths = '<script defer="defer" src="../_static/mathjax/tex-chtml.js"></script>\n'
    words = '<p class="text">none</p>'
    assert finished(icons + maths + words) == words
    thebe = '<script>const THEBE_JS_URL = "x"; const other = ".y"</script>'
    assert finished(f"{thebe}<p>\n{thebe}</p>") == f"{thebe}<p>\n</p>"
    formula = '<span class="math notranslate nohighlight">x</span>'
    assert finished(icons + maths + formula) == maths + formula


def test_numbers_in_the_text_are_written_in_one_way():
    def glued(*values):
        return "".join(f'<span class="pasted-text">{value}</span>' for value in values)

    given = glued("90%", "3.4%", "-0.019", "-0.00", "-0%", "-12%", "hsa-mir-21", "-", "width:5%")
    shown = glued(
        "90&nbsp;%", "3.4&nbsp;%", "−0.019", "0.00", "0&nbsp;%", "−12&nbsp;%", "hsa-mir-21", "-", "width:5%"
    )
    assert finished(given) == shown


def test_a_clause_that_the_run_wrote_is_told_from_a_value():
    clause = "Of 3 pairs of cell types none could be compared."
    value = '<span class="pasted-text">hsa-mir-21, hsa-mir-141</span>'
    shown = finished(f'<span class="pasted-text">{clause}</span>{value}')
    assert shown == f'<span class="pasted-text clause">{clause}</span>{value}'


def test_the_page_at_the_root_is_a_page(static, tmp_path):
    (tmp_path / "intro.html").write_text(
        GOOD.replace('<a href="b.html#there">b</a>', "").replace("x.png", "")
    )
    (tmp_path / "index.html").write_text('<meta http-equiv="Refresh" content="0; url=intro.html" />\n')
    finish(tmp_path)
    assert faults(static, tmp_path) == []
    once = (tmp_path / "index.html").read_text()
    finish(tmp_path)
    assert (tmp_path / "index.html").read_text() == once
    assert 'href="intro.html"' in once

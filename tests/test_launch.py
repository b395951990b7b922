"""Links to Binder and Colab: only where the repository is known, to the notebook and revision of the page."""

import re
from pathlib import Path

import pytest
import yaml
from miniature import notebook

from sicmir.publishing.launch import launch_links
from sicmir.publishing.stamp import Run, stamp

ROOT = Path(__file__).parents[1]
KNOWN = "https://github.com/some-one/a.book/tree/0123abc"


@pytest.mark.parametrize("url", ["", "https://example.org/a/b/tree/c", "https://github.com/a/b", "x) [y](z"])
def test_no_links_where_the_repository_is_not_known(monkeypatch, url):
    monkeypatch.setenv("SICMIR_REPOSITORY", url)
    assert launch_links("notebooks/30_hcc.ipynb") == ""


def test_links_open_the_notebook_of_the_revision(monkeypatch):
    monkeypatch.setenv("SICMIR_REPOSITORY", KNOWN)
    text = launch_links("notebooks/30_hcc.ipynb")
    links = dict(re.findall(r"\[(\w+)\]\((https://[^)]+)\)", text))
    path = "some-one/a.book"
    assert links == {
        "Binder": f"https://mybinder.org/v2/gh/{path}/0123abc?urlpath=lab/tree/notebooks/30_hcc.ipynb",
        "Colab": f"https://colab.research.google.com/github/{path}/blob/0123abc/notebooks/30_hcc.ipynb",
    }
    assert f"git clone --quiet https://github.com/{path} sicmir" in text
    assert "checkout --quiet 0123abc" in text


def test_a_page_carries_them_below_its_parameters(monkeypatch):
    monkeypatch.setenv("SICMIR_REPOSITORY", KNOWN)
    for source, expected in (("notebooks/10_first.ipynb", 1), ("", 0)):
        page = notebook("1")
        run = Run("10_first", "", {}, "", "2026-11-22T12:30:00+00:00", 1.0, "here")
        stamp(page, run, {}, source)
        assert sum("mybinder.org" in cell.source for cell in page.cells) == expected


def test_binder_installs_what_a_page_needs():
    environment = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text())
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["dependencies"] == conda["dependencies"][:2]
    script = ROOT / "binder" / "postBuild"
    assert script.stat().st_mode & 0o100
    assert "-c constraints.txt" in script.read_text()

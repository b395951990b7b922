import re
import shutil
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from miniature import MANIFEST, notebook, pretend, project

from sicmir import paths
from sicmir.data.manifest import Manifest
from sicmir.errors import PageError, ParameterError, UnreachableError
from sicmir.publishing import book, pages, runner

SHOWN = """\
import anndata as ad, numpy as np
from myst_nb import glue
from sicmir.publishing import report
toy = ad.AnnData(np.zeros((2, 2)))
toy.uns["sicmir"] = {"dataset": "toy", "synthetic": True}
glue("answer", 0.7512 + seed, display=False)
report.banner(toy)"""
TAKEAWAYS = r"""from IPython.display import Markdown
Markdown(":::{dropdown} Key takeaways\n:open:\n- Held at $r^2 < 1$: **yes**, {glue:text}`answer:.1f`\n:::")"""
INTRO = """\
# Intro

The answer is {glue:text}`pages/10_first.ipynb::answer:.2f`, see [first](pages/10_first.ipynb) and
[second](pages/11_second.ipynb). $$x^2$$
"""


@pytest.fixture
def root(tmp_path):
    """A project with the book's own configuration and style, a page that runs and one that fails."""
    broken = notebook("raise ValueError('broken')")
    root = project(tmp_path / "p", first=notebook(SHOWN, TAKEAWAYS), second=broken)
    own = paths.project() / "book"
    for name in ("_config.yml", "logo.svg", "references.bib"):
        shutil.copy(own / name, root / "book" / name)
    shutil.copytree(own / "_static", root / "book" / "_static")
    files = ["pages/10_first", "pages/11_second", "generated/data", "generated/status"]
    contents = {"format": "jb-book", "root": "intro", "chapters": [{"file": f} for f in files]}
    (root / "book" / "_toc.yml").write_text(yaml.safe_dump(contents))
    (root / "book" / "intro.md").write_text(INTRO)
    return root


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_book_is_built_around_a_page_that_fails(root, capsys, jobs):
    built = book.build(root=root, data_state="", progress=False, jobs=jobs)
    assert [run.page for run in built.runs] == ["10_first"]
    assert list(built.failures) == ["11_second"]
    assert "ValueError: broken" in capsys.readouterr().err
    site = built.index.parent

    def text(name):
        article = BeautifulSoup((site / name).read_text(), "html.parser").find("article")
        return " ".join(article.get_text().split())

    assert "The answer is 0.75, see" in text("intro.html")
    first = text("pages/10_first.html")
    assert "Synthetic data: no real data set could be reached." in first
    assert "yes, 0.8" in first
    assert "sicmir run 10_first" in first
    assert "no successful run yet" in text("pages/11_second.html")
    status = text("generated/status.html")
    assert "Second failed; it has no successful run yet. Error: Page '11_second' failed in cell [3]" in status
    assert "synthetic (toy)" in status
    assert BeautifulSoup((site / "pages/10_first.html").read_text(), "html.parser").find("details", open=True)

    for page in site.rglob("*.html"):
        tags = BeautifulSoup(page.read_text(), "html.parser").find_all(["script", "link", "img", "iframe"])
        loaded = [tag.get("src") or tag.get("href") or "" for tag in tags]
        assert not [url for url in loaded if re.match(r"(https?:)?//", url)], f"{page.name} needs the network"
        assert str(root) not in page.read_text()


def test_no_page_at_a_time_is_refused(root):
    with pytest.raises(ParameterError, match="jobs=0"):
        book.build(root=root, data_state="", jobs=0)


def test_the_explorer_of_a_page_is_part_of_the_book(root):
    known = pages.load_pages(root)
    site = root / "book" / "_build" / "html"
    assert book.add_explorer(known, root) is None
    made = root / "results" / "11_second" / "explorer"
    (made / "shards").mkdir(parents=True)
    (made / "shards" / "index.js").write_text("new")
    (site / "explorer").mkdir(parents=True)
    (site / "explorer" / "old.js").write_text("old")
    assert book.add_explorer(known, root) == site / "explorer"
    assert [path.name for path in (site / "explorer").rglob("*.js")] == ["index.js"]


def test_a_warning_of_sphinx_is_refused_with_its_place(tmp_path):
    (tmp_path / "_config.yml").write_text("title: t\nexecute: {execute_notebooks: 'off'}\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: intro\n")
    (tmp_path / "intro.md").write_text("# Intro\n\n{ref}`nowhere`\n")
    with pytest.raises(PageError, match=r"intro\.md:3: WARNING: .*nowhere"):
        book._render(tmp_path)


def test_status_shows_the_older_run_of_a_page_that_fails_now(tmp_path, monkeypatch):
    root = project(tmp_path / "p", first=notebook("1"))
    monkeypatch.setattr(runner, "execute_notebook", pretend)
    runner.run_page("10_first", profile="ci", root=root, progress=False)
    listed = pages.load_pages(root)
    assert "| [First](../pages/10_first.ipynb) | ok | 20" in book.status_page(listed, {}, root)
    shown = book.status_page(listed, {"10_first": "cell [2]: E: <b>|`x`"}, root)
    assert "| **failed** | 20" in shown
    assert "its last successful run is shown" in shown


def test_status_before_anything_ran(tmp_path):
    root = project(tmp_path / "p", first=notebook("1"))
    assert "| not run | never |" in book.status_page(pages.load_pages(root), {}, root)


def test_the_data_page_is_escaped_and_links_the_pages_that_exist(tmp_path):
    root = project(tmp_path / "p", first=notebook("1"))
    text = book.data_page(Manifest.model_validate(MANIFEST), pages.load_pages(root))
    assert "## Tiny &lt;script>alert(1)&lt;/script> \\| set" in text
    assert "| [`tiny/a.csv`](https://example.org/a.csv) | 2.5&nbsp;kB | `md5:abab" in text
    assert "**Used by:** [First](../pages/10_first.ipynb)\n" in text
    assert "elsewhere" not in text


def test_a_second_build_at_the_same_time_is_refused(root):
    (root / "book" / "_build").mkdir()
    with book.FileLock(root / "book" / "_build" / ".lock"), pytest.raises(PageError, match="Another build"):
        book.build(root=root, data_state="")


def test_the_state_of_the_data_tells_reachable_from_unreachable(monkeypatch):
    from sicmir.data import fetching

    monkeypatch.setattr(fetching, "fetch", lambda key: {})
    here = book.reachable()

    def refuse(key):
        raise UnreachableError("offline")

    monkeypatch.setattr(fetching, "fetch", refuse)
    assert book.reachable() != here


def test_the_books_own_pages_and_contents_agree():
    root = paths.project()
    contents = yaml.safe_load((root / "book" / "_toc.yml").read_text())
    chapters = [c["file"] for part in contents["parts"] for c in part["chapters"]]
    assert [c.removeprefix("pages/") for c in chapters if c.startswith("pages/")] == list(pages.load_pages())
    written = [c for c in chapters if not c.startswith(("pages/", "generated/"))]
    assert all((root / "book" / f"{c}.md").is_file() for c in written)


def test_every_profile_fits_its_notebook():
    root = paths.project()
    for page in pages.load_pages(root).values():
        assert set(page.profiles) >= {"ci", "full"}
        known = pages.declared(root / page.notebook)
        for profile in page.profiles.values():
            pages.check(profile, known)


def test_committed_notebooks_have_no_outputs_and_the_common_kernel():
    notebooks = sorted(Path(paths.project() / "notebooks").glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        content = nbformat.read(path, as_version=4)
        assert content.metadata.kernelspec.name == "python3"
        code = [c for c in content.cells if c.cell_type == "code"]
        assert not any(c.outputs or c.execution_count for c in code), path.name

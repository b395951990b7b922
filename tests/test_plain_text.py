"""The text of a page that is run outside the book."""

import nbformat
import pytest
from miniature import notebook, project

from sicmir.publishing import plain_text
from sicmir.publishing.runner import run_page

BIB = """\
@article{one,
  author  = {Lin, Wei and Noel, Pawan and others},
  year    = {2020},
  doi     = {10.1/x}
}

@misc{two,
  author = {{The Cancer Genome Atlas Research Network}},
  year   = {2017}
}
"""
TEXT = """\
:::{dropdown} Key takeaways
:open:
- {glue:text}`n` of {glue:text}`what`, r = {glue:text}`r:.2f`, {glue:text}`never`.
:::

As {cite:t}`one` and others {cite:p}`one,two` say {cite:p}`three`; see {doc}`11_single_cells`.
"""
GLUE = """\
from myst_nb import glue
glue("n", 3, display=False); glue("what", "liver", display=False); glue("r", 0.456, display=False)
glue("none", float("nan"), display=False)"""
PLAIN = """\
**Key takeaways**

- 3 of liver, r = 0.46, {glue:text}`never`.


As [Lin et al. 2020](https://doi.org/10.1/x) and others ([Lin et al. 2020](https://doi.org/10.1/x); \
The Cancer Genome Atlas Research Network 2017) say {cite:p}`three`; see `11_single_cells`."""


@pytest.fixture
def root(tmp_path):
    page = notebook(GLUE, "from tqdm.auto import tqdm")
    page.cells.append(nbformat.v4.new_markdown_cell(TEXT))
    root = project(tmp_path / "project", first=page)
    (root / "book" / "references.bib").write_text(BIB)
    return root


def test_outside_the_book_the_text_has_its_numbers_and_references(root, tmp_path):
    """And no library asks the reader to install widgets."""
    done = run_page("10_first", out=tmp_path / "own", root=root, progress=False)
    page = nbformat.read(done.path, as_version=4)
    assert PLAIN in [cell.source for cell in page.cells]
    assert str(plain_text.glued(page)["none"]) == "nan"
    assert "IProgress" not in nbformat.writes(page)
    assert ":::" not in "".join(cell.source for cell in page.cells if cell.cell_type == "markdown")


def test_for_the_book_the_text_is_left_to_its_builder(root):
    run_page("10_first", root=root, progress=False)
    page = nbformat.read(root / "book" / "pages" / "10_first.ipynb", as_version=4)
    assert TEXT in [cell.source for cell in page.cells]


def test_every_reference_of_the_book_has_author_and_year():
    from sicmir import paths

    text = (paths.project() / "book" / "references.bib").read_text()
    found = plain_text.references(text)
    assert len(found) == text.count("\n@") + text.startswith("@")
    assert found["cai2026"] == "[Cai et al. 2026](https://doi.org/10.1002/advs.202514446)"
    assert all(label.split("]")[0].rsplit(" ")[-1].isdigit() for label in found.values())

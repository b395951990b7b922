"""A miniature project with one or more notebooks, for the tests of pages, runner, book and command line."""

from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PARAMETERS = """\
seed: int = 0  # seed of the split
fdr: float = 0.05  # false discovery rate | <b>alpha</b>
dataset: str = "auto"  # data set
shuffle: bool = True
out_dir: str = ""  # folder for tables"""

MANIFEST = {
    "version": 1,
    "datasets": {
        "tiny": {
            "title": "Tiny <script>alert(1)</script> | set",
            "description": "One file.",
            "citation": "10.1000/xyz",
            "licence": "CC0",
            "used_by": ["first", "elsewhere"],
            "files": [
                {"name": "tiny/a.csv", "url": "https://example.org/a.csv", "md5": "ab" * 16, "bytes": 2500}
            ],
        }
    },
}


def notebook(*sources: str, parameters: str = PARAMETERS) -> nbformat.NotebookNode:
    """Title, parameters cell and one code cell for each source."""
    cells = [new_markdown_cell("# Page\n\nA question.")]
    if parameters:
        cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(
        cells=[*cells, *(new_code_cell(s) for s in sources)],
        metadata={"kernelspec": kernel, "language_info": {"name": "python"}},
    )


def project(root: Path, **notebooks: nbformat.NotebookNode) -> Path:
    """Write a project whose pages are called ``10_<name>``, ``11_<name>`` and so on."""
    for folder in ("book", "notebooks", "sicmir"):
        (root / folder).mkdir(parents=True)
    pages = []
    for number, (name, content) in enumerate(notebooks.items(), start=10):
        page = f"{number}_{name}"
        nbformat.write(content, root / "notebooks" / f"{page}.ipynb")
        profiles = {"ci": {}, "full": {"seed": 7}} if "seed" in str(content) else {"ci": {}}
        pages.append(
            {"id": page, "notebook": f"notebooks/{page}.ipynb", "title": name.title(), "profiles": profiles}
        )
    (root / "book" / "pages.yml").write_text(yaml.safe_dump({"pages": pages}))
    (root / "data_manifest.yaml").write_text(yaml.safe_dump(MANIFEST))
    (root / "sicmir" / "code.py").write_text("x = 1\n")
    return root


def pretend(source: str, target: str, **_options: object) -> None:
    """Stand in for papermill's ``execute_notebook`` where a test is about what comes before and after."""
    nbformat.write(nbformat.read(source, as_version=4), target)


def outputs(path: Path) -> str:
    """All text that the cells of a notebook printed or displayed."""
    found = [o for cell in nbformat.read(path, as_version=4).cells for o in cell.get("outputs", [])]
    return "\n".join(o.get("text", "") + "".join(map(str, o.get("data", {}).values())) for o in found)

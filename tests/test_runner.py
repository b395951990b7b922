import json
import sys
from pathlib import Path

import nbformat
import pytest
from miniature import notebook, outputs, pretend, project

from sicmir.errors import PageError, ParameterError
from sicmir.publishing import runner, scrub
from sicmir.publishing.runner import run_page

ORIGIN = """\
from IPython.display import HTML
HTML("<b>x</b>", metadata={"sicmir": {"datasets": ["toy"], "synthetic": True}})"""
FACTS = """\
import os, sys
print(seed, repr(dataset), sys.executable.encode().hex(), os.environ["TQDM_DISABLE"], os.getcwd())"""


@pytest.fixture
def root(tmp_path):
    return project(tmp_path / "project", first=notebook(FACTS, ORIGIN))


def run(root, **options):
    return run_page("10_first", root=root, progress=False, **options)


def published(root):
    return root / "book" / "pages" / "10_first.ipynb"


@pytest.mark.parametrize(("given", "told"), [("", "1"), ("3", "3")])
def test_a_kernel_computes_with_one_thread_unless_told_otherwise(root, monkeypatch, given, told):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    source = 'import os; print("threads", os.environ["OMP_NUM_THREADS"])'
    nbformat.write(notebook(source), root / "notebooks" / "10_first.ipynb")
    run(root)
    assert f"threads {told}" in published(root).read_text()


def break_notebook(root, source="raise ValueError('broken on purpose')"):
    nbformat.write(notebook("print('so far')", source), root / "notebooks" / "10_first.ipynb")


def test_a_run_is_published_with_table_status_line_and_record(root, tmp_path, monkeypatch):
    elsewhere = tmp_path / "share" / "jupyter" / "kernels" / "python3"
    elsewhere.mkdir(parents=True)
    spec = {"argv": ["/bin/false", "{connection_file}"], "display_name": "wrong", "language": "python"}
    (elsewhere / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.chdir(tmp_path)
    done = run(root, parameters={"dataset": "a|<b>`"}, profile="full")

    text = outputs(published(root))
    assert f"7 'a|<b>`' {sys.executable.encode().hex()} 1 <project>" in text
    notebook = nbformat.read(published(root), as_version=4)
    nbformat.validate(notebook)
    assert not any("injected-parameters" in c.metadata.get("tags", []) for c in notebook.cells)
    assert "papermill" not in notebook.metadata
    assert not any("papermill" in c.metadata for c in notebook.cells)
    assert notebook.cells[2].source.startswith("seed: int = 7  # seed of the split\n")
    assert "**Synthetic data.**" in notebook.cells[1].source
    table = notebook.cells[3].source
    assert "| `seed` | **`7`** (default `0`) | seed of the split |" in table
    assert "| `fdr` | `0.05` | false discovery rate \\| &lt;b>alpha&lt;/b> |" in table
    assert "sicmir run 10_first -p seed 7 -p dataset 'a|<b>`'" in table
    assert "out_dir" not in table
    status = notebook.cells[-1].source
    assert "Data: synthetic (toy)." in status
    assert "UTC on Python" in status
    assert "cores, in " in status
    record = runner.read_status(root)["10_first"]
    assert record["failure"] is None
    assert record["published"]["parameters"]["seed"] == 7
    assert record["published"]["fingerprint"] == done.fingerprint
    assert str(root) not in (root / "book" / "pages" / "status.json").read_text()


def test_unknown_and_wrong_parameters_run_nothing(root):
    for parameters, told in (({"sed": 3}, "no parameter 'sed'"), ({"seed": "3"}, "expects int")):
        with pytest.raises(ParameterError, match=told):
            run(root, parameters=parameters)
    assert not published(root).exists()
    assert runner.read_status(root) == {}


def test_an_unchanged_page_is_skipped_until_something_changes(root, monkeypatch):
    monkeypatch.setattr(runner, "execute_notebook", pretend)
    first = run(root, data_state="here")
    before = published(root).read_bytes()
    again = run(root, data_state="here")
    assert again.skipped
    assert again.fingerprint == first.fingerprint
    assert published(root).read_bytes() == before
    published(root).unlink()
    assert not run(root, data_state="here").skipped
    assert not run(root, data_state="here", force=True).skipped
    assert not run(root, data_state="gone").skipped
    assert not run(root, data_state="gone", profile="full").skipped


def test_the_fingerprint_covers_everything_a_page_depends_on(root):
    path = root / "notebooks" / "10_first.ipynb"

    def now(seed=0, state=""):
        return runner.fingerprint(path, {"seed": seed}, state, root)

    seen = [now(), now(seed=1), now(state="real")]
    assert now() == seen[0]
    (root / "sicmir" / "__pycache__").mkdir()
    (root / "sicmir" / "__pycache__" / "code.pyc").write_bytes(b"x")
    assert now() == seen[0]
    (root / "sicmir" / "code.py").write_text("x = 2\n")
    seen.append(now())
    (root / "sicmir" / "weights").mkdir()
    (root / "sicmir" / "weights" / "w.safetensors").write_bytes(b"\0")
    seen.append(now())
    (root / "data_manifest.yaml").write_text("version: 1\n")
    seen.append(now())
    break_notebook(root)
    seen.append(now())
    assert len(set(seen)) == len(seen)


def test_a_failure_keeps_the_published_page_and_tells_all(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(runner, "execute_notebook", pretend)
        run(root)
    before = published(root).read_bytes()
    break_notebook(root)
    with pytest.raises(PageError) as caught:
        run(root)
    message = str(caught.value)
    assert "'10_first' failed in cell [4]: ValueError: broken on purpose" in message
    assert "Traceback" in message
    assert "\x1b" not in message
    kept = root / "results" / "failed" / "10_first.ipynb"
    assert str(kept) in message
    assert "so far" in outputs(kept)
    assert published(root).read_bytes() == before
    record = runner.read_status(root)["10_first"]
    assert record["published"]["page"] == "10_first"
    assert record["failure"]["error"] == "cell [4]: ValueError: broken on purpose"

    nbformat.write(notebook(FACTS), root / "notebooks" / "10_first.ipynb")
    monkeypatch.setattr(runner, "execute_notebook", pretend)
    assert not run(root).skipped
    assert runner.read_status(root)["10_first"]["failure"] is None
    assert not kept.exists()


def test_a_kernel_that_dies_is_a_failure_too(root):
    break_notebook(root, "import os; os._exit(9)")
    with pytest.raises(PageError, match=r"the kernel: .*died"):
        run(root)
    assert not published(root).exists()
    assert runner.read_status(root)["10_first"]["published"] is None


def test_a_run_of_ones_own_leaves_the_book_alone(root, tmp_path):
    source = "from pathlib import Path\n(Path(out_dir) / 'table.csv').write_text('a')"
    nbformat.write(notebook(source), root / "notebooks" / "10_first.ipynb")
    out = tmp_path / "mine"
    done = run(root, out=out)
    assert Path(done.path) == out / "10_first.ipynb"
    assert sorted(p.name for p in out.iterdir()) == ["10_first.ipynb", "table.csv"]
    assert not (root / "book" / "pages").exists()
    assert 'out_dir: str = ""' in nbformat.read(done.path, as_version=4).cells[1].source


@pytest.mark.parametrize(
    "folder", ["book", "book/pages", "notebooks/x", "", "results", "results/10_first", "results/10_first/x"]
)
def test_a_run_of_ones_own_cannot_go_among_the_pages_or_their_results(root, folder, tmp_path):
    with pytest.raises(ParameterError, match=r"--out .*among the project's own pages"):
        run(root, out=root / folder)
    with pytest.raises(ParameterError, match=r"out_dir .*among the project's own pages"):
        run(root, parameters={"out_dir": str(root / folder)}, out=tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    assert not (root / "results").exists()


def test_paths_of_the_machine_are_scrubbed_and_look_alikes_stay(root, tmp_path, monkeypatch):
    monkeypatch.setenv("SICMIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SICMIR_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("HOME", "/home/ada")
    text = f"{tmp_path}/cache/f {tmp_path}/mirror/g {root}/book /home/ada/x /home/adam/x https://a.org/home/ada/y"
    clean = scrub.scrub_text(text, root)
    assert clean == (
        "$SICMIR_CACHE/f $SICMIR_MIRROR/g <project>/book ~/x /home/adam/x https://a.org/home/ada/y"
    )
    assert scrub.scrub_text(str(root), root, html=True) == "&lt;project&gt;"


def test_pictures_are_not_touched_by_scrubbing(root):
    book = notebook()
    data = {"image/png": "/home/ada", "text/html": "<p>/home/ada</p>", "text/plain": "ok"}
    book.cells[1].outputs = [nbformat.v4.new_output("display_data", data)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", "/home/ada")
        scrub.scrub(book, root)
    assert book.cells[1].outputs[0]["data"] == {**data, "text/html": "<p>~</p>"}

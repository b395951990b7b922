import nbformat
import pytest
from miniature import PARAMETERS, notebook, project

from sicmir.errors import PageError, ParameterError
from sicmir.publishing import pages


@pytest.fixture
def root(tmp_path):
    return project(tmp_path / "project", first=notebook("print(seed)"), second=notebook("1 + 1"))


@pytest.fixture
def known(root):
    return pages.declared(root / "notebooks" / "10_first.ipynb")


def write_list(root, text):
    (root / "book" / "pages.yml").write_text(text)


def test_pages_are_listed_in_order_with_their_profiles(root):
    listed = pages.load_pages(root)
    assert list(listed) == ["10_first", "11_second"]
    assert pages.profile_parameters(listed["10_first"], "full") == {"seed": 7}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pages: [{id: a, notebook: notebooks/10_first.ipynb, title: A}]", "pages.0.profiles"),
        ("pages: [{id: a, notebook: notebooks/10_first.ipynb, title: A, profiles: {}, x: 1}]", "pages.0.x"),
        ("pages: [{id: A/../b, notebook: n.ipynb, title: A, profiles: {ci: {}}}]", "pages.0.id"),
        (
            "pages: [{id: a, notebook: notebooks/none.ipynb, title: A, profiles: {ci: {}}}]",
            "none.ipynb, is not",
        ),
        ("pages: [", "could not be read"),
        ("[]", "top level"),
    ],
)
def test_a_wrong_list_is_refused_with_the_place(root, text, told):
    write_list(root, text)
    with pytest.raises(ParameterError, match=told):
        pages.load_pages(root)


def test_a_page_listed_twice_is_refused(root):
    entry = "{id: a, notebook: notebooks/10_first.ipynb, title: A, profiles: {ci: {}}}"
    write_list(root, f"pages: [{entry}, {entry}]")
    with pytest.raises(ParameterError, match="'a' twice"):
        pages.load_pages(root)


def test_unknown_page_and_profile_name_the_nearest(root):
    with pytest.raises(ParameterError, match=r"no page '10_frist'. Did you mean 10_first"):
        pages.find_page("10_frist", root)
    with pytest.raises(ParameterError, match=r"no profile 'ful'. Did you mean full"):
        pages.profile_parameters(pages.find_page("10_first", root), "ful")


def test_declared_parameters_have_name_type_default_and_meaning(known):
    assert [(p.name, p.type, p.default) for p in known.values()] == [
        ("seed", "int", 0),
        ("fdr", "float", 0.05),
        ("dataset", "str", "auto"),
        ("shuffle", "bool", True),
        ("out_dir", "str", ""),
    ]
    assert known["seed"].help == "seed of the split"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("x: int = 1  # q = 0.05", "papermill cannot read"),
        ('x: str | None = "a"', "papermill cannot read"),
        ('x: str = "a=b"', "papermill cannot read"),
        ("x: list = [1]", "expected one of"),
        ("x: int = 1.5", "default of that type"),
        ("x: int = True", "default of that type"),
        ("x = 1", "may only hold lines"),
        ("x: int = 1 + 1", "may only hold lines"),
        ("import os", "may only hold lines"),
        ("x: int = (", "may only hold lines"),
    ],
)
def test_a_parameter_that_papermill_would_misread_is_refused(tmp_path, line, told):
    path = tmp_path / "n.ipynb"
    nbformat.write(notebook(parameters=line), path)
    with pytest.raises(PageError, match=told):
        pages.declared(path)


def test_texts_become_the_declared_types(known):
    pairs = [("seed", "-3"), ("fdr", "1e-3"), ("dataset", "3"), ("shuffle", "False")]
    assert pages.parse(pairs, known) == {"seed": -3, "fdr": 0.001, "dataset": "3", "shuffle": False}


@pytest.mark.parametrize(
    ("name", "text"), [("seed", "3.0"), ("seed", "three"), ("seed", "1_0"), ("fdr", "x"), ("shuffle", "1")]
)
def test_a_text_of_another_type_is_refused(known, name, text):
    with pytest.raises(ParameterError, match=f"'{name}' expects"):
        pages.parse([(name, text)], known)


@pytest.mark.parametrize(("name", "value"), [("seed", "3"), ("seed", True), ("fdr", "0.1"), ("dataset", 3)])
def test_a_value_of_another_type_is_refused(known, name, value):
    with pytest.raises(ParameterError, match=f"'{name}' expects"):
        pages.check({name: value}, known)


def test_a_whole_number_is_a_float(known):
    pages.check({"fdr": 1}, known)


def test_unknown_and_repeated_parameters_are_refused(known):
    with pytest.raises(
        ParameterError, match=r"no parameter 'sed'. Did you mean seed\? Known parameters: seed"
    ):
        pages.parse([("sed", "3")], known)
    with pytest.raises(ParameterError, match="given twice"):
        pages.parse([("seed", "3"), ("seed", "4")], known)


def test_the_rerun_command_gives_what_differs_and_is_quoted_for_a_shell(known):
    values = {"seed": 3, "fdr": 0.05, "dataset": "my data; rm", "shuffle": True, "out_dir": "/x"}
    assert pages.rerun_command("10_first", values, known) == (
        "sicmir run 10_first -p seed 3 -p dataset 'my data; rm'"
    )


def test_with_values_rewrites_defaults_and_nothing_else():
    source = 'a: str = "é"  # ünit = x\nb: int = 1  # two\nc: float = -0.5'
    changed = pages.with_values(source, {"a": "ö'\"", "c": 2.0})
    space = {}
    exec(changed, space)
    assert (space["a"], space["b"], space["c"]) == ("ö'\"", 1, 2.0)
    assert "# ünit = x\nb: int = 1  # two\n" in changed
    assert pages.with_values(PARAMETERS, {}) == PARAMETERS

import numpy as np
import pytest

from sicmir.errors import BundleError
from sicmir.learning import arrays

ARRAYS = {
    "a.scalar": np.asarray(3),
    "a.fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3) / 7),
    "b.strided": np.arange(10, dtype=np.float64)[::3],
    "b.truth": np.array([True, False, True]),
    "b.empty": np.zeros((0, 2), np.float32),
}


@pytest.fixture
def written(tmp_path):
    def write(content=ARRAYS):
        path = tmp_path / "x.safetensors"
        path.write_bytes(arrays.to_bytes(content, {"kind": "x", "n": [1, 2.5]}))
        return path

    return write


def test_values_shapes_types_and_facts_come_back(written):
    found, facts = arrays.read(written())
    assert facts == {"kind": "x", "n": [1, 2.5]}
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype), name
        np.testing.assert_array_equal(found[name], array)


def test_equal_content_gives_equal_bytes_in_any_order():
    turned = dict(reversed(ARRAYS.items()))
    first = arrays.to_bytes(ARRAYS, {"a": 1, "b": 2})
    assert all(arrays.to_bytes(turned, {"b": 2, "a": 1}) == first for _ in range(5))
    assert arrays.to_bytes(ARRAYS, {"a": 1}) != arrays.to_bytes(ARRAYS, {"a": 2})


def test_another_file_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"PK\x03\x04 this is something else")
    with pytest.raises(BundleError, match="x: not a readable safetensors file"):
        arrays.read(tmp_path / "x")


def test_groups():
    assert {group: list(part) for group, part in arrays.grouped(ARRAYS).items()} == {
        "a": ["scalar", "fortran"],
        "b": ["strided", "truth", "empty"],
    }
    assert list(arrays.grouped({"a.genes.mean": np.zeros(1)})["a"]) == ["genes.mean"]

import io
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch
from published_form import FORMATS, NORM_FIRST, NeuralNet, outputs, put_in_main, save, small
from torch import nn

from sicmir.benchmark.published_weights import read_weights
from sicmir.errors import BundleError, ParameterError
from sicmir.learning.architecture import SicmirNetwork


@pytest.fixture(autouse=True)
def main_module(monkeypatch):
    put_in_main(monkeypatch)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("order", NORM_FIRST)
def test_every_order_in_both_formats_predicts_as_the_module_itself(order, form, tmp_path):
    module = NeuralNet(order)
    x = np.random.default_rng(1).normal(size=(5, 977))
    for what, told in ((module, "whole module"), (module.state_dict(), "state dict")):
        weights = read_weights(save(what, tmp_path / "w.pth", form))
        assert (weights.form, weights.order) == (told, order)
        network = weights.network()
        np.testing.assert_allclose(outputs(network, x), outputs(module, x), rtol=1e-5, atol=1e-5)
        assert sum(p.numel() for p in network.parameters()) == 3_385_618
    (tmp_path / "w.pth").unlink()


def test_the_orders_differ_and_the_wrong_one_does_not_pass_for_the_right_one(tmp_path):
    module = NeuralNet("mixed")
    weights = read_weights(save(module, tmp_path / "w.pth"))
    x = np.random.default_rng(1).normal(size=(5, 977))
    assert np.abs(outputs(weights.network("relu-norm"), x) - outputs(module, x)).max() > 0.01
    assert np.abs(outputs(weights.network("norm-relu"), x) - outputs(module, x)).max() > 0.01


def test_a_bundle_keeps_its_order_and_an_older_one_without_order_still_loads(tmp_path):
    network = SicmirNetwork(7, 3, hidden=5, order="mixed")
    assert SicmirNetwork(**network.architecture).architecture == network.architecture
    assert [type(layer).__name__[0] for layer in network.layers] == list("LBRDLRBDL")
    older = {name: value for name, value in network.architecture.items() if name != "order"}
    assert [type(layer).__name__[0] for layer in SicmirNetwork(**older).layers] == list("LRBDLRBDL")
    with pytest.raises(ParameterError, match="no layer order 'norm'"):
        SicmirNetwork(7, 3, order="norm")


# --- what must not run --------------------------------------------------------------------------------------


class Evil:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def touch(marker):
    return f"touch {marker}"


EVIL = {
    "posix.system": lambda m: Evil(os.system, touch(m)),
    "builtins.eval": lambda m: Evil(eval, f"open({str(m)!r}, 'w').close()"),
    "builtins.getattr": lambda m: Evil(getattr, "x", "upper"),
    "Popen": lambda m: Evil(__import__("subprocess").Popen, ["touch", str(m)]),
    # A pickle within the pickle, read by torch without restriction.
    "torch.storage._load_from_bytes": lambda m: Evil(
        torch.storage._load_from_bytes, pickle.dumps(Evil(os.system, touch(m)))
    ),
    "functools.partial": lambda m: __import__("functools").partial(os.system, touch(m)),
    "_reconstruct": lambda m: np.zeros(3),
    "torch._tensor._rebuild_from_type_v2": lambda m: Evil(torch._tensor._rebuild_from_type_v2, os.system),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", EVIL)
def test_anything_foreign_is_refused_by_name_and_nothing_runs(name, form, tmp_path):
    marker = tmp_path / "ran"
    evil = EVIL[name](marker)
    hidden, hooked, deep = small(), small(), small()
    hidden.extra = {"a": [evil]}
    hooked._forward_hooks[0] = evil
    deep.model[1].weight.harmless, deep.model[3].p = 1, evil
    for what in (evil, [evil], hidden, hooked, {"model.0.weight": evil}):
        path = save(what, tmp_path / "evil.pth", form)
        with pytest.raises(BundleError, match=rf"evil\.pth: the pickle names \S*{name}, .* refused"):
            read_weights(path)
    with pytest.raises(BundleError, match="the pickle names"):  # also names what keeps attributes of tensors
        read_weights(save(deep, tmp_path / "evil.pth", form))
    assert not marker.exists()


def test_the_trap_of_these_tests_is_live(tmp_path):
    path = save(Evil(os.system, touch(tmp_path / "ran")), tmp_path / "evil.pth")
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()


def with_pickle(content, path):
    """A zip file of torch whose pickle is replaced by opcodes of our choice."""
    good = io.BytesIO()
    torch.save(small(), good)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for item in source.infolist():
            replaced = item.filename.endswith("/data.pkl")
            target.writestr(item.filename, content if replaced else source.read(item))
    return path


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


NETWORK = b"c__main__\nNeuralNet\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        # Dotted names walk from an allowed class to what it can see.
        (b"\x80\x04" + short("torch.nn.modules.linear") + short("Linear.__init__.__globals__") + b"\x93.",
         r"names torch\.nn\.modules\.linear\.Linear\.__init__\.__globals__"),
        (b"\x80\x04" + short("collections") + short("OrderedDict.fromkeys") + b"\x93.",
         r"names collections\.OrderedDict\.fromkeys"),
        (b"\x80\x02ctorch\nos.system\n(X\x02\x00\x00\x00idtR.", r"names torch\.os\.system"),
        (b"\x80\x02c__builtin__\neval\n(X\x01\x00\x00\x001tR.", r"names builtins\.eval"),
        (b"(S'id'\nios\nsystem\n.", r"names os\.system"),  # INST of protocol 0
        # Attributes of a class, to catch whoever reads the next file.
        (b"\x80\x02" + NETWORK + b"(N}X\x0c\x00\x00\x00__setstate__c__builtin__\nset\nstb.",
         r"expected a module __main__\.NeuralNet .*found a type"),
        # A state of its own making is called instead of stored.
        (b"\x80\x02" + NETWORK + b")\x81}X\x0c\x00\x00\x00__setstate__c__builtin__\nset\nsb}b.", "KeyError"),
        (b"\x80\x02X\x04\x00\x00\x00evilQ.", "truncated, or not a file"),  # a reference of another kind
        (b"\x80\x02(X\x04\x00\x00\x00fileX\x01\x00\x00\x00aX\x01\x00\x00\x00bNK\x01tQ.", "no plain storage"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "TypeError"),  # names of storages cannot be called
        (b"\x80\x02" + NETWORK + b")\x81}X\x08\x00\x00\x00_modulesN" + b"sb.", "AttributeError"),
    ],
)  # fmt: skip
def test_subtle_pickles_are_refused_and_leave_nothing_behind(content, told, tmp_path):
    with pytest.raises(BundleError, match=told):
        read_weights(with_pickle(content, tmp_path / "evil.pth"))
    assert read_weights(save(NeuralNet(), tmp_path / "good.pth")).order == "mixed"
    (tmp_path / "good.pth").unlink()


# --- what is not that network -------------------------------------------------------------------------------


class OtherNet(nn.Module):
    pass


@pytest.mark.parametrize("form", FORMATS)
def test_other_networks_are_refused(form, tmp_path, monkeypatch):
    monkeypatch.setattr(OtherNet, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "OtherNet", OtherNet, raising=False)
    two = small()
    two.second = nn.Linear(2, 2)
    longer, nothing = small(), small()
    longer.model.append(nn.Linear(2, 2))
    nothing.model = nn.Linear(2, 2)
    for what, told in (
        (OtherNet(), r"names __main__\.OtherNet"),
        (small(activation=nn.LeakyReLU), r"names torch\.nn\.modules\.activation\.LeakyReLU"),
        (small().double(), r"names torch\.DoubleStorage"),
        (nn.Linear(3, 2), r"expected a module __main__\.NeuralNet or a state dict, found a Linear"),
        (two, r"expected one Sequential, found \['Sequential', 'Linear'\]"),
        (nothing, r"expected one Sequential, found \['Linear'\]"),
        (longer, "expected the layers .*, found Linear BatchNorm1d ReLU .* Linear Linear"),
        (small(), r"layer 1: expected the shapes .*977.*, found .*\(4, 3\)"),
        (small(eps=1e-3), r"eps 1e-05, found 0\.001"),
        (longer.state_dict(), "expected the layers"),
        (two.state_dict(), "expected the state of one Sequential"),
        ({}, "found a dict"),
    ):
        with pytest.raises(BundleError, match=told):
            read_weights(save(what, tmp_path / "w.pth", form))


def test_wrong_widths_and_values_are_refused(tmp_path):
    with pytest.raises(BundleError, match=r"layer 5: expected .*1298, 1024.*, found .*1000, 1024"):
        read_weights(save(NeuralNet(widths=(977, 1024, 1000)), tmp_path / "w.pth"))
    module = NeuralNet()
    module.model[8].bias.data[3] = torch.nan
    with pytest.raises(BundleError, match="layer 5, bias: holds values that are not finite"):
        read_weights(save(module, tmp_path / "w.pth"))
    module = NeuralNet()
    module.model[1].running_var[0] = -1
    with pytest.raises(BundleError, match="layer 2, running_var: .* negative variances"):
        read_weights(save(module, tmp_path / "w.pth"))
    module = NeuralNet()
    module.model[4].weight.data = module.model[4].weight.data.T
    with pytest.raises(BundleError, match="layer 3, weight: expected <f4 numbers in one piece"):
        read_weights(save(module, tmp_path / "w.pth"))
    (tmp_path / "w.pth").unlink()


@pytest.mark.parametrize("form", FORMATS)
def test_truncated_files_are_refused(form, tmp_path):
    content = save(NeuralNet(), tmp_path / "w.pth", form).read_bytes()
    for length in (0, 3, 40, 700, len(content) // 2, len(content) - 9):
        (tmp_path / "w.pth").write_bytes(content[:length])
        with pytest.raises(BundleError, match="truncated"):
            read_weights(tmp_path / "w.pth")
    (tmp_path / "w.pth").unlink()


def test_damage_other_files_and_missing_files_are_told(tmp_path):
    path = save(NeuralNet(), tmp_path / "w.pth")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="Bad CRC"):
        read_weights(path)
    path.write_text("<html>not found</html>")
    with pytest.raises(BundleError, match="not a file of the published form"):
        read_weights(path)
    path.write_bytes(pickle.dumps(Evil(os.system, touch(tmp_path / "ran"))))
    with pytest.raises(BundleError, match=r"names posix\.system"):
        read_weights(path)
    assert not (tmp_path / "ran").exists()
    with path.open("wb") as file:
        file.truncate(100_000_001)
    with pytest.raises(BundleError, match="about 14 MB, found 100000001"):
        read_weights(path)
    path.unlink()
    with pytest.raises(BundleError, match="not there"):
        read_weights(path)


def test_a_small_file_cannot_unpack_to_a_large_one(tmp_path):
    save(small(), tmp_path / "w.pth")
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as source,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for item in source.infolist():
            bomb = item.filename.endswith("/data.pkl")
            target.writestr(item.filename, source.read(item) + bytes(2_000_000 if bomb else 0))
    with pytest.raises(BundleError, match="should have some kB"):
        read_weights(tmp_path / "bomb.pth")

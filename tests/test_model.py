import hashlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch

from sicmir import model
from sicmir.errors import BundleError, DataError
from sicmir.learning import bundle_files
from sicmir.learning.architecture import SicmirNetwork
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.predictors import NetworkPredictor
from sicmir.learning.rescale import Rescale
from sicmir.matrices.normalise import InputTransform
from sicmir.model import Bundle, load_model

FILES = ("weights.safetensors", "model.json", "trust.csv")
MIRNAS = ["hsa-miR-1", "hsa-miR-2", "hsa-miR-3"]


def samples(n=4, seed=1):
    return np.random.default_rng(seed).normal(5, 2, (n, 7)).astype(np.float32)


def network():
    torch.manual_seed(0)
    network = SicmirNetwork(7, 3, hidden=5)
    network(torch.randn(16, 7))
    transform = InputTransform("frozen").fit(samples(20, 0))
    return NetworkPredictor(
        network.eval(), transform, np.array([1, 2, 3], np.float32), np.array([0.5, 1, 2], np.float32)
    )


def kernel():
    X = samples(24, 0)
    Y = X @ np.random.default_rng(2).normal(size=(7, 3)) + 5
    obs = pd.DataFrame({"donor": np.arange(24).astype(str), "cohort": np.repeat(["A", "B"], 12)})
    return MaskedKernelRidge(rate=0.9).fit(X, Y, obs)


@pytest.fixture(scope="module")
def trust():
    columns = {
        "pearson": [1 / 3, np.nan, -1e-17],
        "n": [3, 2**53 + 1, 5],
        "grade": ["A", "NA", None],
        "seen": [True, False, True],
    }
    return pd.DataFrame(columns, index=pd.Index(MIRNAS, name="mirna"))


@pytest.fixture(params=[network, kernel], ids=lambda make: make.__name__)
def bundle(request, trust):
    return Bundle(
        predictor=request.param(),
        genes=[f"G{i}" for i in range(7)],
        mirnas=MIRNAS,
        level="mature",
        units="log2(RPM+1)",
        trust=trust,
        card={"seed": 3, "test_metrics": {"pearson": 0.5}},
    )


def rewrite(path, **changes):
    """Change a description and give it the checksum of its new content."""
    description = json.loads(path.read_text()) | changes
    del description["content_sha256"]
    description["content_sha256"] = bundle_files.content_hash(description)
    path.write_text(json.dumps(description))


def test_predicts_as_its_predictor_does(bundle):
    np.testing.assert_array_equal(bundle.predict_array(samples()), bundle.predictor.predict(samples()))


def test_refuses_input_of_another_width_and_infinite_values(bundle):
    for wrong, shape in ((samples()[:, :6], r"\(4, 6\)"), (samples()[0], r"\(7,\)")):
        with pytest.raises(BundleError, match=f"samples × 7 genes, found shape {shape}"):
            bundle.predict_array(wrong)
    x = samples()
    x[1, 2] = np.inf
    with pytest.raises(DataError, match="infinite"):
        bundle.predict_array(x)


def test_a_predictor_of_other_mirnas_is_noticed(bundle):
    other = replace(bundle, mirnas=MIRNAS[:2], trust=None)
    with pytest.raises(BundleError, match=r"gave the shape \(4, 3\) for 4 samples and the 2 miRNAs"):
        other.predict_array(samples())


def test_round_trip(bundle, tmp_path):
    """The network comes back bit for bit; the kernel model computes in float64 and is kept in float32."""
    loaded = load_model(bundle.save(tmp_path / "a"))
    atol = 0 if bundle.predictor.kind == "network" else 1e-4
    expected = bundle.predict_array(samples())
    np.testing.assert_allclose(loaded.predict_array(samples()), expected, rtol=0, atol=atol)
    assert type(loaded.predictor) is type(bundle.predictor)
    assert (loaded.genes, loaded.mirnas, loaded.level) == (bundle.genes, bundle.mirnas, "mature")
    assert (loaded.units, loaded.card, loaded.domain) == ("log2(RPM+1)", bundle.card, None)
    again = load_model(loaded.save(tmp_path / "b"))
    np.testing.assert_array_equal(again.predict_array(samples()), loaded.predict_array(samples()))


def test_equal_bundles_are_equal_files(bundle, tmp_path):
    loaded = load_model(bundle.save(tmp_path / "a"))
    bundle.save(tmp_path / "b")
    loaded.save(tmp_path / "c")
    for file in FILES:
        content = (tmp_path / "a" / file).read_bytes()
        assert content == (tmp_path / "b" / file).read_bytes() == (tmp_path / "c" / file).read_bytes()


def test_holds_no_pickle(bundle, tmp_path):
    folder = bundle.save(tmp_path / "a")
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)
    json.loads((folder / "model.json").read_text())
    safetensors.numpy.load_file(folder / "weights.safetensors")


def test_the_trust_table_comes_back_as_it_was(bundle, trust, tmp_path):
    loaded = load_model(bundle.save(tmp_path / "a"))
    pd.testing.assert_frame_equal(loaded.trust, trust, check_exact=True)
    assert loaded.trust.loc["hsa-miR-2", "grade"] == "NA"
    without = load_model(replace(bundle, trust=None).save(tmp_path / "b"))
    assert without.trust is None
    assert not (tmp_path / "b" / "trust.csv").exists()


def test_a_trust_table_of_other_mirnas_is_refused(bundle, trust):
    for wrong in (trust[::-1], trust[:2], trust.reset_index(drop=True)):
        with pytest.raises(BundleError, match="one row for each of the 3 miRNAs"):
            replace(bundle, trust=wrong)


def test_what_the_trust_table_does_not_say_is_named(bundle, trust):
    column = trust.columns[0]
    assert bundle.trusted(column).equals(trust[column])
    with pytest.raises(BundleError, match=f"'mean_log2_rpm'.*it has {column}"):
        replace(bundle, trust=trust[[column]]).trusted("mean_log2_rpm")
    with pytest.raises(BundleError, match="'half_width'.*it has no trust table"):
        replace(bundle, trust=None).trusted("half_width")


def test_an_altered_or_missing_trust_table_is_refused(bundle, tmp_path):
    path = bundle.save(tmp_path / "a") / "trust.csv"
    path.write_text(path.read_text().replace("A,True", "B,True"))
    with pytest.raises(BundleError, match=r"trust\.csv: expected SHA-256 .* altered"):
        load_model(tmp_path / "a")
    path.unlink()
    with pytest.raises(BundleError, match=r"expected trust\.csv, which is not there"):
        load_model(tmp_path / "a")


def test_further_tables_lie_beside_the_model_but_none_for_the_trust_table(bundle, trust, tmp_path):
    bundle.save(tmp_path / "a", tables={"split": trust})
    assert len(pd.read_csv(tmp_path / "a" / "split.csv")) == 3
    with pytest.raises(BundleError, match="name trust belongs to"):
        bundle.save(tmp_path / "b", tables={"trust": trust})
    assert not (tmp_path / "b").exists()


class Domain:
    """Stand-in with the interface that the bundle asks of a domain."""

    def __init__(self, centre, limit):
        self.centre, self.limit = centre, limit

    def state(self):
        return {"centre": self.centre, "limit": np.asarray(self.limit)}

    @classmethod
    def from_state(cls, arrays):
        if set(arrays) != {"centre", "limit"}:
            raise BundleError(f"The domain should hold centre and limit, found {sorted(arrays)}.")
        return cls(arrays["centre"], float(arrays["limit"]))


def test_a_domain_travels_in_the_weights_file(bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sicmir.learning.domain", SimpleNamespace(Domain=Domain))
    with_domain = replace(bundle, domain=Domain(np.float32([0.1, 0.2]), 2.5))
    loaded = load_model(with_domain.save(tmp_path / "a")).domain
    np.testing.assert_array_equal(loaded.centre, np.float32([0.1, 0.2]))
    assert loaded.limit == 2.5
    assert load_model(bundle.save(tmp_path / "b")).domain is None
    monkeypatch.setattr(Domain, "state", lambda self: {"centre": self.centre})
    with_domain.save(tmp_path / "c")
    with pytest.raises(BundleError, match=r"c: The domain should hold centre and limit, found \['centre'\]"):
        load_model(tmp_path / "c")


def test_a_rescaling_travels_in_the_weights_file(bundle, tmp_path):
    rescale = Rescale().fit(samples(20, 0))
    loaded = load_model(replace(bundle, rescale=rescale).save(tmp_path / "a")).rescale
    for transform in ("frozen", "rank", "cohort"):
        expected = rescale.to_training(samples(), transform)
        np.testing.assert_array_equal(loaded.to_training(samples(), transform), expected)
    assert load_model(bundle.save(tmp_path / "b")).rescale is None
    broken = SimpleNamespace(state=lambda: {"mean": rescale.mean_})
    replace(bundle, rescale=broken).save(tmp_path / "c")
    with pytest.raises(BundleError, match=r"c: .*\['mean'\]"):
        load_model(tmp_path / "c")


def test_a_model_is_known_by_the_hash_of_its_weights(bundle, trust, tmp_path):
    folder = bundle.save(tmp_path / "a")
    found = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert bundle.weights_sha256 == load_model(folder).weights_sha256 == found
    assert replace(bundle, trust=None).weights_sha256 == found
    assert replace(bundle, genes=bundle.genes[::-1]).weights_sha256 != found
    assert replace(bundle, rescale=Rescale().fit(samples(20, 0))).weights_sha256 != found


def test_its_content_is_more_than_its_weights(bundle, trust, tmp_path):
    folder = bundle.save(tmp_path / "a")
    stated = json.loads((folder / "model.json").read_text())["content_sha256"]
    assert bundle.content_sha256 == load_model(folder).content_sha256 == stated
    for change in ({"trust": trust.assign(n=7)}, {"card": {"input_units": "TPM"}}, {"units": "z-score"}):
        other = replace(bundle, **change)
        assert other.weights_sha256 == bundle.weights_sha256
        assert other.content_sha256 != stated


def test_spread_is_that_of_the_predictor_if_it_has_one(bundle):
    predicted, spread = bundle.predict_with_spread(samples())
    np.testing.assert_array_equal(predicted, bundle.predict_array(samples()))
    if bundle.predictor.kind == "kernel":
        np.testing.assert_array_equal(spread, bundle.predictor.predict_with_spread(samples())[1])
    else:
        assert spread is None


def test_default_is_the_bundle_of_the_package(bundle, tmp_path, monkeypatch):
    assert Path(model.__file__).parent / "weights" / "default" == model.SHIPPED
    monkeypatch.setattr(model, "SHIPPED", tmp_path / "shipped")
    for arguments in ((), ("default",)):
        with pytest.raises(BundleError, match="came without a model .*shipped.*sicmir train"):
            load_model(*arguments)
    bundle.save(tmp_path / "shipped")
    assert load_model().card == bundle.card
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match=r"model\.json is not there"):
        load_model(Path("default"))


def test_truncated_weights_are_refused(bundle, tmp_path):
    path = bundle.save(tmp_path / "a") / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(BundleError, match="expected SHA-256 .* found"):
        load_model(tmp_path / "a")


@pytest.mark.parametrize("position", [0, 60, -3])
def test_a_single_altered_byte_of_the_weights_is_refused(bundle, tmp_path, position):
    path = bundle.save(tmp_path / "a") / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BundleError, match="truncated or was altered|was altered"):
        load_model(tmp_path / "a")


def test_altered_truncated_or_foreign_description_is_refused(bundle, tmp_path):
    path = bundle.save(tmp_path / "a") / "model.json"
    good = path.read_text()
    swapped = json.loads(good)
    swapped["genes"][:2] = swapped["genes"][1::-1]
    for text, message in (
        (json.dumps(swapped), "altered after saving"),
        (good.replace('"units": "log2(RPM+1)"', '"units": "z-score"'), "altered after saving"),
        (re.sub(r'"trust_sha256": ".*"', '"trust_sha256": null', good), "altered after saving"),
        (good[:-20], "truncated or not a model description"),
        ("[]", "truncated or not a model description"),
        (good.replace('"format": 2', '"format": 1'), "expected bundle format 2, found 1.*train the model"),
        (good.replace('"format": 2', '"format": 99'), "expected bundle format 2, found 99"),
    ):
        assert text != good
        path.write_text(text)
        with pytest.raises(BundleError, match=message):
            load_model(tmp_path / "a")


def test_files_of_two_bundles_do_not_mix(bundle, tmp_path):
    """Even a consistently rewritten description does not pass for another bundle's weights."""
    other = replace(bundle, genes=bundle.genes[::-1])
    bundle.save(tmp_path / "a")
    other.save(tmp_path / "b")
    weights = (tmp_path / "a" / "weights.safetensors").read_bytes()
    (tmp_path / "b" / "weights.safetensors").write_bytes(weights)
    with pytest.raises(BundleError, match="SHA-256"):
        load_model(tmp_path / "b")
    stated = json.loads((tmp_path / "a" / "model.json").read_text())["weights_sha256"]
    rewrite(tmp_path / "b" / "model.json", weights_sha256=stated)
    with pytest.raises(BundleError, match="come from different bundles"):
        load_model(tmp_path / "b")


def test_options_of_another_model_do_not_pass_for_those_of_the_weights(bundle, tmp_path):
    path = bundle.save(tmp_path / "a") / "model.json"
    facts = json.loads(path.read_text())["predictor"]["facts"]
    rewrite(path, predictor={"kind": bundle.predictor.kind, "facts": facts | {"rate": 0.6}})
    with pytest.raises(BundleError, match="come from different bundles"):
        load_model(tmp_path / "a")


def test_a_bundle_whose_arrays_do_not_make_its_predictor_is_refused(bundle, tmp_path, monkeypatch):
    key, state = next(iter(bundle.predictor.state())), bundle.predictor.state()
    del state[key]
    monkeypatch.setattr(type(bundle.predictor), "state", lambda self: state)
    bundle.save(tmp_path / "a")
    with pytest.raises(BundleError, match=f"(?s)a: .*{re.escape(key.rpartition('.')[2])}"):
        load_model(tmp_path / "a")


def test_missing_files_are_named(bundle, tmp_path):
    with pytest.raises(BundleError, match=r"model\.json is not there"):
        load_model(tmp_path)
    (bundle.save(tmp_path / "a") / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"expected weights\.safetensors"):
        load_model(tmp_path / "a")


def test_save_replaces_a_bundle_only_when_asked_and_nothing_else_ever(bundle, tmp_path):
    bundle.save(tmp_path / "a")
    with pytest.raises(BundleError, match="already holds a bundle"):
        bundle.save(tmp_path / "a")
    replace(bundle, trust=None).save(tmp_path / "a", overwrite=True)
    assert load_model(tmp_path / "a").trust is None
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(BundleError, match="not an empty folder"):
        bundle.save(tmp_path / "mine", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "mine"]


def test_a_failed_save_leaves_the_old_bundle(bundle, tmp_path):
    bundle.save(tmp_path / "a")
    with pytest.raises(TypeError):
        replace(bundle, card={"not": {"json"}}).save(tmp_path / "a", overwrite=True)
    with pytest.raises(AttributeError):  # while files are being written
        bundle.save(tmp_path / "a", overwrite=True, tables={"broken": None})
    assert load_model(tmp_path / "a").card == bundle.card
    assert [p.name for p in tmp_path.iterdir()] == ["a"]

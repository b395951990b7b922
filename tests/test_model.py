import json

import numpy as np
import pytest
import safetensors.torch
import torch

from sicmir.architecture import SicmirNetwork, torch_threads
from sicmir.errors import BundleError, DataError, ParameterError
from sicmir.model import Bundle, load_model
from sicmir.normalise import InputTransform


@pytest.fixture
def bundle():
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    network = SicmirNetwork(7, 3, hidden=5)
    network(torch.randn(16, 7))  # moves the running statistics of batch normalisation off their defaults
    return Bundle(
        network=network.eval(),
        genes=[f"G{i}" for i in range(7)],
        mirnas=["hsa-miR-1", "hsa-miR-2", "hsa-miR-3"],
        level="mature",
        transform=InputTransform("frozen").fit(rng.normal(5, 2, (20, 7))),
        target_mean=np.array([1, 2, 3], np.float32),
        target_sd=np.array([0.5, 1, 2], np.float32),
        card={"seed": 3, "test_metrics": {"pearson": 0.5}},
    )


def samples(n=4):
    return np.random.default_rng(1).normal(5, 2, (n, 7)).astype(np.float32)


def test_has_the_parameters_of_the_published_network():
    network = SicmirNetwork(977, 1298)
    assert sum(p.numel() for p in network.parameters()) == 3_385_618


def test_forward_equals_the_formula_written_out(bundle):
    state = {k: v.double().numpy() for k, v in bundle.network.state_dict().items()}
    x = samples().astype(float)
    mean, sd = bundle.transform.state()["mean"], bundle.transform.state()["sd"]
    h = (x - mean) / sd
    for linear, norm in ((0, 2), (4, 6)):
        h = np.maximum(h @ state[f"layers.{linear}.weight"].T + state[f"layers.{linear}.bias"], 0)
        scale = state[f"layers.{norm}.weight"] / np.sqrt(state[f"layers.{norm}.running_var"] + 1e-5)
        h = (h - state[f"layers.{norm}.running_mean"]) * scale + state[f"layers.{norm}.bias"]
    expected = (h @ state["layers.8.weight"].T + state["layers.8.bias"]) * [0.5, 1, 2] + [1, 2, 3]
    np.testing.assert_allclose(bundle.predict_array(samples()), expected, rtol=1e-4, atol=1e-5)


def test_a_sample_is_predicted_alike_alone_and_in_company(bundle):
    together = bundle.predict_array(samples(64))
    alone = np.vstack([bundle.predict_array(row[None]) for row in samples(64)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


def test_a_missing_gene_counts_as_its_training_mean(bundle):
    x, filled = samples(), samples()
    x[:, 2] = np.nan
    filled[:, 2] = bundle.transform.state()["mean"][2]
    np.testing.assert_allclose(bundle.predict_array(x), bundle.predict_array(filled), rtol=1e-4, atol=1e-5)


def test_refuses_input_of_another_width_and_infinite_values(bundle):
    with pytest.raises(BundleError, match=r"samples × 7 genes, found shape \(4, 6\)"):
        bundle.predict_array(samples()[:, :6])
    x = samples()
    x[1, 2] = np.inf
    with pytest.raises(DataError, match="infinite"):
        bundle.predict_array(x)


def test_round_trip_is_bit_for_bit(bundle, tmp_path):
    loaded = load_model(bundle.save(tmp_path / "a"))
    assert (loaded.predict_array(samples()) == bundle.predict_array(samples())).all()
    assert (loaded.genes, loaded.mirnas, loaded.level) == (bundle.genes, bundle.mirnas, "mature")
    assert loaded.card == bundle.card
    again = loaded.save(tmp_path / "b")
    for file in ("weights.safetensors", "model.json"):
        assert (again / file).read_bytes() == (tmp_path / "a" / file).read_bytes()


def test_holds_no_pickle(bundle, tmp_path):
    folder = bundle.save(tmp_path / "a")
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "weights.safetensors"]
    json.loads((folder / "model.json").read_text())
    safetensors.torch.load_file(folder / "weights.safetensors")


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
        (good[:-20], "truncated or not a model description"),
        ("[]", "truncated or not a model description"),
        (good.replace('"format": 1', '"format": 99'), "expected bundle format 1, found 99"),
    ):
        path.write_text(text)
        with pytest.raises(BundleError, match=message):
            load_model(tmp_path / "a")


def test_files_of_two_bundles_do_not_mix(bundle, tmp_path):
    """Even a consistently rewritten description does not pass for another bundle's weights."""
    from dataclasses import replace

    other = replace(bundle, genes=bundle.genes[::-1])
    bundle.save(tmp_path / "a")
    other.save(tmp_path / "b")
    weights = (tmp_path / "a" / "weights.safetensors").read_bytes()
    (tmp_path / "b" / "weights.safetensors").write_bytes(weights)
    with pytest.raises(BundleError, match="SHA-256"):
        load_model(tmp_path / "b")


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
    bundle.save(tmp_path / "a", overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(BundleError, match="not an empty folder"):
        bundle.save(tmp_path / "mine", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "mine"]


def test_a_failed_save_leaves_the_old_bundle(bundle, tmp_path):
    from dataclasses import replace

    bundle.save(tmp_path / "a")
    with pytest.raises(TypeError):
        replace(bundle, card={"not": {"json"}}).save(tmp_path / "a", overwrite=True)
    assert load_model(tmp_path / "a").card == bundle.card
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_threads_come_from_the_environment_and_are_given_back(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("SICMIR_THREADS", "2")
    with torch_threads():
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before
    monkeypatch.setenv("SICMIR_THREADS", "many")
    with pytest.raises(ParameterError, match="SICMIR_THREADS.*'many'"), torch_threads():
        pass

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from sicmir.errors import BundleError, DataError, ParameterError
from sicmir.learning.architecture import SicmirNetwork, torch_threads
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.predictors import NetworkPredictor, predictor_class
from sicmir.matrices.normalise import InputTransform
from sicmir.model import Bundle


@pytest.fixture
def predictor():
    torch.manual_seed(0)
    network = SicmirNetwork(7, 3, hidden=5)
    network(torch.randn(16, 7))  # moves the running statistics of batch normalisation off their defaults
    return NetworkPredictor(
        network.eval(),
        InputTransform("frozen").fit(np.random.default_rng(0).normal(5, 2, (20, 7))),
        target_mean=np.array([1, 2, 3], np.float32),
        target_sd=np.array([0.5, 1, 2], np.float32),
    )


def samples(n=4):
    return np.random.default_rng(1).normal(5, 2, (n, 7)).astype(np.float32)


def test_has_the_parameters_of_the_published_network():
    network = SicmirNetwork(977, 1298)
    assert sum(p.numel() for p in network.parameters()) == 3_385_618


def test_forward_equals_the_formula_written_out(predictor):
    state = {k: v.double().numpy() for k, v in predictor.network.state_dict().items()}
    x = samples().astype(float)
    mean, sd = predictor.transform.state()["mean"], predictor.transform.state()["sd"]
    h = (x - mean) / sd
    for linear, norm in ((0, 2), (4, 6)):
        h = np.maximum(h @ state[f"layers.{linear}.weight"].T + state[f"layers.{linear}.bias"], 0)
        scale = state[f"layers.{norm}.weight"] / np.sqrt(state[f"layers.{norm}.running_var"] + 1e-5)
        h = (h - state[f"layers.{norm}.running_mean"]) * scale + state[f"layers.{norm}.bias"]
    expected = (h @ state["layers.8.weight"].T + state["layers.8.bias"]) * [0.5, 1, 2] + [1, 2, 3]
    np.testing.assert_allclose(predictor.predict(samples()), expected, rtol=1e-4, atol=1e-5)
    assert predictor.predict(samples()).dtype == np.float32


def test_a_sample_is_predicted_alike_alone_and_in_company(predictor):
    together = predictor.predict(samples(64))
    alone = np.vstack([predictor.predict(row[None]) for row in samples(64)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


def test_a_missing_gene_counts_as_its_training_mean(predictor):
    x, filled = samples(), samples()
    x[:, 2] = np.nan
    filled[:, 2] = predictor.transform.state()["mean"][2]
    np.testing.assert_allclose(predictor.predict(x), predictor.predict(filled), rtol=1e-4, atol=1e-5)


def test_infinite_values_are_refused(predictor):
    x = samples()
    x[1, 2] = np.inf
    with pytest.raises(DataError, match="infinite"):
        predictor.predict(x)


def test_facts_and_state_rebuild_the_network(predictor):
    facts, state = json.loads(json.dumps(predictor.facts())), predictor.state()
    again = NetworkPredictor.from_state(facts, state)
    np.testing.assert_array_equal(again.predict(samples()), predictor.predict(samples()))
    assert again.facts() == facts
    # Neither shares memory with the arrays.
    before = predictor.predict(samples())
    for array in state.values():
        array[...] = 0
    for either in (predictor, again):
        np.testing.assert_array_equal(either.predict(samples()), before)


def test_facts_and_arrays_that_do_not_belong_together_are_refused(predictor):
    facts, state = predictor.facts(), predictor.state()
    wider = facts | {"architecture": facts["architecture"] | {"n_mirnas": 4}}
    for wrong_facts, wrong_state, told in (
        (wider, state, r"layers\.8\.weight"),
        (facts | {"architecture": {"n_genes": 7}}, state, "n_mirnas"),
        (facts | {"transform": "none"}, state, "no input transform 'none'"),
        ({"transform": "frozen"}, state, "architecture"),
        (facts, state | {"target.sd": np.ones(1, np.float32)}, r"\(3,\) and \(1,\)"),
        (facts, state | {"target.mean": np.ones((3, 1), np.float32)}, r"\(3, 1\) and \(3,\)"),
        (facts, state | {"transform.mean": np.ones(6)}, "'mean' of the input transform"),
        (facts, state | {"extra.x": np.ones(6)}, "found .*'extra'"),
        (facts | {"transform": "rank"}, state | {"transform.n_genes": np.asarray(6)}, r"n_genes"),
        (facts, {k: v for k, v in state.items() if k != "target.sd"}, "'sd'"),
        (facts, {k: v for k, v in state.items() if k != "network.layers.0.bias"}, r"layers\.0\.bias"),
    ):
        with pytest.raises(BundleError, match=told):
            NetworkPredictor.from_state(wrong_facts, wrong_state)
    ranks = {k: v for k, v in state.items() if not k.startswith("transform.")}
    with pytest.raises(BundleError, match="7 genes and 3 miRNAs; its transform has 6 genes"):
        NetworkPredictor.from_state(
            facts | {"transform": "rank"}, ranks | {"transform.n_genes": np.asarray(6)}
        )


def test_every_kind_is_found_by_its_name():
    for kind, expected in (("network", NetworkPredictor), ("kernel", MaskedKernelRidge)):
        assert predictor_class(kind) is expected
        assert expected.kind == kind
    with pytest.raises(BundleError, match="no predictor of the kind 'forest'; expected kernel or network"):
        predictor_class("forest")


def test_a_kernel_bundle_needs_no_torch(toy_pair, predictor, tmp_path):
    X, Y, obs = toy_pair[0].X[:, :7], toy_pair[1].X[:, :3], toy_pair[1].obs
    kernel = MaskedKernelRidge().fit(X, Y, obs)
    for name, held in (("kernel", kernel), ("network", predictor)):
        genes, mirnas = [f"G{i}" for i in range(7)], ["a", "b", "c"]
        Bundle(held, genes, mirnas, "mature", "log2(RPM+1)").save(tmp_path / name)
    np.save(tmp_path / "x.npy", X)
    code = (
        "import sys, numpy as np, sicmir\n"
        "X = np.load(sys.argv[1] + '/x.npy')\n"
        "for name in ('kernel', 'network'):\n"
        "    bundle = sicmir.load_model(f'{sys.argv[1]}/{name}')\n"
        "    np.save(f'{sys.argv[1]}/{name}.npy', bundle.predict_array(X))\n"
        "    print(name, 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "kernel False\nnetwork True\n"
    np.testing.assert_allclose(np.load(tmp_path / "kernel.npy"), kernel.predict(X), atol=1e-4)


def test_threads_come_from_the_environment_and_are_given_back(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("SICMIR_THREADS", "2")
    with torch_threads():
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before
    monkeypatch.setenv("SICMIR_THREADS", "many")
    with pytest.raises(ParameterError, match="SICMIR_THREADS.*'many'"), torch_threads():
        pass

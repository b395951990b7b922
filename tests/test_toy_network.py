import numpy as np
import pytest

from sicmir.errors import ParameterError
from sicmir.synthetic.toy_network import planted_network, predicted_from_noise, unrelated


def test_the_table_is_right_for_every_second_mirna():
    _, mirna, targets = planted_network(3, 5, n_mirnas=20, n_genes=1500, true_share=0.5)
    truth = set(map(tuple, mirna.uns["truth"]["targets"][["mirna", "gene"]].to_numpy()))
    planted = np.array([tuple(row) in truth for row in targets[["mirna", "gene"]].to_numpy()])
    assert (targets["true"] == planted).all()
    share = targets.groupby("mirna")["true"].mean()
    hub = targets.groupby("mirna")["hub"].first()
    assert hub[mirna.var_names].tolist() == [True, False] * 10
    assert share[hub].min() >= 0.45
    assert share[~hub].mean() < 0.3
    assert not targets.duplicated(["mirna", "gene"]).any()
    for options in ({"true_share": 2}, {"together": -1}):
        with pytest.raises(ParameterError, match="should lie between 0 and 1"):
            planted_network(**options)


def test_targets_can_be_expressed_together():
    def likeness(together):
        mrna, _, targets = planted_network(
            1, 20, 1, n_mirnas=20, n_genes=1800, true_share=0, together=together
        )
        names = targets.groupby("mirna")["gene"].agg(list)
        table = mrna.to_df()
        return np.mean(
            [np.corrcoef(table[genes].T)[np.triu_indices(len(genes), 1)].mean() for genes in names]
        )

    assert likeness(1.0) > likeness(0.0) + 0.2


def test_unrelated_mirna_is_of_other_donors_of_the_cohort():
    _, mirna, _ = planted_network(3, 10, n_mirnas=20, n_genes=1200)
    shuffled = unrelated(mirna, seed=1)
    before, after = mirna.to_df(), shuffled.to_df()
    assert not before.equals(after)
    for names in mirna.obs.groupby("cohort").groups.values():
        one, two = (np.sort(frame.loc[names], axis=0) for frame in (before, after))
        np.testing.assert_array_equal(one, two)


def test_predictions_read_the_landmarks_of_the_noise_alone():
    predicted, noise, targets = predicted_from_noise(4, n_donors=60, n_mirnas=5)
    landmarks, others = noise.X[:, :977], noise.X[:, 977:]
    assert np.linalg.matrix_rank(landmarks) == 60
    assert set(targets["inside"]["gene"]) <= set(noise.var_names[:977])
    assert set(targets["outside"]["gene"]) <= set(noise.var_names[977:])
    r = {
        side: np.corrcoef(predicted.X[:, 0], noise[:, table["gene"][:20].tolist()].X.T)[0, 1:]
        for side, table in targets.items()
    }
    assert r["inside"].mean() < -0.1
    assert abs(r["outside"].mean()) < 0.1
    off = np.corrcoef(others[:, :300].T)[np.triu_indices(300, 1)]
    assert off.std() == pytest.approx(1 / np.sqrt(59), rel=0.1)
    again = predicted_from_noise(4, n_donors=60, n_mirnas=5)[0]
    np.testing.assert_array_equal(predicted.X, again.X)

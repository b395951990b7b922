import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sicmir.errors import DataError, ParameterError
from sicmir.learning import splits
from sicmir.learning.splits import Split


def samples(n_donors=40, n_cohorts=3, seed=0):
    """Tumours of every donor, a second sample of every third, rows in no order."""
    rng = np.random.default_rng(seed)
    donors = [f"D{i:03d}" for i in range(n_donors)]
    frame = pd.DataFrame({"donor": donors + donors[::3]})
    frame["cohort"] = [f"C{int(d[1:]) % n_cohorts}" for d in frame["donor"]]
    frame = frame.iloc[rng.permutation(len(frame))]
    return frame.set_axis([f"S{i}" for i in range(len(frame))])


def donors(obs, rows):
    return set(obs["donor"].iloc[rows])


@settings(max_examples=25, deadline=None)
@given(st.integers(10, 60), st.integers(1, 6), st.integers(2, 5), st.integers(0, 99))
def test_folds_test_each_sample_once_and_never_share_a_donor(n_donors, n_cohorts, n_splits, seed):
    obs = samples(n_donors, n_cohorts, seed)
    folds = splits.donor_folds(obs, n_splits, seed)
    assert len(folds) == n_splits
    np.testing.assert_array_equal(np.sort(np.concatenate([f.test for f in folds])), np.arange(len(obs)))
    for fold in folds:
        assert not donors(obs, fold.train) & donors(obs, fold.test)
        assert len(fold.train) + len(fold.test) == len(obs)


def test_folds_are_stratified_and_seeded():
    obs = samples(150)
    folds, again, other = (splits.donor_folds(obs, 5, seed) for seed in (3, 3, 4))
    for fold, same in zip(folds, again, strict=True):
        np.testing.assert_array_equal(fold.test, same.test)
        counts = obs["cohort"].iloc[fold.test].value_counts()
        assert ((counts - obs["cohort"].value_counts() / 5).abs() <= 2).all()
    assert any(not np.array_equal(a.test, b.test) for a, b in zip(folds, other, strict=True))


def test_categories_as_read_from_a_file_give_the_same_splits():
    plain, categories = (
        [*splits.donor_folds(obs), splits.holdout(obs), *splits.leave_one_cohort_out(obs)]
        for obs in (samples(), samples().astype("category"))
    )
    for split, same in zip(plain, categories, strict=True):
        np.testing.assert_array_equal(split.train, same.train)
        np.testing.assert_array_equal(split.test, same.test)


def test_donors_are_grouped_over_data_sets():
    one, two = samples().assign(dataset="a"), samples(seed=1).assign(dataset="b")
    both = pd.concat([one, two.set_axis("T" + two.index)])
    for fold in splits.donor_folds(both, 4):
        assert not donors(both, fold.train) & donors(both, fold.test)


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 90), st.integers(1, 4), st.floats(0.1, 0.6), st.integers(0, 99))
def test_holdout_takes_the_fraction_of_every_cohort(n_donors, n_cohorts, fraction, seed):
    obs = samples(n_donors, n_cohorts, seed)
    split = splits.holdout(obs, fraction, seed)
    assert not donors(obs, split.train) & donors(obs, split.test)
    assert len(split.train) + len(split.test) == len(obs)
    for _, group in obs.groupby("cohort"):
        in_test = len(donors(obs, split.test) & set(group["donor"]))
        assert abs(in_test - fraction * group["donor"].nunique()) <= 1 + 1e-6
    np.testing.assert_array_equal(split.test, splits.holdout(obs, fraction, seed).test)


def test_leave_one_cohort_out_drops_the_other_samples_of_its_donors():
    obs = samples()
    traveller = obs.index[obs["cohort"] == "C0"][0]
    extra = obs.loc[[traveller]].assign(cohort="C1").set_axis(["EXTRA"])
    obs = pd.concat([obs, extra])
    found = {split.name: split for split in splits.leave_one_cohort_out(obs)}
    assert list(found) == ["without-C0", "without-C1", "without-C2"]
    for cohort in ("C0", "C1", "C2"):
        split = found[f"without-{cohort}"]
        assert set(obs["cohort"].iloc[split.test]) == {cohort}
        assert cohort not in set(obs["cohort"].iloc[split.train])
        assert not donors(obs, split.train) & donors(obs, split.test)
    unused = set(range(len(obs))) - {*found["without-C0"].train, *found["without-C0"].test}
    assert unused == {len(obs) - 1}


def test_an_unseen_condition_is_tested_and_never_trained_on():
    obs = samples()
    obs["condition"] = np.where(obs.groupby("donor").cumcount() == 0, "untreated", "treated")
    plain, folds = splits.donor_folds(obs, 4, 2), splits.unseen_condition(obs, "treated", 4, 2)
    for fold, split in zip(plain, folds, strict=True):
        np.testing.assert_array_equal(split.test, fold.test)
        expected = [row for row in fold.train if obs["condition"].iloc[row] == "untreated"]
        np.testing.assert_array_equal(split.train, expected)
        assert not donors(obs, split.train) & donors(obs, split.test)
    absent = splits.unseen_condition(obs, "knocked down", 4, 2)
    np.testing.assert_array_equal(absent[0].train, plain[0].train)
    with pytest.raises(DataError, match="train side of the split 'fold-1-without-x' is empty"):
        splits.unseen_condition(obs.assign(condition="x"), "x", 4)
    with pytest.raises(DataError, match="no column 'condition'"):
        splits.unseen_condition(samples(), "x", 4)


def test_a_leak_is_named():
    obs = pd.DataFrame({"donor": ["A", "A", "B", "C"], "cohort": "X"}, index=list("abcd"))
    splits.assert_no_leak(Split("good", np.array([0, 1]), np.array([2, 3])), obs)
    with pytest.raises(DataError, match=r"1 donors \(and 0 identical samples\).*example A\."):
        splits.assert_no_leak(Split("donor", np.array([0, 2]), np.array([1, 3])), obs)
    with pytest.raises(DataError, match=r"1 donors \(and 1 identical samples\).*example B\."):
        splits.assert_no_leak(Split("sample", np.array([0, 2]), np.array([2, 3])), obs)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([], [1], "train side.*is empty"),
        ([0], [4], "below 4"),
        ([0], [-1], "below 4"),
        ([0, 0], [2], "row twice"),
        ([0.0], [1.0], "row positions"),
    ],
)
def test_a_malformed_split_is_refused(train, test, message):
    obs = pd.DataFrame({"donor": ["A", "A", "B", "C"]})
    with pytest.raises(DataError, match=message):
        splits.assert_no_leak(Split("odd", np.array(train), np.array(test)), obs)


def test_table_records_every_side():
    obs = pd.DataFrame({"donor": ["A", "B", "C"], "cohort": ["X", "X", "Y"]}, index=["a", "b", "c"])
    table = splits.table([Split("s", np.array([0]), np.array([2]))], obs)
    assert table.to_dict("list") == {
        "split": ["s"] * 3,
        "sample": ["a", "b", "c"],
        "donor": ["A", "B", "C"],
        "cohort": ["X", "X", "Y"],
        "side": ["train", "unused", "test"],
    }


def test_bad_labels_and_options_are_refused():
    obs = samples(6)
    with pytest.raises(DataError, match=r"no column 'cohort'.*donor"):
        splits.donor_folds(obs[["donor"]])
    with pytest.raises(DataError, match=r"1 samples have no donor \(first: S2\)"):
        splits.holdout(obs.assign(donor=obs["donor"].where(obs.index != "S2")))
    with pytest.raises(DataError, match="have no cohort"):
        splits.leave_one_cohort_out(obs.assign(cohort=""))
    with pytest.raises(DataError, match="at least 7 donors, found 6"):
        splits.donor_folds(obs, 7)
    with pytest.raises(ParameterError, match="at least 2"):
        splits.donor_folds(obs, 1)
    with pytest.raises(ParameterError, match="between 0 and 1"):
        splits.holdout(obs, 1.0)
    with pytest.raises(DataError, match="one side empty"):
        splits.holdout(obs, 1e-6)
    with pytest.raises(DataError, match="only C0"):
        splits.leave_one_cohort_out(obs[obs["cohort"] == "C0"])
    with pytest.raises(DataError, match="no sample"):
        splits.donor_folds(obs[:0])

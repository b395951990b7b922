"""Moments joined part by part are those of numpy on all values at once."""

import numpy as np
import pytest

from sicmir.streams.group_summary import Moments


@pytest.mark.parametrize("mean", [0, 1e7])
@pytest.mark.parametrize("size", [1, 7, 200])
def test_moments_are_those_of_numpy(mean, size):
    rng = np.random.default_rng(0)
    values = (mean + rng.normal(0, 1, (200, 5))).astype(np.float64)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:, 4] = np.nan
    group = rng.integers(-1, 3, 200)
    group[group == 2] = np.where(np.arange((group == 2).sum()) == 0, 2, -1)  # one value
    moments = Moments(4, 5)  # the last group has none
    for start in range(0, 200, size):
        moments.add(values[start : start + size], group[start : start + size])
    for i in range(4):
        part = values[group == i]
        count = (~np.isnan(part)).sum(axis=0)
        assert moments.count[i].tolist() == count.tolist()
        for j in np.flatnonzero(count):
            known = part[~np.isnan(part[:, j]), j]
            assert moments.mean[i, j] == pytest.approx(known.mean(), rel=1e-14)
            if len(known) > 1:  # from float64 values near 1e7, a variance has 9 digits at best
                assert moments.variance[i, j] == pytest.approx(known.var(ddof=1), rel=1e-8)
        assert np.isnan(moments.variance[i, count < 2]).all()

"""A small kernel model of synthetic samples with all the parts of the shipped one, and samples to predict."""

from functools import cache

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from sicmir import panel, toy
from sicmir.learning import conformal
from sicmir.learning.domain import Domain
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.rescale import Rescale
from sicmir.matrices.units import TRAINING_TOTAL
from sicmir.model import Bundle

N_GENES, N_MIRNAS = 6000, 24
LANDMARKS = panel.landmarks()["symbol"].tolist()


@cache
def pair():
    """Linear values whose rows add up to the library size of the training data, and log2(RPM+1) of miRNA."""
    mrna, mirna = toy.paired_bulk(50, 2, N_GENES, N_MIRNAS, normal_fraction=0, seed=1)
    linear = np.exp2(mrna.X.astype(np.float64)) - 1
    mrna.X = linear / linear.sum(axis=1, keepdims=True) * TRAINING_TOTAL
    return mrna, mirna


def halves():
    """Rows of the training donors and of the others."""
    rows = np.arange(pair()[0].n_obs)
    return rows[rows % 3 > 0], rows[rows % 3 == 0]


def landmarks(rows):
    """Rows × 977, log2(x+1) in the units of the training data."""
    return np.log2(pair()[0].X[rows, : len(LANDMARKS)] + 1).astype(np.float32)


@cache
def bundle():
    mirna = pair()[1]
    train, test = halves()
    obs = mirna.obs.iloc[train]
    predictor = MaskedKernelRidge().fit(landmarks(train), mirna.X[train], obs).compress(2)
    predicted, spread = predictor.predict_with_spread(landmarks(test))
    observed = mirna.to_df().iloc[test]
    frame = pd.DataFrame(predicted, observed.index, observed.columns)
    widths = conformal.half_widths(
        observed, frame, mirna.obs["donor"].iloc[test].to_numpy(), level=0.8, spread=spread
    )
    trust = pd.DataFrame(
        {
            "half_width": widths,
            "grade": np.resize(["A", "B", "D"], N_MIRNAS),
            "mature": np.resize(["toy-miR-5p", ""], N_MIRNAS),
        },
        index=pd.Index(mirna.var_names, name="mirna"),
    )
    return Bundle(
        predictor=predictor,
        genes=LANDMARKS,
        mirnas=list(mirna.var_names),
        level="mature",
        units="log2(RPM+1)",
        trust=trust,
        domain=Domain(n_splits=2).fit(landmarks(train), obs["donor"].to_numpy()),
        rescale=Rescale().fit(landmarks(train)),
        card={"interval_level": 0.8, "training_data": {"synthetic": True}},
    )


def samples(form=np.asarray, per=TRAINING_TOTAL, logarithm=None, **parts):
    """Donors that were not trained on: linear values of rows that add up to ``per``, or their logarithm."""
    mrna = pair()[0]
    _, test = halves()
    values = mrna.X[test] * (per / TRAINING_TOTAL)
    values = form((logarithm(values) if logarithm else values).astype(np.float32))
    return ad.AnnData(values, obs=mrna.obs.iloc[test].copy(), var=mrna.var.copy(), **parts)


def counts(seed=0, depth=2e6):
    """The same samples as sparse counts of uneven depth."""
    adata = samples()
    rng = np.random.default_rng(seed)
    depths = depth * rng.lognormal(0, 0.3, (adata.n_obs, 1))
    adata.X = sparse.csr_matrix(np.round(adata.X * (depths / TRAINING_TOTAL)), dtype=np.float32)
    return adata

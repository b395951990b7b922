"""The small model with a whole trust table, and cells of three donors whose pools it knows."""

from dataclasses import replace
from functools import cache

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from small_model import bundle as small_bundle
from small_model import pair, samples


@cache
def bundle():
    trust = small_bundle().trust
    return replace(
        small_bundle(),
        trust=trust.assign(
            mean_log2_rpm=pair()[1].X.mean(axis=0),
            within_r=np.linspace(0.2, 0.8, len(trust)),
            unseen_within_r=np.linspace(0.1, 0.7, len(trust)),
            single_cell_r=np.nan,
            n_cell_types=0,
        ),
    )


def cells(n_cells=12, depth=2e5, seed=0):
    """Cells × genes, counts: six pools, each one sample that the model did not see, cut into cells."""
    mrna = samples()[:6]
    share = mrna.X / mrna.X.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    counts = sparse.csr_matrix(rng.poisson(np.repeat(share, n_cells, axis=0) * depth).astype(np.float32))
    labels = [(f"d{i // 2}", f"type {i % 2}") for i in range(6)]
    obs = pd.DataFrame(np.repeat(labels, n_cells, axis=0), columns=["donor", "cell_type"])
    obs.index = [f"c{i}" for i in range(len(obs))]
    adata = ad.AnnData(counts, obs=obs, var=mrna.var[[]].copy())
    adata.uns["sicmir"] = {"units": "UMI counts", "dataset": "toy", "synthetic": True}
    return adata

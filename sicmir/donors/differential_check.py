"""Hold a table of differential miRNAs against a plain analysis, and predicted ones against measured ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import spearmanr, ttest_rel

from sicmir.donors import contrasts
from sicmir.donors.mirna_findings import adjusted, check_fdr
from sicmir.errors import DataError, ParameterError

_ROW = ["cell_type", "mirna"]


def against_paired_t(
    result: pd.DataFrame,
    adata: AnnData,
    condition_key: str,
    case: str,
    reference: str,
    donor_key: str = "donor",
    fdr: float = 0.05,
) -> pd.Series:
    """Compare a paired result with ``scipy.stats.ttest_rel`` of each miRNA, which moderates nothing.

    Parameters
    ----------
    result
        As :func:`sicmir.stats.differential` gives it for ``adata``, without cell types or covariates, with
        ``paired="paired"`` or where all donors have both conditions.
    adata
        Bulk samples x miRNAs, log2(RPM+1).
    condition_key, case, reference, donor_key
        As for the result.
    fdr
        Largest q of a finding, for both.

    Returns
    -------
    Series
        Of the miRNAs that were tested by both: ``n_mirnas``; ``n_pairs``; ``largest_effect_difference``,
        log2; Spearman correlations of effects and of statistics, ``effect_spearman`` and
        ``statistic_spearman``; ``n_findings`` of the result, ``n_findings_t``, and ``n_findings_both``.

    Raises
    ------
    DataError
        If the result is not paired, has several cell types or other miRNAs, or nothing was tested by both.
    ParameterError
        If ``fdr`` is out of range.
    """
    check_fdr(fdr)
    if len(set(result["cell_type"])) != 1 or set(result["design"]) != {"paired"}:
        raise DataError("Expected a paired result of one cell type; call differential with paired='paired'.")
    if set(result["mirna"]) != set(adata.var_names):
        raise DataError("The result is not of the miRNAs of these samples.")
    values = adata.to_df().astype(np.float64)
    labels = [adata.obs[donor_key].astype(str), adata.obs[condition_key].astype(str)]
    means = values.groupby([label.to_numpy() for label in labels]).mean()
    sides = [means.xs(name, level=1) for name in (case, reference)]
    donors = sides[0].index.intersection(sides[1].index)
    pair = [side.loc[donors, result["mirna"]].to_numpy() for side in sides]
    with np.errstate(invalid="ignore", divide="ignore"):
        plain = ttest_rel(*pair, nan_policy="omit")
    p = np.where(result["tested"], np.ma.filled(np.ma.asarray(plain.pvalue), np.nan), np.nan)
    both = np.isfinite(p)
    if not both.any():
        raise DataError(f"No miRNA was tested both ways; there are {len(donors)} pairs.")
    effect = np.nanmean(pair[0][:, both] - pair[1][:, both], axis=0)
    ours, theirs = (adjusted(side[both]) <= fdr for side in (result["p"].to_numpy(), p))
    statistic = np.ma.filled(np.ma.asarray(plain.statistic), np.nan)[both]
    return pd.Series(
        {
            "n_mirnas": int(both.sum()),
            "n_pairs": len(donors),
            "largest_effect_difference": float(np.abs(effect - result.loc[both, "effect"]).max()),
            "effect_spearman": spearmanr(effect, result.loc[both, "effect"]).statistic,
            "statistic_spearman": spearmanr(statistic, result.loc[both, "statistic"]).statistic,
            "n_findings": int(ours.sum()),
            "n_findings_t": int(theirs.sum()),
            "n_findings_both": int((ours & theirs).sum()),
        }
    )


def predicted_against_measured(
    predicted: pd.DataFrame, measured: pd.DataFrame, k: int = 20, fdr: float = 0.05
) -> pd.Series:
    """Say how far differences of predicted miRNAs are those of measured ones.

    Parameters
    ----------
    predicted, measured
        As :func:`sicmir.stats.differential` gives them for the same comparison; rows are matched by cell type
        and miRNA, greyed miRNAs are left out, and the rest are corrected anew within what both have.
    k
        For ``top_k_recall`` of :func:`sicmir.donors.contrasts.agreement`.
    fdr
        Largest q of a finding, for both.

    Returns
    -------
    Series
        What :func:`sicmir.donors.contrasts.agreement` gives for the effects; ``slope`` of predicted on
        measured effects through 0, below 1 where predictions are drawn to the mean; ``n_measured`` and
        ``n_predicted`` findings; ``confirmed``, the share of predicted findings that are findings of the same
        sign when measured; ``found``, the share of measured findings that are findings of the same sign when
        predicted.

    Raises
    ------
    DataError
        If the tables share no row, or hold one twice.
    ParameterError
        If ``fdr`` or ``k`` is out of range.
    """
    check_fdr(fdr)
    sides = [
        table[~table["greyed"] & table["effect"].notna()].set_index(_ROW) for table in (predicted, measured)
    ]
    if any(side.index.has_duplicates for side in sides):
        raise DataError("A table holds a miRNA of a cell type twice; expected one comparison in each.")
    shared = sides[0].index.intersection(sides[1].index)
    if not len(shared):
        raise DataError("The tables share no cell type and miRNA; are both mature, or both stem-loops?")
    if k > len(shared):
        raise ParameterError(
            f"k should be at most the {len(shared)} miRNAs that both tables have; found {k}."
        )
    guess, truth = (side.loc[shared] for side in sides)
    agreement = contrasts.agreement(truth, guess, k)
    calls = [(adjusted(side["p"]) <= fdr) for side in (guess, truth)]
    same = np.sign(guess["effect"]).to_numpy() == np.sign(truth["effect"]).to_numpy()
    both = (calls[0] & calls[1] & same).sum()
    more = {
        "slope": (guess["effect"] * truth["effect"]).sum() / (truth["effect"] ** 2).sum(),
        "n_measured": int(calls[1].sum()),
        "n_predicted": int(calls[0].sum()),
        "confirmed": both / calls[0].sum() if calls[0].any() else np.nan,
        "found": both / calls[1].sum() if calls[1].any() else np.nan,
    }
    return pd.concat([agreement, pd.Series(more)])

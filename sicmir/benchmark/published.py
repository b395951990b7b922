"""The authors' network as an ordinary bundle, and its check against their own output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from sicmir import data, panel
from sicmir.benchmark.published_weights import N_GENES, N_MIRNAS, Weights, read_weights
from sicmir.data.manifest import FileEntry
from sicmir.errors import BundleError, DataError
from sicmir.learning.architecture import LayerOrder, SicmirNetwork, torch_threads
from sicmir.learning.predictors import NetworkPredictor
from sicmir.matrices.normalise import InputTransform
from sicmir.model import Bundle
from sicmir.names.gene_names import find_landmark

DATASET = "sicmir-published"
COMMIT = "f5b046b6ff5eaf6600138ec6770be3da26184989"
TOLERANCE = 1e-3
"""Largest absolute difference from the authors' output, in z units, that counts as reproduced."""

_WEIGHTS, _GENES, _MIRNAS = "DNN_miRNA.pth", "L1000gene.csv", "1298miRNA.csv"
# Input, whether it is z-scored already, and the authors' output for it.
_PAIRS = {
    "demo": ("test_mRNA.csv", True, "predicted_miRNA.csv"),
    "glioblastoma": ("extracted_unzscore_mRNA.csv", False, "predicted_GSE64465_miRNA.csv"),
}


@dataclass(frozen=True, eq=False)
class Verification:
    """Outcome of :func:`verify_published`.

    Attributes
    ----------
    bundle
        The network in the order that reproduces the authors' output.
    order
        That order.
    file_order
        Order that the weights file itself gives.
    table
        One row per order and pair of files: order, pair, n_samples, max_difference, median_difference
        (absolute, in z units), reproduced.
    """

    bundle: Bundle
    order: LayerOrder
    file_order: LayerOrder
    table: pd.DataFrame


def import_published(
    weights: str | Path = "", order: LayerOrder | None = None, progress: bool = True
) -> Bundle:
    """Make an ordinary bundle of the published network.

    The bundle has the transform ``cohort`` (z-score within the submitted samples, population SD, as
    published), and its predictions are **z-scores** of the authors' training targets, not log2(RPM+1): mean
    and SD of those targets were not published.

    Parameters
    ----------
    weights
        File; "" fetches the one of the manifest.
    order
        Order of ReLU and batch normalisation; by default that of the file.
    progress
        Show a bar for downloads.

    Raises
    ------
    BundleError
        As :func:`read_weights`, or if the gene names are not those of the panel or the miRNA names not 1,298
        different ones.
    ParameterError
        If there is no such order.
    UnreachableError, FetchError
        If a file cannot be had.

    References
    ----------
    Cai et al., Advanced Science 2026, doi:10.1002/advs.202514446.
    """
    found = read_weights(weights or data.fetch_file(_entry(_WEIGHTS), progress))
    return _bundle(_network(found, order, progress), found, progress)


def verify_published(
    weights: str | Path = "", tolerance: float = TOLERANCE, progress: bool = True
) -> Verification:
    """Compare the published network with the authors' own output, in every order of layers.

    Two pairs of files are compared: their demonstration, whose input is z-scored already and goes into
    the network as it is; and their glioblastoma pseudobulks, which go through the whole bundle.
    The demonstration decides.

    Parameters
    ----------
    weights
        File; "" fetches the one of the manifest.
    tolerance
        Largest absolute difference, in z units, that counts as reproduced.
    progress
        Show a bar for downloads.

    Raises
    ------
    BundleError
        As :func:`import_published`, or if no order reproduces the demonstration.
    DataError
        If an output of the authors has other samples or miRNAs than its input and the list of names.
    UnreachableError, FetchError
        If a file cannot be had.
    """
    if not weights:
        weights = data.fetch(DATASET, progress)[_entry(_WEIGHTS).name]
    found = read_weights(weights)
    networks = {order: _network(found, order, progress) for order in get_args(LayerOrder)}
    bundles = {order: _bundle(network, found, progress) for order, network in networks.items()}
    rows = []
    for pair, (source, scored, golden) in _PAIRS.items():
        inputs = panel.align(_load(source, progress))
        expected = _expected(_load(golden, progress), golden, inputs, source, bundles[found.order].mirnas)
        for order, bundle in bundles.items():
            predicted = _run(networks[order], inputs.X) if scored else bundle.predict_array(inputs.X)
            difference = np.abs(predicted - expected)
            rows.append((order, pair, len(predicted), float(difference.max()), float(np.median(difference))))
    columns = ["order", "pair", "n_samples", "max_difference", "median_difference"]
    table = pd.DataFrame(rows, columns=columns)
    table["reproduced"] = table["max_difference"] <= tolerance
    demo = table[table["pair"] == "demo"]
    best = demo.loc[demo["max_difference"].idxmin()]
    if not best["reproduced"]:
        raise BundleError(
            f"{weights}: no order of layers reproduces {_PAIRS['demo'][2]} to {tolerance:g}. The nearest is "
            f"{best['order']!r} with a largest difference of {best['max_difference']:.3g} (median "
            f"{best['median_difference']:.3g}); the file says {found.order!r}. Is this the authors' file?"
        )
    return Verification(bundles[best["order"]], best["order"], found.order, table)


def _entry(name: str) -> FileEntry:
    files = data.load_manifest()[DATASET].files
    return next(entry for entry in files if entry.name == f"{DATASET}/{name}")


def _load(name: str, progress: bool) -> AnnData:
    entry = _entry(name)
    return data.read(data.fetch_file(entry, progress), str(entry.reader), **entry.arguments)


def _names(name: str, expected: int, progress: bool) -> list[str]:
    """First column of a list of names. The second one of the genes is not used: some aliases are wrong."""
    path = data.fetch_file(_entry(name), progress)
    names = pd.read_csv(path, header=None, encoding="utf-8-sig", dtype=str)[0].str.strip()
    if len(names) != expected or names.isna().any() or names.duplicated().any():
        raise BundleError(f"{path}: expected {expected} different names, found {names.nunique()}.")
    return names.tolist()


def _network(weights: Weights, order: LayerOrder | None, progress: bool) -> SicmirNetwork:
    """The network of the file, its inputs in panel order."""
    genes = _names(_GENES, N_GENES, progress)
    matches = [find_landmark(gene) for gene in genes]
    places = [match[0] for match in matches if match is not None]
    if sorted(places) != list(range(N_GENES)):
        unknown = [gene for gene, match in zip(genes, matches, strict=True) if match is None]
        raise BundleError(f"{_GENES}: these genes are not the 977 of the panel (unknown: {unknown[:5]}).")
    network = weights.network(order)
    first = network.state_dict()["layers.0.weight"]
    first.copy_(first[:, torch.from_numpy(np.argsort(places))])
    return network


def _bundle(network: SicmirNetwork, weights: Weights, progress: bool) -> Bundle:
    transform = InputTransform.from_state("cohort", {"n_genes": np.asarray(N_GENES)})
    return Bundle(
        predictor=NetworkPredictor(
            network, transform, np.zeros(N_MIRNAS, np.float32), np.ones(N_MIRNAS, np.float32)
        ),
        genes=panel.landmarks()["symbol"].tolist(),
        mirnas=_names(_MIRNAS, N_MIRNAS, progress),
        level="mature",
        units="z-score",
        card=_card(weights, network.order),
    )


def _card(weights: Weights, order: LayerOrder) -> dict[str, Any]:
    entry = _entry(_WEIGHTS)
    same = weights.checksum == entry.checksum
    return {
        "title": "SiCmiR network as published by its authors",
        "source": {
            "citation": "10.1002/advs.202514446",
            "url": entry.url if same else "another file than the one of the manifest",
            "commit": COMMIT if same else "",
            "licence": "GPL-3.0",
            "checksum": weights.checksum,
            "form": weights.form,
        },
        "training_data": {
            "dataset": "TCGA, by the authors; which donors is not stated",
            "synthetic": False,
            "n_samples": 6462,
        },
        "input_units": "log-normalised expression, z-scored by the bundle within the samples submitted",
        "output_units": "z-score",
        "output_note": "z-score of the authors' training targets, whose mean and SD were not published: "
        "not log2(RPM+1)",
        "layer_order": {"file": weights.order, "used": order},
    }


def _run(network: SicmirNetwork, scored: np.ndarray) -> np.ndarray:
    with torch_threads(), torch.inference_mode():
        return network(torch.from_numpy(scored)).numpy()


def _expected(golden: AnnData, name: str, inputs: AnnData, source: str, mirnas: list[str]) -> np.ndarray:
    """The authors' output, after making sure that it belongs to the input row by row."""
    # The output bears TCGA samples of 15 characters, the input one more for the vial.
    pairs = zip(inputs.obs_names, golden.obs_names, strict=False)
    if inputs.n_obs != golden.n_obs or not all(given.startswith(found) for given, found in pairs):
        raise DataError(f"{name}: its samples are not those of {source}. Fetch the files again.")
    if golden.var_names.str.strip().tolist() != mirnas:
        raise DataError(f"{name}: its columns are not the names of {_MIRNAS}. Fetch the files again.")
    return golden.X

"""Predictions of a data set of the manifest by the shipped recipe trained without its donors.

``python benchmarks/held_out.py ROOT`` reads the sets of ``collection.yaml`` below ROOT, leaves out the donors
of the data set, then the whole of their cancer types, trains the model of the package on the rest and writes
what each predicts into ``benchmarks/held_out``, with a record.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import typer
from full_run import RECIPE, _commit

import sicmir
from sicmir import held_out
from sicmir.data import collection

HERE = Path(__file__).parent


def main(root: Path, dataset: str = "hcc", recipe: Path = RECIPE, out: Path = HERE / held_out.FOLDER) -> None:
    """Train both models and write their predictions."""
    shown, _ = sicmir.load_paired(dataset)
    mrna, mirna = collection.load_collection(collection.read_recipe(recipe), root)
    bundle = sicmir.load_model()
    left_out = {
        "without-these-donors": mirna.obs["donor"].isin(shown.obs["donor"]),
        "without-this-cancer": mirna.obs["cohort"].isin(shown.obs["cohort"]),
    }
    out.mkdir(parents=True, exist_ok=True)
    record = {
        "date": f"{pd.Timestamp.now(tz='UTC'):%Y-%m-%d}",
        "commit": _commit(),
        "model": bundle.weights_sha256,
        "files": bundle.card["training_data"]["files"],
        "n_samples": {},
    }
    for name, rows in left_out.items():
        model = held_out.without(bundle, mrna, mirna, rows.to_numpy())
        held_out.write(sicmir.predict(shown, model), out / f"{dataset}-{name}.csv.gz")
        donors = mirna.obs["donor"].isin(mirna.obs["donor"][rows])
        record["n_samples"][name] = int((~donors).sum())
    (out / f"{dataset}.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    typer.run(main)

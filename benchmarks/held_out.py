"""Predictions of a data set of the manifest by the shipped recipe trained without its donors.

``python benchmarks/held_out.py ROOT`` reads the sets of ``collection.yaml`` below ROOT, leaves out the donors
of the data set, then the whole of their cancer types, then all cancer types of the same organ, trains the
model of the package on the rest and writes what each predicts, by each transform of a sample alone, into
``benchmarks/held_out``, with a record.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import typer
from full_run import RECIPE, _commit

import sicmir
from sicmir.benchmark import held_out
from sicmir.data import collection

HERE = Path(__file__).parent


def main(root: Path, dataset: str = "hcc", recipe: Path = RECIPE, out: Path = HERE / held_out.FOLDER) -> None:
    """Train the models and write their predictions."""
    shown, _ = sicmir.load_paired(dataset)
    mrna, mirna = collection.load_collection(collection.read_recipe(recipe), root)
    bundle = sicmir.load_model()
    left_out = {
        "without-these-donors": mirna.obs["donor"].isin(shown.obs["donor"]),
        "without-this-cancer": mirna.obs["cohort"].isin(shown.obs["cohort"]),
        "without-this-organ": mirna.obs["cohort"].isin(held_out.same_organ(shown.obs["cohort"])),
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
        for transform in ("rank", "frozen"):
            predicted = held_out.outspoken(shown, model, transform)
            held_out.write(predicted, out / f"{dataset}-{transform}-{name}.csv.gz")
        donors = mirna.obs["donor"].isin(mirna.obs["donor"][rows])
        record["n_samples"][name] = int((~donors).sum())
    # The order of n_samples is that of the names, from the nearest model to the sternest.
    (out / f"{dataset}.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)

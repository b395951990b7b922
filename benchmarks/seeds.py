"""How much the figures of the training chapter move with the seed of folds and weights.

    python benchmarks/seeds.py [SEED ...]

Prints the median correlation over miRNAs of ridge, the network and their mean on tcga-small for each seed
(0, 1 and 2 by default), in the four scopes of the chapter. SICMIR_THREADS sets the threads.
"""

import sys

import pandas as pd

import sicmir
from sicmir.benchmark.evaluation import compare


def main(seeds: list[int]) -> None:
    """Run the cross-validation for each seed and print one table."""
    mrna, mirna = sicmir.load_paired("tcga-small")
    tables = {}
    for seed in seeds:
        found = compare(mrna, mirna, ["ridge", "sicmir", "sicmir+ridge"], seed=seed)
        league = found.league(n_resamples=2)
        tables[seed] = league.pivot_table(index="scope", columns="method", values="median")
    table = pd.concat(tables, names=["seed"])
    print(table.round(3))
    print("mean over seeds")
    print(table.groupby("scope", sort=False).mean().round(3))


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [0, 1, 2])

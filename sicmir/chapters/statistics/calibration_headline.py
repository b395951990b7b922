"""What the chapter on statistics quotes of its calibration, in clauses that hold whatever was found."""

from __future__ import annotations

import pandas as pd

from sicmir.chapters.benchmark import stored_run
from sicmir.chapters.statistics import stored_calibration

LEVEL = 0.05
"""False positives that a test promises."""


def full_run(path: str = "") -> dict[str, float | int | str]:
    """Figures of the tables of ``benchmarks/calibrate.py``, by names that begin with ``full_``.

    ``full_n_sound``, ``full_lowest`` and ``full_highest`` are of the tests that should hold their level;
    ``full_beyond`` says in words which of them do not, by their 95 % limits; ``full_n_joint`` and
    ``full_joint`` are of those that should stay below it.
    """
    rates = stored_calibration.rates(path)
    holding = rates[rates["promise"] == stored_calibration.HOLDS]
    joint = rates[rates["promise"] == stored_calibration.BELOW]
    return {
        "full_date": stored_run.record(stored_calibration.folder(path))["date"],
        "full_n_seeds": int(rates["n_seeds"].min()),
        "full_n_sound": len(holding),
        "full_lowest": float(holding["rate"].min()),
        "full_highest": float(holding["rate"].max()),
        "full_beyond": beyond(holding),
        "full_n_joint": len(joint),
        "full_joint": float(joint["rate"].max()),
    }


def drawn_here(rates: pd.DataFrame) -> dict[str, float | int]:
    """Figures of the tests of donors and survival that the page draws anew.

    Parameters
    ----------
    rates
        As :func:`sicmir.chapters.statistics.calibration.false_positives` gives it.
    """
    sound, by_trial = rates[rates["sound"]], rates.set_index("trial")["rate"]
    return {
        "n_sound": len(sound),
        "lowest": float(sound["rate"].min()),
        "highest": float(sound["rate"].max()),
        "naive_cut": float(by_trial["cut-off, naive"]),
        "corrected_cut": float(by_trial["cut-off, corrected"]),
        "fewest_donors": int(rates["n_donors"].min()),
        "most_donors": int(rates["n_donors"].max()),
    }


def beyond(rates: pd.DataFrame) -> str:
    """Count the tests whose 95 % limits lie below 5 %, and name those above it with the rate of each.

    Parameters
    ----------
    rates
        Columns ``test, nothing, rate, lower, upper``, of tests that should hold their level.
    """
    above = rates[rates["lower"] > LEVEL].sort_values("rate", ascending=False)
    below = int((rates["upper"] < LEVEL).sum())
    named = [
        f"{row.test}{f' ({row.nothing})' if row.nothing else ''} {100 * row.rate:.1f} %"
        for row in above.itertuples()
    ]
    low = f"{below or 'none'} lie{'' if below > 1 else 's'} below 5 %"
    return f"{low} and {len(named) or 'none'} above{': ' if named else ''}{', '.join(named)}"


def first_called(recovery: pd.DataFrame) -> str:
    """Say from how many donors on planted crosstalk is called.

    Parameters
    ----------
    recovery
        As :func:`sicmir.chapters.statistics.crosstalk_calibration.recovery` gives it.
    """
    called = recovery.index[recovery["power"] > 0]
    if not len(called):
        return f"but none is called with up to {recovery.index.max()}"
    first = called.min()
    return (
        "and called as well"
        if first == recovery.index.min()
        else f"but none is called with fewer than {first}"
    )

"""Weeks in remission of leukaemia, 6-MP and placebo (Freireich 1963, doi 10.1182/blood.V21.6.699.699)."""

import numpy as np

_TREATED = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
_RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
_PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]

WEEKS = np.array(_TREATED + _PLACEBO, dtype=float)
RELAPSE = np.array(_RELAPSED + [1] * 21)
GIVEN_PLACEBO = np.repeat([0.0, 1.0], 21)

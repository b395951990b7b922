"""Shared by all tests: one thread, a cache of their own, small toy data, and the gate to real data."""

import os

# Before numpy loads: on two cores the threads of BLAS and torch get into each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["SICMIR_THREADS"] = "1"
os.environ["TQDM_DISABLE"] = "1"

import pytest

import sicmir
from sicmir.errors import UnreachableError


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory):
    """Keep the user's cache out of the tests, but parse a real file once for the whole session."""
    folder = os.environ.get("SICMIR_TEST_CACHE") or str(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SICMIR_CACHE", folder)
        yield folder


@pytest.fixture(scope="session")
def toy_pair():
    """Three toy cohorts of 16 donors with 30 miRNAs."""
    return sicmir.toy.paired_bulk(n_donors=16, n_cohorts=3, n_genes=977, n_mirnas=30, seed=1)


@pytest.fixture(scope="session")
def real_data():
    """tcga-small, or a skip that says why."""
    try:
        return sicmir.load_paired("tcga-small")
    except UnreachableError as error:
        pytest.skip(f"REAL DATA NOT REACHED, so this test did not run: {str(error).split(' Tried')[0]}")

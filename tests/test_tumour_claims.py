"""Claims about pancreatic tumours: each is judged by its own contrast, or not at all."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from sicmir.chapters import claims
from sicmir.chapters.pancreas import tumour_claims

ABOUT_TUMOURS = "cancer against pancreas"


@pytest.fixture
def markers():
    return pd.DataFrame(
        {
            "cell_type": ["ductal or tumour", "myeloid", "myeloid"],
            "mirna": ["hsa-mir-200c", "hsa-mir-223", "hsa-mir-21"],
            "effect": [5.0, -3.0, 4.0],
            "lower_total": [2.0, -4.0, 3.0],
            "upper_total": [7.0, -2.0, 5.0],
            "grade": "A",
            "greyed": False,
        }
    )


@pytest.fixture
def regions():
    """Three regions of a section, of which Cancer has more hsa-mir-21 than Pancreatic."""
    names = ["Cancer", "Pancreatic", "Stroma"]
    values = np.array([[12, 5], [6, 5], [8, 5]], dtype=np.float32)
    made = ad.AnnData(
        values,
        pd.DataFrame({"region": names}, names),
        pd.DataFrame({"grade": "A"}, ["hsa-mir-21", "hsa-mir-34a"]),
    )
    made.layers["lower"], made.layers["upper"] = values - 1, values + 1
    made.uns["sicmir"] = {"modality": "prediction", "dataset": "pdac-spatial", "interval_level": 0.9}
    return made


def verdicts(markers, regions):
    return tumour_claims.literature(markers, regions, "B").set_index(["contrast", "mirna"])["verdict"]


def test_claims_are_judged_by_what_they_are_about(markers, regions):
    contrast = tumour_claims.region_contrast(regions, "Cancer", "Pancreatic", "B")
    found = verdicts(markers, contrast)
    listed = claims.load("31_pdac")
    there = ["ductal or tumour against other cells", "myeloid against other cells", ABOUT_TUMOURS]
    assert len(found) == listed["contrast"].isin(there).sum()
    assert found["ductal or tumour against other cells", "hsa-miR-200c-3p"] == "agrees"
    assert found["myeloid against other cells", "hsa-miR-223-3p"] == "disagrees"
    assert found[ABOUT_TUMOURS, "hsa-miR-21-5p"] == "agrees"
    assert found[ABOUT_TUMOURS, "hsa-miR-34a-5p"] == "cannot tell"


@pytest.mark.parametrize("asked", [("Pancreatic", "Cancer"), ("Cancer", "Stroma"), ("Cancer", "nowhere")])
def test_other_regions_have_no_claims(markers, regions, asked):
    contrast = tumour_claims.region_contrast(regions, *asked, "B")
    assert contrast is None
    assert ABOUT_TUMOURS not in verdicts(markers, contrast).index.get_level_values("contrast")


def test_a_section_of_ones_own_has_no_claims(markers, regions):
    """Regions of the same names in other data may be of any organ."""
    regions.uns["sicmir"]["dataset"] = "breast.h5ad"
    assert tumour_claims.region_contrast(regions, "Cancer", "Pancreatic", "B") is None
    found = tumour_claims.literature(markers.assign(cell_type="mine"), None, "B")
    assert found.empty
    assert claims.counts(found) == {"agrees": 0, "disagrees": 0, "cannot_tell": 0}

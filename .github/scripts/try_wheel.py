"""Use an installed sicmir as a newcomer does, in an empty folder and without its source tree.

Run it with the interpreter that the wheel is installed in: ``python -I try_wheel.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

EXPECTED_REFUSAL = "Clone the repository"


def sicmir_command(*arguments: str, code: int = 0) -> str:
    """Run a command of the installed ``sicmir``; give what it printed."""
    command = Path(sysconfig.get_path("scripts")) / "sicmir"
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    if done.returncode != code:
        sys.exit(f"sicmir {' '.join(arguments)} ended with {done.returncode}, expected {code}:\n{printed}")
    print(f"ok: sicmir {' '.join(arguments)}", flush=True)
    return printed


def main() -> None:
    """Predict, and build and ask an atlas."""
    import anndata as ad
    import numpy as np

    import sicmir
    from sicmir import paths

    package = Path(sicmir.__file__).parent
    assert package.is_relative_to(sysconfig.get_path("purelib")), f"{package} is no installed package"
    assert paths.manifest() == package / "data_manifest.yaml", paths.manifest()
    model = sicmir.load_model()
    print(
        f"sicmir {sicmir.__version__}, {len(model.genes)} genes, {len(model.mirnas)} miRNAs, from {package}"
    )

    rng, known = np.random.default_rng(0), model.domain
    z = rng.multivariate_normal(np.zeros(len(model.genes)), known.covariance_, 4, check_valid="ignore")
    tumours = np.exp2(known.rescale_.mean_ + z * known.rescale_.sd_)
    shares = np.repeat(tumours / tumours.sum(axis=1, keepdims=True), 100, axis=0)
    cells = ad.AnnData(rng.poisson(shares * 300).astype("float32"))
    cells.obs_names = [f"cell{number}" for number in range(cells.n_obs)]
    cells.var_names = sicmir.panel.landmarks()["symbol"].tolist()
    cells.obs["donor"] = np.repeat(["P1", "P2", "P3", "P4"], 100)
    cells.obs["cell_type"] = "epithelial"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["SICMIR_CACHE"] = str(Path(folder, "cache"))
        os.environ["SICMIR_ATLAS"] = str(Path(folder, "atlas"))
        cells.write_h5ad("cells.h5ad")
        assert "Grades:" in sicmir_command("doctor")
        assert "tcga-small" in sicmir_command("data")
        sicmir_command("predict", "cells.h5ad", "mirnas.h5ad", "--by", "donor,cell_type", "--min-cells", "50")
        predicted = ad.read_h5ad("mirnas.h5ad")
        assert predicted.shape == (4, len(model.mirnas)), predicted.shape
        assert np.isfinite(predicted.X).any(), "all was abstained"
        where = ("--tissue", "liver", "--disease", "liver cancer", "--targets", "")
        sicmir_command("atlas", "add", "cells.h5ad", "--dataset", "mine", *where)
        assert "epithelial" in sicmir_command("atlas", "query", "expression", "--mirna", "miR-21")
        sicmir_command("atlas", "check")
        sicmir_command("atlas", "explorer", "pages")
        assert Path("pages/index.html").is_file()
        # Pages are no part of the wheel, and the refusal says where they are.
        assert EXPECTED_REFUSAL in sicmir_command("pages", code=1)
        os.chdir(package)


if __name__ == "__main__":
    main()

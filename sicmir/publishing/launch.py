"""Links that open the notebook of a page in a browser, with a computer of someone else's behind it."""

from __future__ import annotations

import os
import re

_REPOSITORY = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+)/tree/([\w./-]+)")


def launch_links(notebook: str) -> str:
    """Give the Markdown of the links to Binder and Colab; "" where the repository is not known.

    The repository is ``SICMIR_REPOSITORY``, ``https://github.com/OWNER/NAME/tree/REVISION``. The workflow
    that publishes the book sets it, so that a page opens the notebook that it was made from.

    Parameters
    ----------
    notebook
        Path from the project's root.
    """
    found = _REPOSITORY.fullmatch(os.environ.get("SICMIR_REPOSITORY", "").strip())
    if not found:
        return ""
    owner, name, revision = found.groups()
    binder = f"https://mybinder.org/v2/gh/{owner}/{name}/{revision}?urlpath=lab/tree/{notebook}"
    colab = f"https://colab.research.google.com/github/{owner}/{name}/blob/{revision}/{notebook}"
    clone = f"!git clone --quiet https://github.com/{owner}/{name} sicmir"
    cell = f"{clone} && git -C sicmir checkout --quiet {revision}\n%pip install --quiet -e './sicmir[book]'"
    return (
        f"Or open its notebook in [Binder]({binder}), ready to run, or in [Colab]({colab}). In Colab run "
        f"this in a cell above all others, and then restart the session:\n\n```python\n{cell}\n```"
    )

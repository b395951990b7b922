"""The rendered book in a browser: accessibility, bytes of the first load, width, links.

``python benchmarks/pages.py SITE --axe node_modules/axe-core/axe.min.js`` opens every page of the book and
every kind of view of its explorer in headless Chromium, from a web server of this machine, and writes to
``benchmarks/pages``:

- *violations.csv*: what axe-core (https://github.com/dequelabs/axe-core) finds wrong, at two widths and in
  light and dark, by its impact; without ``--axe`` it is left out;
- *weight.csv*: bytes that the first load of a page takes, uncompressed, by kind, beside what is allowed;
- *width.csv*: by how much a page is wider than the window, on a screen and on paper;
- *links.csv*, *order.csv*: links within the site that lead nowhere; pages without a language, headings that
  leave out a level, images without words. These two need no browser.

The command fails if a goal is missed: no serious or critical violation, no page over its bytes, nothing wider
than the window, nothing in the last two.
"""

from __future__ import annotations

import http.server
import json
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import pandas as pd
import typer
from static_pages import dead_links, disorder, html_pages

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))  # the browser is driven as in the tests

import chromium  # noqa: E402

IMPACTS = ("critical", "serious", "moderate", "minor")
GRAVE = IMPACTS[:2]
WIDTHS = {"wide": 1400, "phone": 400}
COLOURS = ("color-contrast", "link-in-text-block")
LOOKS = (("wide", "light", ()), ("phone", "light", ()), ("phone", "dark", COLOURS), ("wide", "dark", COLOURS))
"""Window, theme and rules that are tried, () for all: a theme changes nothing but colours."""

PAPER = 718
"""Width in pixels of a page of A4 less margins of 1 cm, at 96 pixels an inch."""

ALLOWED = {"intro.html": 1_000_000, "explorer/index.html": 3_000_000}
ALLOWED_ELSE = 4_000_000
"""Bytes of the first load of a page."""

QUIET = 0.5
"""Seconds without a request after which a page counts as loaded."""


SETTLED = 0.2
"""Seconds in which a page takes on the width of its window."""


def main(
    site: Annotated[Path, typer.Argument(help="Folder of the rendered book.")] = (
        ROOT / "book" / "_build" / "html"
    ),
    axe: Annotated[str, typer.Option(help="axe.min.js of the npm package axe-core.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the tables.")] = ROOT / "benchmarks" / "pages",
    only: Annotated[
        str, typer.Option(help="Open only pages whose address holds one of these words, split by commas.")
    ] = "",
    browser: Annotated[bool, typer.Option(help="Whether pages are opened in a browser.")] = True,
) -> None:
    """Measure the pages of the book; fail if a goal is missed."""
    if not (site / "index.html").is_file():
        raise typer.BadParameter(f"{site} holds no index.html; build the book first.")
    pages = html_pages(site)
    tables = {
        "links": pd.DataFrame(dead_links(site, pages), columns=["page", "link", "fault"]),
        "order": pd.DataFrame(disorder(pages), columns=["page", "fault", "place"]),
    }
    if browser:
        # The page at the root only leads on to the first page of the book.
        names = [str(path) for path in pages if str(path) not in ("index.html", "explorer/index.html")]
        tables |= in_browser(site, names, Path(axe).read_text(encoding="utf-8") if axe else "", only)
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
        print(f"\n{name}: {len(table)} rows", table.to_string(index=False) if len(table) else "", sep="\n")
    missed = list(goals_missed(tables))
    print("\nGoals missed:", *missed or ["none"], sep="\n  ")
    raise typer.Exit(bool(missed))


def goals_missed(tables: dict[str, pd.DataFrame]) -> Iterator[str]:
    """Name the goals that the tables miss."""
    for name in ("links", "order"):
        if len(tables[name]):
            yield f"{name}: {len(tables[name])} faults"
    if "violations" in tables:
        grave = tables["violations"]["impact"].isin(GRAVE).sum()
        if grave:
            yield f"violations: {grave} serious or critical"
    if "weight" in tables:
        heavy = tables["weight"].query("bytes > allowed")["page"]
        yield from (f"weight: {page} takes more than is allowed" for page in heavy)
        wide = tables["width"].query("over > 0")
        yield from (
            f"width: {row.page} at {row.window}: {row.over} pixels too wide" for row in wide.itertuples()
        )


def in_browser(site: Path, pages: list[str], axe: str, only: str) -> dict[str, pd.DataFrame]:
    """Open pages in all windows.

    Returns
    -------
    Tables ``weight``, ``width`` and, if ``axe`` is not "", ``violations``.
    """
    if not chromium.BROWSER:
        raise typer.BadParameter("No Chromium was found; install it, or give --no-browser.")
    violations: list[dict[str, Any]] = []
    weight, width = [], []
    with tempfile.TemporaryDirectory() as folder, served(site) as address:
        page = chromium.Page(Path(folder))
        try:
            page.send("Network.setCacheDisabled", cacheDisabled=True)
            for name in [*pages, *explorer_views(page, address, site)]:
                if not any(word in name for word in only.split(",")):
                    continue
                print(name, file=sys.stderr, flush=True)
                before = ""
                for window, theme, rules in LOOKS:
                    page.size(WIDTHS[window], dark=theme == "dark")
                    if theme != before:  # the theme looks once which colours are asked for
                        loaded, before = load(page, f"{address}/{name}"), theme
                    page.quiet(SETTLED)
                    width.append({"page": name, "window": window, "over": over(page, WIDTHS[window])})
                    if axe:
                        look = {"page": name, "window": window, "theme": theme}
                        violations += [look | found for found in violated(page, axe, rules)]
                weight.append({"page": name, "allowed": allowed(name)} | loaded)
                page.size(PAPER, medium="print")
                width.append({"page": name, "window": "paper", "over": over(page, PAPER)})
        finally:
            page.close()
    tables = {
        "weight": pd.DataFrame(weight).fillna(0).convert_dtypes(),
        "width": pd.DataFrame(width).drop_duplicates(),
    }
    columns = ["page", "window", "theme", "impact", "rule", "places", "example", "help"]
    return tables | ({"violations": pd.DataFrame(violations, columns=columns)} if axe else {})


def allowed(name: str) -> int:
    """Bytes that the first load of a page may take."""
    return ALLOWED.get(name.partition("#")[0], ALLOWED_ELSE)


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a folder on this machine; gives the address."""
    handler = partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def load(page: chromium.Page, address: str) -> dict[str, int]:
    """Open a page and wait until it is quiet; gives the bytes that came, in all and by kind."""
    page.loaded.clear()
    page.open(address)
    page.quiet(QUIET)
    kinds: Counter[str] = Counter()
    for kind, n_bytes in page.loaded:
        kinds[kind.lower()] += n_bytes
    return {"bytes": sum(kinds.values())} | dict(sorted(kinds.items()))


def over(page: chromium.Page, pixels: int) -> int:
    """By how many pixels the page is wider than the window."""
    return max(0, page.run("document.documentElement.scrollWidth") - pixels)


def violated(page: chromium.Page, axe: str, rules: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What axe-core finds wrong with the page that is open, the worst first.

    Parameters
    ----------
    page
        With a page open.
    axe
        Text of ``axe.min.js``.
    rules
        That are tried; all if there are none.
    """
    page.run(f"window.axe || (() => {{ {axe} }})(); 0")
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if rules:
        options["runOnly"] = list(rules)
    found = page.run(f"axe.run(document, {json.dumps(options)}).then((found) => found.violations)")
    rows = [
        {
            "impact": one["impact"],
            "rule": one["id"],
            "places": len(one["nodes"]),
            "example": " ".join(map(str, one["nodes"][0]["target"])),
            "help": one["help"],
        }
        for one in found
    ]
    return sorted(rows, key=lambda row: (IMPACTS.index(row["impact"]), row["rule"]))


def explorer_views(page: chromium.Page, address: str, site: Path) -> Iterator[str]:
    """Give an address of each kind of view of the explorer, of the names that it holds; none without one."""
    first = "explorer/index.html"
    if not (site / first).is_file():
        return
    page.open(f"{address}/{first}")
    page.until("document.querySelector('main h1')")
    names = page.run(
        """sicmirLoad.shard("index").then((all) => {
            const first = (table, name) => (sicmirLoad.rows(all[table])[0] || {})[name] ?? null;
            return {
                mirna: first("mirnas", "mirna"),
                cell_type: first("cell_types", "cell_type"),
                compared: first("contrasts", "cell_type"),
                gene: first("genes", "gene"),
            };
        })"""
    )
    yield first
    for view in (
        {"q": "miR-2"},
        *({"mirna": names["mirna"], "view": view} for view in ("cells", "donors", "targets")),
        *({"cell_type": names["cell_type"], "view": view} for view in ("markers", "expression", "similar")),
        {"cell_type": names["compared"], "view": "difference"},
        {"gene": names["gene"]},
        {"mirna": "no such name"},
    ):
        if None not in view.values():
            yield f"{first}#{urlencode(view)}"


if __name__ == "__main__":
    typer.run(main)

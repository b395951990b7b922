"""What can be said of a rendered site without a browser: links that lead nowhere, the order of pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

HEADINGS = [f"h{level}" for level in range(1, 7)]


def html_pages(site: Path) -> dict[Path, BeautifulSoup]:
    """Parse all pages of a site: path within it → page."""
    return {
        path.relative_to(site): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.relative_to(site).parts
    }


def dead_links(site: Path, pages: dict[Path, BeautifulSoup]) -> Iterator[tuple[str, str, str]]:
    """Give the links of the site to itself that lead nowhere.

    Parameters
    ----------
    site
        Folder of the rendered pages.
    pages
        As :func:`html_pages` gives them.

    Yields
    ------
    Page, link, and what is missing. Other sites are not asked. What is behind # in an address of the explorer
    names a view, no place of the page.
    """
    places = {path: _places(page) for path, page in pages.items()}
    for path, page in pages.items():
        for tag in page.find_all(["a", "link", "img", "script", "source", "iframe", "object"]):
            for name in ("href", "src", "data"):
                link = tag.get(name)
                told = _dead(site, places, path, link) if link else ""
                if told:
                    yield str(path), link, told


def _dead(site: Path, places: dict[Path, set[str]], page: Path, link: str) -> str:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    target = page
    if parts.path:
        wanted = (site / page.parent / unquote(parts.path)).resolve()
        if not wanted.is_relative_to(site.resolve()):
            return "leaves the site"
        wanted = wanted / "index.html" if wanted.is_dir() else wanted
        if not wanted.is_file():
            return "no such file"
        target = wanted.relative_to(site.resolve())
    place = unquote(parts.fragment)
    if not place or target.parts[0] == "explorer" or target not in places:
        return ""
    return "" if place in places[target] else "no such place in the page"


def _places(page: BeautifulSoup) -> set[str]:
    return {tag.get(name) for name in ("id", "name") for tag in page.find_all(attrs={name: True})}


def disorder(pages: dict[Path, BeautifulSoup]) -> Iterator[tuple[str, str, str]]:
    """Give what is out of order in pages: language, title, headings, words for images, heads of tables.

    Yields
    ------
    Page, rule, and the place.
    """
    for path, page in pages.items():
        for rule, place in _faults(page):
            yield str(path), rule, place


def _faults(page: BeautifulSoup) -> Iterator[tuple[str, str]]:
    root = page.find("html")
    if root is None or not root.get("lang"):
        yield "no language", "html"
    if page.title is None or not page.title.get_text(strip=True):
        yield "no title", "head"
    if page.find("main") is None:
        yield "no main part", "body"
    content = page.find("article") or page
    level = 0
    for heading in content.find_all(HEADINGS):
        found = int(heading.name[1])
        if found > level + 1:
            yield f"{heading.name} after {f'h{level}' if level else 'nothing'}", heading.get_text(strip=True)
        level = found
    if page.find("article") and len(content.find_all("h1")) != 1:
        yield f"{len(content.find_all('h1'))} headings h1", "article"
    for image in page.find_all("img"):
        if image.get("alt") is None or (not image["alt"].strip() and image.get("role") != "presentation"):
            yield "image without alt", str(image.get("src"))[:80]
    for table in content.find_all("table"):
        # A table is hidden until a script has filled it: that one is for axe-core to judge.
        laid_out = table.get("role") == "presentation" or table.has_attr("hidden")
        if table.find("th") is None and not laid_out:
            yield "table without heads", table.get_text(" ", strip=True)[:80]

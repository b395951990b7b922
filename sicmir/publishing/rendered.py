"""What the theme leaves undone in the pages of the book: names of controls, landmarks, bytes of no use."""

from __future__ import annotations

import re
from pathlib import Path

from sicmir import paths

RULES = (
    # Icons come from the font of the same name; the script draws them once more, from 1.5 MB.
    (r'<script src="[^"]*/fontawesome/[^"]*/all\.min\.js[^"]*"></script>\s*', ""),
    # Fonts of icons that few pages have are loaded where they are seen.
    (r'<link rel="preload" as="font"[^>]*/fa-(?:brands|regular)[^>]*>\s*', ""),
    # The constants of thebe come twice, which is an error of the page's scripts.
    (r"(?s)(<script>const THEBE_JS_URL[^<]*</script>)(.*?)\1", r"\1\2"),
    # A control is called what it says, or a voice command does not find it (WCAG 2.5.3).
    (r'(<button class="btn search-button-field[^>]*?) title="Search" aria-label="Search"', r"\1"),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    # All that is seen lies in a landmark (ARIA), so that one can go there.
    (r'(<div class="bd-sidebar-primary[^"]*")(?! role)', r'\1 role="complementary" aria-label="Book"'),
    # Numbers that Python wrote into the text look like those beside them: "0.00", "−0.02", "90 %".
    (r'(<span class="pasted-text">)-(?=0(?:\.0*)?%?</span>)', r"\1"),
    (r'(<span class="pasted-text">)-(?=\d)', r"\1−"),
    (r'(<span class="pasted-text">[−+]?[\d.]+)%(?=</span>)', r"\1&nbsp;%"),
    # A value stands out from the text around it; a clause that the run wrote is that text.
    (r'<span class="pasted-text">(?=[^<]{40})', '<span class="pasted-text clause">'),
    # Items of a list; doc-biblioentry is deprecated (DPUB-ARIA 1.1).
    (r'role="doc-biblioentry"', 'role="listitem"'),
    # The index is laid out by a table that is none.
    (r'<table( style="[^"]*")? class="indextable', r'<table\1 role="presentation" class="indextable'),
)
"""Pattern in a page, and what stands in its place."""

_MATHJAX = re.compile(r'<script[^>]*\bsrc="[^"]*/mathjax/[^"]*"[^>]*></script>\s*')
_MATHS = re.compile(r'class="[^"]*\bmath\b')
_FIRST = re.compile(r'<meta http-equiv="Refresh" content="0; url=([^"]+)" />\s*')


def finish(site: Path) -> None:
    """Correct the pages of a rendered book, in place.

    Parameters
    ----------
    site
        Folder of the pages.
    """
    for path in sorted(site.rglob("*.html")):
        if "_static" in path.relative_to(site).parts:
            continue
        text = path.read_text(encoding="utf-8")
        with paths.replacing(path) as part:
            part.write_text(finished(text), encoding="utf-8", newline="\n")


def finished(text: str) -> str:
    """Correct the HTML of a page."""
    first = _FIRST.fullmatch(text)
    if first:
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>sicmir</title>\n'
            f'<meta http-equiv="refresh" content="0; url={first[1]}">\n</head>\n'
            f'<body><main><h1>sicmir</h1><p><a href="{first[1]}">To the first page</a></p></main></body>\n'
            "</html>\n"
        )
    for pattern, instead in RULES:
        text = re.sub(pattern, instead, text)
    return text if _MATHS.search(text) else _MATHJAX.sub("", text)

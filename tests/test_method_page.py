"""The page on the method says what the package does."""

import re

from sicmir import paths, trust
from sicmir.benchmark import shipping
from sicmir.learning import domain


def test_grades_and_rates_are_those_of_the_package():
    page = (paths.project() / "book" / "method.md").read_text("utf-8")
    rows = re.findall(r"^\| ([A-D]) \| (\S+) \| (\S+) \| (.+) \|$", page, re.MULTILINE)
    expected = [
        (one.grade, *("–" if r != r else f"{r:g}" for r in (one.within_r, one.unseen_within_r)), one.meaning)
        for one in trust.GRADES.values()
    ]
    assert rows == expected
    assert f"({shipping.LEVEL:.0%})".replace("%", " %") in page
    words = {"outside": ("at most one in\ntwenty", 1 / 20), "far": ("at most one in two hundred", 1 / 200)}
    for level, (text, rate) in words.items():
        assert text in page
        assert domain.RATES[level] == rate
    assert shipping.MEMBERS == 2  # "pairs of similar training samples"

"""Rows of the tables that Gufo's clients and services rely on, and the tests that name them.

`rows.txt` lists the rows; each test says with `row(...)` which one it is about. A row that no test
names, and a test that names no row, are faults of the suite and end it.
"""
from dataclasses import dataclass
from pathlib import Path

ROWS = Path(__file__).with_name("rows.txt")

# What tests wait for and what is there now: one word here switches all of its rows on. A capability
# that stays takes its `waits` away instead.
LANDED = {"gRPC server", "embedded master", "/exit", "configuration keys", "encryption",
          "info with a session", "metric names", "metrics port", "downloads", "streams", "MCP"}


@dataclass
class Case:
    row: str
    what: str
    waits: str
    test: object

    @property
    def name(self):
        return f"{self.row} ({self.what})" if self.what else self.row


CASES = []


class Wrong(AssertionError):
    """Something else came than what the row says."""


def row(name, what="", waits=""):
    """Declares a test of the row `name`. `waits` is the capability that is not there yet, unless it
    is LANDED: then the test is not run, and counts as pending."""

    def keep(test):
        CASES.append(Case(name, what, "" if waits in LANDED else waits, test))
        return test

    return keep


def known():
    """The rows in their order."""
    lines = ROWS.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def faults(rows):
    """What is wrong with the suite itself."""
    named = {case.row for case in CASES}
    names = [case.name for case in CASES]
    return ([f"rows.txt has {name} twice" for name in sorted(set(rows)) if rows.count(name) > 1]
            + [f"no test names the row {name}" for name in rows if name not in named]
            + [f"a test names {name}, which is no row" for name in sorted(named - set(rows))]
            + [f"two tests are called {name}" for name in sorted(set(names))
               if names.count(name) > 1])


def check(condition, what):
    if not condition:
        raise Wrong(what)


def same(got, want, what=""):
    if got != want:
        raise Wrong(f"{what}{': ' if what else ''}expected {want!r:.300}, got {got!r:.300}")

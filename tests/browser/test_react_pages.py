"""Real React pages show a text only after their `receive` handler has returned; run with -s for the
table of what became of what people typed there."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import pytest

from tests.react_pages.records import HEAD, Outcome
from tests.react_pages.stage import Cell, Stage, measure, stage
from tests.support.processes import Node, Redis, running

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
async def pages() -> AsyncIterator[Stage]:
    store = Redis()
    nodes = [Node(store.url, name) for name in "ab"]
    async with running(store), running(*nodes), stage(nodes, store.url) as pages:
        sys.stdout.write(f"\n{HEAD}\n")
        yield pages
        for node in nodes:
            assert "Traceback" not in node.output(), node.output()


async def _let_type(pages: Stage, cell: Cell, letters: int) -> Outcome:
    outcome, _ = await measure(pages, cell, letters)
    sys.stdout.write(outcome.row(cell.editor, cell.pace, cell.machine) + "\n")
    assert outcome.complaints == []
    assert outcome.apart == 0
    return outcome


@pytest.mark.parametrize("editor", ["textarea", "monaco"])
async def test_people_who_type_within_five_milliseconds_lose_nothing(
    pages: Stage, editor: str
) -> None:
    """One letter in two thousand may be lost or doubled, so one of these may by bad luck."""
    outcome = await _let_type(pages, Cell(editor, "close"), 100)
    assert outcome.lost + outcome.risen <= 1


@pytest.mark.parametrize("editor", ["textarea", "monaco"])
async def test_people_who_type_each_for_themselves_lose_nothing(pages: Stage, editor: str) -> None:
    outcome = await _let_type(pages, Cell(editor, "independent"), 40)
    assert (outcome.lost, outcome.risen) == (0, 0)


@pytest.mark.parametrize(("editor", "machine"), [("textarea", "slower"), ("monaco", "slow")])
async def test_pages_that_show_a_text_tens_of_milliseconds_late_lose_next_to_nothing(
    pages: Stage, editor: str, machine: str
) -> None:
    """Such a page meets more late keys in a hundred than one on an idle machine in thousands. Where
    late keys are not reckoned with, about five letters of these are lost. One in 300 is, at length.
    """
    outcome = await _let_type(pages, Cell(editor, "independent", machine), 80)
    assert outcome.lost + outcome.risen <= 2

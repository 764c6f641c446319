"""The spans of one room's changes: which commit carries which, and how many may wait."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from collab.errors import StoreUnavailable
from collab.tracing import MAX_UNCOMMITTED, RoomTraces


class Spans:
    """The traces of a room, and the spans that have ended."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._ended = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._ended))
        self.room = RoomTraces(provider.get_tracer("test"), "r")

    def of(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._ended.get_finished_spans() if span.name == name]

    @property
    def carried(self) -> list[int]:
        """How many changes each commit has carried, by its parent and its links."""
        return [len(commit.links) + 1 for commit in self.of("commit")]


@pytest.fixture
def spans() -> Spans:
    return Spans()


def test_each_change_is_carried_once_if_redis_takes_its_commit(spans: Spans) -> None:
    for changes in (1, 3):
        for _ in range(changes):
            spans.room.change("text", 1)
        assert spans.room.begin_commit()
        spans.room.change("text", 1)  # it comes while the commit is in flight
        spans.room.end_commit("ok")
    assert spans.carried == [1, 4]


def test_a_commit_that_was_refused_or_not_answered_is_carried_again(spans: Spans) -> None:
    spans.room.change("text", 1)
    spans.room.begin_commit()
    spans.room.end_commit("behind")
    spans.room.begin_commit()
    spans.room.begin_commit()
    spans.room.end_commit("ok")
    outcomes = [(span.attributes or {})["collab.outcome"] for span in spans.of("commit")]
    assert outcomes == ["behind", "unanswered", "ok"] and spans.carried == [1, 1, 1]
    assert spans.room.begin_commit() == "", "nothing is left to carry"


def test_only_so_many_changes_wait_for_redis(spans: Spans) -> None:
    for _ in range(3 * MAX_UNCOMMITTED):
        spans.room.change("text", 1)
    spans.room.begin_commit()
    spans.room.end_commit("ok")
    assert spans.carried == [MAX_UNCOMMITTED]


async def test_a_change_ends_when_it_is_stored_and_fails_if_it_never_is(spans: Spans) -> None:
    loop = asyncio.get_running_loop()
    for problem in (None, StoreUnavailable("gone")):
        stored: asyncio.Future[None] = loop.create_future()
        change = spans.room.change("yjs", 1)
        assert change
        change.end_with(stored)
        await asyncio.sleep(0)
        assert len(spans.of("change")) == (problem is not None)
        if problem:
            stored.set_exception(problem)
        else:
            stored.set_result(None)
        await asyncio.sleep(0)
    assert [span.status.is_ok for span in spans.of("change")] == [True, False]
    assert spans.room.begin_commit() == "", "Redis has the one, and will not get the other"


def test_a_change_that_is_not_sampled_makes_no_span_and_no_trace_of_its_commit() -> None:
    spans = Spans(ALWAYS_OFF)
    assert spans.room.change("text", 1) is None
    assert spans.room.begin_commit() == ""
    spans.room.end_commit("ok")
    assert spans.carried == []


@pytest.mark.parametrize("text", ["", "x", "00-0-0-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_text_that_stands_for_no_span_makes_no_delivery(spans: Spans, text: str) -> None:
    assert spans.room.delivery(text) is None

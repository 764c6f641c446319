"""The churn's verdict: what grows is said, and what only varies is not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from tests.soak.vitals import STEADY_SECONDS, NodeVitals, RedisVitals, Vitals, complaints

STEPS = 9
SERIES = frozenset(f'collab_errors_total{{code="c{n}"}}' for n in range(20))


def rounds(grows: dict[str, float] | None = None, **more: Any) -> list[Vitals]:
    """Return rounds in which one thing grows by so much each time, or has ``more`` in the last."""
    grows = grows or {}
    found = []
    for n in range(STEPS):
        node = NodeVitals(
            90 + n % 3 + n * grows.get("resident", 0),
            20 + n % 2 + int(n * grows.get("fds", 0)),
            Counter(reader=12, leak=int(n * grows.get("tasks", 0))),
            SERIES | {f"x{i}" for i in range(int(n * grows.get("series", 0)))},
            Counter({"a.B": int(n * 1000 * grows.get("objects", 0)) + 500}),
            300_000 + int(n * 1000 * grows.get("blocks", 0)),
        )
        shared = RedisVitals(1.0, 9, frozenset({"a", "b"}), 40 + n, frozenset())
        if n == STEPS - 1:
            node = replace(node, **more.get("node", {}))
            shared = replace(shared, **more.get("redis", {}))
        found.append(Vitals(1000 * n, (n + 1) * STEADY_SECONDS, {"b": node}, shared))
    return found


def test_what_only_varies_is_no_growth() -> None:
    assert not complaints(rounds())


def test_memory_descriptors_tasks_series_and_objects_that_grow_are_named() -> None:
    for what, by, word in (
        ("resident", 1.5, "memory"), ("fds", 1, "descriptors"), ("tasks", 1, "leak"),
        ("series", 3, "metrics"), ("objects", 0.2, "a.B"), ("blocks", 3, "pieces of memory"),
    ):  # fmt: skip
        found = complaints(rounds({what: by}))
        assert len(found) == 1 and word in found[0], found


def test_a_tenth_of_an_object_a_visit_is_no_leak() -> None:
    assert not complaints(rounds({"objects": 0.09}))


def test_a_label_with_a_visitors_word_is_named_at_once() -> None:
    named = SERIES | {'collab_http_requests_total{route="/churn-7"}'}
    found = complaints(rounds(node={"series": named}))
    assert len(found) == 1 and "churn-7" in found[0]


def test_a_key_without_an_expiry_a_channel_and_a_client_that_stay_are_named() -> None:
    for what, value, word in (
        ("lasting", frozenset({"code_x"}), "code_x"),
        ("channels", frozenset({"a", "b", "room:x"}), "room:x"),
        ("clients", 12, "12"),
        ("used", 3.5, "2.5 MB"),
    ):
        found = complaints(rounds(redis={what: value}))
        assert len(found) == 1 and word in found[0], found

"""Counters look to Prometheus like those of its own client."""

from __future__ import annotations

import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from collab.counters import Counter, Gauges, Histogram

BUCKETS = (0.001, 0.5, 1, 30)


def lines(registry: CollectorRegistry) -> list[str]:
    """Return what is scraped, without the times at which the series were created."""
    text = generate_latest(registry).decode()
    return [line for line in text.splitlines() if "_created" not in line]


@given(st.lists(st.integers(0, 9)), st.lists(st.sampled_from(["a", 'b"\n', ""])))
def test_counters_are_scraped_like_those_of_the_client(plain: list[int], labels: list[str]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counter, part = Counter("n", "Some", ours), Counter("m", "Parts", ours, "kind")
    their_counter = prometheus_client.Counter("n", "Some", registry=theirs)
    their_part = prometheus_client.Counter("m", "Parts", ["kind"], registry=theirs)
    for amount in plain:
        counter.inc(amount)
        their_counter.inc(amount)
    for label in labels:
        part.labels(label).inc()
        their_part.labels(label).inc()
    assert lines(ours) == lines(theirs)


def test_a_counter_may_have_several_labels() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counter = Counter("n", "Some", ours, "kind", "size")
    theirs_counter = prometheus_client.Counter("n", "Some", ["kind", "size"], registry=theirs)
    for values in (("a", "1"), ("a", "2"), ("a", "1")):
        counter.labels(*values).inc()
        theirs_counter.labels(*values).inc()
    assert lines(ours) == lines(theirs)


def test_gauges_are_computed_at_the_scrape() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    gauges = Gauges({"a": "First", "b": "Second"}, ours)
    first = prometheus_client.Gauge("a", "First", registry=theirs)
    second = prometheus_client.Gauge("b", "Second", registry=theirs)
    assert lines(ours) == lines(theirs)
    gauges.read = lambda: (1, 2.5)
    first.set(1)
    second.set(2.5)
    assert lines(ours) == lines(theirs)


@given(st.lists(st.sampled_from([0.0, 0.001, 0.3, 0.5, 1.0, 29.0, 31.0])))
def test_histograms_are_scraped_like_those_of_the_client(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram = Histogram("h", "Seconds", ours, BUCKETS)
    their_histogram = prometheus_client.Histogram("h", "Seconds", buckets=BUCKETS, registry=theirs)
    for value in values:
        histogram.observe(value)
        their_histogram.observe(value)
    assert lines(ours) == lines(theirs)

"""Counters as plain numbers, which Prometheus' registry reads at the scrape.

Those of prometheus-client take a lock for each increment: of all that an edit counts, that was 2 %
of its cost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class Counter(Collector):
    """A number that only grows, with the label ``label``, or without one."""

    def __init__(self, name: str, help: str, registry: CollectorRegistry, label: str = "") -> None:
        self.value = 0
        self._name = name
        self._help = help
        self._label = label
        self._parts: dict[str, Counter] = {}
        registry.register(self)

    def inc(self, amount: int = 1) -> None:
        """Add ``amount``."""
        self.value += amount

    def labels(self, value: str) -> Counter:
        """Return the counter for one value of the label."""
        part = self._parts.get(value)
        if part is None:
            part = self._parts[value] = Counter.__new__(Counter)
            part.value = 0
        return part

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the present value."""
        if not self._label:
            yield CounterMetricFamily(self._name, self._help, value=self.value)
            return
        family = CounterMetricFamily(self._name, self._help, labels=[self._label])
        for value, part in self._parts.items():
            family.add_metric([value], part.value)
        yield family


class Histogram(Collector):
    """How many values were at most as large as each of the ``buckets``."""

    def __init__(
        self, name: str, help: str, registry: CollectorRegistry, buckets: Sequence[float]
    ) -> None:
        self._name = name
        self._help = help
        self._buckets = buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._buckets, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the present counts."""
        limits = [*(str(float(each)) for each in self._buckets), "+Inf"]
        counts = zip(limits, accumulate(self._counts), strict=True)
        family = HistogramMetricFamily(self._name, self._help)
        family.add_metric([], buckets=list(counts), sum_value=self._sum)
        yield family

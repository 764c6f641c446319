"""Counters as plain numbers, which Prometheus' registry reads at the scrape.

Those of prometheus-client take a lock for each increment: of all that an edit counts, that was 2 %
of its cost. These have no `_created` series, which double what Prometheus stores.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector


class Counter(Collector):
    """A number that only grows; with ``label_names``, one for each combination of their values."""

    def __init__(
        self, name: str, help: str, registry: CollectorRegistry, *label_names: str
    ) -> None:
        self.value = 0.0
        self.read: Callable[[], float] | None = None
        """Returns the value of a counter that somebody else keeps."""
        self._name = name
        self._help = help
        self._label_names = label_names
        self._parts: dict[tuple[str, ...], Counter] = {}
        registry.register(self)

    def inc(self, amount: float = 1) -> None:
        """Add ``amount``."""
        self.value += amount

    def labels(self, *values: str) -> Counter:
        """Return the counter for one value of each label."""
        part = self._parts.get(values)
        if part is None:
            part = self._parts[values] = Counter.__new__(Counter)
            part.value = 0.0
        return part

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the present value."""
        if not self._label_names:
            value = self.value if self.read is None else self.read()
            yield CounterMetricFamily(self._name, self._help, value=value)
            return
        family = CounterMetricFamily(self._name, self._help, labels=self._label_names)
        for values, part in self._parts.items():
            family.add_metric(values, part.value)
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


class Gauges(Collector):
    """Numbers that are computed together, at the scrape; ``helps`` has their names and help.

    ``read`` returns the numbers in the same order. The gauges are 0 until it is set.
    """

    def __init__(self, helps: Mapping[str, str], registry: CollectorRegistry) -> None:
        self._helps = helps
        self.read: Callable[[], Sequence[float]] = lambda: [0.0] * len(helps)
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the present numbers."""
        for (name, help), value in zip(self._helps.items(), self.read(), strict=True):
            yield GaugeMetricFamily(name, help, value=value)

"""What is promised for each failure, and whether a scene kept it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.soak.stage import Failure
from tests.soak.watch import Watch

HEALED_WITHIN = 5.0
"""Seconds from the repair of a failure until all pages and Redis have one text again."""
READY_WITHIN = 10.0
"""Seconds until ``/readyz`` is right, after a failure and after its repair."""
MAX_NODE_GROWTH = 64
"""Megabytes by which a node may grow during a scene."""
MAX_REDIS_GROWTH = 64
"""Megabytes by which Redis may grow during a scene. Commands that it got while it was frozen, and
a journal of 256 KiB for each of a dozen rooms, are a tenth of it."""

HEAD = (
    "| scene | failures | healed after, s | not ready after, s | ready again after, s "
    "| memory of a node grew by, MB | of Redis, MB |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(slots=True)
class Verdict:
    """The figures of one scene, the largest of each kind, and the promises that it broke."""

    scene: str
    failures: int
    healed: list[float] = field(default_factory=list)
    unready: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    node_growth: int = 0
    redis_growth: int = 0
    faults: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Return a row of the table whose head is `HEAD`."""
        times = (
            f"{max(values):.1f}" if values else "-"
            for values in (self.healed, self.unready, self.ready)
        )
        cells = (self.scene, self.failures, *times, self.node_growth, self.redis_growth)
        return "| " + " | ".join(map(str, cells)) + " |"


def judge(scene: str, failures: Sequence[Failure], watch: Watch) -> Verdict:
    """Return what a scene showed."""
    verdict = Verdict(scene, len(failures))
    for failure in failures:
        _judge_healing(failure, verdict)
        for name in sorted(failure.serving):
            if name in failure.concerned:
                _judge_concerned(name, failure, watch, verdict)
            else:
                _judge_unconcerned(name, failure, watch, verdict)
    _judge_memory(watch, verdict)
    return verdict


def _judge_healing(failure: Failure, verdict: Verdict) -> None:
    took = failure.healed - failure.repaired
    verdict.healed.append(took)
    if took > HEALED_WITHIN:
        what = "not healed" if failure.given_up else "healed only"
        verdict.faults.append(f"{what} after {took:.1f} s: {failure.last}")


def _judge_concerned(name: str, failure: Failure, watch: Watch, verdict: Verdict) -> None:
    samples = watch.samples[name]
    unready = [
        sample.answered - failure.began
        for sample in samples
        if not sample.ready and failure.began <= sample.answered <= failure.repaired
    ]
    if unready:
        verdict.unready.append(unready[0])
    lasted = failure.repaired - failure.began
    if lasted > READY_WITHIN and not (unready and unready[0] <= READY_WITHIN):
        verdict.faults.append(f"{name} was still ready {READY_WITHIN:g} s after the failure")
    ready = [
        sample.answered - failure.repaired
        for sample in samples
        if sample.ready and sample.asked >= failure.repaired
    ]
    if ready:
        verdict.ready.append(ready[0])
    if not ready or ready[0] > READY_WITHIN:
        verdict.faults.append(f"{name} was not ready {READY_WITHIN:g} s after the repair")


def _judge_unconcerned(name: str, failure: Failure, watch: Watch, verdict: Verdict) -> None:
    for sample in watch.samples[name]:
        if failure.began <= sample.asked <= failure.healed and not sample.ready:
            after = sample.answered - failure.began
            verdict.faults.append(f"{name} was not ready {after:.1f} s after a failure elsewhere")
            return


def _judge_memory(watch: Watch, verdict: Verdict) -> None:
    growths = {key: max(weights) - weights[0] for key, weights in watch.memory.items()}
    for (name, pid), growth in growths.items():
        if name == "redis":
            verdict.redis_growth = max(verdict.redis_growth, growth)
        else:
            verdict.node_growth = max(verdict.node_growth, growth)
        if growth > (MAX_REDIS_GROWTH if name == "redis" else MAX_NODE_GROWTH):
            verdict.faults.append(f"{name} (process {pid}) grew by {growth} MB")


def complaints(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield a line for each promise that was broken."""
    for verdict in verdicts:
        for fault in verdict.faults:
            yield f"{verdict.scene}: {fault}"

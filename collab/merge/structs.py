"""Join the structs of updates, cut updates into slices, and measure how deep their types nest.

Only updates that are large, or that nest shared types, need this.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from itertools import islice, pairwise

from .cursor import varuint
from .survey import Id, Struct
from .update_reader import SKIP, TYPE, structs_of


def joined(update: bytes) -> bytes:
    """Return the same update with each run of structs that continue each other joined to one.

    yrs joins them too, but in time and memory that grow with the square of their number, or worse:
    40,000 structs of one character take 1 GB until the document is dropped; 20,000 structs of one
    value take 26 seconds and 9 GB. Raises `BadUpdate` if ``update`` isn't a whole v1 update.
    """
    blocks, seen = structs_of(update)
    pieces = [varuint(len(blocks))]
    for block in blocks:
        runs: list[list[Struct]] = []
        for struct in block:
            if struct.continues:
                runs[-1].append(struct)
            else:
                runs.append([struct])
        first = block[0] if block else None
        pieces.append(varuint(len(runs)))
        pieces.append(varuint(first.client) + varuint(first.clock) if first else bytes(2))
        for run in runs:
            pieces += _one_struct(update, run)
    pieces.append(update[seen.deletions :])
    return b"".join(pieces)


def _one_struct(update: bytes, run: list[Struct]) -> Iterator[bytes]:
    """Yield the bytes of the struct that replaces a run of structs."""
    head = run[0]
    if len(run) == 1:
        yield update[head.start : head.stop]
        return
    counts, contents = zip(*(_counted(update, struct) for struct in run), strict=True)
    yield update[head.start : head.content]
    yield varuint(sum(counts))
    yield from contents


def _counted(update: bytes, struct: Struct) -> tuple[int, bytes]:
    """Return the number at the start of a struct's content, and the bytes after it."""
    at, number, shift = struct.content, 0, 0
    while True:
        byte = update[at]
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            return number, update[at : struct.stop]


def slices(update: bytes, size: int) -> Iterator[bytes]:
    """Yield updates of at most ``size`` structs each that together are ``update``.

    Each slice builds only on the slices before it and on what ``update`` itself builds on; the last
    slice has all deletions. Raises `BadUpdate` if ``update`` isn't a whole v1 update.
    """
    blocks, seen = structs_of(update)
    order = _in_order(blocks)
    portion = list(islice(order, size))
    while following := list(islice(order, size)):
        yield _written(update, portion) + varuint(0)
        portion = following
    yield _written(update, portion) + update[seen.deletions :]


def _in_order(blocks: list[list[Struct]]) -> Iterator[Struct]:
    """Yield all structs except skips, each after the structs of the same update that it needs.

    Structs that need each other, which only forged updates have, come last.
    """
    queues: dict[int, deque[Struct]] = defaultdict(deque)
    for block in blocks:
        for struct in block:
            if struct.kind != SKIP:
                queues[struct.client].append(struct)
    waiting: dict[int, list[tuple[int, int]]] = defaultdict(
        list
    )  # of each: (clock, client that waits)
    ready = list(queues)
    while ready:
        queue = queues[ready.pop()]
        while queue:
            struct = queue[0]
            need = next((need for need in struct.needs if _is_ahead(need, struct, queues)), None)
            if need is not None:
                heappush(waiting[need[0]], (need[1], struct.client))
                break
            yield queue.popleft()
            due = waiting[struct.client]
            while due and (due[0][0] < struct.end or not queue):
                ready.append(heappop(due)[1])
    for queue in queues.values():
        yield from queue


def _is_ahead(need: Id, struct: Struct, queues: Mapping[int, deque[Struct]]) -> bool:
    """Whether the ``need`` of ``struct`` is still in the queue of another client."""
    client, clock = need
    queue = queues.get(client)
    if not queue or client == struct.client:
        return False
    return queue[0].clock <= clock < queue[-1].end


def _written(update: bytes, structs: list[Struct]) -> bytes:
    """Return an update with ``structs``, without its deletions, which the caller appends."""
    blocks: dict[int, list[Struct]] = {}
    for struct in structs:
        blocks.setdefault(struct.client, []).append(struct)
    pieces = [varuint(len(blocks))]
    for client, block in blocks.items():
        gaps = sum(one.end != other.clock for one, other in pairwise(block))
        pieces += (varuint(len(block) + gaps), varuint(client), varuint(block[0].clock))
        clock = block[0].clock
        for struct in block:
            if struct.clock != clock:
                pieces += (bytes([SKIP]), varuint(struct.clock - clock))
            pieces.append(update[struct.start : struct.stop])
            clock = struct.end
    return b"".join(pieces)


class Nesting:
    """The nesting level of a document's structs: how many shared types enclose each of them.

    Structs directly in root types, which are all structs of most documents, are not kept.
    """

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: dict[int, list[tuple[int, int, int]]] = {}  # of a client: (clock, end, level)

    def copy(self) -> Nesting:
        """Return the nesting of a copy of the document."""
        other = Nesting()
        other._runs = {client: runs.copy() for client, runs in self._runs.items()}
        return other

    def __bool__(self) -> bool:
        return bool(self._runs)

    def add(self, update: bytes) -> int:
        """Add an update; return how many levels of types it nests at its deepest place.

        The updates that it builds on must have been added. Raises `BadUpdate` if ``update`` isn't a
        whole v1 update.
        """
        blocks, _ = structs_of(update)
        deepest = 0
        for struct in _in_order(blocks):
            if struct.parent is not None:
                level = self._level(struct.parent) + 1
            else:
                level = self._level(struct.needs[0]) if struct.needs else 0
            if level:
                self._keep(struct, level)
            deepest = max(deepest, level + (struct.kind == TYPE))
        return deepest

    def _level(self, id: Id) -> int:
        client, clock = id
        runs = self._runs.get(client, ())
        at = bisect_right(runs, clock, key=_first) - 1
        return runs[at][2] if at >= 0 and clock < runs[at][1] else 0

    def _keep(self, struct: Struct, level: int) -> None:
        runs = self._runs.setdefault(struct.client, [])
        if runs and struct.clock < runs[-1][1]:
            return  # it was added before
        if runs and runs[-1][1:] == (struct.clock, level):
            runs[-1] = (runs[-1][0], struct.end, level)
        else:
            runs.append((struct.clock, struct.end, level))


def _first(run: tuple[int, int, int]) -> int:
    return run[0]

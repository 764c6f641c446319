"""The messages that wait to be sent to one client: bounded, and rendered only when sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

M = TypeVar("M")

Render = Callable[[], list[M]]
"""Makes messages at the moment when they are sent, in a new list; may return none."""

RENDER_SIZE: Final = 1
"""The size of a render for the limit: its content is not known before it is sent."""


class OutboxFull(Exception):
    """The client reads too slowly, or not at all: the waiting messages have reached the limit."""


@dataclass(slots=True, eq=False)
class _Slot(Generic[M]):
    name: str | None
    render: Render[M]


def _ignore(size: int) -> None:
    pass


def _count_one(message: object) -> int:
    return 1


class Outbox(Generic[M]):
    """A queue of messages and of slots, whose content is made when their turn comes.

    A slot has a name. A slot that is put again while it waits keeps its place and is sent once,
    with the newest content: a slow client costs one unsent text, however fast the others type.

    ``limit`` bounds the sum of ``size_of`` over the waiting messages; without ``size_of`` it is a
    number of messages. A message larger than the limit is accepted if no other waits: a document
    must be sent, however large it is. ``hold`` is called with each change of that sum, in bytes of
    which one counts for ``unit``. Slots are not counted: there is one of each name, and it holds
    nothing before it is rendered.
    """

    def __init__(
        self,
        limit: int,
        size_of: Callable[[M], int] = _count_one,
        hold: Callable[[int], None] | None = None,
        unit: int = 1,
    ) -> None:
        self._limit = limit
        self._size_of = size_of
        self._hold = hold or _ignore
        self._unit = unit
        self._size = 0
        # A deque only while something waits: an empty one takes 0.6 kB of each idle connection.
        self._waiting: deque[M | _Slot[M]] | tuple[()] = ()
        self._slots: dict[str, _Slot[M]] = {}
        self._idle: dict[str, Render[M]] = {}
        self._closed = False
        self._waker: asyncio.Future[None] | None = None
        self.on_waiting: Callable[[], None] | None = None
        """Called when something waits, or when the outbox is closed."""

    def __len__(self) -> int:
        return len(self._waiting) + len(self._idle)

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called; messages from before that can still be popped."""
        return self._closed

    def put(self, message: M) -> None:
        """Queue ``message``. Raises OutboxFull."""
        self._put(message, self._size_of(message))

    def put_render(self, render: Render[M]) -> None:
        """Queue the messages that ``render`` will make. Raises OutboxFull."""
        self._put(_Slot(None, render), RENDER_SIZE)

    def _put(self, entry: M | _Slot[M], size: int) -> None:
        if self._closed:
            return
        if self._waiting and self._size + size > self._limit:
            raise OutboxFull
        self._add(size)
        self._append(entry)

    def put_slot(self, name: str, render: Render[M]) -> None:
        """Queue the slot ``name``, unless it waits already; a slot is never refused."""
        if self._closed or name in self._slots:
            return
        self._slots[name] = slot = _Slot(name, render)
        self._append(slot)

    def put_when_idle(self, name: str, render: Render[M]) -> None:
        """Let the slot ``name`` wait until the queue is empty; a slot is never refused."""
        if self._closed:
            return
        self._idle[name] = render
        self._wake()

    def drop_slot(self, name: str) -> None:
        """Remove a waiting slot; if it is put again, it goes to the end of the queue."""
        if (slot := self._slots.pop(name, None)) is not None and self._waiting:
            self._waiting.remove(slot)

    def pop(self) -> list[M]:
        """Remove and return the next messages: none if the queue or the next slot is empty."""
        if self._waiting:
            head = self._waiting.popleft()
            if not self._waiting:
                self._waiting = ()
            if not isinstance(head, _Slot):
                self._add(-self._size_of(head))
                return [head]
            if head.name is None:
                self._add(-RENDER_SIZE)
            else:
                del self._slots[head.name]
            return head.render()
        if self._idle:
            name = next(iter(self._idle))
            return self._idle.pop(name)()
        return []

    async def wait(self) -> bool:
        """Return True when something waits, False when the outbox is empty and closed."""
        while not self:
            if self._closed:
                return False
            self._waker = asyncio.get_running_loop().create_future()
            await self._waker
        return True

    def close(self) -> None:
        """Accept no more messages; those that wait can still be popped."""
        self._closed = True
        self._wake()

    def clear(self) -> None:
        """Accept no more messages, and drop those that wait."""
        self._waiting = ()
        self._slots.clear()
        self._idle.clear()
        self._add(-self._size)
        self.close()

    def end_with(self, messages: Iterable[M]) -> None:
        """Accept no more messages, and drop those that wait: only ``messages`` can be popped."""
        self.clear()
        for message in messages:
            self._add(self._size_of(message))
            self._append(message)

    def _append(self, entry: M | _Slot[M]) -> None:
        if not self._waiting:
            self._waiting = deque()
        self._waiting.append(entry)
        self._wake()

    def _add(self, size: int) -> None:
        self._size += size
        self._hold(size * self._unit)

    def _wake(self) -> None:
        if self.on_waiting is not None:
            self.on_waiting()
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

"""The questions of a Yjs client whether Redis has what it sent (docs/yjs.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from collab.rooms.yjs_members import YjsMembers

MAX_WAITING_QUESTIONS = 2
"""Waiting `Stored` questions of one client: the next to be answered, and the newest."""


class StoredQuestions:
    """Answers one client's questions: calls ``confirm`` with the number of each.

    A question that comes while the node lacks updates of the client is deferred. After a change of
    the client was ``denied``, no question is answered.
    """

    def __init__(self, yjs: YjsMembers, confirm: Callable[[int], None]) -> None:
        self.denied = False
        self._yjs = yjs
        self._confirm = confirm
        self._missing = False
        self._deferred: int | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def ask(self, number: int) -> None:
        """Confirm this number when everything that the room has now is in Redis.

        That includes what the client sent on earlier connections, under any id.
        """
        if self.denied:
            return
        if self._missing:
            self._deferred = number
            return
        stored = self._yjs.stored()
        if stored is None:
            self._confirm(number)
        else:
            if all(waits is not stored for _, waits in self._waiting):
                stored.add_done_callback(self._handle_stored)
            del self._waiting[MAX_WAITING_QUESTIONS - 1 :]
            self._waiting.append((number, stored))

    def defer(self) -> None:
        """Defer questions from now on: the node lacks updates of the client."""
        self._missing = True

    def resume(self) -> None:
        """Handle the newest deferred question: the node has all that the client has sent."""
        self._missing = False
        if self._deferred is not None:
            number, self._deferred = self._deferred, None
            self.ask(number)

    def _handle_stored(self, stored: asyncio.Future[None]) -> None:
        due = [number for number, waits in self._waiting if waits is stored]
        self._waiting = [each for each in self._waiting if each[1] is not stored]
        if due and not (stored.cancelled() or stored.exception()):
            self._confirm(due[-1])

"""Questions that a node asks others through pub/sub, and what it hears in return.

A question goes out on a channel that those who may know listen to; Redis says how many they are.
Each answers on the asking node's own channel, so that nobody else is troubled by it. A question
that nobody hears costs one PUBLISH.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from collab.store.keys import ANSWERS_CHANNEL
from collab.store.store import Store
from collab.store.subscriber import Subscriber


class Question(NamedTuple):
    """A question as it arrives: whom to answer, under which word, and what is asked."""

    channel: str
    word: bytes
    body: bytes

    @classmethod
    def parse(cls, message: bytes, mark: bytes) -> Question:
        """Read ``MARK channel word\\n`` and the body. Raises ValueError."""
        head, _, body = message.removeprefix(mark).partition(b"\n")
        channel, word = head.split(b" ")
        return cls(channel.decode(), word, body)

    def answer(self, answer: bytes) -> tuple[str, bytes]:
        """Return the channel to publish an answer on, and what."""
        return self.channel, self.word + b"\n" + answer


@dataclass(slots=True)
class _Asked:
    enough: Callable[[bytes], bool]
    answers: list[bytes] = field(default_factory=list)
    expected: int | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def look(self) -> None:
        if self.expected is not None and len(self.answers) >= self.expected:
            self.done.set()


class Questions:
    """One node's questions, and its own channel for the answers."""

    def __init__(self, store: Store, subscriber: Subscriber) -> None:
        self._channel = ANSWERS_CHANNEL + store.writer
        self._store = store
        self._subscriber = subscriber
        self._asked: dict[bytes, _Asked] = {}

    async def open(self) -> None:
        """Listen for answers. Raises StoreUnavailable."""
        await self._subscriber.listen(self._channel, self._hear)

    async def close(self) -> None:
        """Stop listening."""
        await self._subscriber.forget(self._channel, self._hear)

    async def ask(
        self,
        channel: str,
        mark: bytes,
        body: bytes = b"",
        *,
        patience: float,
        enough: Callable[[bytes], bool] = lambda answer: False,
    ) -> list[bytes]:
        """Ask all who listen to ``channel``; return what they answer within ``patience`` seconds.

        One that is ``enough`` ends the waiting. Raises StoreUnavailable if it cannot be asked.
        """
        word = secrets.token_hex(8).encode()
        asked = self._asked[word] = _Asked(enough)
        question = mark + self._channel.encode() + b" " + word + b"\n" + body
        try:
            async with asyncio.timeout(patience):
                asked.expected = await self._store.publish(channel, question)
                asked.look()
                await asked.done.wait()
        except TimeoutError:
            pass  # a node that does not answer is dead, or answers the next question
        finally:
            del self._asked[word]
        return asked.answers

    def _hear(self, message: bytes) -> None:
        word, _, answer = message.partition(b"\n")
        asked = self._asked.get(word)
        if asked is None:
            return  # too late
        asked.answers.append(answer)
        if asked.enough(answer):
            asked.done.set()
        asked.look()

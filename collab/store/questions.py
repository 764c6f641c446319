"""Questions that a node asks other nodes through pub/sub, and their answers.

A node publishes a question on a channel to which the nodes that may know the answer have
subscribed; Redis returns their number. Each of them answers on the asking node's own channel, so
that no other node receives the answer. A question without subscribers costs one PUBLISH.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from collab.store.keys import ANSWERS_CHANNEL
from collab.store.reply import ReplyTo, parse_answer
from collab.store.store import Store
from collab.store.subscriber import Subscriber


@dataclass(slots=True)
class _Question:
    enough: Callable[[bytes], bool]
    answers: list[bytes] = field(default_factory=list)
    expected: int | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def check_complete(self) -> None:
        if self.expected is not None and len(self.answers) >= self.expected:
            self.done.set()


class Questions:
    """One node's questions, and its own channel for the answers."""

    def __init__(self, store: Store, subscriber: Subscriber) -> None:
        self._channel = ANSWERS_CHANNEL + store.writer
        self._store = store
        self._subscriber = subscriber
        self._open_questions: dict[bytes, _Question] = {}

    async def open(self) -> None:
        """Subscribe to the channel for answers. Raises StoreUnavailable."""
        await self._subscriber.subscribe(self._channel, self._receive_answer)

    async def close(self) -> None:
        """Unsubscribe from the channel for answers."""
        await self._subscriber.unsubscribe(self._channel, self._receive_answer)

    async def ask(
        self,
        channel: str,
        question: Callable[[ReplyTo], bytes],
        *,
        timeout: float,
        enough: Callable[[bytes], bool] = lambda answer: False,
    ) -> list[bytes]:
        """Ask all subscribers of ``channel``; return the answers within ``timeout`` seconds.

        ``question`` returns the message to publish. The wait ends early when all subscribers have
        answered, or with the first answer for which ``enough`` is true.
        Raises StoreUnavailable if the question cannot be published.
        """
        reply_to = ReplyTo(self._channel, secrets.token_hex(8).encode())
        asked = self._open_questions[reply_to.question] = _Question(enough)
        try:
            async with asyncio.timeout(timeout):
                asked.expected = await self._store.publish(channel, question(reply_to))
                asked.check_complete()
                await asked.done.wait()
        except TimeoutError:
            pass  # a node that does not answer is dead, or slow
        finally:
            del self._open_questions[reply_to.question]
        return asked.answers

    def _receive_answer(self, message: bytes) -> None:
        question, answer = parse_answer(message)
        asked = self._open_questions.get(question)
        if asked is None:
            return  # the answer is too late
        asked.answers.append(answer)
        if asked.enough(answer):
            asked.done.set()
        asked.check_complete()

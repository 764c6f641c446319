"""Questions that a node asks others through pub/sub, and the answers that it gets.

A question is published on a channel to which the nodes that may know have subscribed; Redis says
how many there are. Each answers on the asking node's own channel, so that no other node is
troubled by it. A question that nobody gets costs one PUBLISH.
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
        """Listen for answers. Raises StoreUnavailable."""
        await self._subscriber.subscribe(self._channel, self._receive_answer)

    async def close(self) -> None:
        """Stop listening."""
        await self._subscriber.unsubscribe(self._channel, self._receive_answer)

    async def ask(
        self,
        channel: str,
        question: Callable[[ReplyTo], bytes],
        *,
        timeout: float,
        enough: Callable[[bytes], bool] = lambda answer: False,
    ) -> list[bytes]:
        """Ask all subscribers of ``channel``; return what they answer within ``timeout`` seconds.

        ``question`` returns the message to publish. An answer that is ``enough`` ends the waiting.
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
            pass  # a node that does not answer is dead, or answers the next question
        finally:
            del self._open_questions[reply_to.question]
        return asked.answers

    def _receive_answer(self, message: bytes) -> None:
        question, answer = parse_answer(message)
        asked = self._open_questions.get(question)
        if asked is None:
            return  # too late
        asked.answers.append(answer)
        if asked.enough(answer):
            asked.done.set()
        asked.check_complete()

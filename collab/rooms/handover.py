"""Moves the views of text members that reconnect to another node.

A client that reconnects sends its pid, the private id that the answer to its last CONNECT
contained. A node that drains stores the views of its members in Redis. Otherwise the new node asks
all nodes on one channel, because it does not know which node the member was on. A view leads to the
text of its node's replica; the message names the last journal entry that this text includes.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from collab.errors import StoreUnavailable
from collab.merge.delta import Delta
from collab.merge.trail import View
from collab.store.keys import CLAIMS_CHANNEL, departed_key
from collab.store.questions import Questions
from collab.store.records import EntryId
from collab.store.reply import ReplyTo
from collab.store.store import Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)

CLAIM = b"C "
"""The first bytes of the question which node knows a member."""
CLAIM_TIMEOUT: Final = 1.0
"""Seconds for the nodes to answer; the node that knows the member first waits for its journal."""
MAX_HANDOVER_CHARACTERS: Final = 1 << 20
"""Characters of one member's texts in one room that are handed over, besides the oldest text."""


@dataclass(frozen=True, slots=True)
class Departed:
    """What a member leaves behind in one room: its views, newest first.

    The views lead to the text of the journal ``epoch`` up to its entry ``last``. ``known`` says
    that the member shows one of them (see `TextPeer.is_known`), ``typing`` that it was typing.
    """

    room: str
    epoch: str | None
    last: EntryId
    views: Sequence[View]
    known: bool
    typing: bool

    def payload(self) -> dict[str, Any]:
        """Return the object for JSON."""
        *others, screen = self.views
        kept, size = [], 0
        for view in others:
            size += len(view.text)
            if size <= MAX_HANDOVER_CHARACTERS:
                kept.append(view)
        return {
            "room": self.room,
            "epoch": self.epoch,
            "last": self.last,
            "views": [[text, delta.ops] for text, delta in (*kept, screen)],
            "known": self.known,
            "typing": self.typing,
        }

    @classmethod
    def parse(cls, payload: Any) -> Departed:
        """Parse what `payload` returned. Raises ValueError."""
        try:
            views = [View(text, Delta.of(*ops)) for text, ops in payload["views"]]
            milliseconds, number = payload["last"]
            return cls(
                payload["room"], payload["epoch"], (milliseconds, number), views,
                payload["known"], payload["typing"],
            )  # fmt: skip
        except (KeyError, TypeError) as problem:
            raise ValueError("not a valid departed member") from problem


class Handovers:
    """Exchanges with the other nodes what members leave behind.

    The `digest` of its pid names a member. ``hand_over`` returns what a member leaves behind in
    each of its rooms, or None if this node does not know the member or can't hand it over now.
    """

    def __init__(
        self,
        store: Store,
        subscriber: Subscriber,
        questions: Questions,
        hand_over: Callable[[str], Awaitable[list[Departed] | None]],
    ) -> None:
        self._store = store
        self._subscriber = subscriber
        self._questions = questions
        self._hand_over = hand_over
        self._replies: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Start answering the questions of other nodes. Raises StoreUnavailable."""
        await self._subscriber.subscribe(CLAIMS_CHANNEL, self._handle_claim)

    async def close(self) -> None:
        """Stop answering, and wait for answers that are under way."""
        await self._subscriber.unsubscribe(CLAIMS_CHANNEL, self._handle_claim)
        if self._replies:
            await asyncio.wait(self._replies)

    async def hear_claims(self) -> None:
        """Answer all questions that other nodes have published until now.

        Redis delivers a probe behind them. Returns without them if Redis does not answer.
        """
        publish = self._store.publish
        try:
            await self._subscriber.probe(
                lambda channel, word: asyncio.ensure_future(publish(channel, word))
            )
        except StoreUnavailable:
            log.warning("the questions of other nodes could not be heard")
        if self._replies:
            await asyncio.wait(self._replies, timeout=CLAIM_TIMEOUT)

    async def claim(self, member: str) -> list[Departed] | None:
        """Return what a member has left behind, only once; None if no node knows the member."""
        try:
            found = await self._fetch_from_redis(member)
            if found is None:
                answers = await self._questions.ask(
                    CLAIMS_CHANNEL,
                    lambda to: CLAIM + to.pack() + b"\n" + member.encode(),
                    timeout=CLAIM_TIMEOUT,
                    enough=bool,
                )
                # The node of the member may have drained meanwhile.
                found = next(filter(None, answers), None) or await self._fetch_from_redis(member)
            return None if found is None else [Departed.parse(each) for each in orjson.loads(found)]
        except (StoreUnavailable, ValueError):
            return None

    async def store(self, member: str, departed: Sequence[Departed], seconds: float) -> None:
        """Store what a member leaves behind for ``seconds``. Raises StoreUnavailable."""
        await self._store.call(
            "SET", departed_key(member), _packed(departed), "PX", round(seconds * 1000)
        )

    async def _fetch_from_redis(self, member: str) -> bytes | None:
        found: bytes | None = await self._store.call("GETDEL", departed_key(member))
        return found

    def _handle_claim(self, message: bytes) -> None:
        try:
            head, _, body = message.removeprefix(CLAIM).partition(b"\n")
            reply_to, member = ReplyTo.parse(head), body.decode()
        except ValueError:
            log.warning("unknown words on the channel for claims")
            return
        reply = asyncio.create_task(self._reply(reply_to, member))
        self._replies.add(reply)
        reply.add_done_callback(self._replies.discard)

    async def _reply(self, reply_to: ReplyTo, member: str) -> None:
        departed = await self._hand_over(member)
        try:
            packed = b"" if departed is None else _packed(departed)
            await self._store.publish(*reply_to.pack_answer(packed))
        except StoreUnavailable:
            log.warning("views of a member could not be handed over")


def _packed(departed: Sequence[Departed]) -> bytes:
    return orjson.dumps([each.payload() for each in departed])


def digest(pid: str, owner: str) -> str:
    """Return the hash that names a client in Redis, where its pid must stay secret.

    ``owner`` is the subject of the client's token, "" if it has none: the same pid with the token
    of another subject names a client that nobody knows.
    """
    return hashlib.sha256(f"{owner}\n{pid}".encode() if owner else pid.encode()).hexdigest()

"""Text members that come back to another node: what they may be showing goes with them.

Who comes back says who it was by its pid, the private id that the answer to CONNECT carried. A node
that drains leaves the views of its members in Redis; of one that lives they are asked for, on a
channel that all nodes listen to, for nobody else knows where that member was. A view leads to the
text of its node's replica, so the entry of the journal goes with it that this text ended with.
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
"""How the question begins who knows the member with a pid."""
CLAIM_TIMEOUT: Final = 1.0
"""Seconds that the nodes have to answer it: the one that knows the member waits for its journal."""
MAX_HANDOVER_CHARACTERS: Final = 1 << 20
"""Of the texts of one member in one room, besides the oldest, that go with it."""


@dataclass(frozen=True, slots=True)
class Departed:
    """What a member leaves behind in one room: its views, newest first, and where they lead.

    That is the text of the journal ``epoch`` up to its entry ``last``. ``known`` says that it shows
    one of them (see `TextPeer.is_known`), ``typing`` that it was typing.
    """

    room: str
    epoch: str | None
    last: EntryId
    views: Sequence[View]
    known: bool
    typing: bool

    def payload(self) -> dict[str, Any]:
        """Return it as JSON has it."""
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
            "views": [[text, way.ops] for text, way in (*kept, screen)],
            "known": self.known,
            "typing": self.typing,
        }

    @classmethod
    def parse(cls, payload: Any) -> Departed:
        """Read what ``payload`` returned. Raises ValueError."""
        try:
            views = [View(text, Delta.of(*ops)) for text, ops in payload["views"]]
            milliseconds, number = payload["last"]
            return cls(
                payload["room"], payload["epoch"], (milliseconds, number), views,
                payload["known"], payload["typing"],
            )  # fmt: skip
        except (KeyError, TypeError) as problem:
            raise ValueError("not what a member leaves behind") from problem


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
        """Answer the other nodes. Raises StoreUnavailable."""
        await self._subscriber.subscribe(CLAIMS_CHANNEL, self._handle_claim)

    async def close(self) -> None:
        """Answer nobody any more."""
        await self._subscriber.unsubscribe(CLAIMS_CHANNEL, self._handle_claim)
        if self._replies:
            await asyncio.wait(self._replies)

    async def claim(self, member: str) -> list[Departed] | None:
        """Return what a member has left behind, once; None if nobody knows it."""
        try:
            found = await self._fetch_from_redis(member)
            if found is None:
                answers = await self._questions.ask(
                    CLAIMS_CHANNEL,
                    lambda to: CLAIM + to.pack() + b"\n" + member.encode(),
                    timeout=CLAIM_TIMEOUT,
                    enough=bool,
                )
                # It may have drained meanwhile.
                found = next(filter(None, answers), None) or await self._fetch_from_redis(member)
            return None if found is None else [Departed.parse(each) for each in orjson.loads(found)]
        except (StoreUnavailable, ValueError):
            return None

    async def store(self, member: str, departed: Sequence[Departed], seconds: float) -> None:
        """Leave it in Redis for whoever comes back within ``seconds``. Raises StoreUnavailable."""
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


def digest(pid: str) -> str:
    """Return what stands for a pid where others may see it: it does not tell the pid."""
    return hashlib.sha256(pid.encode()).hexdigest()

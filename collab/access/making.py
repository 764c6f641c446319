"""Makes rulings: finds out whose id is named, and which tokens that person is connected with."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from collab.access.ruling import EVERYWHERE, Ruling
from collab.rooms.identity import Role
from collab.store.keys import RULINGS_CHANNEL
from collab.store.questions import Questions
from collab.store.rulings import FoundToken, RulingLog, TokensQuestion, parse_tokens

log = logging.getLogger(__name__)

ANSWER_TIMEOUT: Final = 0.25
"""Seconds to wait for the nodes' answers: a live node needs far less. A ruling may wait for two
questions, and must have reached all nodes after a second even if one of them does not answer."""
MAX_KNOWN: Final = 100
"""Tokens that one ruling names; if somebody is connected with more, it is about all of them."""
Make = Callable[[str, str, Role | None, frozenset[str], float], Ruling]
"""Makes a ruling: `Ruling.about_known` or `Ruling.about_all`."""


class RulingMaker:
    """Adds rulings to the log; each record is kept for ``ttl`` seconds at least.

    If the service is ``open_to_all``, people have no tokens, only connections.
    """

    def __init__(
        self, rulings: RulingLog, questions: Questions, ttl: float, open_to_all: bool
    ) -> None:
        self._log = rulings
        self._questions = questions
        self._ttl = ttl
        self._open_to_all = open_to_all

    async def rule(self, id: str, room: str, role: Role | None) -> tuple[str, int]:
        """Give somebody a role in a room; None removes it, from all rooms if that is `EVERYWHERE`.

        ``id`` is a subject; for a ruling about one room it may be a member's id. Returns the
        subject, and its number of connections. Raises StoreUnavailable.

        If the ruling is about all tokens that have been issued, the answer comes when a token that
        is issued then is free of it.
        """
        subject, found = id, await self._ask(id, or_member=room != EVERYWHERE)
        if members := [each for each in found if each.is_member]:
            subject = members[0].subject
            gone = [each for each in members if not each.connected]
            found = [*gone, *await self._ask(subject, or_member=False)]
        await self._rule(subject, room, role, found)
        return subject, sum(each.connected for each in found)

    async def _rule(
        self, subject: str, room: str, role: Role | None, found: list[FoundToken]
    ) -> None:
        """Make a ruling about a subject, who is connected, or was, with the tokens in ``found``."""
        if len(found) > MAX_KNOWN:
            found = []
        about_known = bool(found) and room != EVERYWHERE
        make: Make = Ruling.about_known if about_known else Ruling.about_all
        ruling = make(subject, room, role, _digests(found), time.time())
        await self.add(ruling, found)
        if about_known:
            # Somebody may have connected with yet another token since the question.
            late = await self._ask(subject, or_member=False)
            if _digests(late) - ruling.tokens:
                await self.add(ruling, [*found, *late])
        elif not self._open_to_all:
            await asyncio.sleep(max(0.0, ruling.until - time.time()))

    async def add(self, ruling: Ruling, found: Sequence[FoundToken]) -> None:
        """Add a ruling about the tokens in ``found`` to the log. Raises StoreUnavailable."""
        ruling = replace(ruling, tokens=_digests(found))
        latest = max((each.expires or 0.0 for each in found), default=0.0)
        kept = max(self._ttl, latest - time.time())
        await self._log.add(ruling.subject, ruling.room, ruling.pack(), ruling.record(), kept)

    async def _ask(self, id: str, *, or_member: bool) -> list[FoundToken]:
        answers = await self._questions.ask(
            RULINGS_CHANNEL,
            lambda to: TokensQuestion(to, id, or_member).pack(),
            timeout=ANSWER_TIMEOUT,
        )
        found: list[FoundToken] = []
        for answer in answers:
            try:
                found += parse_tokens(answer)
            except ValueError:
                log.warning("unknown words on this node's channel")
        return found


def _digests(found: Iterable[FoundToken]) -> frozenset[str]:
    return frozenset(each.digest for each in found)

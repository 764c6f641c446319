"""Sends the events that wait, and tries again what the receiver did not take."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from typing import Final

import aiohttp

from collab import __version__
from collab.config import Config
from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.webhooks.messages import headers
from collab.webhooks.outbox import Outbox, Taken

log = logging.getLogger(__name__)

POLL_INTERVAL: Final = 0.5
"""Seconds between two questions for events, if this node has made none itself."""
BACKOFF_FACTOR: Final = 3.0
"""By which each wait is longer than the one before."""
MAX_BACKOFF: Final = 3600.0
"""Seconds that a wait has at most, before its jitter."""
JITTER: Final = 0.25
"""The part by which a wait is at random longer: so what failed together is not tried together."""
MIN_IDLE_MARGIN: Final = 2.0
"""Seconds beyond two time-outs after which a node that took an event counts as dead."""
MAX_ANSWER_BYTES: Final = 16 * 1024
"""Bytes of an answer that are read, so that its connection can be used again."""
ANSWER_TIMEOUT: Final = 0.5
"""Seconds to read that."""
LAST_ATTEMPTS: Final = 2.0
"""Seconds that attempts under way have when a node stops; another node makes them again."""


def backoff(attempt: int, first: float) -> float:
    """Return the seconds to wait after the failed ``attempt``, without jitter."""
    # The exponent is bounded, since a float is.
    return min(MAX_BACKOFF, first * BACKOFF_FACTOR ** min(attempt - 1, 30))


class Refused(Exception):
    """The receiver has answered that it does not take an event."""


class Delivery:
    """Delivers events to the receiver, several at once but at most so many as are configured.

    An event that fails waits in Redis, so it keeps no other from being sent. A receiver that hangs
    holds each place for one time-out.
    """

    def __init__(
        self, config: Config, outbox: Outbox, made: asyncio.Event, metrics: Metrics
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._made = made
        self._metrics = metrics
        self._min_idle = round((2 * config.webhook_timeout + MIN_IDLE_MARGIN) * 1000)
        self._attempts: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession
        metrics.webhook_backlog.read = lambda: self._backlog
        self._backlog = (0.0, 0.0, 0.0)

    async def run(self) -> None:
        """Take and send events until this is cancelled; then end the attempts under way."""
        connector = aiohttp.TCPConnector(limit=self._config.webhook_concurrency)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._config.webhook_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # nobody reads what an answer says
            trust_env=True,
        ) as self._session:
            try:
                while True:
                    await self._take()
                    await self._wait()
            finally:
                await self._end_attempts()

    async def _take(self) -> None:
        free = self._config.webhook_concurrency - len(self._attempts)
        self._made.clear()
        try:
            backlog, taken = await self._outbox.take(free, self._min_idle)
        except StoreUnavailable:
            return
        self._backlog = (backlog.waiting, backlog.age, backlog.dead)
        for each in taken:
            attempt = asyncio.create_task(self._attempt(each))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)
        if taken and len(taken) == free:
            self._made.set()  # there may be more

    async def _wait(self) -> None:
        """Wait until there is something to send, and a place from which to send it."""
        if len(self._attempts) >= self._config.webhook_concurrency:
            await asyncio.wait(self._attempts, return_when=asyncio.FIRST_COMPLETED)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_INTERVAL):
                await self._made.wait()

    async def _attempt(self, taken: Taken) -> None:
        """Send an event once. If Redis can't be told the outcome, it is sent once more later."""
        count = self._metrics.webhook_attempts
        with suppress(StoreUnavailable):
            try:
                await self._send(taken)
            except asyncio.CancelledError:  # the node stops: another one tries at once
                await self._outbox.retry(taken, taken.attempt, 0.0)
                raise
            except (Refused, aiohttp.ClientError, OSError, TimeoutError) as problem:
                count.labels("refused" if isinstance(problem, Refused) else "failed").inc()
                await self._fail(taken, _reason(problem))
            else:
                count.labels("delivered").inc()
                await self._outbox.delivered(taken)

    async def _send(self, taken: Taken) -> None:
        """Raises Refused, ClientError, OSError or TimeoutError if the event was not taken."""
        signed = headers(taken.id, int(time.time()), taken.body, self._config.webhook_secret.keys)
        named = {"Content-Type": "application/json", "User-Agent": f"collab/{__version__}"}
        async with self._session.post(
            self._config.webhook_url, data=taken.body, headers={**signed, **named},
            allow_redirects=False,
        ) as answer:  # fmt: skip
            # What is read makes no difference, but aiohttp closes the connection of an answer that
            # was not read to its end.
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    await answer.content.read(MAX_ANSWER_BYTES)
            if not 200 <= answer.status < 300:
                raise Refused(f"status {answer.status}")

    async def _fail(self, taken: Taken, reason: str) -> None:
        config = self._config
        about = {"webhook": taken.id, "attempt": taken.attempt, "reason": reason}
        if taken.attempt < config.webhook_attempts:
            wait = backoff(taken.attempt, config.webhook_backoff) * (1 + random.random() * JITTER)
            log.info("webhook not delivered", extra={**about, "retry_in": round(wait, 3)})
            await self._outbox.retry(taken, taken.attempt + 1, wait)
            return
        log.error("webhook not delivered, and not tried again", extra=about)
        dropped = await self._outbox.bury(
            taken, reason, config.webhook_max_dead, config.webhook_max_bytes
        )
        self._metrics.webhook_died.inc()
        if dropped:
            self._metrics.webhook_dropped.inc(dropped)
            log.error("dead webhooks dropped: their list is full", extra={"webhooks": dropped})

    async def _end_attempts(self) -> None:
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=LAST_ATTEMPTS)
            for attempt in self._attempts:
                attempt.cancel()
            await asyncio.gather(*self._attempts, return_exceptions=True)


def _reason(problem: Exception) -> str:
    """Return why an attempt failed, without what might be secret: an error may name the URL."""
    return str(problem) if isinstance(problem, Refused) else type(problem).__name__

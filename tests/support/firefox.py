"""Debian's Firefox, driven by WebDriver BiDi.

Playwright drives only a Firefox that its makers have built.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.ports import free_port
from tests.support.processes import Process, tool, until_open

STATE_TIMEOUT = 30.0
"""Seconds."""
PREFERENCES = {
    "ui.prefersReducedMotion": 1,  # axe measures the contrast of one moment
    # The browser must not make requests of its own: a test must not depend on other hosts.
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.getAddons.cache.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
}


class Firefox:
    """One tab of a Firefox with a fresh profile."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._numbers = itertools.count(1)
        self._tab = ""

    async def open(self) -> None:
        await self._call("session.new", capabilities={})
        tree = await self._call("browsingContext.getTree")
        self._tab = tree["contexts"][0]["context"]

    async def goto(self, url: str) -> None:
        """Load a page, with all that it needs from the start."""
        await self._call("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript, or of its promise, as JSON has it."""
        result = await self._call(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then(got => JSON.stringify(got ?? null))",
            target={"context": self._tab},
            awaitPromise=True,
            userActivation=True,
        )
        assert result["type"] == "success", result
        return json.loads(result["result"]["value"])

    async def until(self, expression: str) -> None:
        """Wait until an expression is true."""

        async with asyncio.timeout(STATE_TIMEOUT):
            while True:
                with contextlib.suppress(AssertionError):  # the page is just being replaced
                    if await self.evaluate(expression):
                        return
                await asyncio.sleep(0.05)

    async def types(self, text: str) -> None:
        """Press the key of each letter."""
        keys = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        await self._call(
            "input.performActions",
            context=self._tab,
            actions=[{"type": "key", "id": "keyboard", "actions": keys}],
        )

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._ws.send_json({"id": number, "method": method, "params": params})
        while True:
            answer = await self._ws.receive_json()
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                result: dict[str, Any] = answer["result"]
                return result


@asynccontextmanager
async def firefox() -> AsyncIterator[Firefox]:
    """Run a Firefox without a window."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="collab-firefox-", ignore_cleanup_errors=True) as home:
        lines = (
            f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
            for name, value in PREFERENCES.items()
        )
        Path(home, "user.js").write_text("".join(lines))
        process = Process(
            tool("firefox-esr"), "--headless", "--no-remote", "--profile", home,
            "--remote-debugging-port", str(port), env={"HOME": home},
        )  # fmt: skip
        await process.start()
        try:
            await until_open(port, process)
            url = f"ws://127.0.0.1:{port}/session"
            async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as ws:
                browser = Firefox(ws)
                await browser.open()
                yield browser
        finally:
            with contextlib.suppress(AssertionError):
                await process.stop()

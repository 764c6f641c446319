"""The page in Firefox: what it does, and what axe says of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Cluster
from tests.browser.test_accessibility import AXE, RUN
from tests.support.firefox import Firefox, firefox

pytestmark = pytest.mark.timeout(90)

Visit = Callable[..., Any]
IN_ROOM = "['connected', 'saved'].includes(document.querySelector('#badge')?.dataset.state)"
LINE = "document.querySelector('#editor').shadowRoot?.querySelector('.cm-line')?.textContent"
CLICK = "document.querySelector({!r}).click()"


class Fay:
    """Somebody with Firefox."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], browser: Firefox) -> None:
        self._run = run
        self._browser = browser

    def opens(self, url: str) -> None:
        self._run(self._browser.goto(url))

    def types(self, text: str) -> None:
        self._run(self._browser.types(text))

    def does(self, expression: str) -> Any:
        return self._run(self._browser.evaluate(expression))

    def waits_for(self, expression: str) -> None:
        self._run(self._browser.until(expression))

    def complaints(self) -> list[str]:
        """Return what axe says of the page in light and dark colors."""
        self.does(f"(() => {{ {AXE.read_text()} }})()")
        found = []
        for _ in range(2):
            found += self.does(f"({RUN})()")
            self.does(CLICK.format("#theme"))
        return found


@pytest.fixture
def fay(cluster: Cluster) -> Iterator[Fay]:
    running = firefox()
    browser = cluster.run(running.__aenter__())
    yield Fay(cluster.run, browser)
    cluster.run(running.__aexit__(None, None, None))


def test_the_page_works_in_firefox(
    fay: Fay, visit: Visit, cluster: Cluster, two_nodes: tuple[str, str], room: str
) -> None:
    bob = visit("Bob").enters(two_nodes[1], room)
    fay.opens(f"{two_nodes[0]}/?room={room}")
    fay.waits_for(IN_ROOM)
    fay.types("from Firefox")
    bob.sees("from Firefox")
    bob.code.press("End")
    bob.types(", and back")
    fay.waits_for(f"{LINE} === 'from Firefox, and back'")
    fay.waits_for("document.querySelectorAll('#people li:not([hidden])').length === 2")
    assert fay.complaints() == []
    fay.does(CLICK.format("#more-people"))
    fay.does(CLICK.format("#everyone .follow"))
    fay.waits_for("!document.querySelector('#following').hidden")
    assert fay.complaints() == []
    fay.opens(f"{two_nodes[0]}/?room={room}&client=plain")
    fay.waits_for(IN_ROOM)
    fay.types("plain, ")
    bob.sees("plain, from Firefox, and back")
    assert fay.complaints() == []
    fay.opens(f"{two_nodes[0]}/?room={room}&playback")
    fay.waits_for("document.querySelector('#play')?.disabled === false")
    assert fay.complaints() == []
    fay.opens(f"{two_nodes[0]}/?room={room}")
    fay.waits_for(IN_ROOM)
    assert bob.page.request.delete(f"{two_nodes[1]}/api/rooms/{room}").ok
    fay.waits_for("document.querySelector('#trouble').dataset.kind === 'ended'")
    assert fay.complaints() == []
    fay.does(CLICK.format("#trouble [data-way=new-room]"))
    fay.waits_for(f"!location.search.includes('{room}') && {IN_ROOM}")
    fay.waits_for(f"{LINE} === 'plain, from Firefox, and back'")
    expect(bob.trouble).to_be_visible()

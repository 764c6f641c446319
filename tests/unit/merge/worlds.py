"""The worlds that test the merge core, by name: how their pages and links behave."""

from __future__ import annotations

from dataclasses import replace

from .simulator import Setting

CLOSE = Setting(nodes=1, clients=3, edits=40, delay=0.1, pause=0.1, torn=0.0)
"""People who type concurrently, on links of 5 to 300 ms."""
TYPING = Setting(
    nodes=2, clients=3, edits=60, delay=0.062, jitter=0.05, pause=0.2, torn=0.0, typing=True
)
"""People who mostly type at a caret, on links of 60 ms."""

AT_ONCE = {
    "one node": CLOSE,
    "a crowd": replace(CLOSE, clients=6, pause=0.02, edits=25),
    "two nodes": replace(CLOSE, nodes=2, clients=2, delay=0.3),
    "four nodes": replace(CLOSE, nodes=4, clients=6, pause=0.2, edits=25, heartbeat=0.3),
    "some echo": replace(CLOSE, nodes=2, clients=4, echoes=0.4),
    "all echo": replace(CLOSE, clients=4, echoes=1.0, pause=0.02, edits=20),
    "Yjs members too": replace(CLOSE, nodes=2, yjs=2),
    "typing": TYPING,
}
"""Pages that stay connected, and show a receive at once."""
SENT_AWAY = {"drained nodes": replace(CLOSE, nodes=3, clients=6, drains=0.05)}
"""Pages whose nodes drain: everything that the pages have sent is handled."""
MOUNTING = {"mounted again": replace(CLOSE, nodes=2, clients=4, mounts=0.1)}
"""Pages that mount again, blank, on the same connection."""
KEEPING = {
    "some keep changes": replace(CLOSE, nodes=2, clients=4, asks=1.0, keeps=0.5),
    "all keep changes": replace(TYPING, asks=1.0, keeps=1.0),
}
"""Pages that send a change only after the previous one was acknowledged, and pages that don't wait.
"""
ASKING = {"all ask": replace(TYPING, asks=1.0), "all ask, close": replace(CLOSE, asks=1.0)}
LATE = {
    "16 ms late": replace(TYPING, late=1.0),
    "50 ms late": replace(TYPING, late=1.0, lateness=0.05),
}
"""Pages that show a receive after their handler has returned."""
CUT_OFF = {
    "cut off, one node": replace(CLOSE, clients=4, breaks=0.05),
    "cut off, three nodes": replace(CLOSE, nodes=3, clients=6, breaks=0.05),
}
"""Pages whose links break, and lose everything that is on its way."""
TORN = {"marks torn off": Setting(nodes=2, clients=3, edits=25, torn=0.1)}
"""Links on which a mark and its receive often arrive apart."""
ALL_AT_ONCE = {
    "everything": replace(
        CLOSE, nodes=3, clients=6, yjs=2, drains=0.02, breaks=0.02, mounts=0.02, late=0.3
    )
}
WORLDS = AT_ONCE | SENT_AWAY | MOUNTING | KEEPING | ASKING | LATE | CUT_OFF | TORN | ALL_AT_ONCE

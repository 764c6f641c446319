"""The Lua scripts in this directory, which all get the keys `WEBHOOK_KEYS`."""

from __future__ import annotations

from collab.store.scripts import Script

PACKAGE = "collab.webhooks"

ATTEND = Script("attend", PACKAGE)
CLAIM = Script("claim", PACKAGE)
EMIT = Script("emit", PACKAGE)
KEEP = Script("keep", PACKAGE)
NOTE = Script("note", PACKAGE)
REPLAY = Script("replay", PACKAGE)
SETTLE = Script("settle", PACKAGE)
TAKE = Script("take", PACKAGE)
TIDY = Script("tidy", PACKAGE)

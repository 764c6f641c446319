"""The Lua scripts in this directory, which all get the keys `WEBHOOK_KEYS`."""

from __future__ import annotations

from collab.store.scripts import Script

PACKAGE = "collab.webhooks"

ATTEND = Script.load("attend", PACKAGE)
CLAIM = Script.load("claim", PACKAGE)
EMIT = Script.load("emit", PACKAGE)
KEEP = Script.load("keep", PACKAGE)
NOTE = Script.load("note", PACKAGE)
REPLAY = Script.load("replay", PACKAGE)
SETTLE = Script.load("settle", PACKAGE)
TAKE = Script.load("take", PACKAGE)
TIDY = Script.load("tidy", PACKAGE)

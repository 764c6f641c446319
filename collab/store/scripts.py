"""The Lua scripts beside this file. The head of each says what it does, takes and returns."""

from __future__ import annotations

import hashlib
from importlib.resources import files


class Script:
    """A script's source, and the digest by which Redis knows it once it has run it.

    Every script is given the same keys: those of one room (see `keys.script_keys`).
    """

    __slots__ = ("digest", "source")

    def __init__(self, name: str) -> None:
        self.source = files("collab.store").joinpath(f"{name}.lua").read_text("utf-8")
        self.digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


CHECK = Script("check")
COMMIT = Script("commit")
COMPACT = Script("compact")
END = Script("end")
READ = Script("read")
SETTLE = Script("settle")
START = Script("start")
STATUS = Script("status")

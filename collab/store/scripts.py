"""The Lua scripts in this directory. Each documents its keys, arguments and result at its head."""

from __future__ import annotations

import hashlib
from importlib.resources import files


class Script:
    """A script's source, and the digest by which Redis finds the script after its first run.

    Every script but `RULE` gets the same keys: those of one room (see `keys.script_keys`).
    """

    __slots__ = ("digest", "source")

    def __init__(self, name: str) -> None:
        self.source = files("collab.store").joinpath(f"{name}.lua").read_text("utf-8")
        self.digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


CHECK = Script("check")
COMMIT = Script("commit")
COMPACT = Script("compact")
END = Script("end")
INSPECT = Script("inspect")
MEND = Script("mend")
READ = Script("read")
RULE = Script("rule")
SETTLE = Script("settle")
START = Script("start")
STATUS = Script("status")

"""The Lua scripts in this directory. Each documents its keys, arguments and result at its head."""

from __future__ import annotations

import hashlib
from functools import cached_property
from importlib.resources import files
from typing import Final

SHARDED: Final = {"'PUBLISH'": "'SPUBLISH'", "'NUMSUB'": "'SHARDNUMSUB'"}
"""Words of the scripts, and those in their place where the channels are sharded."""


class Script:
    """A script's source, and the digest by which Redis finds the script after its first run.

    Every script of this directory but `RULE` gets the keys of one room: `keys.script_keys`, or the
    first three.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def load(cls, name: str, package: str = "collab.store") -> Script:
        """Read a script's file."""
        return cls(files(package).joinpath(f"{name}.lua").read_text("utf-8"))

    @cached_property
    def sharded(self) -> Script:
        """The same script for a Redis Cluster, where the channels are sharded."""
        source = self.source
        for word, other in SHARDED.items():
            source = source.replace(word, other)
        return Script(source)


CHECK = Script.load("check")
COMMIT = Script.load("commit")
COMPACT = Script.load("compact")
END = Script.load("end")
INSPECT = Script.load("inspect")
LIFE = Script.load("life")
MEND = Script.load("mend")
READ = Script.load("read")
RULE = Script.load("rule")
SETTLE = Script.load("settle")
START = Script.load("start")
STATUS = Script.load("status")

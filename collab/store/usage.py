"""How much memory Redis uses, of how much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from collab.metrics import Metrics

SCARCE: Final = 0.75
"""The part of Redis' memory in use from which on histories are kept short."""
NEARLY_FULL: Final = 0.9
"""The part from which on no new room begins. A full Redis refuses every edit of every room."""


class Usage:
    """The memory of Redis as it was when the node last asked; None while that is not known.

    ``limit`` is Redis' ``maxmemory``; None if it has none. Both are in bytes. In a cluster they are
    those of the fullest master.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.used: int | None = None
        self.limit: int | None = None
        self._metrics = metrics

    def update(self, *infos: bytes) -> None:
        """Read what ``INFO memory`` returns, on each master."""
        found = [_numbers(info, "used_memory", "maxmemory") for info in infos]
        fullest = max(found, key=_fullness)
        self.used, self.limit = fullest.get("used_memory"), fullest.get("maxmemory") or None
        self._metrics.redis_used.set(self.used or 0)
        self._metrics.redis_limit.set(self.limit or 0)

    @property
    def scarce(self) -> bool:
        """Whether Redis' memory is scarce."""
        return self._part >= SCARCE

    @property
    def nearly_full(self) -> bool:
        """Whether Redis has little memory left for edits of the rooms that there are."""
        return self._part >= NEARLY_FULL

    @property
    def _part(self) -> float:
        return self.used / self.limit if self.used and self.limit else 0.0


def _fullness(found: Mapping[str, int]) -> tuple[float, int]:
    """Order masters by the used part of their memory, and those without a limit by its size."""
    used, limit = found.get("used_memory", 0), found.get("maxmemory", 0)
    return used / limit if limit else 0.0, used


def _numbers(info: bytes, *names: str) -> Mapping[str, int]:
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    return {name: int(value) for name, _, value in lines if name in names and value.isdigit()}

"""Give the memory of a process back to the system."""

from __future__ import annotations

import asyncio
import ctypes
from typing import Final

TRIM_DELAY: Final = 2.0
"""Seconds after which the connections of clients that were let go have ended."""


class Heap:
    """The heap of this process.

    glibc keeps what is freed in its middle, and a flood of large messages leaves it full of holes:
    80 MB after one that had held 32 MB.
    """

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other systems have none
        self._timer: asyncio.TimerHandle | None = None
        self._again = False

    def trim_soon(self) -> None:
        """Give free memory back in a moment; this takes milliseconds."""
        if self._timer is not None:
            self._again = True  # what is freed after that moment is given back later
        elif self._trim is not None:
            self._timer = asyncio.get_running_loop().call_later(TRIM_DELAY, self._trim_now)

    def _trim_now(self) -> None:
        self._timer = None
        if self._trim is not None:
            self._trim(0)
        if self._again:
            self._again = False
            self.trim_soon()

"""The account of how a node answered an offender."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from tests.abuse.websocket import Ended

ABNORMAL = 1000
"""The Close codes above it state a reason (1005 and 1006, which are no reasons, are never sent)."""


class Refused(Exception):
    """The node has refused an act, or has ended a connection; the account has noted how."""


@dataclass(slots=True)
class Account:
    """How the node answered the offender's acts.

    ``served`` counts the acts that it accepted. ``reasons`` has what it stated when it refused one.
    ``unstated`` has the ends and silences for which it stated nothing.
    """

    served: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unstated: Counter[str] = field(default_factory=Counter)

    def refuse(self, reason: str) -> None:
        self.reasons[" ".join(reason.split())[:100]] += 1

    def note_status(self, status: int, body: str) -> None:
        """Note the answer to an HTTP request."""
        if status < 400:
            self.served += 1
        else:
            self.refuse(f"HTTP {status} {error_code(body)}")

    def note_end(self, end: Ended, what: str) -> None:
        """Note how the node has ended a connection."""
        if end.status:
            self.note_status(end.status, end.reason)
        elif end.code > ABNORMAL:
            self.refuse(f"close {end.code} {end.reason}")
        else:
            self.unstated[f"{what} ended"] += 1

    def to_json(self) -> str:
        return json.dumps([self.served, self.reasons, self.unstated])

    @classmethod
    def from_json(cls, line: bytes) -> Account:
        served, reasons, unstated = json.loads(line)
        return cls(served, Counter(reasons), Counter(unstated))


def error_code(body: str) -> str:
    """Return the error code in the body of an answer; if it has none, the body's beginning."""
    try:
        told = json.loads(body)
    except ValueError:
        return body[:40]
    if not isinstance(told, dict):
        return str(told)[:40]
    inner = told.get("error", told)
    return str(inner.get("code", told.get("message", "")) if isinstance(inner, dict) else inner)

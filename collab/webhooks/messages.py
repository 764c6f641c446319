"""The events as the receiver gets them, signed as the Standard Webhooks specification says.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson

from collab.rooms.author import Author
from collab.webhooks.life import Happened, Kind


@dataclass(frozen=True, slots=True)
class Writing:
    """A text, the last entry of the journal in it, and who wrote it; ``epoch`` is the journal's."""

    epoch: str
    tail: str
    text: str
    people: list[dict[str, str | None]]

    def pack(self) -> bytes:
        """Return it as Redis keeps it."""
        return orjson.dumps(self)

    @classmethod
    def parse(cls, packed: bytes) -> Writing:
        """Read what `pack` returned."""
        return cls(**orjson.loads(packed))


def people(authors: Iterable[str]) -> list[dict[str, str | None]]:
    """Return the authors of entries as events name them: each once, and none that is unknown."""
    found: dict[str, dict[str, str | None]] = {}
    for words in authors:
        if author := Author.parse(words):
            found[author.id] = {
                "id": author.id, "name": author.name, "client": author.client or None,
            }  # fmt: skip
    return list(found.values())


def links(public_url: str, room: str) -> dict[str, str] | None:
    """Return the addresses of a room's history and playback; None without a public URL."""
    if not public_url:
        return None
    name = quote(room, safe="")
    return {
        "history": f"{public_url}/api/rooms/{name}/history",
        "playback": f"{public_url}/?room={name}&playback",
    }


def body(
    event: Happened,
    room: str,
    at: int,
    expires: int,
    writing: Writing | None,
    addresses: dict[str, str] | None,
) -> tuple[bytes, bytes]:
    """Return the body of an event: what stands before its sequence, and what stands behind.

    Redis puts the sequence in between, so that the number and the place in the queue agree. ``at``
    and ``expires`` are milliseconds since 1970.
    """
    data: dict[str, Any] = {"room": room, "life": event.epoch}
    if event.kind in (Kind.IDLE, Kind.EXPIRING):
        data["expires_at"] = _iso(expires)
    if event.kind is Kind.ENDED:
        data["reason"] = event.reason
    if event.kind in (Kind.EXPIRING, Kind.ENDED):
        data["text"] = writing.text if writing else None
        data["people"] = writing.people if writing else None
        data["last_entry"] = writing.tail if writing else None
    if event.kind is not Kind.ENDED:
        data["links"] = addresses
    head = orjson.dumps({"type": event.kind, "timestamp": _iso(at)})[:-1]
    return head + b',"data":{"sequence":', b"," + orjson.dumps(data)[1:] + b"}"


def _iso(milliseconds: int) -> str:
    when = datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None)
    return when.isoformat(timespec="milliseconds") + "Z"


def headers(id: str, timestamp: int, content: bytes, keys: Iterable[bytes]) -> dict[str, str]:
    """Return the headers that identify and sign an event sent at ``timestamp``, in Unix seconds."""
    signed = f"{id}.{timestamp}.".encode() + content
    made = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in made),
    }

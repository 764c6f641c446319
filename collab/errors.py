"""Everything that can go wrong and that somebody outside may be told about.

The ``code`` of a class is a stable machine word of the wire contract; the message is a sentence
for people and may change at any time.
"""

from __future__ import annotations

RETRY_AFTER = "1"
"""Seconds after which a request that this node can't serve now may be tried again."""


class CollabError(Exception):
    """Base of every error this service raises on purpose."""

    code = "internal"
    retryable = False

    def payload(self) -> dict[str, str]:
        """Return what a client is told: ``{message, code}``.

        It is the argument of the contract's ``error`` event, and the body of a refused request of
        the Socket.IO endpoint: its clients read one form, however far they came.
        """
        return {"message": str(self), "code": self.code}


def error_body(code: str, message: str) -> dict[str, dict[str, str]]:
    """Return the JSON body of an HTTP error everywhere but at the Socket.IO endpoint.

    It stands under a key of its own: in the API's other answers ``code`` is the text of a room.
    """
    return {"error": {"code": code, "message": message}}


class ConfigError(CollabError):
    """A setting has a value the service cannot run with; the message names the variable."""

    code = "bad_config"


class BadEvent(CollabError):
    """A packet or an event that is not of the contract's form."""

    code = "bad_event"


class BadRoom(CollabError):
    """A room name that is missing, too long, or has characters a name may not have."""

    code = "bad_room"


class BadCode(CollabError):
    """A ``code`` that is not text, or holds a lone surrogate, which no UTF-8 store can keep."""

    code = "bad_code"


class CodeTooLarge(CollabError):
    """A text over the limit of code size."""

    code = "code_too_large"


class FrameTooLarge(CollabError):
    """A message or a body over its limit of bytes: nothing of it was handled."""

    code = "frame_too_large"


class BadRequest(CollabError):
    """An HTTP request whose body or parameters are not of the API's form."""

    code = "bad_request"


class NotAllowed(CollabError):
    """The caller may not do this."""

    code = "not_allowed"


class OriginNotAllowed(NotAllowed):
    """Pages of that origin may not connect."""


class NotJoined(CollabError):
    """A ``leave`` of a room the client is not in."""

    code = "not_joined"


class RoomFull(CollabError):
    """The room has as many members as it may have."""

    code = "room_full"


class NoSuchRoom(CollabError):
    """The room has no text, and nobody is in it."""

    code = "no_such_room"


class RoomExists(CollabError):
    """The room was to be created, and has a text already."""

    code = "room_exists"


class RoomClosed(CollabError):
    """The room was ended: whoever was in it is out, and what was not committed is gone."""

    code = "room_closed"

    def __init__(self, room: str) -> None:
        super().__init__(f"the room {room} was ended")
        self.room = room

    def payload(self) -> dict[str, str]:
        """Return what a client is told; it may be in other rooms too, so the room is named."""
        return {**super().payload(), "room": self.room}


class TooManyRooms(CollabError):
    """The connection is in as many rooms as it may be in."""

    code = "too_many_rooms"


class NodeFull(CollabError):
    """This node has as many connections as it may have."""

    code = "node_full"
    retryable = True


class UnknownSession(CollabError):
    """An Engine.IO session that has ended, or that another node has."""

    code = "unknown_session"


class RateLimited(CollabError):
    """The client went on sending far more than it may, after having been slowed for long."""

    code = "rate_limited"
    retryable = True


class Draining(CollabError):
    """This node is shutting down; another one takes the client."""

    code = "draining"
    retryable = True

    def __init__(self) -> None:
        super().__init__("this node is shutting down")


class StoreUnavailable(CollabError):
    """Redis did not answer in time, or answered that it cannot serve now."""

    code = "store_unavailable"
    retryable = True

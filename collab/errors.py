"""The errors that the service reports to clients.

The ``code`` of a class is a stable part of the wire contract; the message is a sentence for people
and may change at any time.
"""

from __future__ import annotations

from typing import TypeVar

P = TypeVar("P", bound=BaseException)

RETRY_AFTER = "1"
"""Seconds after which a client may retry a request that this node can't serve now."""


class CollabError(Exception):
    """The base class of the errors of this service."""

    code = "internal"
    retryable = False

    def payload(self) -> dict[str, str]:
        """Return what a client receives: ``{message, code}``.

        This is the argument of the contract's ``error`` event, and the response body if the
        Socket.IO endpoint refuses a request, so that its clients read only one form.
        """
        return {"message": str(self), "code": self.code}


def error_body(code: str, message: str, reason: str | None = None) -> dict[str, dict[str, str]]:
    """Return the JSON body of an HTTP error, except at the Socket.IO endpoint.

    The error has its own key, because ``code`` is a room's text in the API's other responses.
    ``reason`` is that of `Unauthorized`.
    """
    return {"error": {"code": code, "message": message, **({"reason": reason} if reason else {})}}


class ConfigError(CollabError):
    """A setting has an invalid value; the message names the option or the variable."""

    code = "bad_config"


class BadEvent(CollabError):
    """A packet or an event does not have the form that the contract requires."""

    code = "bad_event"


class BadRoom(CollabError):
    """A room name is missing, too long, or has forbidden characters."""

    code = "bad_room"


class BadCode(CollabError):
    """A ``code`` is not text, or holds a lone surrogate, which UTF-8 cannot represent."""

    code = "bad_code"


class CodeTooLarge(CollabError):
    """A text is over the limit of code size."""

    code = "code_too_large"


class FrameTooLarge(CollabError):
    """A message or a body is over its limit of bytes, and was not handled."""

    code = "frame_too_large"


class HeadersTooLarge(FrameTooLarge):
    """The headers of a request are over the limit."""


class BadRequest(CollabError):
    """The body or the parameters of an HTTP request do not have the form that the API requires."""

    code = "bad_request"


class NotAllowed(CollabError):
    """The caller may not do this."""

    code = "not_allowed"


class OriginNotAllowed(NotAllowed):
    """Pages of that origin may not connect."""


class RoomNotAllowed(NotAllowed):
    """The client's token does not let it into the room."""

    def __init__(self, message: str, room: str) -> None:
        super().__init__(message)
        self.room = room

    def payload(self) -> dict[str, str]:
        """Return what a client receives: the room too, because the client may be in several."""
        return {**super().payload(), "room": self.room}


class Removed(RoomNotAllowed):
    """Somebody has removed the client from the room; it may not enter with the same token."""

    code = "removed"

    def __init__(self, room: str) -> None:
        super().__init__(f"you have been removed from the room {room}", room)


class Unauthorized(CollabError):
    """The client has shown no token, or one that is not accepted.

    ``reason`` says which rule the token breaks, such as ``token_expired``; like ``code`` it is a
    stable part of the wire contract. Neither it nor the message has anything of the token in it.
    """

    code = "unauthorized"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def payload(self) -> dict[str, str]:
        """Return what a client receives: the reason too."""
        return {**super().payload(), "reason": self.reason}


class AuthUnavailable(CollabError):
    """A token can't be checked now: its keys can't be read, or the user service does not answer."""

    code = "auth_unavailable"
    retryable = True


class WrongHost(CollabError):
    """The Host header of a request has none of the names of the service."""

    code = "wrong_host"


class KeyNotAccepted(NotAllowed):
    """A caller of the API has shown no key, or one that is not accepted."""


class ScopeMissing(NotAllowed):
    """The key of a caller of the API does not have the ``scope`` that the request needs."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"this needs a key with the scope {scope}, which this key does not have")
        self.scope = scope


class NotJoined(CollabError):
    """A client has sent ``leave`` for a room that it is not in."""

    code = "not_joined"


class RoomFull(CollabError):
    """The room has its maximum number of members."""

    code = "room_full"


class NoSuchRoom(CollabError):
    """The room has no text, and nobody is in it."""

    code = "no_such_room"


class RoomExists(CollabError):
    """A request was to create the room, which already has a text."""

    code = "room_exists"


class RoomClosed(CollabError):
    """The room was ended: its members are out, and edits that were not committed are lost."""

    code = "room_closed"

    def __init__(self, room: str) -> None:
        super().__init__(f"the room {room} was ended")
        self.room = room

    def payload(self) -> dict[str, str]:
        """Return what a client receives: the room too, because the client may be in several."""
        return {**super().payload(), "room": self.room}


class TooManyRooms(CollabError):
    """The connection is in its maximum number of rooms."""

    code = "too_many_rooms"


class NodeFull(CollabError):
    """This node has its maximum number of connections, or of another limited resource."""

    code = "node_full"
    retryable = True


class UnknownSession(CollabError):
    """The Engine.IO session has ended, or belongs to another node."""

    code = "unknown_session"


class RateLimited(CollabError):
    """The client still sends too fast after it was slowed for a long time."""

    code = "rate_limited"
    retryable = True


class Draining(CollabError):
    """This node is shutting down; the client must connect to another one."""

    code = "draining"
    retryable = True

    def __init__(self) -> None:
        super().__init__("this node is shutting down")


class StoreUnavailable(CollabError):
    """Redis has not answered in time, or has answered with an error."""

    code = "store_unavailable"
    retryable = True


class RoomUnreadable(StoreUnavailable):
    """What Redis has of one room is damaged; other rooms are as they were.

    The room opens again when that is mended, or deleted. ``reason`` is for the log, and has nothing
    of a text in it.
    """

    code = "room_unreadable"

    def __init__(self, room: str, reason: str) -> None:
        super().__init__(f"what is stored of the room {room} can't be read now")
        self.room = room
        self.reason = reason

    def payload(self) -> dict[str, str]:
        """Return what a client receives: the room too, because the client may be in several."""
        return {**super().payload(), "room": self.room}


def all_codes() -> set[str]:
    """Return the codes of all errors that clients can meet."""
    found, kinds = set(), [CollabError]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind is not ConfigError:
            found.add(kind.code)
    return found


def without_frames(problem: P) -> P:
    """Remove the tracebacks of a problem that has been handled, and of those it came from.

    A traceback refers to frames, of which some refer to the problem, and to the connection: only
    the garbage collector could free all that.
    """
    part: BaseException | None = problem
    while part is not None:
        part.__traceback__ = None
        part = part.__context__
    return problem

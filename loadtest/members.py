"""The members of a benchmark's rooms: one types letters into a text, the others see them arrive.

The first member of a room writes a text and then types one letter after another in its middle. So
the length of a text tells which letters it shows, and a letter is delivered when a text that has it
arrives: a server may leave out texts that newer ones replace.
"""

import asyncio
import json
import time
from array import array
from functools import lru_cache
from typing import ClassVar, Self

from pycrdt import Doc, Text

from loadtest.wire import BINARY, TEXT, WebSocket, frame

clock = time.perf_counter

SNIPPET = (
    "def handler_{n}(self, name, value=None):\n"
    '    """Return the value stored under name."""\n'
    "    if value is None:\n"
    '        value = self.cache.get(name, "none")\n'
    "    return [name, value, {n} * 7]\n\n"
)
TYPED = "value = self.cache.get(name)  # the quick brown fox jumps over the lazy dog; "
JOIN_TIMEOUT = 30.0
PONG, CONNECT = frame(TEXT, b"3"), frame(TEXT, b"40")


@lru_cache
def halves(size: int) -> tuple[str, str]:
    """Return a text of that size in two parts: letters are typed between them."""
    copies = "".join(SNIPPET.format(n=n) for n in range(size // 150 + 1))[:size]
    middle = copies.find("\n", size // 2) + 1
    return copies[:middle], copies[middle:]


def text_with(letters: int, size: int) -> str:
    """Return the text of a room after that many letters."""
    front, back = halves(size)
    return front + typed(letters) + back


def typed(letters: int) -> str:
    return (TYPED * (letters // len(TYPED) + 1))[:letters]


class Room:
    """A room of the benchmark: when each letter was typed, and the delays of those that arrived."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.typed_at = array("d")
        self.delays: list[tuple[float, float]] = []

    @property
    def text(self) -> str:
        return text_with(len(self.typed_at), self.size)


class Member(WebSocket):
    """A member of a room. `shown` is the number of letters that it shows, -1 before any text."""

    path: ClassVar[str]

    def __init__(self, room: Room, *, deflate: bool = False) -> None:
        super().__init__(self.path.format(room=room.name), deflate=deflate)
        self.room = room
        self.shown = -1
        loop = asyncio.get_running_loop()
        self.joined: asyncio.Future[None] = loop.create_future()
        self.stored: asyncio.Future[None] = loop.create_future()
        self.first_text: asyncio.Future[float] = loop.create_future()

    @classmethod
    async def enter(cls, room: Room, port: int, *, deflate: bool = False) -> Self:
        """Connect a member and let it join. Raises OSError if the server does not let it."""
        loop = asyncio.get_running_loop()
        member = cls(room, deflate=deflate)
        async with asyncio.timeout(JOIN_TIMEOUT):
            await loop.create_connection(lambda: member, "127.0.0.1", port)
            await member.joined
        return member

    def write_text(self) -> None:
        """Send the text that the room begins with."""
        raise NotImplementedError

    def type_letter(self) -> None:
        """Send the room's next letter."""
        raise NotImplementedError

    def final_text(self) -> str:
        """Return the text that this member shows."""
        raise NotImplementedError

    def show(self, letters: int) -> None:
        """Note that a text with that many letters has arrived."""
        now = clock()
        if self.shown < 0:
            self.shown = 0
            self.first_text.set_result(now)
        for at in self.room.typed_at[self.shown : letters]:
            self.room.delays.append((at, now - at))
        self.shown = max(self.shown, letters)

    def fail(self, error: str) -> None:
        super().fail(error)
        for waiting in (self.joined, self.first_text, self.stored):
            if not waiting.done():
                waiting.set_exception(ConnectionError(error))
                waiting.exception()  # nobody needs to wait for it


class TextMember(Member):
    """A whole-text client of Socket.IO."""

    path = "/socket.io/?EIO=4&transport=websocket"

    def __init__(self, room: Room, *, deflate: bool = False) -> None:
        super().__init__(room, deflate=deflate)
        self._begin = b'42["change",{"room":"%s","code":"' % room.name.encode()
        self._first_size = 0
        self._last = b""

    def on_message(self, payload: bytes) -> None:
        if payload == b"2":
            self.write(PONG)
        elif payload.startswith(b'42["receive"'):
            self._last = payload
            self._first_size = self._first_size or len(payload)
            self.show(len(payload) - self._first_size)
        elif payload.startswith(b"0"):
            self.write(CONNECT)
        elif payload.startswith(b"40"):
            self.join(self.room.name)
        elif payload.startswith(b'430[{"ok":true'):
            if not self.joined.done():
                self.joined.set_result(None)
        elif payload.startswith(b'431[{"ok":true'):
            if not self.stored.done():
                self.stored.set_result(None)
        elif not payload.startswith(b'42["presence"'):
            self.fail(payload[:200].decode())

    def join(self, room: str) -> None:
        self.write(frame(TEXT, b'420["join",{"room":"%s"}]' % room.encode()))

    def change(self, room: str, code: str) -> None:
        """Send a text to any room; `stored` is done when it is acknowledged."""
        event = ["change", {"room": room, "code": code}]
        self.write(frame(TEXT, b"421" + json.dumps(event).encode()))

    def write_text(self) -> None:
        self._send(0)

    def type_letter(self) -> None:
        self._send(len(self.room.typed_at))

    def _send(self, letters: int) -> None:
        front, back = halves_as_json(self.room.size)
        text = b"".join((self._begin, front, typed(letters).encode(), back, b'"}]'))
        self.write(frame(TEXT, text))

    def final_text(self) -> str:
        return str(json.loads(self._last[2:])[1]["code"]) if self._last else ""


@lru_cache
def halves_as_json(size: int) -> tuple[bytes, bytes]:
    front, back = (json.dumps(half)[1:-1].encode() for half in halves(size))
    return front, back


class Keyboard:
    """The Yjs updates of one author who writes a text and types into it: the same in all rooms."""

    def __init__(self, size: int) -> None:
        doc: Doc[Text] = Doc()
        self._text = doc.get("code", type=Text)
        self._frames: list[bytes] = []
        self._subscription = doc.observe(lambda event: self._frames.append(sync(2, event.update)))
        self._middle = len(halves(size)[0])
        self._text += "".join(halves(size))

    def frame(self, letters: int) -> bytes:
        """Return the frame that adds the last of that many letters; the whole text is the first."""
        while letters >= len(self._frames):
            typed_already = len(self._frames) - 1
            letter = TYPED[typed_already % len(TYPED)]
            self._text.insert(self._middle + typed_already, letter)
        return self._frames[letters]


keyboard = lru_cache(Keyboard)


class YjsMember(Member):
    """A y-websocket client. It applies what it gets to a document of its own."""

    path = "/yjs/{room}"

    def __init__(self, room: Room, *, deflate: bool = False) -> None:
        super().__init__(room, deflate=deflate)
        self._doc: Doc[Text] = Doc()
        self._text = self._doc.get("code", type=Text)

    def on_open(self) -> None:
        self.write(sync(0, b"\0"))

    def on_message(self, payload: bytes) -> None:
        if payload.startswith(b"\0\0"):
            self.write(sync(1, b"\0\0"))
        elif payload.startswith(b"\0"):
            _, start = read_varuint(payload, 2)
            self._doc.apply_update(payload[start:])
            if payload[1] == 1 and not self.joined.done():
                self.joined.set_result(None)
            self._count_letters()
        elif payload.startswith(b"\x64"):
            self.stored.set_result(None)

    def _count_letters(self) -> None:
        state = self._doc.get_state()
        if state != b"\0":
            _, at = read_varuint(state, 1)
            length, _ = read_varuint(state, at)
            self.show(length - self.room.size)

    def write_text(self) -> None:
        self.write(keyboard(self.room.size).frame(0))

    def type_letter(self) -> None:
        self.write(keyboard(self.room.size).frame(len(self.room.typed_at)))

    def final_text(self) -> str:
        return str(self._text)

    def ask_whether_stored(self) -> None:
        """Let `stored` be done when the service has stored everything that was sent."""
        self.write(frame(BINARY, b"\x64\1"))


def sync(step: int, content: bytes) -> bytes:
    """Return the frame of a sync message of y-websocket."""
    return frame(BINARY, bytes((0, step)) + varuint(len(content)) + content)


def varuint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | number & 0x7F)
        number >>= 7
    return bytes((*out, number))


def read_varuint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at that place, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7

"""How a node says where the answer to its question goes, and how an answer names its question."""

from __future__ import annotations

from typing import NamedTuple


class ReplyTo(NamedTuple):
    """Where an answer goes: a channel of the asking node, and the random name of the question."""

    channel: str
    question: bytes

    def pack(self) -> bytes:
        """Return what a question carries: ``channel question``."""
        return self.channel.encode() + b" " + self.question

    @classmethod
    def parse(cls, packed: bytes) -> ReplyTo:
        """Read what ``pack`` returned. Raises ValueError."""
        channel, question = packed.split(b" ")
        return cls(channel.decode(), question)

    def pack_answer(self, answer: bytes) -> tuple[str, bytes]:
        """Return the channel to publish an answer on, and the message: ``question\\nanswer``."""
        return self.channel, self.question + b"\n" + answer


def parse_answer(message: bytes) -> tuple[bytes, bytes]:
    """Return the name of the question that a message answers, and the answer."""
    question, _, answer = message.partition(b"\n")
    return question, answer

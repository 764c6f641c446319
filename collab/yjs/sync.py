"""The document of a Yjs client: takes its updates, and exchanges what either side lacks."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import WSCloseCode

from collab.errors import CodeTooLarge, NotAllowed
from collab.merge.errors import BadUpdate, EarlyUpdate, UpdateTooLarge
from collab.rooms.yjs_members import YjsMember, YjsMembers
from collab.yjs import protocol
from collab.yjs.ending import TOO_LARGE, Ended
from collab.yjs.stored import StoredQuestions

MAX_EARLY_ANSWERS = 3
"""Answers to step 1 in a row that build on missing updates, until the connection is closed."""


class Sync:
    """Syncs the document of one client with that of its room, whose Yjs members are ``yjs``.

    ``send`` sends a message to the client; ``node`` is the name of this node, for `Stored`.
    """

    def __init__(self, yjs: YjsMembers, send: Callable[[bytes], None], node: str) -> None:
        self.questions = StoredQuestions(
            yjs, lambda number: send(protocol.stored_message(number, node))
        )
        self._yjs = yjs
        self._send = send
        self._requested = False
        self._early_answers = 0

    def request_missing(self) -> None:
        """Request the updates that the node lacks from the client."""
        self._requested = True
        self._send(protocol.step1_message(self._yjs.state_vector()))

    def handle_write_access(self) -> None:
        """Request what the client has typed as a viewer, which is on its screen only."""
        self.questions.denied = False
        self.questions.defer()
        self.request_missing()

    def handle_step1(self, message: protocol.Step1) -> None:
        """Send the updates that the client lacks. Raises Ended."""
        try:
            lacking = self._yjs.missing_from(message.state_vector)
        except BadUpdate as problem:
            reason = f"not a state vector: {problem}"
            raise Ended(WSCloseCode.INVALID_TEXT, reason, problem.code) from None
        except UpdateTooLarge as problem:
            raise Ended(TOO_LARGE, str(problem), problem.code) from None
        self._send(protocol.step2_message(lacking))

    async def handle_update(self, member: YjsMember, message: protocol.Update) -> None:
        """Merge an update of the client, which is ``member``. Raises Ended."""
        yjs, update = self._yjs, message.update
        try:
            if not message.answer:
                await yjs.change(member, update)
            else:
                self._requested = False
                if member.identity.may_write or yjs.changes_document(update):
                    await yjs.change(member, update)
                self._early_answers = 0
                self.questions.resume()
        except EarlyUpdate as problem:
            self._handle_early_update(message, problem)
        except BadUpdate as problem:
            reason = f"not an update: {problem}"
            raise Ended(WSCloseCode.INVALID_TEXT, reason, problem.code) from None
        except (CodeTooLarge, UpdateTooLarge) as problem:
            raise Ended(TOO_LARGE, str(problem), problem.code) from None
        except NotAllowed as problem:
            if not self.questions.denied:
                self.questions.denied = True
                self._send(protocol.denied_message(str(problem)))

    def _handle_early_update(self, message: protocol.Update, problem: EarlyUpdate) -> None:
        """Request all missing updates; the answer also has those that are dropped until then."""
        self.questions.defer()
        if message.answer:
            self._early_answers += 1
            if self._early_answers >= MAX_EARLY_ANSWERS:
                raise Ended(WSCloseCode.POLICY_VIOLATION, str(problem), problem.code) from None
        if not self._requested:
            self.request_missing()

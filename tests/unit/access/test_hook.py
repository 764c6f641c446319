"""The hook: what it is asked, and what becomes of its answers and failures."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from collab.access import hook
from collab.access.hook import Bearer, HookVerifier, Refusal
from collab.app import create_app
from collab.config import Config
from collab.errors import AuthUnavailable, ConfigError, RoomNotAllowed, Unauthorized
from collab.rooms.identity import Role


class Asked:
    """A hook that gives one answer, or raises it, and remembers what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.questions: list[tuple[str, str | None]] = []

    async def __call__(self, token: str, room: str | None) -> Any:
        self.questions.append((token, room))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_it_is_asked_for_a_connection_and_for_each_room() -> None:
    asked = Asked(Bearer(subject="ann", name=" Ann ", role=Role.VIEWER, expires=time.time() + 9))
    verifier = HookVerifier(asked, 100)
    grant = await verifier.identify("t0ken")
    assert (grant.subject, grant.name) == ("ann", "Ann") and grant.digest
    assert await verifier.role_in(grant, "r") is Role.VIEWER
    assert asked.questions == [("t0ken", None), ("t0ken", "r")]


@pytest.mark.parametrize("shown", [None, "", 7, "x" * 101, "two\nlines"])
async def test_it_is_not_asked_about_what_cannot_be_a_token(shown: Any) -> None:
    asked = Asked(Bearer(subject="ann"))
    with pytest.raises(Unauthorized):
        await HookVerifier(asked, 100).identify(shown)
    assert asked.questions == []


async def test_a_refusal_tells_the_client_why() -> None:
    asked = Asked(Bearer(subject="ann"))
    verifier = HookVerifier(asked, 100)
    grant = await verifier.identify("t0ken")
    asked.answer = Refusal("the interview is over")
    with pytest.raises(Unauthorized, match="the interview is over") as refused:
        await verifier.identify("t0ken")
    assert refused.value.reason == "refused"
    with pytest.raises(RoomNotAllowed, match="the interview is over"):
        await verifier.role_in(grant, "r")


async def test_a_token_that_turns_into_somebody_elses_enters_no_room() -> None:
    asked = Asked(Bearer(subject="ann"))
    verifier = HookVerifier(asked, 100)
    grant = await verifier.identify("t0ken")
    asked.answer = Bearer(subject="bob")
    assert await verifier.role_in(grant, "r") is None


async def test_a_bearer_whose_time_is_over_is_refused() -> None:
    with pytest.raises(Unauthorized) as refused:
        await HookVerifier(Asked(Bearer(subject="ann", expires=1)), 100).identify("t0ken")
    assert refused.value.reason == "token_expired"


@pytest.mark.parametrize(
    "answer",
    [
        ValueError("bad token: t0ken"), OSError("t0ken"), None, True, "ann",
        Bearer(subject=""), Bearer(subject="a\nb"), Bearer(subject="a", expires=float("nan")),
        Bearer(subject="a", role="admin"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
async def test_a_hook_that_fails_lets_nobody_in_and_the_log_has_no_token(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AuthUnavailable) as failed, caplog.at_level(logging.DEBUG):
        await HookVerifier(Asked(answer), 100).identify("t0ken")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and record.exc_info is None
    assert "t0ken" not in str(vars(record)) and "t0ken" not in str(failed.value)
    if isinstance(answer, Exception):
        assert "__call__" in vars(record)["where"]  # one can see where it failed


async def test_a_hook_that_does_not_answer_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(token: str, room: str | None) -> Bearer:
        raise TimeoutError

    monkeypatch.setattr(hook, "HOOK_TIMEOUT", 0.01)
    with pytest.raises(AuthUnavailable):
        await HookVerifier(never, 100).identify("t0ken")


def test_tokens_are_verified_in_one_way() -> None:
    with pytest.raises(ConfigError, match="not by both"):
        create_app(Config(auth_secret="s" * 32), authorize=Asked(None))

"""What is sent to a receiver, how it is signed, and when it is sent again."""

from __future__ import annotations

import json

import pytest

from collab.config import Config
from collab.errors import ConfigError
from collab.rooms.author import Author
from collab.webhook_settings import WebhookSecrets
from collab.webhooks.delivery import MAX_BACKOFF, backoff
from collab.webhooks.life import Happened, Kind
from collab.webhooks.messages import Writing, body, headers, links, people

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""The secret of the Standard Webhooks libraries' own tests, with the next two."""
ID, CONTENT, TIME = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signature_is_that_of_the_specifications_libraries() -> None:
    keys = WebhookSecrets.parse(SECRET).keys
    assert headers(ID, TIME, CONTENT, keys) == {
        "webhook-id": ID, "webhook-timestamp": str(TIME), "webhook-signature": SIGNATURE,
    }  # fmt: skip


def test_two_secrets_make_two_signatures() -> None:
    other = "whsec_" + "A" * 32
    keys = WebhookSecrets.parse(f"{other}, {SECRET}").keys
    first, second = headers(ID, TIME, CONTENT, keys)["webhook-signature"].split(" ")
    assert first.startswith("v1,") and first != second == SIGNATURE


def made(event: Happened, writing: Writing | None = None) -> dict[str, object]:
    """Return a body as Redis completes it."""
    before, behind = body(
        event, "a:b", 1_700_000_000_000, 1_700_000_300_000, writing, links("https://x.test", "a:b")
    )
    told: dict[str, object] = json.loads(before + b"17" + behind)
    return told


def test_an_event_says_what_its_kind_needs() -> None:
    writing = Writing(
        "e", "5-1", "text \u2028 'x'", people(["u#text#%20#c2410c Ada", "", "u2 Bob"])
    )
    assert made(Happened(Kind.EXPIRING, "e"), writing) == {
        "type": "room.expiring",
        "timestamp": "2023-11-14T22:13:20.000Z",
        "data": {
            "sequence": 17, "room": "a:b", "life": "e", "expires_at": "2023-11-14T22:18:20.000Z",
            "text": "text \u2028 'x'", "last_entry": "5-1",
            "people": writing.people,
            "links": {
                "history": "https://x.test/api/rooms/a%3Ab/history",
                "playback": "https://x.test/?room=a%3Ab&playback",
            },
        },
    }  # fmt: skip
    ended = made(Happened(Kind.ENDED, "e", "expired"))["data"]
    assert isinstance(ended, dict) and ended["text"] is None and ended["reason"] == "expired"
    opened = made(Happened(Kind.OPENED, "e"))["data"]
    assert isinstance(opened, dict) and opened.keys() == {"sequence", "room", "life", "links"}


def test_people_are_named_once_and_those_without_a_name_in_the_journal_are_not() -> None:
    ada = Author("u 1", "Ada", "#c2410c", "yjs")
    assert people([str(ada), "", str(ada)]) == [{"id": "u 1", "name": "Ada", "client": "yjs"}]


def test_a_text_that_was_kept_is_the_same_after_redis_had_it() -> None:
    writing = Writing("e", "5-1", "🐍", people(["u Ada"]))
    assert Writing.parse(writing.pack()) == writing


def test_each_wait_is_longer_than_the_one_before_up_to_an_hour() -> None:
    waits = [backoff(attempt, 5.0) for attempt in range(1, 101)]
    assert waits[:3] == [5.0, 15.0, 45.0] and waits == sorted(waits) and waits[-1] == MAX_BACKOFF


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COLLAB_WEBHOOK_URL", "ftp://x.test"),
        ("COLLAB_WEBHOOK_URL", "http://x.test/#a"),
        ("COLLAB_WEBHOOK_URL", "http://x.test:port"),
        ("COLLAB_WEBHOOK_SECRET", "whsec_short"),
        ("COLLAB_WEBHOOK_SECRET", "whsec_" + "A" * 20),
        ("COLLAB_WEBHOOK_SECRET", "whsec_" + "A" * 100),
        ("COLLAB_WEBHOOK_SECRET", ",".join([SECRET] * 3)),
        ("COLLAB_PUBLIC_URL", "https://x.test/?a"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_and_no_secret_is_shown(
    variable: str, value: str
) -> None:
    env = {"COLLAB_WEBHOOK_URL": "http://x.test", "COLLAB_WEBHOOK_SECRET": SECRET, variable: value}
    with pytest.raises(ConfigError, match=variable) as refused:
        Config.from_env(env)
    assert "whsec_A" not in str(refused.value) and "MfKQ" not in str(refused.value)


@pytest.mark.parametrize("given", ["COLLAB_WEBHOOK_URL", "COLLAB_WEBHOOK_SECRET"])
def test_url_and_secret_are_given_together(given: str) -> None:
    env = {"COLLAB_WEBHOOK_URL": "http://x.test", "COLLAB_WEBHOOK_SECRET": SECRET}
    with pytest.raises(ConfigError, match="together"):
        Config.from_env({given: env[given]})
    config = Config.from_env(env)
    assert config.webhook_secret.keys and SECRET not in repr(config) and "MfKQ" not in repr(config)

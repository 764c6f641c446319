"""The keys of the HTTP API: the grammar of the setting, and which key a header has."""

from __future__ import annotations

import pytest

from collab.api_keys import MAX_KEYS, ApiKeys, Scope
from collab.config import Config
from collab.errors import ConfigError, KeyNotAccepted, ScopeMissing

OLD, NEW = "0123456789abcdef-old", "0123456789abcdef-new"


def scopes(given: str) -> list[tuple[str, set[Scope]]]:
    return [(key.name, set(key.scopes)) for key in ApiKeys.parse(given).keys]


@pytest.mark.parametrize(
    "given",
    [
        f"questions:read+write:{OLD},admin:end:{NEW}",
        f" questions:write+read:{OLD} ,\n admin:end:{NEW} , ",
        f"# a key, and who has it\nquestions:read+write:{OLD}\r\n\n  # another\nadmin:end:{NEW}\n",
    ],
)
def test_keys_are_separated_by_commas_or_line_ends(given: str) -> None:
    assert scopes(given) == [("questions", {Scope.READ, Scope.WRITE}), ("admin", {Scope.END})]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (OLD, "entry 1 lacks a colon"),
        (f"admin:{OLD}", "entry 1 lacks a colon"),
        (f"{NEW}{NEW}:read:{OLD}", "entry 1 has no name"),
        (f":read:{OLD}", "entry 1 has no name"),
        (f"admin::{OLD}", "(admin) has a scope that is none of read, write, end"),
        (f"admin:read+:{OLD}", "(admin) has a scope"),
        (f"admin:{OLD}:read", "(admin) has a scope"),
        (f"admin:READ:{OLD}", "(admin) has a scope"),
        ("admin:read:", "(admin) has a key with other characters"),
        (f"admin:read:{OLD} {NEW}", "(admin) has a key with other characters"),
        ("admin:read:0123456789abcde", "(admin) has a key of less than 16 characters"),
        (f"a:read:{OLD},a:read:{NEW}", "entry 2 has the name a twice"),
        (f"a:read:{OLD},b:end:{OLD}", "entry 2 has a key that stands in an earlier entry"),
        (",", "has no entry"),
        ("# nothing but a comment", "has no entry"),
        ("\n".join(f"k{n}:read:{OLD}{n}" for n in range(MAX_KEYS + 1)), "more than 64 entries"),
    ],
)
def test_an_invalid_list_is_refused_without_repeating_a_key(given: str, why: str) -> None:
    with pytest.raises(ConfigError, match=r"^COLLAB_API_KEYS: the value given ") as refused:
        Config.from_env({"COLLAB_API_KEYS": given})
    assert why in str(refused.value)
    assert OLD not in str(refused.value) and NEW not in str(refused.value)


def test_two_keys_of_one_service_work_while_it_changes_from_one_to_the_other() -> None:
    keys = ApiKeys.parse(f"old:read+write:{OLD},new:read+write:{NEW}")
    assert [keys.find(f"Bearer {secret}").name for secret in (OLD, NEW)] == ["old", "new"]
    with pytest.raises(KeyNotAccepted):
        ApiKeys.parse(f"new:read+write:{NEW}").find(f"Bearer {OLD}")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("", "needs a key"), (f"Basic {OLD}", "needs a key"), (OLD, "needs a key"),
        ("Bearer", "none of the API's keys"), ("Bearer ", "none of the API's keys"),
        (f"Bearer {OLD[:-1]}", "none of the API's keys"), (f"Bearer {OLD}x", "none of the API's"),
        ("Bearer \udcff", "none of the API's keys"), (f"Bearer a:read:{OLD}", "none of the API's"),
    ],
)  # fmt: skip
def test_a_header_without_a_key_and_one_with_a_wrong_key_are_told_apart(
    header: str, why: str
) -> None:
    with pytest.raises(KeyNotAccepted, match=why) as refused:
        ApiKeys.parse(f"a:read:{OLD}").find(header)
    assert OLD[:8] not in str(refused.value)


@pytest.mark.parametrize("scope", Scope)
def test_no_scope_contains_another(scope: Scope) -> None:
    key = ApiKeys.parse(f"a:{scope.value}:{OLD}").find(f"bearer {OLD}")
    for each in Scope:
        if each is scope:
            key.require(each)
        else:
            with pytest.raises(ScopeMissing, match=f"the scope {each.value}"):
                key.require(each)


def test_neither_a_key_nor_a_configuration_shows_the_secret_or_its_digest() -> None:
    config = Config.from_env({"COLLAB_API_KEYS": f"a:read:{OLD}"})
    [key] = config.api_keys.keys
    for text in (repr(key), repr(config.api_keys), str(config.api_keys), repr(config)):
        assert OLD not in text and repr(key.digest) not in text

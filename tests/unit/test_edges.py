"""Small parts at the edges: JSON, errors."""

from __future__ import annotations

import pytest

from collab.errors import CollabError, ConfigError, StoreUnavailable
from collab.sio import json


def test_json_is_compact_and_keeps_characters() -> None:
    assert json.dumps(["é", {"a": 1}], separators=(",", ":")) == '["é",{"a":1}]'


def test_json_that_only_the_standard_library_takes_is_taken_to_be_looked_at() -> None:
    assert json.loads('"\\ud800"') == "\ud800"
    assert json.loads("NaN") != json.loads("NaN")


@pytest.mark.parametrize("text", ["", "[", "{'a'}", "nothing"])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        json.loads(text)


def test_every_error_has_a_word_of_its_own() -> None:
    words = [error.code for error in CollabError.__subclasses__()]
    assert len(set(words)) == len(words) and ConfigError.code in words
    assert StoreUnavailable("x").payload() == {"message": "x", "code": "store_unavailable"}
    assert StoreUnavailable.retryable and not CollabError.retryable

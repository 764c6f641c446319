"""What a node warns of at its start: misspelt variables, and secrets on the command line."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches

from collab.config import Config
from collab.secret_settings import FILE
from collab.settings import PREFIX, option_name, variables

log = logging.getLogger(__name__)

FOREIGN_VARIABLES = ("COLLAB_PUBLIC_PORT", "COLLAB_URL")
"""Variables of Compose and of the load test, about which a node does not warn."""


def secret_options(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each option that shows a secret on the command line, and the variable for its file.

    ``options`` are those of the command line, by the variables that they override.
    """
    for setting in fields(Config):
        variable, secret = setting.metadata["variable"], setting.metadata["secret"]
        if secret and (raw := options.get(variable, "").strip()) and secret(raw):
            yield option_name(variable), variable + FILE


def unknown_variables(env: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yield each variable that looks like a setting but is none, with the most similar setting."""
    known = [variable for setting in fields(Config) for variable in variables(setting)]
    words = {variable.removeprefix(PREFIX): variable for variable in known}
    for variable in sorted(env):
        if variable.startswith(PREFIX) and variable not in (*known, *FOREIGN_VARIABLES):
            near = get_close_matches(variable.removeprefix(PREFIX), words, 1)
            yield variable, words[near[0]] if near else None


def warn_of_unknown_variables(env: Mapping[str, str]) -> None:
    """Log variables that may be misspelt settings; they are no error, as others may use them."""
    for variable, nearest in unknown_variables(env):
        log.warning("unknown variable", extra={"variable": variable, "nearest": nearest})

"""The settings of `Config`: what each field knows of itself, and how its value is read.

A value comes from an option of the command line, else from a variable, else it is the default. A
setting with secret values can also be given as a file, which a second option or variable names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from collab.errors import ConfigError
from collab.secret_settings import FILE, has_password, read_secret

PREFIX = "COLLAB_"


def setting(
    default: Any,
    variable: str,
    parse: Callable[[str], Any],
    about: str,
    secret: Callable[[str], bool] | None = None,
) -> Any:
    """Make a field of Config. ``secret`` tells which values of it must not be seen, if any.

    ``parse`` returns the value of a text, or raises ValueError, whose message follows the text. A
    setting with ``secret`` can also be given as a file (`read_secret`).
    """
    metadata = {"variable": variable, "parse": parse, "about": about, "secret": secret}
    return dataclasses.field(default=default, metadata=metadata, repr=secret is None)


def variables(field: dataclasses.Field[Any]) -> Iterator[str]:
    """Yield the variables that can give a field of Config: its own, and that of a file."""
    yield field.metadata["variable"]
    if field.metadata["secret"]:
        yield field.metadata["variable"] + FILE


def option_name(variable: str) -> str:
    """Return the command-line option that overrides a variable."""
    return "--" + variable.removeprefix(PREFIX).lower().replace("_", "-")


def read_settings(
    fields: Iterable[dataclasses.Field[Any]], env: Mapping[str, str], options: Mapping[str, str]
) -> dict[str, Any]:
    """Return the values of the fields that are given, by the names of the fields.

    ``options`` are those of the command line, by the variables that they override. Raises
    ConfigError, which names the option or the variable, for an invalid value.
    """
    values: dict[str, Any] = {}
    for field in fields:
        raw, name = _read(field, env, options)
        if not raw:
            continue
        try:
            values[field.name] = field.metadata["parse"](raw)
        except ValueError as problem:
            shown = _shown(raw, field.metadata["secret"])
            raise ConfigError(f"{name}: {shown} {problem}") from None
    return values


def _read(
    field: dataclasses.Field[Any], env: Mapping[str, str], options: Mapping[str, str]
) -> tuple[str, str]:
    """Return the text given for a field, '' if none, and the option or variable it is from.

    Raises ConfigError if a secret can't be read.
    """
    for source, name_of in ((options, option_name), (env, str)):
        given = {name: source[name].strip() for name in variables(field) if name in source}
        names = [name_of(name) for name, raw in given.items() if raw]
        if len(names) > 1:
            raise ConfigError(f"{' and '.join(names)} are both given")
        for variable, raw in given.items():
            if not raw:
                continue
            if variable == field.metadata["variable"]:
                return raw, name_of(variable)
            try:
                return read_secret(raw), name_of(variable)
            except ValueError as problem:
                raise ConfigError(f"{name_of(variable)}: {problem}") from None
    return "", ""


def _shown(raw: str, secret: Callable[[str], bool] | None) -> str:
    """Return how an error names a value, which may be secret although it is not valid."""
    if secret is None:
        return repr(raw)
    return "the URL given" if secret is has_password else "the value given"

"""The values of secret settings: from a variable or an option, or from a file that either names.

Other users of a machine can read the command line of a process, and tools that show a container
show its environment. A file can be kept from both.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

FILE = "_FILE"
"""The end of a variable that has the path of a file with the value of a secret setting."""
MAX_FILE_BYTES = 64 * 1024
"""Far more than a secret or a public key has. A path to another file is a mistake."""


def any_value(raw: str) -> bool:
    """Tell that each value of a setting is secret, as that of a key is."""
    return True


def no_value(raw: str) -> bool:
    """Tell that no value of a setting is secret, although it can be given as a file."""
    return False


def has_password(raw: str) -> bool:
    """Whether a URL has a password, so that it is secret; redis-py also reads it in the query."""
    parts = urlsplit(raw)
    return bool(parts.password) or any(name.endswith("password") for name in parse_qs(parts.query))


def read_secret(path: str) -> str:
    """Return the content of the file of a secret setting, without the space around it.

    Raises ValueError, whose message has no part of the content, if the file can't be read or is
    empty: a service that was given an empty secret must not be an open service.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is no path"
        raise ValueError(f"the file can't be read: {why}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"the file has more than {MAX_FILE_BYTES} bytes")
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8") from None
    if not secret:
        raise ValueError("the file is empty")
    return secret

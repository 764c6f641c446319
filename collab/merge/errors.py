"""What can be wrong with what the merge core is given."""

from collections.abc import Iterator
from contextlib import contextmanager


class MergeError(Exception):
    """Base of the merge core's errors. None of them leaves a replica changed.

    ``code`` is a stable machine word; ``retryable`` says whether the same input may do later.
    """

    code = "merge_error"
    retryable = False


class BadText(MergeError):
    """A text holds a lone surrogate, which no encoding of text can carry."""

    code = "bad_text"


class BadUpdate(MergeError):
    """Bytes that are not a Yjs update in the v1 encoding."""

    code = "bad_update"


class UpdateTooLarge(MergeError):
    """An update, or a state vector, that has more in it than editors ever send."""

    code = "update_too_large"


class EarlyUpdate(MergeError):
    """An update builds on others that the replica does not have yet.

    Apply those first, or ask the sender for everything since the replica's state vector.
    """

    code = "early_update"
    retryable = True


class DocumentTooLarge(MergeError):
    """An update makes the document, or its text, larger than it may be."""

    code = "code_too_large"


@contextmanager
def refusals() -> Iterator[None]:
    """Turn whatever pycrdt raises over an update it cannot take into `BadUpdate`."""
    try:
        yield
    except (ValueError, RuntimeError, ExceptionGroup) as error:
        raise BadUpdate("pycrdt refuses the update") from error
    except BaseException as error:
        # A panic in Rust derives from BaseException, and its class cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise BadUpdate("pycrdt fails on the update") from error

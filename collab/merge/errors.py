"""The merge core's errors: what can be wrong with its input."""

from contextlib import AbstractContextManager


class MergeError(Exception):
    """Base of the merge core's errors. A replica that raises one is unchanged.

    ``code`` is a stable machine word; ``retryable`` tells whether the same input may succeed later.
    """

    code = "merge_error"
    retryable = False


class BadText(MergeError):
    """A text holds a lone surrogate, which UTF-8 cannot encode."""

    code = "bad_text"


class BadUpdate(MergeError):
    """The bytes are not a Yjs update in the v1 encoding."""

    code = "bad_update"


class UpdateTooLarge(MergeError):
    """An update or a state vector has more parts than editors ever send."""

    code = "update_too_large"


class EarlyUpdate(MergeError):
    """An update builds on other updates that the replica does not have yet.

    Apply those first, or ask the sender for everything since the replica's state vector.
    """

    code = "early_update"
    retryable = True


class DocumentTooLarge(MergeError):
    """An update makes the document, or its text, larger than its limit."""

    code = "code_too_large"


class _Refusals:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ValueError | RuntimeError | ExceptionGroup):
            raise BadUpdate("pycrdt refuses the update") from error
        # A panic in Rust derives from BaseException, and its class cannot be imported.
        if error is not None and type(error).__name__ == "PanicException":
            raise BadUpdate("pycrdt fails on the update") from error


_REFUSALS = _Refusals()


def refusals() -> AbstractContextManager[None]:
    """Turn any error that pycrdt raises for an update that it cannot apply into `BadUpdate`.

    This is no generator, because entering one takes as long as applying a keystroke.
    """
    return _REFUSALS

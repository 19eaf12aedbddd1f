"""The two errors a user may see, and nothing else.

`DftError` is wrong use or bad input (exit 2); `CheckFailed` is a check that failed or a run that could
not finish (exit 1). Both say what happened, to which file or device, and what to do next, in one sentence.
Anything else that escapes is a bug of dftiny and shows its traceback.
"""

from __future__ import annotations


def with_hint(cause: str, hint: str) -> str:
    """One sentence of both; behind a question the hint stands as it is."""
    return f"{cause}{' ' if cause.endswith('?') else '; '}{hint}" if hint else cause


class DftError(Exception):
    """Wrong use or bad input: one sentence on stderr, exit code 2."""

    exit_code = 2

    def __init__(self, cause: str, hint: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.hint = hint

    def __str__(self) -> str:
        return with_hint(self.cause, self.hint)


class CheckFailed(DftError):
    """A check that failed, or a run that could not finish: one sentence on stderr, exit code 1."""

    exit_code = 1

"""The one exception that means "you can mend this": its message names the thing and the fix."""

from dataclasses import dataclass


class InvariantNetsError(ValueError):
    """A mistake in the input. The programs print its message in one line and exit with status 2."""


class CollapseError(InvariantNetsError):
    """Training has stopped meaning anything (constant features, NaN, chance-level loss)."""


@dataclass(frozen=True)
class Failure:
    """A step that ended in an error, while what came before and after it is whole.

    Attributes:
        what: is missing.
        error: why.
    """

    what: str
    error: Exception

    @property
    def reason(self) -> str:
        """In one line."""
        said = " ".join(str(self.error).split())
        return said if isinstance(self.error, InvariantNetsError) else f"{type(self.error).__name__}: {said}"

    def __str__(self) -> str:
        return f"{self.what} is missing: {self.reason}"

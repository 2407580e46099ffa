"""The one exception that means "you can mend this": its message names the thing and the fix."""


class InvariantNetsError(ValueError):
    """A mistake in the input. The programs print its message in one line and exit with status 2."""


class CollapseError(InvariantNetsError):
    """Training has stopped meaning anything (constant features, NaN, chance-level loss)."""

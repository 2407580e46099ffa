"""How the two programs end: a result, or one line that says what to mend."""

from __future__ import annotations

import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterator

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from invariantnets.errors import InvariantNetsError

OURS = (InvariantNetsError, HydraException, OmegaConfBaseException)


def run_main(main: Callable[[], object]) -> None:
    """Run a ``hydra.main`` function; on an error print one line and exit with a status other than 0.

    ``HYDRA_FULL_ERROR=1`` gives the whole trace instead.
    """
    if os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0"):
        main()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would otherwise print its own shortened trace and exit
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; continue with ckpt_path=last")
    except Exception as error:
        print(f"error: {describe(error)}", file=sys.stderr)
        sys.exit(2)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it, outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def describe(error: BaseException) -> str:
    """One line: the most specific message that was meant for a reader."""
    causes = list(chain(error))
    for cause in causes:
        if isinstance(cause, InvariantNetsError):
            return " ".join(str(cause).split())
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT):
            where = f" {cause.filename}" if cause.filename else ""
            return f"cannot write{where}: {os.strerror(cause.errno)}. Free some space, or write elsewhere with hydra.run.dir=…"
    text = " ".join(str(error).split())
    if isinstance(error, OURS):
        return text + suggestion(text)
    return f"{type(error).__name__}: {text} (unexpected; HYDRA_FULL_ERROR=1 shows the trace)"


def suggestion(text: str) -> str:
    """For a misspelt override or choice: what was probably meant."""
    if "Could not override" not in text and "Could not find" not in text:
        return ""
    misspelt = text.split("'")[1]
    group, _, name = misspelt.rpartition("/")
    if "Available options" in text:
        known = text.split("Available options", 1)[1].split(":", 1)[1].split()
        close = difflib.get_close_matches(name, known, 1)
        return f". Did you mean {group}={close[0]}?" if close else ""
    return ". --help and --cfg job list what there is"

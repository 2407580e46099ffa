"""How the two programs end: a result, or one line that says what to mend."""

from __future__ import annotations

import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from invariantnets.errors import InvariantNetsError
from invariantnets.overrides import spelt_out

READABLE = (HydraException, OmegaConfBaseException)
ONE_LINE = "INVARIANTNETS_ONE_LINE_ERRORS"
UNWRITABLE = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT)


def run_main(main: Callable[[], object]) -> None:
    """Run a ``hydra.main`` function; on an error print one line and exit with a status other than 0.

    ``HYDRA_FULL_ERROR=1`` gives the whole trace instead.
    """
    sys.argv[1:] = spelt_out(sys.argv[1:])
    if os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0") and ONE_LINE not in os.environ:
        main()
        return
    # Hydra would otherwise print its own shortened trace and exit. Processes that Lightning starts for DDP
    # inherit the variable, and must know that it was not the user's wish.
    os.environ.update({"HYDRA_FULL_ERROR": "1", ONE_LINE: "1"})
    try:
        main()
    except (KeyboardInterrupt, SystemExit) as end:
        # Lightning turns the first into the second, after it has closed its loggers.
        if any(isinstance(cause, KeyboardInterrupt) for cause in chain(end)):
            sys.exit("interrupted; continue with ckpt_path=last")
        raise
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
        if isinstance(cause, OSError) and cause.errno in UNWRITABLE:
            where = f" {cause.filename}" if cause.filename else ""
            reason = os.strerror(cause.errno)
            return f"cannot write{where}: {reason}. Free some space, or write elsewhere with hydra.run.dir=…"
    text = " ".join(str(error).split())
    if isinstance(error, READABLE):
        return text.split(" Config search path:")[0] + suggestion(causes)
    return f"{type(error).__name__}: {text} (unexpected; HYDRA_FULL_ERROR=1 shows the trace)"


def suggestion(causes: Iterable[BaseException]) -> str:
    """For an override or choice that is misspelt or lacks quotes: what was probably meant."""
    for cause in causes:
        if isinstance(cause, OverrideParseException) and "mismatched input '='" in str(cause):
            key, _, value = cause.override.partition("=")
            return f". A value that holds = needs quotes: '{key}=\"{value}\"'"
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file and cause.options:
            group, _, name = cause.missing_cfg_file.rpartition("/")
            return _nearest(name, cause.options, f"{group}=")
        if isinstance(cause, ConfigKeyError | ConfigAttributeError) and isinstance(cause.parent_node, DictConfig):
            parent = str(cause.full_key or cause.key).rpartition(".")[0]
            return _nearest(str(cause.key), map(str, cause.parent_node), f"{parent}." if parent else "")
    return ""


def _nearest(misspelt: str, known: Iterable[str], prefix: str) -> str:
    close = difflib.get_close_matches(misspelt, list(known), 1)
    return f". Did you mean {prefix}{close[0]}?" if close else ". --help and --cfg job list what there is"

"""How the two programs start and end: help, a result, or one line that says what to mend."""

from __future__ import annotations

import argparse
import inspect
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode

from invariantnets import processes, threads
from invariantnets.cli.errors import chain, describe
from invariantnets.cli.overrides import spelt_out
from invariantnets.cli.suggest import explain, explain_flag
from invariantnets.cli.usage import usage
from invariantnets.errors import InvariantNetsError

__all__ = ["run_main"]

ONE_LINE = "INVARIANTNETS_ONE_LINE_ERRORS"
WRONG = 2
_COMMAND_LINE = (ConfigCompositionException, MissingConfigException, OverrideParseException)


def run_main(main: Callable[[], object], conf: Path) -> None:
    """Run a ``hydra.main`` function; on an error or a signal print one line and exit with a status other than 0.

    ``HYDRA_FULL_ERROR=1`` gives the whole trace of an error instead.

    Args:
        main: the program. Whatever takes long to import, it imports itself: help and a misspelt key need none of it.
        conf: its configuration file.
    """
    threads.spin_briefly()
    with processes.program(["ckpt_path=last"] if conf.stem == "train" else []):
        _run(main, conf)


def _run(main: Callable[[], object], conf: Path) -> None:
    whole_trace = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0") and ONE_LINE not in os.environ
    overrides: list[str] = []
    own: Path | None = None
    try:
        sys.argv[1:] = spelt_out(sys.argv[1:])
        args, unknown = _parser().parse_known_args()
        overrides, own = list(args.overrides), Path(args.config_dir) if args.config_dir else None
        if unknown and not unknown[0].startswith("-"):
            raise InvariantNetsError(f"{unknown[0]!r} stands behind a flag: put flags such as -m before all key=value")
        if unknown:
            following = sys.argv[sys.argv.index(unknown[0]) + 1 :]
            raise InvariantNetsError(explain_flag(conf, unknown[0], following[0] if following else None))
        if own and not own.is_dir():
            raise InvariantNetsError(f"--config-dir {own}: there is no such folder")
        if args.help:
            if hasattr(signal, "SIGPIPE"):
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader such as `head` may leave
            print(usage(conf, inspect.getdoc(main) or "", overrides, own))
            return
        if whole_trace:
            main()
            return
        # Hydra would otherwise print its own shortened trace and exit. Processes that Lightning starts for DDP
        # inherit the variable, and must know that it was not the user's wish.
        os.environ.update({"HYDRA_FULL_ERROR": "1", ONE_LINE: "1"})
        # Hydra prints its line in this property, and offers no other place to leave it out.
        JobReturn.return_value = property(_outcome, JobReturn.return_value.fset)  # type: ignore
        main()
    except (KeyboardInterrupt, SystemExit) as end:
        # Lightning turns the first into the second, after it has closed its loggers.
        if any(isinstance(cause, KeyboardInterrupt) for cause in chain(end)):
            processes.leave(f"interrupted; {processes.again()}", 128 + signal.SIGINT)
        raise
    except Exception as error:
        if whole_trace:
            raise
        text = explain(conf, overrides, own) if isinstance(error, _COMMAND_LINE) else None
        if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
            nothing = next(word for word in overrides if re.fullmatch(r"[^.]+(@.+)?=null", word))  # Hydra names none
            text = f"{nothing}: it cannot be left out; --help lists what there is of it"
        said = text or describe(error)  # with names out of files, which a terminal may not obey
        said = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in said)
        processes.leave(f"error: {said}", WRONG)


def _parser() -> argparse.ArgumentParser:
    """Hydra's, whose complaints are ours."""

    def refuse(message: str) -> NoReturn:
        raise InvariantNetsError(f"{message}; --hydra-help lists the flags")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    return parser


# What is done where a job of a sweep has failed, when all have ended: Hydra has no callback for it.
AFTER_FAILURE: list[Callable[[], object]] = []


def _outcome(job: JobReturn) -> Any:
    """``JobReturn.return_value`` without the line that Hydra prints before an error; of a sweep, with the job's name.

    Raises:
        Exception: the job's.
    """
    if job.status == JobStatus.COMPLETED:
        return job._return_value
    error = job._return_value
    settings = job.hydra_cfg.hydra if job.hydra_cfg is not None else None
    if settings is not None and settings.mode == RunMode.MULTIRUN and not isinstance(error, HydraException):
        while AFTER_FAILURE:
            AFTER_FAILURE.pop()()
        raise InvariantNetsError(
            f"job {settings.job.num} ({' '.join(job.overrides or ())}): {describe(error)}"
        ) from error
    raise error

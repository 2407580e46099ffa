"""An error as one line that says what to mend."""

from __future__ import annotations

import difflib
import errno
import os
import re
import tempfile
from collections.abc import Iterable, Iterator

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from invariantnets.errors import InvariantNetsError
from invariantnets.processes import ended

READABLE = (HydraException, OmegaConfBaseException)
IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR)
ROOM = 1 << 16  # bytes: a disk with fewer is full
UNWRITABLE = (*IN_THE_WAY, errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT)


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
            where = f" {cause.filename}" if cause.filename else _full() if cause.errno == errno.ENOSPC else ""
            reason = os.strerror(cause.errno)
            if cause.errno in IN_THE_WAY:
                return f"cannot write{where}: a file is in the way; write elsewhere with hydra.run.dir=…"
            return f"cannot write{where}: {reason}. Free some space, or write elsewhere with hydra.run.dir=…"
        if said := ended(cause):
            return said
    text = " ".join(str(error).split())
    if isinstance(error, InstantiationException) and error.__cause__:
        # Somebody else's class, in its own words.
        said, target = " ".join(str(error.__cause__).split()), text.partition("'")[2].partition("'")[0]
        if isinstance(error.__cause__, TypeError):
            unknown = re.search(r"got an unexpected keyword argument ('.*')", said)
            what = f" takes no key {unknown[1]}" if unknown else f": {said}"
            return f"{target}{what}; --help lists the keys it takes"
        return f"{text.rpartition('full_key: ')[2] if 'full_key: ' in text else target}: {said}"
    if isinstance(error, READABLE):
        return re.split(" Config search path:| See https://hydra", text)[0] + suggestion(causes)
    return f"{type(error).__name__}: {text} (unexpected; HYDRA_FULL_ERROR=1 shows the trace)"


def _full() -> str:
    """Which disks a run writes to are full; empty if that cannot be told."""
    own = os.curdir
    if HydraConfig.initialized():
        hydra = HydraConfig.get()  # which may still be about to write what it will run
        own = hydra.run.dir if OmegaConf.is_missing(hydra.runtime, "output_dir") else hydra.runtime.output_dir
    found = [folder for folder in (own, tempfile.gettempdir()) if os.path.isdir(folder) and _room(folder) < ROOM]
    return f" in {' and '.join(found)}" if found else ""


def _room(folder: str) -> int:
    """Bytes that are left to us."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def suggestion(causes: Iterable[BaseException]) -> str:
    """What was probably meant by a value without quotes, one cut by a space, or a choice of Hydra's own, misspelt."""
    for cause in causes:
        if isinstance(cause, OverrideParseException):
            key, _, value = cause.override.partition("=")
            if any(value.count(left) > value.count(right) for left, right in ("[]", "{}", "()")):
                return f". A list is one word: leave out its spaces, or quote it: '{key}=[…, …]'"
            if "mismatched input '='" in str(cause) or "Unknown function" in str(cause):
                return f". A value that holds = or () needs quotes: '{key}=\"{value}\"'"
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file and cause.options:
            group, _, name = cause.missing_cfg_file.rpartition("/")
            close = difflib.get_close_matches(name, cause.options, 1)
            return f". Did you mean {group}={close[0]}?" if close else ""
    return ""

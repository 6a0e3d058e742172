"""What goes wrong while copying: in a sentence, and whether trying again may help."""

from __future__ import annotations

import errno
import re

from foveate.errors import FoveateError, OutputError
from foveate.files import printable

LONGEST = 200
_QUERY = re.compile(r"\?[^\s'\"]+")
_FOR_GOOD = (
    FoveateError,
    PermissionError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    UnicodeError,
)
_ERRNOS_FOR_GOOD = {
    errno.EDQUOT,
    errno.EINVAL,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOSYS,
    errno.EROFS,
}
_NO_CREDENTIALS = {"ClientAuthenticationError", "CredentialUnavailableError", "NoCredentialsError"}
_WORTH_ANOTHER_TRY = {408, 429}
"""Of the HTTP statuses that blame the request: too slow, too many."""


class WriteError(Exception):
    """Something went wrong at the destination; the cause is what the store raised."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def is_transient(error: Exception) -> bool:
    """Whether trying again may help: the network failed, or the store was busy."""
    error = _root(error)
    if isinstance(error, _FOR_GOOD) or _lacks_credentials(error):
        return False
    if isinstance(error, OSError) and error.errno in _ERRNOS_FOR_GOOD:
        return False
    status = _status(error)
    return status is None or status >= 500 or status in _WORTH_ANOTHER_TRY


def sentence(error: Exception) -> str:
    """What went wrong in a few words, without what may be secret in a URL."""
    error = _root(error)
    if isinstance(error, OutputError):
        return str(error.strerror)  # the file is named beside it
    if isinstance(error, FoveateError):
        return str(error)
    if isinstance(error, PermissionError) or _status(error) in (401, 403):
        return "no permission"
    if _lacks_credentials(error):
        return (
            "there are no credentials for it; name them in [targets.NAME.storage_options] of "
            "foveate.toml and add `--target NAME`, or put them where the store's own client looks"
        )
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, FileNotFoundError) and not isinstance(error.errno, int):
        text = "it is not there"  # such errors carry but the name
    elif isinstance(error, TimeoutError) and not text:
        text = "no answer in time"
    line = _QUERY.sub("?…", printable(text)).strip().partition("\n")[0]
    return (line or type(error).__name__)[:LONGEST].rstrip(". ")


def _root(error: Exception) -> Exception:
    if isinstance(error, WriteError):
        return _root(error.cause)
    # adlfs wraps what Azure says about a block into one that says less.
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        return error.__cause__
    return error


def _lacks_credentials(error: Exception) -> bool:
    # adlfs says so in a ValueError.
    return type(error).__name__ in _NO_CREDENTIALS or "with credentials" in str(error)


def _status(error: Exception) -> int | None:
    """The HTTP status, where the store's client tells it."""
    for name in ("status_code", "status", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int):
            return value
    return None

"""One file: is it right already, and if not, copy it and see that it arrived."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from foveate.copying.failures import WriteError, is_transient
from foveate.copying.journal import Journal, Record
from foveate.copying.stores import CHUNK, NewFile, Store, Stored
from foveate.errors import CopyError

Verify = Literal["auto", "read", "size"]
"""How to see that a file is right.

auto: by the MD5 that the store itself tells of what it received, else by reading it back; what
the journal knows and nobody touched since is right. read: by reading everything. size: by size.
"""

ATTEMPTS = 4
SECONDS_BEFORE_RETRY = 0.5
"""Before the second attempt; twice as long before each further one."""


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The copy was stopped while a file was on its way."""


class Damaged(Exception):  # noqa: N818 - reads as the sentence it is
    """What arrived is not what was sent; trying again may help."""


class Changed(Exception):  # noqa: N818 - reads as the sentence it is
    """The source is not as it was listed; trying again may help."""

    def __init__(self) -> None:
        super().__init__("it changed while it was being copied")


@dataclass(frozen=True, slots=True)
class CopyJob:
    """A file, and what is at its destination now.

    Attributes:
        file: at the source.
        relative: where it goes, below the destination.
        there: what is there already.
    """

    file: Stored
    relative: str
    there: Stored | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """How files get from one store into another.

    Attributes:
        source: where they are.
        target: where they go.
        journal: what has arrived.
        verify: how to see that it has.
        stop: set when everything shall end soon.
    """

    source: Store
    target: Store
    journal: Journal
    verify: Verify
    stop: threading.Event

    def run(self, job: CopyJob, advance: Callable[[int], None]) -> int | None:
        """Copy one file unless it is right already.

        Args:
            job: the file.
            advance: told how many bytes were sent; what a failed attempt sent is taken back.

        Returns:
            The bytes that were copied; None: it was right already.

        Raises:
            Stopped: there was no time to finish it.
            Exception: whatever its source raised; a `WriteError` where the target did.
        """
        if not job.file.usable:
            raise CopyError("it cannot be read: a broken link, no file, or no permission")
        self.target.check_name(job.relative)
        for attempt in range(ATTEMPTS):
            sent = 0

            def told(count: int) -> None:
                nonlocal sent
                sent += count
                advance(count)

            try:
                if job.file.size is None:  # as a web page lists files
                    job = self._looked_at(job)
                if self._is_right(job):
                    return None
                job = replace(job, there=None)  # from here on nobody knows what is there
                return self._copy(job, told)
            except Stopped:
                raise
            except Exception as error:
                advance(-sent)
                if attempt == ATTEMPTS - 1 or not is_transient(error):
                    raise
                changed = isinstance(error, Changed)
            spread = random.uniform(0.75, 1.25)  # noqa: S311 - no secret
            wait = SECONDS_BEFORE_RETRY * 2**attempt * spread
            if self.stop.wait(wait):
                raise Stopped
            if changed:
                job = self._looked_at(job)
        raise AssertionError("the last attempt returns or raises")

    def _looked_at(self, job: CopyJob) -> CopyJob:
        return replace(job, file=self.source.look(job.file.relative, job.file.address))

    def _is_right(self, job: CopyJob) -> bool:
        """Whether the destination has the same contents already."""
        there, file = job.there, job.file
        if there is None or (file.size is not None and file.size != there.size):
            return False
        known = self.journal.get(job.relative)
        same_source = known is not None and known.source == file.stamp != ""
        same_target = known is not None and known.target == there.stamp != ""
        if self.verify == "size":
            return same_source or known is None
        if known is not None and same_source and same_target and self.verify == "auto":
            return True
        trusted = known.sha256 if known is not None and self.verify == "auto" else None
        if trusted and same_source:
            ours, md5 = trusted, None
        else:
            ours, md5 = self._digests(self.source.read(file.address, file.size))
        if (trusted and same_target and trusted == ours) or (
            self.verify == "auto" and md5 is not None and md5 == there.md5
        ):
            right = True
        else:
            with writing():
                right = self._digests(self.target.read(there.address, there.size))[0] == ours
        if right:
            self.journal.add(job.relative, Record(file.stamp, there.stamp, ours))
        return right

    def _copy(self, job: CopyJob, advance: Callable[[int], None]) -> int:
        file = job.file
        with ExitStack() as stack:
            with writing():
                create = self.target.create(job.relative, file.size, self.journal.mark)
                new = stack.enter_context(create)
            sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
            for chunk in self._read(file):
                sha256.update(chunk)
                md5.update(chunk)
                size += len(chunk)
                with writing():
                    new.write(chunk)
                advance(len(chunk))
            self._check_source(file, size)
            with writing():
                new.finish()
                self._check_arrived(new, size, sha256.hexdigest(), md5.hexdigest())
                there = new.publish()
        self.journal.add(job.relative, Record(file.stamp, there.stamp, sha256.hexdigest()))
        return size

    def _read(self, file: Stored) -> Iterator[bytes]:
        for chunk in self.source.read(file.address, file.size):
            if self.stop.is_set():
                raise Stopped
            yield chunk

    def _check_source(self, file: Stored, size: int) -> None:
        """See that nobody changed the file while it was being read."""
        if file.size is not None and size != file.size:
            raise Changed
        # What came in one piece is of one moment; if it is newer than the stamp, the next run sees.
        if size > CHUNK and file.stamp:
            now = self.source.look(file.relative, file.address)
            if now.stamp != file.stamp:
                raise Changed

    def _check_arrived(self, new: NewFile, size: int, sha256: str, md5: str) -> None:
        stored = new.stored()
        if stored.size is not None and stored.size != size:
            raise Damaged(f"{stored.size:,} of {size:,} bytes arrived")
        if self.verify == "size" or (self.verify == "auto" and stored.md5 == md5):
            return
        if self._digests(new.read())[0] != sha256:
            raise Damaged("what arrived differs from what was sent")

    def _digests(self, chunks: Iterable[bytes]) -> tuple[str, str]:
        """SHA-256 and MD5, in hexadecimal digits."""
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for chunk in chunks:
            if self.stop.is_set():
                raise Stopped
            sha256.update(chunk)
            md5.update(chunk)
        return sha256.hexdigest(), md5.hexdigest()


@contextmanager
def writing() -> Iterator[None]:
    """Say of an error within that it is the destination's."""
    try:
        yield
    except (Stopped, WriteError):
        raise
    except Exception as error:
        raise WriteError(error) from error

"""The file of a SQLite database: it must stay the one that was opened, and one process at a time works on it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from connector.errors import DatabaseUnreachable, InstanceLocked


class SqliteFile:
    """One file, by its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: tuple[int, int] | None = None

    def is_still_there(self) -> bool:
        """Whether the path leads to the same file as when this was first asked, just after it was opened.

        SQLite would go on writing to a file that was deleted: nothing of that would be found after the next start.
        """
        try:
            found = self.path.stat()
        except OSError:
            return False
        self._opened = self._opened or (found.st_dev, found.st_ino)
        return self._opened == (found.st_dev, found.st_ino)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only process in such a block. Raises `InstanceLocked`, and `DatabaseUnreachable` for its folder.

        What is locked is a file of its own: closing any handle of the database file would drop the locks that SQLite
        holds on it. The operating system gives the lock back when a process ends, however it ends.
        """
        path = Path(f"{self.path.resolve()}.lock")  # a link to the file is the same file
        try:
            file = path.open("a+", encoding="ascii")
        except OSError as error:
            raise DatabaseUnreachable(
                f"{path}: {error.strerror}", effect="nothing was started", remedy="make its folder writable"
            ) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise InstanceLocked(
                    f"process {file.read().strip() or '?'} already works on {path.with_suffix('')}",
                    effect="nothing was started",
                    remedy="end that process first, or keep our records in PostgreSQL, where several may work at once",
                ) from None
            with suppress(OSError):  # on a full disk the lock holds all the same, only nobody can tell whose it is
                os.ftruncate(file.fileno(), 0)  # past the buffer: what it could not write it would write when closed
                os.write(file.fileno(), str(os.getpid()).encode("ascii"))
            yield

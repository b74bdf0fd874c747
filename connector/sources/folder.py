"""`DropFolder`: files of a folder, taken into tables of a SQLite file of ours, where records files read them with SQL.

Each table has the columns of its files' headers as exact text, and five of ours: ``_id``, which only grows, ``_file``
and ``_line``, which lead back to where a row stands, ``_taken_at``, and ``_content``, the number of the content that it
was taken from. Beside a table ``returns``, a view ``returns_current`` has the rows of the newest content of each file
alone, for lines and lookups.

A file is taken once by its content, rows and mark in one transaction, so that an end at any moment loses and doubles
nothing. Files are only read; whoever puts them there takes them away. Of a text that grows, the new rows come; what is
replaced is another content, and all its rows come again, which keys keep from being declared twice. So they do when it
is to be read in another way, and what was read the old way is forgotten.

A file that may still be written is left alone. It counts as finished when its size and times have not changed for
``quiet_seconds`` (where it was just written, that long is waited, once), and one whose last line is not ended waits for
``unfinished_seconds``. Names that begin with a dot or ``~$`` or end in .tmp, .part, .filepart or ~ are not looked at.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing, contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from connector.errors import SourceUnreachable
from connector.sources import staging
from connector.sources.files import examine
from connector.sources.staging import DroppedFile, Stamp
from connector.sources.workbooks import MissingLibrary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from connector.config import FileSettings

_NEVER_BEGINS = (".", "~$")
_NEVER_ENDS = (".tmp", ".part", ".filepart", "~")

log = logging.getLogger(__name__)


class DropFolder:
    """One ``[sources.NAME]`` with a folder."""

    def __init__(
        self,
        folder: Path,
        database: Path,
        files: Mapping[str, FileSettings],
        *,
        quiet_seconds: float,
        unfinished_seconds: float,
    ) -> None:
        self._folder = folder
        self._database = database
        self._files = files
        self._quiet = quiet_seconds
        self._unfinished = unfinished_seconds
        self._left: set[tuple[Path, Stamp]] = set()
        """Files of which it was said that they are left for later."""

    def take(self) -> None:
        """Take every finished file that was not taken yet.

        Raises `SourceUnreachable` when the folder is not there, or one of its files cannot be read; the others are
        taken before.
        """
        failed: Exception | None = None
        with self._translated():
            with closing(self._open()) as connection:
                staging.make_tables(connection, self._files.values())
            found = self._fresh()
            if young := [file.stamp.age for file in found if file.stamp.age < self._quiet]:
                time.sleep(min(self._quiet, self._quiet - min(young)))
            for file in found:
                try:
                    self._take(file)
                except (OSError, MissingLibrary) as error:
                    failed = error
            if failed:
                raise failed

    def unmatched(self) -> list[str]:
        """Names of finished files that belong to no table. Raises `SourceUnreachable`."""
        with self._translated():
            return sorted(path.name for path in self._finished() if self._settings(path.name) is None)

    def lacks(self, query: str) -> bool:
        """Whether a query names a table that no file was taken into yet, so that nobody knows its columns."""
        if not self._database.exists():
            return True
        with self._translated(), closing(self._open()) as connection:
            return staging.lacks(connection, self._files.values(), query)

    def _fresh(self) -> list[DroppedFile]:
        """Files to be looked at, those written first in front."""
        with closing(self._open()) as connection:
            seen = staging.seen(connection)
        found = [file for file in self._candidates() if seen.get(file.name) != file.mark]
        return sorted(found, key=lambda file: (file.stamp.changed, file.name))

    def _candidates(self) -> Iterator[DroppedFile]:
        for path in self._finished():
            if settings := self._settings(path.name):
                yield DroppedFile(path=path, stamp=Stamp.of(path), settings=settings)

    def _finished(self) -> Iterator[Path]:
        """Files whose names do not say that they are still written."""
        for path in self._folder.iterdir():
            is_unfinished = path.name.startswith(_NEVER_BEGINS) or path.name.lower().endswith(_NEVER_ENDS)
            if not is_unfinished and path.is_file():
                yield path

    def _settings(self, name: str) -> FileSettings | None:
        """Of the first pattern that fits; in whatever case, for systems write .CSV for .csv."""
        return next((one for pattern, one in self._files.items() if fnmatchcase(name.lower(), pattern.lower())), None)

    def _take(self, file: DroppedFile) -> None:
        if not file.is_unchanged():
            self._leave(file, "it is being written")
            return
        with closing(self._open()) as connection:
            before = staging.newest(connection, file)
            examined = examine(file.path, file.settings.encoding, part=before.size if before else 0)
            if not examined.is_ended and file.stamp.age < self._unfinished:
                self._leave(file, f"its end is missing; it is taken {self._unfinished:g} s after it was written last")
                return
            connection.execute("BEGIN IMMEDIATE")
            is_ours = staging.newest(connection, file) == before  # no other process was faster
            if is_ours and staging.is_new(connection, file, examined):
                staging.take(connection, file, examined)
            staging.note_seen(connection, file)
            # Otherwise nothing of it is kept, and it is looked at again.
            connection.execute("COMMIT" if is_ours and file.is_unchanged() else "ROLLBACK")

    def _leave(self, file: DroppedFile, reason: str) -> None:
        if (file.path, file.stamp) not in self._left:
            self._left.add((file.path, file.stamp))
            log.info("%s is left for later: %s", file.path, reason)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._database, isolation_level=None, timeout=60)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise SourceUnreachable(
                f"folder {self._folder}: {error}",
                effect="what cannot be read was not taken; the rest goes on",
                remedy=f"check that the folder is there and can be read, and that {self._database} can be written",
            ) from None
        except MissingLibrary:
            raise SourceUnreachable(
                f"folder {self._folder} has Excel files, and the package openpyxl is not installed",
                effect="they wait",
                remedy="install the extra `xlsx`: pip install 'customs-warehouse-connector[xlsx]'",
            ) from None

"""Every error this project raises on purpose.

One tree; the number is the process exit code of the command line contract::

    ConnectorError                  1
    ├── UsageError                  2   the request makes no sense as it stands
    │   └── PayloadArchived         2   what was asked for has left the database for an archive
    ├── ConfigurationError          4   the configuration file
    │   ├── MappingError            4   a mapping file
    │   └── SchemaVersionError      4   the database schema is not the one this version needs
    ├── DatabaseUnreachable         4   our own database
    ├── InstanceLocked              8   another process works on the same SQLite file
    ├── SourceUnreachable           5   the enterprise's database
    ├── SourceChanged               5   the enterprise's query answers with other columns
    ├── CustomsUnreachable          6   the customs interface
    ├── SigningError                7   key, certificate or signature
    │   └── SignatureInvalid        7   a signature that does not verify
    ├── AuditLogInvalid             9   the audit log is not what it was
    ├── UnreadableMessage           1   XML that the strict parser or a schema refuses
    └── ResendRefused               3   a resend that would be wrong

An error says what happened (cause), what follows from it (effect) and what to do (remedy). Errors of other libraries
are translated at the edge where they arise: nothing above a stage catches a third-party exception.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar


class ConnectorError(Exception):
    """The root of the tree.

    >>> print(ConnectorError("no such file", effect="nothing was read", remedy="check the path"))
    no such file
      effect: nothing was read
      remedy: check the path
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, cause: str, *, effect: str = "", remedy: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.effect = effect
        self.remedy = remedy

    def __str__(self) -> str:
        """The cause, then effect and remedy each on a line of its own."""
        parts = [self.cause]
        if self.effect:
            parts.append(f"  effect: {self.effect}")
        if self.remedy:
            parts.append(f"  remedy: {self.remedy}")
        return "\n".join(parts)


class UsageError(ConnectorError):
    """The request makes no sense as it stands."""

    exit_code = 2


class PayloadArchived(UsageError):
    """What was asked for has left the database for an archive."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} is not in the database any more",
            effect="what the log says of it still verifies",
            remedy="if it was archived, `connector audit list --event archived --text KEY` names the file that has it; "
            "KEY is the business key of the document",
        )


class ConfigurationError(ConnectorError):
    """The configuration cannot be used; all its faults are named at once."""

    exit_code = 4


class MappingError(ConfigurationError):
    """A mapping file cannot be used; all its faults are named at once."""


class SchemaVersionError(ConfigurationError):
    """The database schema is older or newer than this version needs."""


class DatabaseUnreachable(ConnectorError):
    """Our own database cannot be opened or does not answer."""

    exit_code = 4


class InstanceLocked(ConnectorError):
    """Another process works on the same SQLite file."""

    exit_code = 8


class SourceUnreachable(ConnectorError):
    """A database of the enterprise cannot be reached or refuses the query."""

    exit_code = 5


class SourceChanged(ConnectorError):
    """A database of the enterprise answers with other columns or types than its records file declares."""

    exit_code = 5


class CustomsUnreachable(ConnectorError):
    """The customs interface cannot be reached or gives no usable answer."""

    exit_code = 6
    retry_after: timedelta | None = None
    """How long customs asked us to stay away (HTTP Retry-After)."""


class SigningError(ConnectorError):
    """A key or certificate cannot be used."""

    exit_code = 7


class SignatureInvalid(SigningError):
    """A signature does not verify, or is not made as its profile demands."""


class AuditLogInvalid(ConnectorError):
    """The audit log, or a checkpoint of it, is not what it was when it was written."""

    exit_code = 9


class UnreadableMessage(ConnectorError):
    """XML that the strict parser or its schema refuses."""


class ResendRefused(ConnectorError):
    """A resend that would send nothing new, or the wrong thing."""

    exit_code = 3

"""Secrets, and the files that hold them: nobody but the connector's own user may read those.

A file that others may read has told its secret already, so it is refused rather than warned of; keys, pass phrases,
PINs and passwords are all alike in that::

    password = secret(settings.password, settings.password_file)
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pydantic import SecretStr

from connector.errors import ConfigurationError

OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""The rights of everybody but the owner."""


class NotPrivate(Exception):
    """Others may read the file, or change it; says so with its path and mode."""


def read_private(path: Path) -> bytes:
    """The bytes of a file that nobody else may read or change. Raises `NotPrivate` and `OSError`."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & OTHERS:
            raise NotPrivate(f"{path} is readable by others (mode {mode:o})")
        return file.read()


def secret(value: SecretStr | None, file: Path | None) -> str | None:
    """A secret from the environment, else from its file without the line end. Raises `ConfigurationError`."""
    try:
        if value is not None:
            value.get_secret_value().encode()
            return value.get_secret_value()
        return None if file is None else read_private(file).decode().rstrip("\r\n")
    except NotPrivate as error:
        raise ConfigurationError(
            f"{error}, and holds a secret", effect="nothing was started", remedy=f"chmod 600 {file}"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{file}: {error.strerror}", effect="nothing was started", remedy="make the file readable to this user only"
        ) from None
    except UnicodeError:  # its own words would show a part of the secret
        raise ConfigurationError(
            f"{file or 'a secret of the environment'} is not text in UTF-8",
            effect="nothing was started",
            remedy="write the pass phrase or password in UTF-8, and make sure that it is the right file",
        ) from None

"""Frozen settings, read from one TOML file and the environment.

Every fault of the file is reported at once, with its line and what to do. A variable such as
``CONNECTOR_DATABASE__URL`` overrides ``url`` in ``[database]``. Secrets are never written in the file: a setting that
ends in ``_file`` names a file that holds one, or the environment carries it. Relative paths start at the folder of the
file::

    settings = load(Path("config/connector.toml"))
    settings.database.url
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from connector.errors import ConfigurationError
from connector.toml_file import TomlFile

ENVIRONMENT_PREFIX = "CONNECTOR_"


_folder: ContextVar[Path] = ContextVar("_folder", default=Path())
"""Folder of the file being loaded; pydantic-settings offers no other way to hand it to a validator."""


def _from_config_folder(path: Path) -> Path:
    return _folder.get() / path.expanduser()


def _sqlite_from_config_folder(url: str) -> str:
    prefix = "sqlite:///"
    if url.startswith(prefix) and url != f"{prefix}:memory:":
        return prefix + str(_from_config_folder(Path(url.removeprefix(prefix))))
    return url


def _without_password(url: str) -> str:
    if re.match(r"[^:/]+://[^:/@]*:[^@]+@|.*[?&]password=", url):
        raise ValueError("holds a password; leave it out and set password_file or the environment instead")
    return url


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise ValueError("must be https; plain http is allowed to loopback only")
    return url


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no IANA time zone such as Asia/Shanghai") from None
    return name


def _encoding(name: str) -> str:
    try:
        found = codecs.lookup(name).name
        "".encode(found)
    except LookupError:
        raise ValueError(f"{name!r} is no encoding of text such as gb18030 or utf-16") from None
    return "utf-8-sig" if found == "utf-8" else found


_WEEK = 7 * 24 * 3600

Secret: TypeAlias = SkipJsonSchema[SecretStr | None]
"""Never in the file, hence not in its schema."""
Seconds = Annotated[float, Field(gt=0, le=_WEEK)]
Days = Annotated[int, Field(ge=1, le=36500)]
FilePath = Annotated[Path, AfterValidator(_from_config_folder)]
DatabaseUrl = Annotated[str, AfterValidator(_without_password), AfterValidator(_sqlite_from_config_folder)]
EndpointUrl = Annotated[str, AfterValidator(_endpoint)]
ZoneName = Annotated[str, AfterValidator(_zone)]


class _Section(BaseModel):
    """A table of the file: no unknown keys, no silent conversions of codes into numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Section):
    """``[database]``: our own records, on SQLite or PostgreSQL."""

    url: DatabaseUrl
    """``sqlite:///connector.db`` or ``postgresql+psycopg://user@host/name``."""
    password_file: FilePath | None = None
    password: Secret = Field(default=None, exclude=True)
    """By the environment only."""


class FileSettings(_Section):
    """``"PATTERN" = …`` of ``[sources.NAME.files]``: which table such files belong to, and how they are written."""

    table: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Of CSV; None: a comma, or a tab where the file's name ends in .tsv."""
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    """E.g. ``utf-16``, ``big5``; None: UTF-8, and where a file is not that, GB18030."""
    sheet: Annotated[str, Field(min_length=1)] | None = None
    """Of an Excel file; None: the first."""
    columns: tuple[Annotated[str, Field(pattern=r"^[^_\s]")], ...] | None = None
    """Names of the columns, for files without a header."""


def _file_settings(value: object) -> object:
    return {"table": value} if isinstance(value, str) else value


class SourceSettings(_Section):
    """``[sources.NAME]``: one database of the enterprise, or a folder that files are put into; read only."""

    url: DatabaseUrl
    """``sqlite:///…``, ``mysql+pymysql://…`` or ``postgresql+psycopg://…``; untested: ``oracle+oracledb://…``, ``mssql+pymssql://…``,
    ``dm+dmPython://…``."""
    timezone: ZoneName
    """The zone its time columns are written in, e.g. ``Asia/Shanghai``."""
    folder: FilePath | None = None
    """A folder that files are put into; ``url`` is then a SQLite file that the connector makes of them."""
    files: dict[str, Annotated[FileSettings, BeforeValidator(_file_settings)]] = Field(default_factory=dict)
    """File name, ``*`` for any characters -> the table its rows come into."""
    quiet_seconds: Annotated[float, Field(ge=0, le=3600)] = 2
    """How long a file must not have changed before it is taken."""
    unfinished_seconds: Annotated[float, Field(ge=0, le=86400)] = 60
    """The same for a text file whose last line is not ended."""
    password_file: FilePath | None = None
    password: Secret = Field(default=None, exclude=True)
    """By the environment only."""

    @model_validator(mode="after")
    def _has_both_or_neither(self) -> Self:
        if (self.folder is None) != (not self.files):
            raise ValueError("needs both folder and [sources.NAME.files] for files, and neither for a database")
        return self


class EnterpriseSettings(_Section):
    """``[enterprise]``: who transmits (BaseTransfer and the DxpMsg sender)."""

    dxp_id: Annotated[str, Field(min_length=1, max_length=16)]
    """The number the E-Port data centre gave, e.g. ``DXPENT0000011351``."""
    cop_code: Annotated[str, Field(min_length=1, max_length=18)]
    cop_name: Annotated[str, Field(min_length=1, max_length=100)]


class SigningSettings(_Section):
    """``[signing.NAME]``: one key that signs our messages, from a moment on; in a file, or on a PKCS#11 token."""

    suite: Literal["sm2-sm3", "rsa-sha1"] = "sm2-sm3"
    active_from: AwareDatetime | None = None
    """From when on it signs, e.g. ``2026-12-01T00:00:00+08:00``; of several the last that has begun. None: ever."""
    key_file: FilePath | None = None
    """PKCS#8 PEM or PKCS#12, not readable by others."""
    pkcs11_module: FilePath | None = None
    """In place of key_file: the library of the token's vendor, e.g. ``/usr/lib/softhsm/libsofthsm2.so``."""
    pkcs11_token: Annotated[str, Field(min_length=1)] | None = None
    """Label of the token."""
    pkcs11_key: Annotated[str, Field(min_length=1)] | None = None
    """Label of the private key on it."""
    certificate_file: FilePath | None = None
    """X.509 PEM of the same key; PKCS#12 may hold it instead."""
    passphrase_file: FilePath | None = None
    """Holds the pass phrase of key_file, or the PIN of the token; not readable by others."""
    passphrase: Secret = Field(default=None, exclude=True)
    """By the environment only."""

    @model_validator(mode="after")
    def _require_one_key(self) -> Self:
        if self.key_file is None and self.pkcs11_module is None:
            raise ValueError("names no key; add key_file, or pkcs11_module for a key on a token")
        if self.key_file is not None and (self.pkcs11_module or self.pkcs11_token or self.pkcs11_key):
            raise ValueError("names a file and a token; keep key_file, or the settings that begin with pkcs11_")
        needed = ("pkcs11_token", "pkcs11_key", "certificate_file")
        missing = [name for name in needed if getattr(self, name) is None]
        if self.pkcs11_module is not None and missing:
            raise ValueError(f"names a token, and needs {' and '.join(missing)} for it; add what is missing")
        return self


class CustomsSettings(_Section):
    """``[customs]``: the customs interface and how patient we are with it."""

    submit_url: EndpointUrl
    receipts_url: EndpointUrl | None = None
    """ReceiptService; absent where a region pushes its receipts."""
    receiver_id: Annotated[str, Field(min_length=1, max_length=16)] = "DXPEDCCEB0000003"
    require_signed_receipts: bool = True
    """Whether receipts without a signature are kept but not applied; off only where a region does not sign."""
    receipt_certificate_files: tuple[FilePath, ...] = ()
    """X.509 PEM of the keys that customs signs receipts with; an old one stays here while its receipts may come."""
    ca_file: FilePath | None = None
    client_certificate_file: FilePath | None = None
    client_key_file: FilePath | None = None
    deadline_seconds: Annotated[float, Field(gt=0, le=600)] = 30
    """One total deadline for each call, connecting included."""
    settle_seconds: Seconds = 120
    """How long customs may take over a request whose connection we gave up; no query and no resend earlier."""
    retry_first_seconds: Seconds = 5
    retry_most_seconds: Seconds = 3600
    attempts: Annotated[int, Field(ge=1)] = 100
    """Tries of one message, queries about it included, before it is parked."""
    give_up_hours: Annotated[float, Field(gt=0, le=8760)] = 168
    """How long after its first try a message may wait for customs before it is parked."""
    breaker_failures: Annotated[int, Field(ge=1)] = 5
    """Calls that fail in a row before an address is left alone."""
    breaker_open_seconds: Seconds = 60
    """How long it is left alone; then one call at a time probes it."""
    breaker_probes: Annotated[int, Field(ge=1)] = 3
    """Probes that succeed in a row before it is called as usual."""
    receipt_hours: dict[str, Annotated[float, Field(gt=0, le=8760)]] = Field(default_factory=dict)
    """Message type -> how long after its delivery a document may lack its final answer before it counts as overdue;
    24 for types not named."""

    @model_validator(mode="after")
    def _require_certificates(self) -> Self:
        if self.receipts_url and self.require_signed_receipts and not self.receipt_certificate_files:
            raise ValueError(
                "needs receipt_certificate_files, the certificates that customs signs receipts with; set "
                "require_signed_receipts = false only where customs does not sign"
            )
        return self


class AuditSettings(_Section):
    """``[audit]``: checkpoints of the audit log, signed with a key that signs nothing else."""

    origin: Annotated[str, Field(pattern=r"^[^\s+]+$", max_length=200)]
    """The name of the log, which no other log has, e.g. ``wms.example.com/log``."""
    key_file: FilePath
    """Ed25519 in PKCS#8 PEM, not readable by others; `connector audit key --new` makes it."""
    passphrase_file: FilePath | None = None
    passphrase: Secret = Field(default=None, exclude=True)
    """By the environment only."""
    former_keys: tuple[str, ...] = ()
    """Verifier keys (``NAME+ID+KEY``) of keys that signed earlier checkpoints."""
    checkpoint_file: FilePath
    """Where checkpoints are kept besides the database; best where those who run the database cannot write."""
    every_entries: Annotated[int, Field(ge=1)] = 1000
    """How many new entries call for a checkpoint."""
    every_seconds: Seconds = 300
    """How long a new entry waits for one at most."""
    anchor: bool = False
    """Whether every message to customs carries the last checkpoint in its ExtendMessage, so that customs holds one."""

    @model_validator(mode="after")
    def _stands_in_xml(self) -> Self:
        if self.anchor and not re.fullmatch(r"[!-~]+", re.sub(r"[<>&]", " ", self.origin)):
            raise ValueError("anchor needs an origin of ASCII letters, digits and signs, without < > &")
        return self


class RetentionSettings(_Section):
    """``[retention]``: for how many days after customs' last word payloads stay in the database; by default, for ever.

    `connector db archive` then moves them; nothing goes by itself.
    """

    folder: FilePath
    """Where archives go."""
    source_rows: Days | None = None
    documents: Days | None = None
    messages: Days | None = None
    responses: Days | None = None
    receipts: Days | None = None


class ScheduleSettings(_Section):
    """``[schedule]``: how often the daemon runs each part, in seconds."""

    collect_seconds: Seconds = 30
    deliver_seconds: Seconds = 2
    receipts_seconds: Seconds = 10
    workers: Annotated[int, Field(ge=1, le=16)] = 1
    """Messages delivered at the same time; `connector run --workers` overrides it."""


class SimulatorSettings(_Section):
    """``[simulator]``: where the simulated customs office finds its registry; not used with a real one."""

    registry: FilePath


class AreaSettings(_Section):
    """``[sites.CODE.areas.NAME]``: one functional area (功能区) of a site."""

    kind: Literal["unpacking", "inspection", "storage", "holding", "dispatch"]
    returns_only: bool = False
    """Whether nothing but returns is ever in it."""
    locations: Annotated[tuple[str, ...], Field(min_length=1)]
    """The warehouse's own names of what lies in it; ``*`` stands for any characters, ``A-01-*``."""


class SiteSettings(_Section):
    """``[sites.CODE]``: one supervised site (监管作业场所), by the code that customs knows it by."""

    customs_code: Annotated[str, Field(pattern=r"^[0-9]{4}$")]
    """The customs office it belongs to."""
    exports_9610_from: date | None = None
    """The day from which on it does 9610 export business; without it, it does none."""
    exports_9610_until: date | None = None
    """The last such day."""
    areas: dict[str, AreaSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _lies_in_one(self) -> Self:
        places = [place for area in self.areas.values() for place in area.locations]
        twice = sorted({place for place in places if places.count(place) > 1})
        if twice:
            raise ValueError(f"has {', '.join(twice)} in two areas; a location lies in one")
        return self


class RulesSettings(_Section):
    """``[rules]``: data of the rules of customs; see `connector rules list`."""

    offices: FilePath | None = None
    """A corrected copy of ``config/offices.toml``: customs areas, and between which goods may return."""


class Settings(BaseSettings):
    """The whole file."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=None
    )

    database: DatabaseSettings
    enterprise: EnterpriseSettings
    sources: dict[str, SourceSettings]
    mappings: FilePath
    """Folder of the mapping files in use."""
    values: dict[str, str] = Field(default_factory=dict)
    """Named constants of this enterprise that mappings refer to, e.g. ``agent_code``."""
    codes: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Code lists of this enterprise that mappings refer to, e.g. ``return_offices``: warehouse id -> customs office."""
    sites: dict[Annotated[str, Field(min_length=1, max_length=20)], SiteSettings] = Field(default_factory=dict)
    """Our supervised sites with their functional areas; what the rules about sites are held against."""
    rules: RulesSettings = Field(default_factory=RulesSettings)
    signing: Annotated[dict[str, SigningSettings], Field(min_length=1)]
    customs: CustomsSettings
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings)
    audit: AuditSettings | None = None
    retention: RetentionSettings | None = None
    simulator: SimulatorSettings | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment overrides the file; no .env file, no secrets folder."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load(path: Path) -> Settings:
    """Read the file and the environment.

    Raises `ConfigurationError` naming every fault with its line.
    """
    if not path.exists():
        raise ConfigurationError(
            f"{path}: no such file",
            effect="nothing was started",
            remedy="name it with --config FILE or CONNECTOR_CONFIG; `connector demo --dir D` writes one that works",
        )
    file = TomlFile.read(path)
    token = _folder.set(path.resolve().parent)
    try:
        settings = None if file.faults else Settings(**file.document)
    except ValidationError as error:
        settings = None
        file.note(error, elsewhere=_variable)
    except SettingsError as error:
        settings = None
        file.faults.append(f"environment: {error}")
    finally:
        _folder.reset(token)
    file.add(
        (place, "is a secret; put it in a file of its own or in the environment") for place in _secrets(file.document)
    )
    if settings is None or file.faults:
        raise ConfigurationError(
            "\n".join(file.faults), effect="nothing was started", remedy="correct what is named and try again"
        )
    return settings


def _variable(keys: Sequence[str | int]) -> str:
    """The environment variable that gives what stands under these keys; empty when the file does."""
    wanted = ENVIRONMENT_PREFIX + "__".join(str(key) for key in keys).upper()
    return next((f"environment variable {name}" for name in os.environ if name.upper() == wanted), "")


def _secrets(table: Mapping[str, Any], *place: str) -> Iterator[tuple[str, ...]]:
    """Where the file holds what only the environment may."""
    for key, value in table.items():
        if key in {"password", "passphrase"} and place:
            yield (*place, key)
        elif isinstance(value, Mapping) and key not in {"values", "codes"}:
            yield from _secrets(value, *place, key)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    return Settings.model_json_schema()


def shipped(name: str) -> Path:
    """A folder that ships with the program: ``mappings``, ``config`` or ``certs``.

    In a wheel they lie inside the package; in a source tree, beside it.
    """
    packaged = Path(str(files("connector"))) / "share" / name
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / name


if __name__ == "__main__":
    print(json.dumps(json_schema(), ensure_ascii=False, indent=2))  # noqa: T201 - `make schema` writes it to a file

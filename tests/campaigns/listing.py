"""Which campaigns there are, and what each needs of the machine.

A new one takes a module ``tests/campaigns/NAME.py`` with a constant ``CAMPAIGN`` and a line in `NEEDS`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import OperationalError

from tests.campaigns.campaign import Campaign

POSTGRESQL = "postgresql://postgres@127.0.0.1:5432/postgres"
"""The server that campaigns make their databases on."""
MARIADB = "mysql+pymysql://root@127.0.0.1:3306/"
"""The server that warehouses are made on."""

REFERENCE = Path(os.environ.get("CONNECTOR_REFERENCE", Path(__file__).parents[3] / "shared"))
"""Samples kept beside the repository; never part of it."""

Need = Callable[[], str]
"""What is missing, in a sentence; empty when nothing is."""


class NoSuchCampaign(Exception):
    """No module of this name, or none with a campaign in it."""


def a_database_server() -> str:
    """PostgreSQL on this machine."""
    return "" if postgresql_version() else f"needs a database server at {POSTGRESQL}"


def mariadb() -> str:
    """MariaDB on this machine."""
    try:
        create_engine(MARIADB, poolclass=NullPool).connect().close()
    except OperationalError:
        return f"needs a database server at {MARIADB}"
    return ""


def reference() -> str:
    """The warehouses that stand beside the project."""
    return "" if REFERENCE.is_dir() else f"needs reference material in {REFERENCE}; set CONNECTOR_REFERENCE"


def gcc() -> str:
    """A C compiler."""
    return "" if shutil.which("gcc") else "needs gcc"


def xmlsec1() -> str:
    """The program that signs and verifies XML, one of the three signers."""
    return "" if shutil.which("xmlsec1") else "needs xmlsec1"


def atheris() -> str:
    """The fuzzer; there are wheels of it for some machines only."""
    return "" if importlib.util.find_spec("atheris") else "needs atheris"


NEEDS: Mapping[str, tuple[Need, ...]] = {
    "threads": (),
    "tamper": (),
    "proofs": (),
    "forgery": (xmlsec1,),
    "fuzz": (atheris,),
    "model": (),
    "network": (),
    "crash_points": (a_database_server,),
    "power_loss": (gcc,),
    "pause": (a_database_server,),
    "kill": (a_database_server,),
    "collect": (a_database_server, mariadb, reference),
    "recovery": (a_database_server,),
}
"""Modules of this folder in the order they run in, each with what it needs. Those not there yet are left out."""


def names() -> list[str]:
    """The campaigns that are there."""
    return [name for name in NEEDS if importlib.util.find_spec(_module(name)) is not None]


def find(name: str) -> Campaign:
    """The campaign of a module of this folder, or of any module whose name has a dot. Raises `NoSuchCampaign`."""
    if "." not in name and name not in NEEDS:
        raise NoSuchCampaign(f"there is no campaign {name}; there are {', '.join(names())}")
    try:
        campaign = importlib.import_module(_module(name)).CAMPAIGN
    except ModuleNotFoundError as error:
        if error.name is None or not _module(name).startswith(error.name):
            raise  # the module is there; what it imports is not
        raise NoSuchCampaign(f"there is no campaign {name}: {error}") from error
    except AttributeError as error:
        raise NoSuchCampaign(f"there is no campaign {name}: {error}") from error
    assert isinstance(campaign, Campaign)
    return campaign


def missing(name: str) -> str:
    """What a campaign needs and this machine lacks; empty when nothing."""
    return "; ".join(filter(None, (need() for need in NEEDS.get(name, ()))))


def postgresql_version() -> str:
    """Of the server; empty when there is none."""
    try:
        with psycopg.connect(POSTGRESQL, connect_timeout=3) as connection:
            return connection.info.parameter_status("server_version") or "of unknown version"
    except psycopg.OperationalError:
        return ""


def _module(name: str) -> str:
    return name if "." in name else f"tests.campaigns.{name}"

"""The versions read from file names are those that Alembic reads from the files."""

from __future__ import annotations

from importlib.resources import files

from alembic.config import Config
from alembic.script import ScriptDirectory

from connector.storage import schema


def test_versions_are_those_of_the_migrations_oldest_first() -> None:
    config = Config()
    config.set_main_option("script_location", str(files("connector.storage") / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert schema.versions() == [script.revision for script in reversed(list(scripts.walk_revisions()))]
    assert schema.versions()[-1] == scripts.get_current_head()

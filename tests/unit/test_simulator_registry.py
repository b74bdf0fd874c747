from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.simulator.registry import load

GOOD = """listen = "127.0.0.1:8900"
database = "customs.db"
export_lists = "lists/export-lists.jsonl"
[[senders]]
dxp_id = "DXPENT0000011351"
certificate_sha256 = "{old}"
enterprise_codes = ["4401000001"]
[[senders]]
dxp_id = "DXPENT0000011351"
certificate_sha256 = "{new}"
enterprise_codes = ["4401000001", "4401000002"]
""".format(old="a" * 64, new="b" * 64)


def write(folder: Path, text: str) -> Path:
    path = folder / "registry.toml"
    path.write_text(text)
    return path


def test_registry_takes_paths_from_its_own_folder(tmp_path: Path) -> None:
    registry = load(write(tmp_path, GOOD))

    assert registry.database == tmp_path / "customs.db"
    assert registry.export_lists == tmp_path / "lists/export-lists.jsonl"
    assert registry.address == ("127.0.0.1", 8900)
    assert registry.delays.stage_seconds == 2


def test_registry_gives_both_entries_when_a_sender_changes_its_certificate(tmp_path: Path) -> None:
    registry = load(write(tmp_path, GOOD))

    assert [entry.certificate_sha256[0] for entry in registry.entries_of("DXPENT0000011351")] == ["a", "b"]
    assert registry.entries_of("DXPENT0000000000") == ()


def test_registry_names_every_fault_at_once_when_it_is_wrong(tmp_path: Path) -> None:
    spoilt = GOOD.replace("127.0.0.1", "0.0.0.0").replace("a" * 64, "xyz").replace('"customs.db"', "7") + "extra = 1\n"

    with pytest.raises(ConfigurationError) as caught:
        load(write(tmp_path, spoilt))

    for named in ("listen", "127.0.0.1:PORT", "database", "certificate_sha256", "extra", "registry.toml:1:"):
        assert named in caught.value.cause
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("listen", ["0.0.0.0:8900", "192.168.1.1:8900", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x"])
def test_registry_is_refused_when_it_does_not_listen_on_loopback(tmp_path: Path, listen: str) -> None:
    with pytest.raises(ConfigurationError, match=r"must be 127\.0\.0\.1:PORT"):
        load(write(tmp_path, GOOD.replace("127.0.0.1:8900", listen)))

"""The configuration file: what it may hold, and every fault of it told at once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from connector.config import Settings, json_schema, load, shipped
from connector.errors import ConfigurationError
from connector.secret_file import secret

ROOT = Path(__file__).parents[2]

SOUND = """\
mappings = "mappings"

[database]
url = "sqlite:///connector.db"

[sources.warehouse]
url = "mysql+pymysql://reader@warehouse.example/wms"
timezone = "Asia/Shanghai"
password_file = "secrets/warehouse"

[enterprise]
dxp_id = "DXPENT0000011351"
cop_code = "4401000001"
cop_name = "某公司"

[signing.main]
key_file = "/etc/connector/key.pem"
certificate_file = "certs/enterprise.crt.pem"

[customs]
submit_url = "https://customs.example/receive"
"""


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONNECTOR_CONFIG", "CONNECTOR_DATABASE__URL"):
        monkeypatch.delenv(name, raising=False)


def written(folder: Path, text: str = SOUND) -> Path:
    path = folder / "connector.toml"
    path.write_text(text, "utf-8")
    return path


def changed(folder: Path, old: str, new: str) -> Path:
    assert SOUND.count(old) == 1
    return written(folder, SOUND.replace(old, new))


def faults_of(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert caught.value.exit_code == 4
    return caught.value.cause.splitlines()


def test_file_is_read_with_its_defaults_and_paths_from_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load(Path("../connector.toml"))
    assert settings == load(path)
    assert settings.mappings == tmp_path / "mappings"
    assert settings.database.url == f"sqlite:///{tmp_path}/connector.db"
    assert settings.signing["main"].key_file == Path("/etc/connector/key.pem")
    assert settings.signing["main"].certificate_file == tmp_path / "certs/enterprise.crt.pem"
    assert settings.sources["warehouse"].password_file == tmp_path / "secrets/warehouse"
    assert (settings.customs.settle_seconds, settings.customs.attempts, settings.simulator) == (120, 100, None)


def test_settings_never_change(tmp_path: Path) -> None:
    settings = load(written(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        settings.customs.attempts = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.mappings = tmp_path  # type: ignore[misc]


def test_every_fault_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        SOUND.replace('url = "sqlite:///connector.db"', 'uri = "sqlite:///connector.db"')
        .replace('timezone = "Asia/Shanghai"', 'timezone = "Asia/Canton"')
        .replace('cop_code = "4401000001"', "cop_code = 4401000001")
        .replace("https://customs", "http://customs")
        .replace("[customs]", "[customs]\nattempts = 0\n\n[unheard_of]\na = 1\n\n[customs]", 1)
        .replace(
            "[customs]\nattempts = 0\n\n[unheard_of]\na = 1\n\n[customs]",
            "[unheard_of]\na = 1\n\n[customs]\nattempts = 0",
        ),
    )
    lines = path.read_text("utf-8").splitlines()
    told = {}
    for fault in faults_of(path):
        place = re.match(rf"{re.escape(str(path))}:(\d+): (\S+) (.+)", fault)
        assert place is not None, fault
        told[place[2]] = (lines[int(place[1]) - 1], place[3])
    assert {key: line for key, (line, _) in told.items()} == {
        "database.url": "[database]",
        "database.uri": 'uri = "sqlite:///connector.db"',
        "sources.warehouse.timezone": 'timezone = "Asia/Canton"',
        "enterprise.cop_code": "cop_code = 4401000001",
        "customs.submit_url": 'submit_url = "http://customs.example/receive"',
        "customs.attempts": "attempts = 0",
        "unheard_of": "[unheard_of]",
    }
    assert told["database.url"][1] == "is missing; add it"
    assert told["database.uri"][1] == "is not a known key; remove it or correct its name"
    assert "IANA time zone" in told["sources.warehouse.timezone"][1]
    assert "https" in told["customs.submit_url"][1]


def test_fault_that_comes_from_a_variable_names_the_variable_and_no_line_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_CUSTOMS__ATTEMPTS", "0")
    monkeypatch.setenv("CONNECTOR_CUSTOMS__SETLE_SECONDS", "9")
    faults = faults_of(written(tmp_path))
    assert [fault.split(": ")[0] for fault in faults] == [
        "environment variable CONNECTOR_CUSTOMS__ATTEMPTS",
        "environment variable CONNECTOR_CUSTOMS__SETLE_SECONDS",
    ]
    assert not any(str(tmp_path) in fault for fault in faults)


TOKEN = """\
pkcs11_module = "lib/token.so"
pkcs11_token = "customs"
pkcs11_key = "enterprise"
"""
KEY_FILE = 'key_file = "/etc/connector/key.pem"\n'


def test_key_on_a_token_is_read_in_place_of_a_file(tmp_path: Path) -> None:
    key = load(changed(tmp_path, KEY_FILE, TOKEN)).signing["main"]
    assert (key.key_file, key.pkcs11_module) == (None, tmp_path / "lib/token.so")
    assert (key.pkcs11_token, key.pkcs11_key) == ("customs", "enterprise")


@pytest.mark.parametrize(
    ("instead", "fault"),
    [
        ("", "names no key; add key_file, or pkcs11_module for a key on a token"),
        ('pkcs11_token = "customs"\n', "names no key; add key_file, or pkcs11_module for a key on a token"),
        (KEY_FILE + TOKEN, "names a file and a token; keep key_file, or the settings that begin with pkcs11_"),
        (KEY_FILE + 'pkcs11_key = "a"\n', "names a file and a token; keep key_file, or the settings that begin"),
        ('pkcs11_module = "a.so"\n', "needs pkcs11_token and pkcs11_key for it; add what is missing"),
        (TOKEN.replace("pkcs11_key", "# "), "names a token, and needs pkcs11_key for it; add what is missing"),
    ],
)
def test_key_is_told_with_its_line_when_it_is_not_named_in_one_way(tmp_path: Path, instead: str, fault: str) -> None:
    path = changed(tmp_path, KEY_FILE, instead)
    line = path.read_text("utf-8").splitlines().index("[signing.main]") + 1
    (found,) = faults_of(path)
    assert found.startswith(f"{path}:{line}: signing.main ")
    assert fault in found


def test_key_on_a_token_is_told_when_its_certificate_is_not_named(tmp_path: Path) -> None:
    (found,) = faults_of(changed(tmp_path, KEY_FILE + 'certificate_file = "certs/enterprise.crt.pem"\n', TOKEN))
    assert "signing.main names a token, and needs certificate_file for it; add what is missing" in found


def test_table_that_is_missing_is_told_when_the_file_is_empty(tmp_path: Path) -> None:
    missing = {fault.split(": ", 1)[1].split(" ")[0] for fault in faults_of(written(tmp_path, ""))}
    assert missing == {"database", "enterprise", "sources", "mappings", "signing", "customs"}


@pytest.mark.parametrize("text", ["[database\n", "a = 1\na = 2\n", "\ufeff\x00"])
def test_file_is_refused_with_its_place_when_it_is_not_toml(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    assert all(fault.startswith(f"{path}:") for fault in faults_of(path))


def test_file_is_refused_when_it_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "connector.toml"
    path.write_bytes(SOUND.encode("gbk"))
    assert "utf-8" in faults_of(path)[0]


def test_file_that_is_missing_is_told_with_the_ways_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file") as caught:
        load(tmp_path / "nothing.toml")
    assert "CONNECTOR_CONFIG" in caught.value.remedy


def test_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_DATABASE__URL", "postgresql+psycopg://connector@db.example/customs")
    monkeypatch.setenv("CONNECTOR_DATABASE__PASSWORD", "s3cret")
    monkeypatch.setenv("CONNECTOR_CUSTOMS__SETTLE_SECONDS", "7.5")
    settings = load(written(tmp_path))
    assert settings.database.url == "postgresql+psycopg://connector@db.example/customs"
    assert secret(settings.database.password, settings.database.password_file) == "s3cret"
    assert settings.customs.settle_seconds == 7.5
    assert settings.customs.submit_url == "https://customs.example/receive"


def test_environment_may_hold_what_the_file_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_DATABASE__URL", "sqlite:///elsewhere.db")
    path = changed(tmp_path, '[database]\nurl = "sqlite:///connector.db"\n', "")
    assert load(path).database.url == f"sqlite:///{tmp_path}/elsewhere.db"


def test_variables_that_are_no_settings_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_CONFIG", "somewhere.toml")
    monkeypatch.setenv("CONNECTOR_REFERENCE", "somewhere")
    assert load(written(tmp_path)).mappings == tmp_path / "mappings"


def test_environment_is_told_as_a_fault_when_it_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_VALUES", "{not json")
    assert "values" in faults_of(written(tmp_path))[0]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://connector:s3cret@db.example/customs",
        "postgresql+psycopg://connector:s3/cret@db.example/customs",
        "postgresql+psycopg://connector:s3@cret@db.example/customs",
        "postgresql+psycopg://:s3cret@db.example/customs",
        "postgresql+psycopg://connector@db.example/customs?password=s3cret",
        "postgresql+psycopg://connector@db.example/customs?sslmode=require&password=s3cret",
    ],
)
def test_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    (fault,) = faults_of(changed(tmp_path, "sqlite:///connector.db", url))
    assert "database.url holds a password" in fault
    assert "cret" not in fault
    (fault,) = faults_of(changed(tmp_path, "mysql+pymysql://reader@warehouse.example/wms", url))
    assert "sources.warehouse.url holds a password" in fault


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://connector@db.example:5432/customs",
        "postgresql+psycopg://db.example:5432/customs?sslmode=require",
        "sqlite:////var/lib/a:b@c.db",
    ],
)
def test_address_without_a_password_is_taken_as_it_stands(tmp_path: Path, url: str) -> None:
    assert load(changed(tmp_path, "sqlite:///connector.db", url)).database.url == url


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("[database]", "database.password"),
        ("[sources.warehouse]", "sources.warehouse.password"),
        ("[signing.main]", "signing.main.passphrase"),
    ],
)
def test_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, table: str, key: str) -> None:
    (fault,) = faults_of(changed(tmp_path, table, f'{table}\n{key.rpartition(".")[2]} = "s3cret"'))
    assert key in fault
    assert "s3cret" not in fault


def test_secret_is_never_shown_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_SIGNING__MAIN__PASSPHRASE", "s3cret")
    settings = load(written(tmp_path))
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in settings.model_dump_json()


def test_secret_comes_from_its_file_without_the_line_end(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(" s3 cret \r\n", "utf-8")
    file.chmod(0o600)
    assert secret(None, file) == " s3 cret "
    assert secret(None, None) is None


def test_secret_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        secret(None, tmp_path / "nothing")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_secret_file_is_refused_when_others_may_read_it(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "phrase"
    file.write_text("s3cret\n", "utf-8")
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match=rf"phrase is readable by others \(mode {mode:o}\)") as raised:
        secret(None, file)
    assert raised.value.remedy == f"chmod 600 {file}"
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8900/x", "http://localhost:8900/x", "http://[::1]:8900/x", "https://customs.example/x"]
)
def test_customs_address_is_taken_when_it_is_https_or_on_loopback(tmp_path: Path, url: str) -> None:
    assert load(changed(tmp_path, "https://customs.example/receive", url)).customs.submit_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://customs.example/x",
        "http://127.0.0.1.customs.example/x",
        "http://localhost@customs.example/x",
        "http://10.0.0.1/x",
        "ftp://127.0.0.1/x",
        "customs.example",
        "",
    ],
)
def test_customs_address_is_refused_when_it_is_plain_http_to_another_machine(tmp_path: Path, url: str) -> None:
    (fault,) = faults_of(changed(tmp_path, "https://customs.example/receive", url))
    assert "must be https" in fault


@pytest.mark.parametrize("zone", ["", "Asia/Nowhere", "CST+8", "../../etc/passwd", "/etc/localtime"])
def test_time_zone_is_refused_when_there_is_none_of_that_name(tmp_path: Path, zone: str) -> None:
    (fault,) = faults_of(changed(tmp_path, "Asia/Shanghai", zone))
    assert "sources.warehouse.timezone" in fault


@pytest.mark.parametrize("value", ["-1", "0", "nan", "inf", "1e300", '"soon"', "[]"])
def test_duration_is_refused_when_no_time_is_that_long(tmp_path: Path, value: str) -> None:
    (fault,) = faults_of(changed(tmp_path, "[customs]", f"[customs]\nretry_most_seconds = {value}"))
    assert "customs.retry_most_seconds" in fault


@pytest.mark.parametrize("value", ["4401", "true", "1.5", '["a"]'])
def test_code_is_refused_when_it_is_not_written_as_text(tmp_path: Path, value: str) -> None:
    (fault,) = faults_of(changed(tmp_path, "[enterprise]", f"[values]\nagent_code = {value}\n\n[enterprise]"))
    assert "values.agent_code" in fault


def test_shipped_schema_is_what_the_settings_are_now() -> None:
    written_schema = json.loads((ROOT / "config/connector.schema.json").read_text("utf-8"))
    assert written_schema == json_schema(), "run `make schema`"


def test_schema_offers_every_setting_and_no_secret() -> None:
    schema = json.dumps(json_schema())
    assert set(json_schema()["properties"]) == set(Settings.model_fields)
    assert '"password"' not in schema
    assert '"passphrase"' not in schema
    assert '"password_file"' in schema


def test_shipped_configuration_can_be_read() -> None:
    assert load(shipped("config") / "connector.toml").enterprise.dxp_id

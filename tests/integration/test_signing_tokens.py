"""Keys on PKCS#11 tokens, with SoftHSM2: what they sign is right, and what goes wrong is told."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import NameOID
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.mechanisms import KeyType, Mechanism
from pkcs11.types import Session
from pkcs11.util.ec import encode_ec_public_key
from pkcs11.util.rsa import encode_rsa_public_key
from pydantic import SecretStr

from connector.bootstrap import load_key
from connector.config import SigningSettings
from connector.errors import ConfigurationError, SigningError
from connector.messages.parser import Element
from connector.signing.signer import Signer
from connector.signing.suites import SUITES
from connector.signing.tokens import TokenKey
from connector.signing.verifier import verify

ROOT = Path(__file__).parents[2]
LINK = Path("/usr/lib/softhsm/libsofthsm2.so")
MODULE = LINK.resolve()
PIN = "9182-7364"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
CURVES = {"P-256": bytes.fromhex("06082a8648ce3d030107"), "SM2": bytes.fromhex("06082a811ccf5501822d")}
SUITE_OF = {"RSA": "rsa-sha1", "P-256": "ecdsa-p256-sha256", "SM2": "ecdsa-p256-sha256"}
Public: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Hsm:
    """SoftHSM2 with tokens of this test alone."""

    folder: Path
    settings_file: Path

    def token(self) -> str:
        """A new token; its label."""
        label = f"token-{uuid4().hex[:12]}"  # the connector knows tokens by their labels as long as the process lives
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "12345678"]
        subprocess.run(command, check=True, capture_output=True)
        self.again()
        return label

    def again(self) -> None:
        """Have the library read its settings and tokens anew, as a new process would."""
        pkcs11.lib(str(MODULE)).reinitialize()

    def slot(self, token: str) -> int:
        return pkcs11.lib(str(MODULE)).get_token(token_label=token).slot.slot_id

    @contextmanager
    def session(self, token: str) -> Iterator[Session]:
        with pkcs11.lib(str(MODULE)).get_token(token_label=token).open(rw=True, user_pin=PIN) as session:
            yield session

    def key(self, token: str, kind: str, *, label: str = "enterprise", **more: Any) -> SigningSettings:
        """Makes a key on the token, and a certificate of it in a file."""
        with self.session(token) as session:
            if kind == "RSA":
                public, _ = session.generate_keypair(KeyType.RSA, 2048, store=True, label=label, **more)
                der = encode_rsa_public_key(public)
            else:
                curve = session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: CURVES[kind]}, local=True)
                public, _ = curve.generate_keypair(store=True, label=label, **more)
                der = encode_ec_public_key(public)
        path = self.folder / f"{token}.{label}.crt.pem"
        # The package cryptography knows no key on the SM2 curve; such a certificate is that of another key.
        own = ec.generate_private_key(ec.SECP256R1()).public_key() if kind == "SM2" else load_der_public_key(der)
        assert isinstance(own, Public)
        path.write_bytes(certificate(own))
        settings = SigningSettings(
            suite="rsa-sha1",
            pkcs11_module=LINK,
            pkcs11_token=token,
            pkcs11_key=label,
            certificate_file=path,
            passphrase=SecretStr(PIN),
        )
        return settings.model_copy(update={"suite": SUITE_OF[kind]})


def certificate(public: Public) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "测试企业")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(0x1691F7F)
        .not_valid_before(NOW - timedelta(days=10))
        .not_valid_after(NOW + timedelta(days=10))
        .sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
        .public_bytes(Encoding.PEM)
    )


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hsm]:
    if shutil.which("softhsm2-util") is None or not MODULE.is_file():
        pytest.skip("needs softhsm2, and it is not installed (Debian package softhsm2)")
    tokens, settings_file = tmp_path / "tokens", tmp_path / "softhsm2.conf"
    tokens.mkdir()
    settings_file.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(settings_file))  # read whenever the library is initialized
    yield Hsm(folder=tokens, settings_file=settings_file)
    pkcs11.lib(str(MODULE)).finalize()


def close_all_sessions(hsm: Hsm, token: str) -> None:
    """What a driver does when the device was gone for a moment."""
    assert ctypes.CDLL(str(MODULE)).C_CloseAllSessions(ctypes.c_ulong(hsm.slot(token))) == 0


def refusal(doing: Callable[[], object]) -> str:
    with pytest.raises(SigningError) as caught:
        doing()
    error = caught.value
    assert error.effect
    assert error.remedy
    assert error.exit_code == 7
    assert PIN not in f"{error!s} {error!r} {error.__cause__!r} {error.__context__!r}"
    return str(error)


def public_key(settings: SigningSettings) -> Any:
    assert settings.certificate_file is not None
    return x509.load_pem_x509_certificate(settings.certificate_file.read_bytes()).public_key()


@pytest.mark.parametrize("mechanisms", ["ALL", "CKM_RSA_PKCS,CKM_RSA_PKCS_KEY_PAIR_GEN"])
def test_rsa_key_signs_whether_or_not_the_token_can_hash(hsm: Hsm, mechanisms: str) -> None:
    with hsm.settings_file.open("a") as file:
        file.write(f"slots.mechanisms = {mechanisms}\n")
    token = hsm.token()
    slot = pkcs11.lib(str(MODULE)).get_token(token_label=token).slot
    assert (Mechanism.SHA1_RSA_PKCS in slot.get_mechanisms()) == (mechanisms == "ALL")
    settings = hsm.key(token, "RSA")
    key = load_key(settings)
    assert (key.key_name, key.suite.name) == ("01691f7f", "rsa-sha1")
    public_key(settings).verify(key.sign(b"data"), b"data", PKCS1v15(), SHA1())  # raises when it is wrong


def test_ecdsa_key_signs_with_both_halves_in_a_row(hsm: Hsm) -> None:
    settings = hsm.key(hsm.token(), "P-256")
    value = load_key(settings).sign(b"data")
    assert len(value) == 64
    der = encode_dss_signature(int.from_bytes(value[:32]), int.from_bytes(value[32:]))
    public_key(settings).verify(der, b"data", ec.ECDSA(SHA256()))  # raises when it is wrong


@pytest.mark.parametrize("kind", ["RSA", "P-256"])
def test_message_verifies_when_a_token_signed_it(hsm: Hsm, kind: str, unsigned_message: Callable[..., Element]) -> None:
    key = load_key(hsm.key(hsm.token(), kind))
    signed = Signer(key).sign(unsigned_message())
    verified = verify(signed.xml, suites={SUITE_OF[kind]}, fingerprints={key.certificate.key_id})
    assert verified.key_id == signed.key_id
    assert "骑行面罩" in verified.content.decode()


def test_pin_is_tried_once_when_the_token_refuses_it(hsm: Hsm) -> None:
    token = hsm.token()
    settings = hsm.key(token, "P-256")
    wrong = settings.model_copy(update={"passphrase": SecretStr("4444-4444")})
    said = refusal(lambda: load_key(wrong))
    assert "refused the PIN" in said
    assert "4444" not in said
    with hsm.session(token) as session:
        session.set_pin(PIN, "4444-4444")
    assert "refused the PIN" in refusal(lambda: load_key(wrong))  # it would be right now: the token was not asked


def test_key_signs_on_when_another_one_was_given_a_wrong_pin(hsm: Hsm) -> None:
    token = hsm.token()
    settings = hsm.key(token, "P-256")
    key = load_key(settings)
    refusal(lambda: load_key(settings.model_copy(update={"passphrase": SecretStr("4444-4444")})))
    assert len(key.sign(b"data")) == 64


def test_pin_is_taken_from_its_file_and_asked_for_when_there_is_none(hsm: Hsm, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text(f"{PIN}\n")
    settings = hsm.key(hsm.token(), "P-256").model_copy(update={"passphrase": None})
    assert "set passphrase_file" in refusal(lambda: load_key(settings))
    in_file = settings.model_copy(update={"passphrase_file": tmp_path / "pin"})
    (tmp_path / "pin").chmod(0o644)
    with pytest.raises(ConfigurationError, match="pin is readable by others"):
        load_key(in_file)
    (tmp_path / "pin").chmod(0o600)
    assert load_key(in_file).sign(b"data")


def test_pin_is_not_shown_when_a_key_is_printed(hsm: Hsm) -> None:
    key = load_key(hsm.key(hsm.token(), "P-256"))
    assert isinstance(key, TokenKey)
    assert PIN not in f"{key!r} {key.token!r} {key.pin!r} {vars(key.token)!r}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pkcs11_token": "elsewhere"}, "finds no token 'elsewhere'"),
        ({"pkcs11_key": "elsewhere"}, "holds no private key 'elsewhere'"),
        ({"pkcs11_module": Path("/nowhere/token.so")}, "/nowhere/token.so: no such file"),
        ({"pkcs11_module": Path(__file__)}, "cannot be used as a PKCS#11 library"),
        ({"suite": "sm2-sm3"}, "sm2-sm3 is not for keys on PKCS#11 tokens"),
        ({"suite": "rsa-sha1"}, "is not the certificate of an RSA key"),
    ],
)
def test_key_is_refused_with_a_reason_when_a_setting_is_wrong(hsm: Hsm, change: dict[str, Any], reason: str) -> None:
    settings = hsm.key(hsm.token(), "P-256").model_copy(update=change)
    assert reason in refusal(lambda: load_key(settings))


def test_library_that_finds_no_settings_of_its_own_is_told(hsm: Hsm) -> None:
    settings = hsm.key(hsm.token(), "P-256")
    pkcs11.lib(str(MODULE)).finalize()
    hsm.settings_file.rename(hsm.folder / "moved")
    assert "cannot be used as a PKCS#11 library: GeneralError" in refusal(lambda: load_key(settings))
    (hsm.folder / "moved").rename(hsm.settings_file)


@pytest.mark.parametrize("kind", ["RSA", "P-256"])
def test_key_is_refused_when_the_certificate_is_of_another_key(hsm: Hsm, kind: str) -> None:
    token = hsm.token()
    settings, other = hsm.key(token, kind), hsm.key(token, kind, label="other")
    mixed = settings.model_copy(update={"certificate_file": other.certificate_file})
    assert "is not the one of its certificate_file" in refusal(lambda: load_key(mixed))


def test_key_is_refused_when_it_is_not_of_the_kind_of_the_suite(hsm: Hsm) -> None:
    token = hsm.token()
    curve, other = hsm.key(token, "P-256"), hsm.key(token, "RSA", label="other")
    mixed = other.model_copy(update={"pkcs11_key": curve.pkcs11_key})
    assert "'enterprise' of the token" in (said := refusal(lambda: load_key(mixed)))
    assert "is not an RSA key" in said


def test_key_is_refused_when_it_was_not_made_for_signing(hsm: Hsm) -> None:
    settings = hsm.key(hsm.token(), "P-256", capabilities=MechanismFlag.DERIVE)
    assert "may not sign" in refusal(lambda: load_key(settings))


def test_key_is_refused_when_two_have_its_label(hsm: Hsm) -> None:
    token = hsm.token()
    hsm.key(token, "P-256")
    settings = hsm.key(token, "P-256")
    assert "more than one private key 'enterprise'" in refusal(lambda: load_key(settings))


def test_key_on_the_sm2_curve_is_refused_for_ecdsa(hsm: Hsm) -> None:
    token = hsm.token()
    settings = hsm.key(token, "SM2")
    with hsm.session(token) as session:  # the token itself would sign: 64 bytes that look right
        (private,) = session.get_objects({Attribute.SIGN: True, Attribute.KEY_TYPE: KeyType.EC})
        assert len(private.sign(bytes(32), mechanism=Mechanism.ECDSA)) == 64  # type: ignore[attr-defined]
    assert "is on the SM2 curve" in refusal(lambda: load_key(settings))


def test_sm2_certificate_is_refused_for_ecdsa(hsm: Hsm, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "certs/make_development_pki.py", tmp_path / "pki"], check=True, capture_output=True
    )
    sm2 = {"certificate_file": tmp_path / "pki/enterprise.crt.pem"}
    settings = hsm.key(hsm.token(), "P-256").model_copy(update=sm2)
    assert "is not the certificate of an EC key on P-256" in refusal(lambda: load_key(settings))


def test_key_signs_again_when_its_session_was_lost(hsm: Hsm) -> None:
    token = hsm.token()
    settings = hsm.key(token, "RSA")
    key = load_key(settings)
    for _ in range(3):
        close_all_sessions(hsm, token)
        public_key(settings).verify(key.sign(b"data"), b"data", PKCS1v15(), SHA1())


def test_key_signs_again_when_it_was_logged_out(hsm: Hsm) -> None:
    token = hsm.token()
    key = load_key(hsm.key(token, "P-256"))
    session = pkcs11.lib(str(MODULE)).get_token(token_label=token).open()
    assert ctypes.CDLL(str(MODULE)).C_Logout(ctypes.c_ulong(session.handle)) == 0  # type: ignore[attr-defined]
    assert len(key.sign(b"data")) == 64


def test_key_tells_that_its_token_is_gone_and_signs_again_when_it_is_back(hsm: Hsm, tmp_path: Path) -> None:
    before = set(hsm.folder.iterdir())
    token = hsm.token()
    (folder,) = set(hsm.folder.iterdir()) - before
    gone, stays = hsm.key(token, "P-256"), hsm.key(hsm.token(), "P-256")
    key, other = load_key(gone), load_key(stays)
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(folder)
    for _ in range(2):
        assert f"finds no token {token!r}" in refusal(lambda: key.sign(b"data"))
        assert len(other.sign(b"data")) == 64
    shutil.copytree(tmp_path / "copy", folder)
    hsm.again()  # SoftHSM itself looks for tokens only then
    assert len(key.sign(b"data")) == 64
    assert len(other.sign(b"data")) == 64


def test_each_key_signs_with_its_own_when_there_are_two_tokens_with_two_keys(hsm: Hsm) -> None:
    tokens = [hsm.token(), hsm.token()]
    settings = [hsm.key(token, "P-256", label=label) for token in tokens for label in ("enterprise", "next")]
    keys = [load_key(one) for one in settings]
    scheme = SUITES["ecdsa-p256-sha256"].scheme

    def check() -> None:
        for key in keys:
            signers = [one for one in settings if scheme.verify(public_key(one), key.sign(b"data"), b"data")]
            assert signers == [settings[keys.index(key)]]

    close_all_sessions(hsm, tokens[0])  # before the first key of the token ever signed in this session
    check()
    close_all_sessions(hsm, tokens[0])
    check()
    hsm.again()  # the same numbers now stand for other sessions and keys
    check()


def test_key_signs_right_when_threads_share_two_tokens(hsm: Hsm) -> None:
    settings = [hsm.key(hsm.token(), "P-256") for _ in range(2)]
    keys = [load_key(one) for one in settings]
    scheme = SUITES["ecdsa-p256-sha256"].scheme

    def signs(number: int) -> bool:
        data = os.urandom(32)
        return scheme.verify(public_key(settings[number % 2]), keys[number % 2].sign(data), data)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(signs, range(400)))


NO_PACKAGE = """\
import sys
sys.modules["pkcs11"] = None
from pathlib import Path
from connector.bootstrap import load_key
from connector.config import SigningSettings
from connector.errors import SigningError
names = {"pkcs11_module": Path("a"), "pkcs11_token": "a", "pkcs11_key": "a", "certificate_file": Path("a")}
try:
    load_key(SigningSettings(**names))
except SigningError as error:
    print(error)
"""


def test_extra_is_named_when_its_package_is_missing() -> None:
    found = subprocess.run([sys.executable, "-c", NO_PACKAGE], capture_output=True, text=True, check=True)
    assert "install the extra `pkcs11`" in found.stdout


def test_package_is_not_loaded_when_keys_are_in_files(development_pki: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from connector.bootstrap import load_key;"
        "from connector.config import SigningSettings; pki = Path(sys.argv[1]);"
        "load_key(SigningSettings(suite='rsa-sha1', key_file=pki / 'enterprise.key.pem',"
        " certificate_file=pki / 'enterprise.crt.pem')); print('pkcs11' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program, development_pki], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"

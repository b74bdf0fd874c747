"""``connector signature``: whether a signature verifies, and if not, why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.context import Given, JsonOption, parse_suite
from connector.cli.output import print_json, print_lines, print_object
from connector.cli.signature_output import (
    certificate_object,
    comparison_lines,
    comparison_object,
    explanation_lines,
    explanation_object,
    verdict_line,
)
from connector.errors import SignatureInvalid, UnreadableMessage, UsageError

if TYPE_CHECKING:
    from connector.signing.certificates import Certificate
    from connector.signing.explanation.parts import Part

_STDIN = Path("-")
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A signed message or DxpMsg; - is standard input.")]

app = typer.Typer(help="Whether a signature verifies, and if not, why.", no_args_is_help=True)


@app.command()
def verify(
    context: typer.Context,
    file: FileArgument,
    certificates: Annotated[
        list[Path] | None,
        typer.Option(
            "--certificate",
            metavar="FILE",
            help="Trust only the certificates given (PEM); else those that the configuration names.",
        ),
    ] = None,
    suites: Annotated[
        list[str] | None,
        typer.Option("--suite", parser=parse_suite, metavar="NAME", help="Allow this suite only, such as sm2-sm3."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether the strict verifier accepts a signature, and by which certificate; exit code 7 if not.

    Without --certificate and without a configuration it can only tell whether the document agrees with the certificate
    inside it, which proves nothing about who signed it.
    """
    from connector.signing.explanation.parts import parts

    data = _bytes_of(file)
    trusted = _trusted(context, certificates or [])
    try:
        found = [_verdict(part, trusted, suites or []) for part in parts(data)]
    except UnreadableMessage as error:
        found = [_refused("file", error.cause)]
    if as_json:
        print_json("documents", found)
    else:
        print_lines(verdict_line(one) for one in found)
    if any(one["verdict"] == "refused" for one in found):
        raise typer.Exit(SignatureInvalid.exit_code)


@app.command()
def explain(
    file: FileArgument,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="OTHER",
            help="Show the first byte that differs in OTHER: signed, unsigned, SignedInfo.",
        ),
    ] = None,
    authorities: Annotated[
        list[Path] | None,
        typer.Option("--ca", metavar="FILE", help="Certificates of issuers (PEM): show the chain through them."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is signed, which figures fit and which do not, and what usually causes that.

    The only certificate used is the one inside the document. Exit code 7 if the signature is bad.
    """
    from connector.signing.explanation.difference import compare
    from connector.signing.explanation.explain import explain as look_into

    if file == against == _STDIN:
        raise UsageError("FILE and --against are both -", remedy="give one of them as a file")
    data = _bytes_of(file)
    other = None if against is None else _bytes_of(against)
    try:
        now = datetime.now(UTC)
        found = look_into(data, now=now)
        compared = None if other is None else compare(data, other)
    except UnreadableMessage as error:
        raise SignatureInvalid(error.cause, effect="there is nothing to explain", remedy=error.remedy) from None
    is_good = not any(one.fault for one in found)
    issuers = _certificates_of("--ca", authorities or [])
    if as_json:
        documents = [explanation_object(one, issuers, now=now) for one in found]
        body: dict[str, object] = {"good": is_good, "documents": documents}
        print_object(body | ({} if compared is None else {"against": comparison_object(compared)}))
    else:
        for one in found:
            print_lines(explanation_lines(one, issuers))
        if compared is not None:
            print_lines(comparison_lines(compared))
    if not is_good:
        raise typer.Exit(SignatureInvalid.exit_code)


def _bytes_of(path: Path) -> bytes:
    """What a file holds, or standard input."""
    if path == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", remedy="name a file that this user can read") from None


def _certificates_of(option: str, paths: list[Path]) -> list[Certificate]:
    from connector.signing.certificates import certificates_in

    try:
        return [one for path in paths for one in certificates_in(_bytes_of(path))]
    except ValueError:
        raise UsageError(f"{option} names a file without a certificate in PEM") from None


def _trusted(context: typer.Context, given: list[Path]) -> Callable[[Part], Collection[str]] | None:
    """Fingerprints that may have signed a document; None where there is nothing to trust.

    Those of the certificates given, or else of the configuration: our keys for messages, customs' for envelopes.
    """
    from connector.signing.certificates import read_certificates
    from connector.signing.keyfiles import load_key

    if given:
        named = {one.key_id for one in _certificates_of("--certificate", given)}
        return lambda _: named
    asked: Given = context.obj
    if asked.config_path is None:
        return None
    settings = asked.settings()
    customs = {one.key_id for path in settings.customs.receipt_certificate_files for one in read_certificates(path)}
    signers = {
        # PKCS#12 holds its certificate under the pass phrase of the key.
        (read_certificates(one.certificate_file)[0] if one.certificate_file else load_key(one).certificate).key_id
        for one in settings.signing.values()
    }
    return lambda part: customs if part.name == "envelope" else signers


def _verdict(part: Part, trusted: Callable[[Part], Collection[str]] | None, suites: list[str]) -> Mapping[str, object]:
    """What the strict verifier says of one document."""
    from connector.messages.envelope import unseal
    from connector.messages.parser import parse
    from connector.signing.certificates import Certificate
    from connector.signing.envelopes import SUITE
    from connector.signing.place import fingerprint_inside
    from connector.signing.suites import OF_MESSAGES
    from connector.signing.verifier import verify as check

    is_envelope = part.name == "envelope"
    suites = suites or ([SUITE] if is_envelope else sorted(OF_MESSAGES))
    fingerprints = {fingerprint_inside(parse(part.data))} if trusted is None else trusted(part)
    try:
        verified = check(part.data, suites=suites, fingerprints=fingerprints)
    except SignatureInvalid as error:
        return _refused(part.name, error.cause)
    certificate = Certificate.of(verified.certificate)
    if is_envelope and not certificate.is_valid_at(created := unseal(verified.content).created):
        return _refused(part.name, f"the certificate {certificate.key_id} was not valid on {created}, when it signed")
    return {
        "document": part.name,
        "verdict": "consistent" if trusted is None else "verified",
        "reason": "",
        "suite": verified.suite,
        "certificate": certificate_object(certificate, now=datetime.now(UTC)),
    }


def _refused(name: str, reason: str) -> Mapping[str, object]:
    return {"document": name, "verdict": "refused", "reason": reason}

"""Mutants of genuine receipts of three signers; none may be opened as anything that customs did not sign."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

from connector.errors import ConnectorError
from connector.messages.envelope import Envelope
from connector.receipts.parse import Parsed, read_receipts
from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.forgery_mutations import FAMILIES, mutant
from tests.campaigns.forgery_reading import Reading, read
from tests.campaigns.forgery_signers import envelope, signers, unsigned
from tests.forgeries.material import Material

_MUTANTS = 5_000
"""Of one trial, those that count."""
_GENUINE = 4
"""Of each signer, in one trial."""
_ATTEMPTS = 20 * _MUTANTS
"""Mutants made at most, so that a trial ends when none counts any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Genuine:
    """What customs signed, and what is to be read of it."""

    data: bytes
    envelope: Envelope
    reading: Reading


@dataclass(slots=True, kw_only=True)
class Examiner:
    """Opens what it is given, and remembers what it came to."""

    trial: Trial
    material: Material
    figures: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def open(self, data: bytes) -> tuple[Envelope, Parsed] | None:
        """As receipts are taken; None where it is refused."""
        try:
            opened = self.material.opener()(data)
            return opened.envelope, read_receipts(opened.envelope.data)
        except ConnectorError:
            return None

    def genuine(self, signer: str, data: bytes, written: Envelope) -> Genuine:
        """A genuine receipt must be accepted and read as it was written."""
        self.figures["genuine"] += 1
        opened, reading = self.open(data), read(data)
        if opened is None or opened[0] != written or opened[1] != read_receipts(written.data):
            self._violated(data, f"a genuine receipt signed by {signer} was not accepted as it is")
        assert reading is not None
        return Genuine(data=data, envelope=written, reading=reading)

    def mutant(self, family: str, data: bytes, one: Genuine, other: Genuine) -> None:
        """A mutant that counts must not be opened, unless as what was signed."""
        reading = read(data)
        if reading is None or not (reading.tells_more_than(one.reading) and reading.tells_more_than(other.reading)):
            self.figures["mutants that do not count"] += 1
            return
        self.figures["mutants"] += 1
        self.figures["schema_valid"] += reading.is_valid
        self.figures[f"by {family}"] += 1
        try:
            opened = self.material.opener()(data)
        except ConnectorError:
            return
        except Exception as error:  # noqa: BLE001 - that any at all comes out is what is told
            self._violated(data, f"a mutant by {family} raised {type(error).__name__}: {error}")
            return
        if opened.envelope in {one.envelope, other.envelope}:
            self.figures["opened as it was signed"] += 1
            return
        self.figures["accepted"] += 1
        self._violated(data, f"a mutant by {family} was accepted: {opened.envelope}")

    def _violated(self, data: bytes, sentence: str) -> None:
        file = self.trial.folder / f"{len(self.violations)}.xml"
        file.write_bytes(data)
        self.violations.append(f"{file.name}: {sentence[:500]}")


def run(trial: Trial) -> Outcome:
    """One trial: new keys, a few genuine receipts of each signer, and mutants of them."""
    random = Random(trial.seed)
    material = Material.make(random)
    examiner = Examiner(trial=trial, material=material)
    examiner.figures.update(dict.fromkeys(("mutants", "schema_valid", "genuine", "accepted"), 0))
    signed = []
    for name, sign in signers(material.office, trial.folder).items():
        for _ in range(_GENUINE):
            message = envelope(random)
            signed.append(examiner.genuine(name, sign(unsigned(random, message)), message))
    for _ in range(_ATTEMPTS):
        one, other = random.sample(signed, 2)
        family, data = mutant(random, replace(material, genuine=one.data, other=other.data))
        examiner.mutant(family, data, one, other)
        if examiner.figures["mutants"] >= _MUTANTS:
            break
    return Outcome(figures=examiner.figures, violations=(*examiner.violations, *_unfit(examiner.figures)))


def _unfit(figures: Counter[str]) -> list[str]:
    """What makes the mutants a poor proof."""
    faults = [f"no mutant by {family} counts" for family in FAMILIES if not figures[f"by {family}"]]
    if figures["mutants"] < _MUTANTS:
        faults.append(f"only {figures['mutants']} mutants count")
    if 2 * figures["schema_valid"] < figures["mutants"]:
        faults.append(f"of {figures['mutants']} mutants only {figures['schema_valid']} are valid")
    return faults


_OPEN = "    def __call__(self, data: bytes) -> OpenedEnvelope:\n"

CAMPAIGN = Campaign(
    name="forgery",
    proves="no mutant of a signed receipt is opened as anything but what customs signed, and no genuine one is refused",
    run=run,
    full=100,
    small=1,
    demands={"mutants": 100_000, "schema_valid": 50_000, "genuine": 1_000},
    plants=(
        # A signed part is looked for and verified, and the document around it is what is read.
        Plant(
            name="reads-the-document",
            file="signing/envelopes.py",
            old=_OPEN,
            new=_OPEN
            + """
        import base64, dataclasses
        from lxml import etree
        from connector.messages.namespaces import DXP
        document = etree.fromstring(data)
        signed = [one for one in document.iter(tag(DXP, "DxpMsg")) if one.find(tag(DS, "Signature")) is not None]
        try:
            part = etree.tostring((signed or [document])[-1], method="c14n", with_comments=False)
        except etree.C14NError:
            raise SignatureInvalid("it has no canonical form") from None
        opened = self.checked(part)
        text = document.findtext(".//" + tag(DXP, "Data")) or ""
        return dataclasses.replace(
            opened, envelope=dataclasses.replace(opened.envelope, data=base64.b64decode(text))
        )

    def checked(self, data: bytes) -> OpenedEnvelope:
""",
        ),
        # Whoever brings a certificate with his signature is trusted.
        Plant(
            name="trusts-key-info",
            file="signing/envelopes.py",
            old=_OPEN,
            new=_OPEN
            + """
        import base64, dataclasses
        try:
            found = parse(data).iter(tag(DS, "X509Certificate"))
            brought = tuple(Certificate.of(base64.b64decode(one.text or "")) for one in found)
        except ValueError:
            brought = ()
        return dataclasses.replace(self, trusted=(*self.trusted, *brought)).checked(data)

    def checked(self, data: bytes) -> OpenedEnvelope:
""",
        ),
    ),
)

"""Random edits of a log with checkpoints, by an owner of the database; each must be found for what it is, and where."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, suppress
from random import Random

from connector.audit.findings import Fault
from connector.deeds import Deed
from connector.evidence.verify import Report, verify
from connector.storage.database import Database
from tests.campaigns import listing
from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.model_databases import postgresql_databases, sqlite_databases
from tests.campaigns.tamper_edits import ENTRY_EDITS, Edit, Expected
from tests.campaigns.tamper_log import Log, build, let_owner
from tests.campaigns.tamper_seals import SEAL_EDITS

_EDITS = 500
"""Of one trial."""
_EVERY = 5
"""Which trials run on PostgreSQL, where it is."""


class _Undone(Exception):
    """Takes an edit back."""


def run(trial: Trial) -> Outcome:
    """One trial: a log, which must verify, and edits of it, each taken back before the next."""
    random = Random(trial.seed)
    on_postgresql = trial.number % _EVERY == 0 and not listing.a_database_server()
    figures: Counter[str] = Counter()
    violations: list[str] = []
    with ExitStack() as stack:
        fresh = stack.enter_context(postgresql_databases() if on_postgresql else sqlite_databases(trial.folder))
        database = fresh()
        log = build(database, random)
        with database.read() as connection:
            report = verify(connection, trusted=[log.signer.verifier], kept={"file": log.notes}, outside=log.notes)
        if report.faults or report.entries != log.size or report.checkpoints != len(log.issued):
            violations.append(f"a log that nobody touched: {report}")
        for number in range(_EDITS):
            edit = random.choice((*ENTRY_EDITS, *SEAL_EDITS))
            expected, report = _after(database, log, edit, random)
            wrong = _wrong(report, expected)
            figures.update(edits=1, detected=report.faults > 0, right=not wrong)
            figures[f"found {expected.fault}"] += 1
            if wrong:
                violations.append(f"edit {number}, {edit.__name__}: {wrong}")
    figures["edits_on_postgresql"] = figures["edits"] if on_postgresql else 0
    return Outcome(figures=figures, violations=tuple(violations))


def _after(database: Database, log: Log, edit: Edit, random: Random) -> tuple[Expected, Report]:
    """What has to be found of an edit, and what is."""
    with suppress(_Undone), database.write(Deed.PREPARE) as transaction:
        let_owner(transaction)
        expected = edit(transaction, log, random)
        kept = log.notes if expected.kept is None else expected.kept
        report = verify(transaction, trusted=[log.signer.verifier], kept={"file": kept}, outside=expected.outside)
        raise _Undone
    return expected, report


def _wrong(report: Report, expected: Expected) -> str:
    """How a report differs from what has to be found, with all of it; empty if it does not."""
    found = {one.fault for one in report.findings}
    faults = []
    if not any(one.fault is expected.fault and expected.entry in {one.entry, None} for one in report.findings):
        faults.append(f"{expected.fault} at {expected.entry} is not found")
    if report.first_bad_entry != expected.entry:
        faults.append(f"the first bad entry is {report.first_bad_entry}, not {expected.entry}")
    if others := found - {expected.fault} - expected.also:
        faults.append(f"nothing of {sorted(others)} is wrong")
    told = [f"{one.fault} {one.entry}: {one.text}" for one in report.findings[:6]]
    return f"{'; '.join(faults)}; found: {told}" if faults else ""


CAMPAIGN = Campaign(
    name="tamper",
    proves="whatever an owner of the database does to entries, checkpoints or actors, verification finds it, names it "
    "and tells the first bad entry",
    run=run,
    full=30,
    small=1,
    demands={"edits": 10_000, "detected": 10_000, "right": 10_000} | {f"found {fault}": 20 for fault in Fault},
    plants=(
        # Columns are left alone: whoever alters one shows a reader another log.
        Plant(
            name="columns-not-compared",
            file="audit/stored.py",
            old="return expected == body and code == code_of(detail) and state == state_of(detail)",
            new="return bool(expected)",
        ),
        # The text of a checkpoint is believed, whoever signed it.
        Plant(
            name="signature-not-verified",
            file="evidence/verify.py",
            old="checkpoint = Checkpoint.parse(verifier.open(note))",
            new='checkpoint = Checkpoint.parse(note.rpartition("\\n\\n")[0] + "\\n")',
        ),
        # Bodies are not hashed: a log is right if its hashes fit each other.
        Plant(
            name="stored-hashes-believed",
            file="audit/verification.py",
            old="leaf, tree = leaf_hash(body), self._frontier",
            new="leaf, tree = hashes[:32], self._frontier",
        ),
    ),
)

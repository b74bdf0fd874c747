"""Power loss: whatever the disk had not yet been told to keep may be gone, and still nothing acknowledged is.

Every write, truncation and sync of the database is recorded while a program works (``disk_shim.c``). For many moments
of the recording the files are rebuilt as a power loss at that moment may leave them (`power_loss_disk`), opened with
the connector's own `Database`, and looked at (`power_loss_check`). What counts as acknowledged is what has left the
process: in trials of odd number a line that the writer writes after each commit; in the others the first byte of
every request to customs, which must find its attempt row durable, and what a command has printed.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from random import Random

from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.disk_shim import File, Kind, Record, read_log
from tests.campaigns.power_loss_check import Acknowledged, wrongs
from tests.campaigns.power_loss_disk import NAMES, Disk
from tests.campaigns.power_loss_recording import marks, record_daemon, record_writer

_IMAGES = 75
"""Of each trial."""
_KEPT = 3
"""Images kept of a trial that found something wrong, to be looked at."""


def run(trial: Trial) -> Outcome:
    """Record a program at work, and let the power fail at many moments of it."""
    random = Random(trial.seed)
    log = (record_writer if trial.number % 2 else record_daemon)(trial.folder, trial.seed)
    records = read_log(log)
    acknowledgements, moments = marks(records), _moments(records, random)
    disk, acknowledged = Disk(), Acknowledged()
    figures: Counter[str] = Counter(commits=_commits(records))
    violations: list[str] = []
    for place, record in enumerate(records):
        disk.apply(record)
        acknowledgements.take(place, acknowledged)
        for number in range(moments[place]):
            image = trial.folder / f"image-{place}-{number}"
            image.mkdir()
            disk.lose_power(image, random)
            found = wrongs(image / NAMES[File.DATABASE], acknowledged)
            violations += [f"trial {trial.number}, after record {place}: {wrong}" for wrong in found]
            figures.update(
                images=1,
                acknowledged_checked=acknowledged.count,
                lost=sum(wrong.startswith("lost") for wrong in found),
            )
            if not found or len(violations) > _KEPT:
                shutil.rmtree(image)
    if not violations:
        log.unlink()
    return Outcome(figures=figures, violations=tuple(violations))


def _moments(records: Sequence[Record], random: Random) -> Counter[int]:
    """How many images are made after each record: one half anywhere, one half where something was just acknowledged."""
    told = [
        place
        for place, record in enumerate(records)
        if record.kind is Kind.SENDING or (record.kind is Kind.WRITE and record.file is File.ACKNOWLEDGED)
    ]
    anywhere = random.choices(range(len(records)), k=_IMAGES // 2)
    return Counter(anywhere + random.choices(told, k=_IMAGES - len(anywhere)))


def _commits(records: Sequence[Record]) -> int:
    """Commits to the write-ahead log: frames whose header, of 24 bytes, gives the size of the database after them.

    https://www.sqlite.org/fileformat2.html#wal_file_format
    """
    return sum(
        record.kind is Kind.WRITE and record.file is File.WAL and len(record.data) == 24 and any(record.data[4:8])
        for record in records
    )


CAMPAIGN = Campaign(
    name="power-loss",
    proves="no commit that was acknowledged is lost, and none is there in part, whatever a power loss leaves on disk",
    run=run,
    full=80,
    small=2,
    demands={"images": 5000},
    plants=(
        Plant(
            name="synchronous-normal",
            file="storage/database.py",
            old="PRAGMA synchronous = FULL",
            new="PRAGMA synchronous = NORMAL",
        ),
    ),
)

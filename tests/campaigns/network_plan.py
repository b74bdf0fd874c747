"""Which faults the network campaign plays: every boundary once for each kind of fault and message type, and some more.

A slot is a kind of fault at one byte boundary. The slots are dealt out to the trials by their own numbers alone, so
that all trials together play every one, whatever the lengths turn out to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from connector.simulator.faults import RECEIPT_FAULTS
from connector.simulator.faults import Fault as OfficeFault
from tests.campaigns.fault_proxy import Direction, Kind, Toxic

DEADLINE = 0.3
"""Seconds that a call may take in all."""
SETTLE = 0.5
"""Seconds before customs is asked; what the faults delay arrives long before, unless the machine is overloaded."""
LATE = 0.15
"""Seconds after which the office processes what it takes its time over."""
TRIALS_OF_ONE_ROUND = 61
"""Trials that share the slots among them; the next round plays them with the other message type. Odd, so that each
trial meets every kind of fault."""

TYPES = ("CEB213", "CEB215")
"""What the sample enterprise sends."""
PLACES = ("head", "body", "response")
"""Parts of an exchange; head and body are the request's."""
_BODY_JOBS = 15
_REFUSALS = 4


class Spoiling(StrEnum):
    """The kinds of fault that are played at every boundary."""

    CUT = "cut"
    """The connection ends there, with FIN."""
    RESET = "reset"
    """The connection ends there, with RST."""
    HANG = "hang"
    """Nothing comes any more until we give up."""
    SLOW = "slow"
    """The rest comes late, some of it too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Of one exchange without any fault, in bytes."""

    head: int
    """Of the request, the empty line included."""
    body: int
    response: int
    """Head and body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to go wrong when one message is sent for the first time."""

    message_type: str
    name: str
    """The kind of fault, for people and for the figures."""
    toxic: Toxic | None = None
    """Played by the proxy."""
    office: OfficeFault | None = None
    """Played by the office; neither: the proxy refuses the connection."""
    boundary: str = ""
    """E.g. ``cut response 17``; empty where no boundary is hit on purpose."""
    share: float | None = None
    """Where in the request's body it starts, from 0 to 1, until it is `fitted` to a message."""
    reuses: bool = False
    """Whether a connection that was kept alive may be used."""


def fitted(job: Job, head: int, body: int) -> Job:
    """The same with its exact boundary in a request with a head and a body of so many bytes."""
    if job.share is None:
        return job
    at = round(job.share * body)
    toxic = _toxic(Spoiling(job.name), Direction.UPSTREAM, head + at, body - at)
    return replace(job, toxic=toxic, boundary=f"{job.name} body {at}")


def jobs(number: int, lengths: Lengths, random: Random) -> list[Job]:
    """What the trial of this number plays, in random order.

    lengths: as measured in this trial.
    """
    found = [*_slots(number, lengths), *_in_body(random), *_by_office(random)]
    found += [Job(message_type=random.choice(TYPES), name="refused") for _ in range(_REFUSALS)]
    found += [
        Job(message_type=random.choice(TYPES), name=f"{kind} on accept", toxic=Toxic(kind=kind, after=None))
        for kind in (Kind.LIMIT_DATA, Kind.RESET_PEER, Kind.TIMEOUT)
    ]
    random.shuffle(found)
    return found


def _slots(number: int, lengths: Lengths) -> Iterator[Job]:
    """The trial's share of every boundary of the request's head and of the response."""
    turn, trial = divmod(number, TRIALS_OF_ONE_ROUND)
    places = ((Direction.UPSTREAM, lengths.head, "head"), (Direction.DOWNSTREAM, lengths.response, "response"))
    for direction, length, name in places:
        for at in range(length + 1):
            for kind, spoiling in enumerate(Spoiling):
                if (at * len(Spoiling) + kind) % TRIALS_OF_ONE_ROUND == trial:
                    yield Job(
                        message_type=TYPES[(at + turn) % len(TYPES)],
                        name=spoiling,
                        toxic=_toxic(spoiling, direction, at, _whole(direction, lengths) - at),
                        boundary=f"{spoiling} {name} {at}",
                        reuses=(at + kind + turn) % 3 == 0,
                    )


def _in_body(random: Random) -> Iterator[Job]:
    """Places in the request's body, its end among them: all of the request came, and no answer."""
    for place in range(_BODY_JOBS):
        spoiling = list(Spoiling)[place % len(Spoiling)]
        share = random.random() if place else 1.0
        yield Job(message_type=random.choice(TYPES), name=spoiling, share=share)


def _by_office(random: Random) -> Iterator[Job]:
    for fault in OfficeFault:
        if fault not in RECEIPT_FAULTS:
            yield Job(message_type=random.choice(TYPES), name=f"office_{fault}", office=fault, reuses=True)


def surprise(random: Random, lengths: Lengths) -> Toxic | None:
    """What goes wrong when a message is sent again, or asked about: mostly nothing."""
    if random.random() > 1 / 5:
        return None
    direction = random.choice(list(Direction))
    whole = _whole(direction, lengths)
    at = random.randrange(min(whole, lengths.response))
    return _toxic(random.choice(list(Spoiling)), direction, at, whole - at)


def _toxic(spoiling: Spoiling, direction: Direction, at: int, rest: int) -> Toxic:
    """The fault at one boundary. rest: how many bytes are to follow."""
    match spoiling:
        case Spoiling.CUT:
            return Toxic(kind=Kind.LIMIT_DATA, direction=direction, after=at)
        case Spoiling.RESET:
            return Toxic(kind=Kind.RESET_PEER, direction=direction, after=at)
        case Spoiling.HANG:
            return Toxic(kind=Kind.TIMEOUT, direction=direction, after=at)
    size = max(1, rest // 10)
    late, dripping, in_time = (
        Toxic(kind=Kind.LATENCY, direction=direction, after=at, seconds=DEADLINE * 1.2),
        Toxic(kind=Kind.SLICER, direction=direction, after=at, size=size, seconds=DEADLINE / 8),
        Toxic(kind=Kind.BANDWIDTH, direction=direction, after=at, size=max(1, int(rest / DEADLINE * 3))),
    )
    return (late, dripping, in_time)[at % 3]


def _whole(direction: Direction, lengths: Lengths) -> int:
    return lengths.head + lengths.body if direction is Direction.UPSTREAM else lengths.response

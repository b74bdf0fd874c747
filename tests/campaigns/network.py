"""Every network outcome at every byte boundary of a request's head and of its response; no message is resent blindly.

Real messages go from a real outbox through `tests.campaigns.fault_proxy` to a simulated customs office in a process of
its own. A trial plays its share of the boundaries, some of the request's body and every fault of the office, each on
one message, eight messages at a time; then all must be settled without an operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from connector.messages.deliveries import TakenIn
from connector.pipeline.take_receipts import take_receipts
from connector.simulator.admin import FAULTS_PATH
from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.network_judge import judge, spoilt
from tests.campaigns.network_plan import TRIALS_OF_ONE_ROUND, TYPES, Job, Lengths, fitted, jobs
from tests.campaigns.network_site import WORKERS, Site, open_site, settle

_ROUNDS = 2
"""One for each message type."""
_TURNS = 3
"""A fault whose boundary was not hit, because we gave up before or a length differed by a byte, is played again."""


def run(trial: Trial) -> Outcome:
    """Play one share of the faults, and look at what they left."""
    random = Random(trial.seed)
    with open_site(trial.folder, random) as site:
        lengths = _measured(site)
        left, turns = jobs(trial.number, lengths, random), 0
        while left and turns < _TURNS:
            left, turns = _play(site, left, lengths), turns + 1
        played = site.tell(FAULTS_PATH, {})
        receipts = take_receipts(site.connector).receipts
        figures, violations = judge(site)
    return Outcome(
        figures=figures
        | {"receipts": receipts, "faults_of_the_office": sum(played.values()), "boundaries_missed": len(left)},
        violations=violations,
    )


def _play(site: Site, faults: Sequence[Job], lengths: Lengths) -> list[Job]:
    """Play each of these faults on a message of its own; those whose boundary was not hit."""
    queued = site.queue([job.message_type for job in faults])
    plan = {
        message.id: fitted(job, lengths.head, len(message.body)) for message, job in zip(queued, faults, strict=True)
    }
    settle(site, plan, lengths, workers=min(len(plan), WORKERS))
    hit = spoilt(site)
    return [job for job in plan.values() if job.boundary and job.boundary not in hit]


def _measured(site: Site) -> Lengths:
    """How long an exchange is without any fault. Raises `RuntimeError` when none succeeds."""
    for _ in range(_TURNS):
        site.queue(TYPES[:1])
        settle(site, {}, None, workers=1)
        submission = site.customs[-1].submissions[-1]
        if isinstance(submission.answer, TakenIn):
            (link,) = submission.links
            head = link.upstream.kept.index(b"\r\n\r\n") + 4
            return Lengths(head=head, body=link.upstream.passed - head, response=link.downstream.passed)
    raise RuntimeError("no message arrives although nothing is wrong with the network")


CAMPAIGN = Campaign(
    name="network",
    proves="whatever the network does at whichever byte, every message arrives once, and none is sent again blindly",
    run=run,
    full=_ROUNDS * TRIALS_OF_ONE_ROUND,
    small=1,
    demands={"sends": 10_000, "boundaries_of_head": 1_640, "boundaries_of_response": 7_740},
    plants=(
        Plant(
            name="retry-on-read-timeout",
            file="transport/connection.py",
            old="if not self._sent:",
            new="if not self._sent or isinstance(error, TimeoutError):",
        ),
        Plant(
            name="query-before-settle",
            file="outbox/delivery.py",
            old="settled = now + policy.settle",
            new="settled = now",
        ),
    ),
)

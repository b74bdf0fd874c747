"""The shares of all trials of the network campaign together are every boundary, for each kind of fault."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from connector.simulator.faults import RECEIPT_FAULTS
from connector.simulator.faults import Fault as OfficeFault
from tests.campaigns.network import CAMPAIGN
from tests.campaigns.network_plan import TYPES, Job, Lengths, Spoiling, fitted, jobs

LENGTHS = Lengths(head=30, body=500, response=70)


def all_jobs(lengths: Lengths = LENGTHS) -> list[Job]:
    return [job for number in range(1, CAMPAIGN.full + 1) for job in jobs(number, lengths, Random(number))]


@pytest.mark.parametrize(("place", "length"), [("head", LENGTHS.head), ("response", LENGTHS.response)])
def test_jobs_play_every_boundary_once_for_each_kind_and_type_when_all_trials_run(place: str, length: int) -> None:
    played = Counter((job.boundary, job.message_type) for job in all_jobs() if place in job.boundary)
    wanted = [(f"{spoiling} {place} {at}", kind) for spoiling in Spoiling for at in range(length + 1) for kind in TYPES]
    assert played == Counter(wanted)


def test_jobs_start_their_fault_at_the_boundary_they_name_when_fitted_to_a_message() -> None:
    for job in (fitted(job, LENGTHS.head, 499) for job in all_jobs()):
        if job.boundary:
            _, place, at = job.boundary.split()
            assert job.toxic is not None
            assert job.toxic.after == int(at) + (LENGTHS.head if place == "body" else 0)


def test_jobs_spoil_the_end_of_the_request_in_each_trial() -> None:
    assert "cut body 499" in {fitted(job, LENGTHS.head, 499).boundary for job in jobs(1, LENGTHS, Random(1))}


def test_jobs_of_one_trial_hold_every_kind_of_fault() -> None:
    names = {job.name for job in jobs(7, LENGTHS, Random(7))}
    office = {f"office_{fault}" for fault in OfficeFault if fault not in RECEIPT_FAULTS}
    on_accept = {"limit_data on accept", "reset_peer on accept", "timeout on accept"}
    assert names == {*Spoiling, *office, *on_accept, "refused"}


def test_jobs_are_the_same_when_number_and_seed_are() -> None:
    assert jobs(3, LENGTHS, Random(5)) == jobs(3, LENGTHS, Random(5))

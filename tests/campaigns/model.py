"""A stateful model of delivery: workers, clocks, customs and operators do what they may in any order, and rules hold.

Hypothesis strings together the rules of `tests.campaigns.model_machine`. The pipeline's own functions work on a real
database, SQLite or PostgreSQL; only time and customs are the model's. What holds, by the names in the sentences of
violations (design, sections 3 and 5):

- **bytes**: those of a message never change, and no others are sent.
- **attempt first**: an attempt row is committed before a byte leaves.
- **stale holder**: who lost its lease sends nothing and changes nothing of the message.
- **one claim**: a message has at most one attempt under way.
- **blind resend**: once a byte of a message has left, it goes again only after an operator's decision, or after customs
  answered "not known" to a question asked at least `settle` after that connection had ended.
- **double**: each document is accepted at most once, by a customs that knows no message again.
- **arrows**: states follow the arrows of the design only; so delivered never goes back and conflict never sends.
- **operator**: what an operator decides has a reason.
- **questions**: at most ten about a message within an hour.
- **breaker**: no call is claimed while its endpoint is open, and one at a time while it is half open; what was claimed
  before it opened still goes.
- **receipts**: the cursor never goes back, and each envelope is kept once.
- **audit**: entries are numbered without gaps, and every state follows from them alone.
- **liveness** and **lost**: once nothing goes wrong any more, every message comes to rest; then every document was
  accepted once, or waits for an operator with a reason.

Time. Leases, `settle` and the limit on questions are measured by one clock, the database's. A clock that is set *back*
makes every wait longer and breaks none of this; a third of the runs set it back at will. A clock that is set *forwards*
cuts waits short, and no program with one clock can tell: customs may still be at work when it is asked, and a worker
that has just looked at its lease may have lost it. So where the clock jumps forwards between the last look at a lease
and the question (or the next send), three promises become less: a message still goes again only after a question
asked later than that send was answered "not known"; "double" and "stale holder" (sending, never writing) are not
promised for that message; questions are limited by the clock there is. Everything else holds all the same.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.reporting import with_reporter
from hypothesis.stateful import run_state_machine_as_test

from tests.campaigns.campaign import Campaign, Outcome, Plant, Trial
from tests.campaigns.listing import postgresql_version
from tests.campaigns.model_databases import postgresql_databases, sqlite_databases
from tests.campaigns.model_machine import DeliveryMachine
from tests.campaigns.model_world import World

_RUNS = 12
_STEPS = 50
_POSTGRESQL_EVERY = 5


def run(trial: Trial) -> Outcome:
    """Run the machine so many times, in every fifth trial on PostgreSQL, where there is a server."""
    on_postgresql = trial.number % _POSTGRESQL_EVERY == 0 and bool(postgresql_version())
    total: Counter[str] = Counter()
    said: list[str] = []
    violations: tuple[str, ...] = ()
    with postgresql_databases() if on_postgresql else sqlite_databases(trial.folder) as fresh:

        @seed(trial.seed)
        class Machine(DeliveryMachine):
            figures = total

            @staticmethod
            def make() -> World:
                return World(fresh(), trial.seed)

        try:
            with with_reporter(lambda text: said.append(str(text))):
                run_state_machine_as_test(Machine, settings=_SETTINGS)
        except Exception as error:  # noqa: BLE001 - whatever a run raises is a finding
            said += getattr(error, "__notes__", ())
            violations = (f"{type(error).__name__}: {error}\n{_told(said)}",)
    total["steps_on_postgresql"] = total["steps"] if on_postgresql else 0
    return Outcome(figures=total, violations=violations)


_SETTINGS = settings(
    database=None,
    max_examples=_RUNS,
    stateful_step_count=_STEPS,
    deadline=None,
    derandomize=False,
    # A failing run is told as it came: shrinking one takes longer than a trial may.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def _told(said: list[str]) -> str:
    """What was done, step by step, without the looks that were taken after each."""
    lines = [line for text in said for line in text.splitlines()]
    return "\n".join(line for line in lines if "everything_holds" not in line)


CAMPAIGN = Campaign(
    name="model",
    proves="whatever workers, clocks, customs and operators do in whatever order, nothing is lost, doubled or resent "
    "blindly",
    run=run,
    full=175,
    small=1,
    demands={"steps": 100_000},
    plants=(
        Plant(
            name="query-before-settle",
            file="outbox/delivery.py",
            old="settled = now + policy.settle",
            new="settled = now",
        ),
        Plant(
            name="lease-not-rechecked",
            file="pipeline/deliver.py",
            old="return queue.is_ours(connection, claim, until=until)",
            new="return bool(until)",
        ),
        Plant(
            name="doubt-sent-again",
            file="outbox/delivery.py",
            old="return Step(state=DeliveryState.IN_DOUBT, info=info, due_at=settled",
            new="return Step(state=DeliveryState.PENDING, info=info, due_at=settled",
        ),
    ),
)

"""The circuit breakers at work: deliver and take_receipts against a real listener that counts what reaches it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from sqlalchemy import select

from connector.deeds import Deed, Moment
from connector.demo.office import free_port
from connector.errors import CustomsUnreachable
from connector.messages.deliveries import DeliveryState, MessageId
from connector.messages.documents import Document
from connector.outbox import endpoints, queries, turns
from connector.outbox.breaker import Breaker
from connector.outbox.queries import Filter
from connector.pipeline.deliver import deliver
from connector.pipeline.take_receipts import take_receipts
from connector.pipeline.wiring import Connector
from connector.signing.keyfiles import FileKey
from connector.storage.breakers import BREAKERS
from connector.storage.database import Database
from connector.storage.outbox import ATTEMPTS
from tests.integration.small_office import LEASE, SETTLE, Clock, Office, connect, working_office

Keep = Callable[..., list[Document]]

OPEN_FOR = timedelta(seconds=60)
MOMENT = timedelta(milliseconds=1)


@pytest.fixture
def office() -> Iterator[Office]:
    with working_office() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asking(office: Office, database: Database, signing_key: FileKey, clock: Clock) -> Connector:
    """Sends to the office, and asks it about what is in doubt."""
    return connect(office.url, database, signing_key, clock)


@pytest.fixture
def connector(asking: Connector) -> Connector:
    """Asks about nothing before long, so that only what is sent counts."""
    return replace(asking, policy=replace(asking.policy, settle=timedelta(days=1)))


@pytest.fixture
def several(connector: Connector) -> Iterator[list[Connector]]:
    """Four workers, each with a database of its own to the same records, as four processes have."""
    databases = [Database(connector.database.address) for _ in range(4)]
    yield [replace(connector, database=one, holder=str(number)) for number, one in enumerate(databases)]
    for database in databases:
        database.close()


def fill(keep: Keep, clock: Clock, count: int) -> None:
    """So many messages that wait, each queued a moment after the one before, which gives them their order."""
    for number in range(count):
        at = clock() - timedelta(minutes=1) + timedelta(milliseconds=number)
        keep(str(number), message_id=f"m{number:02}", at=at)


def states(connector: Connector) -> dict[str, int]:
    with connector.database.read() as connection:
        return dict(queries.count_messages(connection))


def outcomes(connector: Connector) -> list[tuple[str, str]]:
    with connector.database.read() as connection:
        rows = connection.execute(select(ATTEMPTS.c.kind, ATTEMPTS.c.outcome).order_by(ATTEMPTS.c.id))
        return [(row.kind, row.outcome) for row in rows]


def breaker(connector: Connector, endpoint: str | None = None) -> Breaker:
    with connector.database.read() as connection:
        return endpoints.breaker(connection, endpoint or connector.submit_endpoint)


def together(workers: list[Connector], is_over: Callable[[], object]) -> None:
    """Have all of them deliver at the same time, again and again until it is over."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(workers))

    def work(worker: Connector) -> None:
        try:
            start.wait()
            while not is_over():
                deliver(worker)
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def times(count: int) -> Callable[[], bool]:
    """Is over when it was asked so often."""
    left = iter(range(count))
    return lambda: next(left, None) is None


@pytest.mark.parametrize("manner", ["lose", "busy"])
def test_one_request_is_made_in_each_open_period_when_customs_is_down(
    connector: Connector, office: Office, clock: Clock, keep: Keep, manner: str
) -> None:
    fill(keep, clock, 10)
    office.manner = manner
    assert deliver(connector).unanswered
    assert (office.connections, states(connector)) == (5, {"in_doubt": 5, "pending": 5})
    assert breaker(connector).open_until == clock() + OPEN_FOR
    for period in range(1, 4):
        for wait in (timedelta(), OPEN_FOR - MOMENT):
            clock.pass_by(wait)
            assert deliver(connector).unanswered
            assert office.connections == 4 + period
        clock.pass_by(MOMENT)
        deliver(connector)
        assert office.connections == len(office.bodies) == 5 + period
    assert states(connector) == {"in_doubt": 8, "pending": 2}
    assert outcomes(connector) == [("send", "in_doubt")] * 8


def test_breaker_is_shared_when_four_work_at_once(
    several: list[Connector], office: Office, clock: Clock, keep: Keep
) -> None:
    fill(keep, clock, 20)
    office.manner, office.seconds = "lose", 0.02
    together(several, times(12))
    at_first = len(office.bodies)
    assert 5 <= at_first <= 5 + len(several) - 1  # those that were under way when it opened
    for period in range(1, 4):
        clock.pass_by(OPEN_FOR)
        together(several, times(12))
        assert office.connections == at_first + period
    assert breaker(several[0]) == breaker(several[3])


def test_no_herd_comes_when_customs_is_back(several: list[Connector], office: Office, clock: Clock, keep: Keep) -> None:
    fill(keep, clock, 24)
    office.manner = "lose"
    deliver(several[0])
    clock.pass_by(OPEN_FOR)
    office.manner, office.seconds = "take", 0.05
    office.times.clear()
    together(several, lambda: "pending" not in states(several[0]))
    probes, rest = sorted(office.times)[:3], sorted(office.times)[3:]
    assert all(ended <= begun for (_, ended), (begun, _) in zip(probes, [*probes[1:], rest[0]], strict=True))
    assert any(later[0] < earlier[1] for earlier, later in pairwise(rest))  # then all work at once
    assert breaker(several[0]) == Breaker()
    assert states(several[0]) == {"in_doubt": 5, "delivered": 19}
    assert len(set(office.bodies)) == len(office.bodies) == 24


def test_probe_that_fails_opens_the_breaker_again_when_others_succeeded(
    connector: Connector, office: Office, clock: Clock, keep: Keep
) -> None:
    fill(keep, clock, 12)
    office.manner = "lose"
    deliver(connector)
    clock.pass_by(OPEN_FOR)
    office.manner = "take"
    for _ in range(2):
        one_at_a_time = iter([False, True])
        deliver(replace(connector, is_stopping=lambda left=one_at_a_time: next(left)))  # type: ignore[misc]
    assert (breaker(connector).state(clock()), breaker(connector).probes) == ("half open", 2)
    office.manner = "lose"
    deliver(connector)
    assert (breaker(connector).state(clock()), breaker(connector).probes) == ("open", 0)
    assert len(office.bodies) == 5 + 2 + 1


def test_breaker_opens_when_nothing_can_even_be_sent(
    database: Database, signing_key: FileKey, clock: Clock, keep: Keep
) -> None:
    connector = connect(f"http://127.0.0.1:{free_port()}", database, signing_key, clock)
    fill(keep, clock, 8)
    deliver(connector)
    assert outcomes(connector) == [("send", "not_sent")] * 5
    assert breaker(connector).state(clock()) == "open"
    with connector.database.read() as connection:
        assert [one.tries for one in queries.messages(connection, Filter())] == [1] * 5 + [0] * 3


def test_breaker_stays_closed_and_nothing_is_tried_again_when_customs_refuses(
    connector: Connector, office: Office, clock: Clock, keep: Keep
) -> None:
    fill(keep, clock, 8)
    office.manner = "refuse"
    assert deliver(connector).stopped == 8
    clock.pass_by(timedelta(days=2))
    deliver(connector)
    assert (len(office.bodies), states(connector)) == (8, {"refused": 8})
    with connector.database.read() as connection:
        assert connection.execute(select(BREAKERS)).all() == []


def test_failures_are_forgotten_when_customs_refuses_a_message_between_them(
    connector: Connector, office: Office, clock: Clock, keep: Keep
) -> None:
    for number in range(9):
        keep(str(number), message_id=f"m{number}", at=clock())
        office.manner = "refuse" if number == 4 else "lose"
        deliver(connector)
    assert (len(office.bodies), breaker(connector).failures, breaker(connector).open_until) == (9, 4, None)


def test_another_probe_goes_when_the_first_one_never_came_back(
    connector: Connector, office: Office, clock: Clock, keep: Keep
) -> None:
    fill(keep, clock, 8)
    office.manner = "lose"
    deliver(connector)
    clock.pass_by(OPEN_FOR)

    def die(deed: Deed, _moment: Moment) -> None:
        if deed is Deed.CLAIM and _moment == "after":
            raise KeyboardInterrupt

    dying = Database(connector.database.address, watch=die)
    with pytest.raises(KeyboardInterrupt):
        deliver(replace(connector, database=dying))
    dying.close()
    office.manner = "take"
    for wait in (timedelta(), LEASE - MOMENT):
        clock.pass_by(wait)
        deliver(connector)
        assert len(office.bodies) == 5
    clock.pass_by(2 * MOMENT)
    deliver(connector)
    assert states(connector) == {"in_doubt": 6, "delivered": 2}


def test_others_go_at_once_when_a_probe_was_withdrawn(
    connector: Connector, office: Office, clock: Clock, keep: Keep
) -> None:
    fill(keep, clock, 8)
    office.manner = "lose"
    deliver(connector)
    clock.pass_by(OPEN_FOR)
    office.manner = "take"

    overtaken: list[MessageId] = []

    def overtake(deed: Deed, moment: Moment) -> None:
        if (deed, moment) == (Deed.CLAIM, "after") and not overtaken:
            with connector.database.write(Deed.TAKE_RECEIPTS) as transaction:
                overtaken.extend(turns.confirm_by_receipt(transaction, guids, now=clock()))

    with connector.database.read() as connection:
        waiting = Filter(delivery_state=DeliveryState.PENDING.value)
        guids = queries.messages(connection, waiting)[0].guids
    slow = Database(connector.database.address, watch=overtake)
    deliver(replace(connector, database=slow))
    slow.close()
    assert overtaken == ["m05"]
    assert ("send", "withdrawn") in outcomes(connector)
    assert (len(office.bodies), states(connector)) == (7, {"in_doubt": 5, "delivered": 3})


@pytest.mark.parametrize(("named", "waits"), [("61", 61), ("100000", 3600)])
def test_customs_is_left_alone_for_as_long_as_it_asks_and_then_asked_about_the_message(
    asking: Connector, office: Office, clock: Clock, keep: Keep, named: str, waits: int
) -> None:
    connector = asking
    fill(keep, clock, 2)
    office.manner, office.retry_after = "busy", named
    deliver(connector)
    assert states(connector) == {"in_doubt": 1, "pending": 1}
    assert breaker(connector).open_until == clock() + timedelta(seconds=waits)
    end = clock() + timedelta(seconds=waits)
    office.manner = "take"
    while clock() < end - MOMENT:
        deliver(connector)
        assert len(office.bodies) == 1
        clock.pass_by(min(timedelta(seconds=50), end - MOMENT - clock()))
    clock.pass_by(MOMENT + max(timedelta(), SETTLE - timedelta(seconds=waits)))
    deliver(connector)
    assert states(connector) == {"delivered": 2}
    assert office.asked == ["m00"]
    assert len(office.bodies) == 3  # it had not been taken in: asked first, the same bytes went again


def test_customs_is_left_alone_until_the_date_it_names(
    connector: Connector, office: Office, clock: Clock, keep: Keep
) -> None:
    fill(keep, clock, 2)
    office.manner = "busy"
    office.retry_after = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    deliver(connector)
    until = breaker(connector).open_until
    assert until is not None
    assert timedelta(minutes=9) < until - clock() <= timedelta(minutes=10)
    assert len(office.bodies) == 1


@pytest.mark.parametrize("named", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_customs_is_not_called_without_a_pause_when_the_time_it_names_has_passed(
    connector: Connector, office: Office, clock: Clock, keep: Keep, named: str
) -> None:
    fill(keep, clock, 12)
    office.manner, office.retry_after = "busy", named
    deliver(connector)
    at_first = len(office.bodies)
    assert at_first <= 5
    for period in range(1, 4):
        clock.pass_by(OPEN_FOR)
        deliver(connector)
        assert len(office.bodies) == at_first + period


def test_answer_is_recorded_when_the_time_it_names_is_absurd(
    connector: Connector, office: Office, clock: Clock, keep: Keep
) -> None:
    fill(keep, clock, 1)
    office.manner, office.retry_after = "busy", "9" * 5000
    deliver(connector)
    assert (states(connector), outcomes(connector)) == ({"in_doubt": 1}, [("send", "in_doubt")])


def test_receipts_have_a_breaker_of_their_own(connector: Connector, office: Office, clock: Clock, keep: Keep) -> None:
    office.receipts_manner = "lose"
    for _ in range(8):
        with pytest.raises(CustomsUnreachable, match="gave no whole answer"):
            take_receipts(connector)
    assert office.connections == 5
    with pytest.raises(CustomsUnreachable) as caught:
        take_receipts(connector)
    assert caught.value.exit_code == 6
    assert "left alone" in caught.value.effect
    fill(keep, clock, 2)
    assert deliver(connector).unanswered == ""
    assert (states(connector), breaker(connector)) == ({"delivered": 2}, Breaker())
    office.receipts_manner = "give"
    clock.pass_by(OPEN_FOR)
    for number in range(1, 4):
        assert breaker(connector, connector.endpoint) != Breaker()
        take_receipts(connector)
        assert office.fetched == number
    assert breaker(connector, connector.endpoint) == Breaker()


@pytest.mark.parametrize("named", ["", "300"])
def test_questions_wait_with_the_receipts_when_their_endpoint_is_down(
    asking: Connector, office: Office, clock: Clock, keep: Keep, named: str
) -> None:
    connector = asking
    fill(keep, clock, 3)
    office.manner = "cut"
    deliver(connector)
    office.receipts_manner, office.retry_after = "busy", named
    for _ in range(1 if named else 5):
        with pytest.raises(CustomsUnreachable, match="503"):
            take_receipts(connector)
    before = office.connections
    clock.pass_by(SETTLE)
    if not named:
        assert deliver(connector).unanswered  # the time of the breaker is over: one question goes, as a probe
        assert office.connections == before + 1
    for _ in range(3):
        assert deliver(connector).unanswered
    assert office.connections == before + (not named)
    office.receipts_manner = "give"
    clock.pass_by(timedelta(minutes=5))
    deliver(connector)
    assert (states(connector), len(office.bodies)) == ({"delivered": 3}, 3)


def test_receipts_are_left_alone_for_as_long_as_customs_asks_in_a_fault(
    connector: Connector, office: Office, clock: Clock
) -> None:
    fault = "<s:Fault><faultcode>s:Server</faultcode><faultstring>maintenance</faultstring></s:Fault>"
    soap = "http://schemas.xmlsoap.org/soap/envelope/"
    office.page = f'<s:Envelope xmlns:s="{soap}"><s:Body>{fault}</s:Body></s:Envelope>'.encode()
    office.receipts_manner, office.retry_after = "busy", "300"
    with pytest.raises(CustomsUnreachable, match=r"503 .* stay away for 300 s"):
        take_receipts(connector)
    assert breaker(connector, connector.endpoint).open_until == clock() + timedelta(minutes=5)


def test_breaker_of_submissions_is_not_closed_by_receipts_that_nobody_was_asked_for(
    office: Office, database: Database, signing_key: FileKey, clock: Clock, keep: Keep
) -> None:
    connector = connect(office.url, database, signing_key, clock, has_receipt_service=False)
    fill(keep, clock, 20)
    office.manner = "lose"
    deliver(connector)
    take_receipts(connector)  # there are none, which is no failure either
    clock.pass_by(OPEN_FOR)
    for _ in range(5):
        take_receipts(connector)
    assert office.connections == 5
    assert breaker(connector).state(clock()) == "half open"
    deliver(connector)
    assert len(office.bodies) == 6

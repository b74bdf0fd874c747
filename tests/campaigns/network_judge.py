"""What must hold after a trial of the network campaign, by the office's books, the proxies' counts and our attempts.

A message may be sent again only

1. when no byte of it came to the proxy before, or
2. when the office answered "not known" to a question that was asked no earlier than `SETTLE` after that call had ended.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import select

from connector.messages.deliveries import InDoubt, MessageId, NotSent, RefusedAtDoor, TakenIn, Withdrawn
from connector.simulator.ledger import read_ledger
from connector.storage.outbox import ATTEMPTS, MESSAGES
from tests.campaigns.network_customs import Question, Submission
from tests.campaigns.network_plan import PLACES, SETTLE
from tests.campaigns.network_site import Site

_GRAIN = 0.005
"""Seconds. The database's clock counts milliseconds, and ours is another."""
_OUTCOMES = {
    TakenIn: "taken_in",
    RefusedAtDoor: "refused",
    NotSent: "not_sent",
    Withdrawn: "withdrawn",
    InDoubt: "in_doubt",
}


def judge(site: Site) -> tuple[dict[str, int], tuple[str, ...]]:
    """Figures and violations."""
    submissions: dict[MessageId, list[Submission]] = defaultdict(list)
    questions: dict[MessageId, list[Question]] = defaultdict(list)
    for customs in site.customs:
        for submission in customs.submissions:
            submissions[submission.message_id].append(submission)
        for question in customs.questions:
            questions[question.message_id].append(question)
    for ofmessage in submissions.values():
        ofmessage.sort(key=lambda one: one.began)
    blind = [
        sentence for message_id, sent in submissions.items() for sentence in _blind_resends(sent, questions[message_id])
    ]
    wrong = [sentence for sent in submissions.values() for sentence in _false_claims(sent)]
    undelivered = list(_not_delivered_once(site))
    untold = list(_not_in_our_books(site, submissions))
    received = _times_received(site)
    figures = _figures(site, submissions, questions) | {
        "messages": len(site.messages),
        "blind_resends": len(blind),
        "received_twice": sum(count > 1 for count in received.values()),
    }
    return figures, tuple(blind + wrong + undelivered + untold)


def spoilt(site: Site) -> set[str]:
    """The boundaries that were hit."""
    submissions = (submission for customs in site.customs for submission in customs.submissions)
    return {one.orders.boundary for one in submissions if one.was_spoilt and one.orders.boundary}


def _figures(
    site: Site,
    submissions: Mapping[MessageId, Sequence[Submission]],
    questions: Mapping[MessageId, Sequence[Question]],
) -> dict[str, int]:
    sent = [submission for one in submissions.values() for submission in one]
    boundaries = spoilt(site)
    outcomes = Counter(_OUTCOMES[type(submission.answer)] for submission in sent)
    return {
        "sends": len(sent),
        **{f"boundaries_of_{place}": sum(place in name.split() for name in boundaries) for place in PLACES},
        "in_doubt": outcomes["in_doubt"],
        "not_sent": outcomes["not_sent"],
        "taken_in": outcomes["taken_in"],
        "on_kept_connections": sum(one.reused > 0 for one in sent),
        "asked": sum(map(len, questions.values())),
        "resent": len(sent) - len(submissions),
    }


def _blind_resends(sent: Sequence[Submission], questions: Sequence[Question]) -> Iterator[str]:
    for number, later in enumerate(sent):
        for earlier in sent[:number]:
            if earlier.arrived and not _is_resolved(earlier, later, questions):
                yield (
                    f"message {later.message_id} was sent again {later.began - earlier.ended:.3f} s after "
                    f"{earlier.arrived} bytes of it had left us ({_said(earlier)}), without a question that customs "
                    f"answered with not known at least {SETTLE} s after that"
                )


def _is_resolved(earlier: Submission, later: Submission, questions: Sequence[Question]) -> bool:
    return any(
        question.says_not_known and question.began >= earlier.ended + SETTLE - _GRAIN and question.ended <= later.began
        for question in questions
    )


def _false_claims(sent: Sequence[Submission]) -> Iterator[str]:
    """What the program believes of a call although the proxy, or the answer itself, says otherwise."""
    for one in sent:
        if len(one.links) + (one.reused > 0) > 1:
            yield f"message {one.message_id} went out on {len(one.links)} new connections in one call ({_said(one)})"
        if isinstance(one.answer, NotSent | Withdrawn) and one.arrived:
            yield f"message {one.message_id} counts as not sent, but {one.arrived} bytes of it came ({_said(one)})"
        if isinstance(one.answer, TakenIn) and b"chkMark" not in one.answer.raw:
            yield f"message {one.message_id} counts as taken in, but no word of customs says so ({_said(one)})"


def _not_delivered_once(site: Site) -> Iterator[str]:
    ledger = read_ledger(site.office, datetime.now(UTC))
    with site.connector.database.read() as connection:
        rows = connection.execute(select(MESSAGES.c.id, MESSAGES.c.state, MESSAGES.c.info, MESSAGES.c.digest)).all()
    held = {message.id: message.digest for message in ledger.messages}
    for row in rows:
        if row.id not in site.messages:
            continue
        if row.state != "delivered":
            yield f"message {row.id} is {row.state} in the end, not delivered: {row.info}"
        if held.get(row.id) != row.digest:
            yield f"message {row.id} is lost: the office holds {held.get(row.id, 'nothing')} under its id"
    times = {(entry.type, entry.business_key): entry.times_accepted for entry in ledger.documents}
    for kind, key in site.sent:
        if times.get((kind, key)) != 1:
            yield f"document {kind} {key} was accepted {times.get((kind, key), 0)} times, not once"
    if len(times) > len(site.sent):
        yield f"the office holds {len(times)} documents, but {len(site.sent)} were sent"


def _not_in_our_books(site: Site, submissions: Mapping[MessageId, Sequence[Submission]]) -> Iterator[str]:
    """Calls without an attempt of their own, and attempts whose outcome is not what came."""
    recorded: dict[str, list[str]] = defaultdict(list)
    table = ATTEMPTS.c
    query = select(table.message_id, table.outcome).where(table.kind == "send").order_by(table.message_id, table.number)
    with site.connector.database.read() as connection:
        for row in connection.execute(query):
            recorded[row.message_id].append(row.outcome)
    for message_id in site.messages:
        done = [_OUTCOMES[type(one.answer)] for one in submissions.get(message_id, ())]
        if done != recorded[message_id]:
            yield f"message {message_id}: its attempts say {recorded[message_id]}, its calls came to {done}"


def _times_received(site: Site) -> dict[str, int]:
    """How often each message was processed by the office."""
    ledger = read_ledger(site.office, datetime.now(UTC))
    return {message.id: message.times_received for message in ledger.messages}


def _said(submission: Submission) -> str:
    what = submission.orders.boundary or "no boundary"
    return f"{what}; {type(submission.answer).__name__}: {submission.answer.info}"

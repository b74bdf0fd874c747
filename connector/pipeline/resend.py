"""resend: what an operator may have sent again, and how; first as a plan, then for certain.

=====================  ====================================================================================
state                  what resending does
=====================  ====================================================================================
refused, parked        queues the same bytes, unless customs' format check refused them; split: each document
                       alone in a new message, but for those that have a newer revision; customs is asked first
                       about a parked message that may have arrived
pending, sending       refused: already on its way
in_doubt               brings the next question forward
delivered, conflict    refused, with what would be right
rejected or failed     (a document) re-maps its source record as it stands now; a changed content goes out
                       as a new revision, an unchanged one is refused
=====================  ====================================================================================

Nothing is sent here: the daemon, or ``run --once``, sends what is queued.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from connector.audit import log
from connector.audit.events import Entry, Event
from connector.deeds import Deed
from connector.mapping.outcomes import Mapped
from connector.messages.catalogue import message_type
from connector.messages.deliveries import DeliveryState, MessageId
from connector.messages.receipts import CustomsStatus
from connector.messages.records import SourceRecord
from connector.outbox import documents, queries, queue, turns
from connector.outbox.attempts import identical_refusals, may_have_arrived
from connector.outbox.queries import DocumentView, MessageView
from connector.outbox.queue import NewMessage
from connector.outbox.retry import IDENTICAL_REFUSALS
from connector.pipeline.entries import status_changed
from connector.pipeline.linking import linked
from connector.pipeline.packing import anchor, new_message, signed_entry
from connector.pipeline.wiring import Connector
from connector.receipts import ledger, matching
from connector.receipts.queries import answered_in, is_format_checked
from connector.sources import inbox
from connector.storage.database import lock


class Action(StrEnum):
    """What would be done about one message or document."""

    QUEUE = "queue"
    """Queue the same bytes."""
    SPLIT = "split"
    """Queue each document alone, in new messages."""
    ASK = "ask"
    """Bring the next question about it forward."""
    REVISE = "revise"
    """Send the source record as it stands now, as a new revision."""
    REFUSE = "refuse"
    """Nothing: it would be wrong."""


_BECOMES = {
    Action.QUEUE: DeliveryState.PENDING,
    Action.SPLIT: DeliveryState.CLOSED,
    Action.ASK: DeliveryState.IN_DOUBT,
}
"""The state of the message when it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What resending one thing comes to."""

    action: Action
    text: str
    """In words, for the operator."""
    state: str
    message: MessageView | None = None
    document: DocumentView | None = None
    record: SourceRecord | None = None
    """REVISE: the source record as it stands now."""
    guids: tuple[str, ...] = ()
    """SPLIT: the revisions that go alone."""

    @property
    def id(self) -> str:
        """The message id, or the business key of the document."""
        if self.document is not None:
            return self.document.business_key
        return self.message.id if self.message is not None else ""


_RESEND_EACH = "correct the rows of its documents and resend each of them"
_REFUSALS = {
    DeliveryState.PENDING: "it is already on its way: it waits for its next attempt, which comes by itself",
    DeliveryState.SENDING: "it is being sent at this moment",
    DeliveryState.DELIVERED: "customs took it in; what customs rejects goes again when its source row is corrected",
    DeliveryState.CONFLICT: "customs holds other bytes under its id; settle with customs which of them counts",
    DeliveryState.CLOSED: "it is closed: its documents go out in others, or an operator has settled it",
}


def plan_messages(connector: Connector, found: Sequence[MessageView], *, split: bool) -> list[Plan]:
    """What resending these messages would do."""
    with connector.database.read() as connection:
        return [_plan_message(connector, connection, view, split=split) for view in found]


def plan_documents(connector: Connector, found: Sequence[DocumentView], *, split: bool) -> list[Plan]:
    """What resending these documents would do: a new revision if customs rejected them, else their last message again.

    Raises `SourceUnreachable` when a source record cannot be read again.
    """
    plans: list[Plan] = []
    carriers: dict[str, MessageView] = {}
    for view in found:
        if CustomsStatus(view.customs_status).may_be_declared_again and not (split and _is_refused(connector, view)):
            plans.append(_plan_revision(connector, view))
            continue
        with connector.database.read() as connection:
            carrier = queries.message(connection, view.message_ids[-1])
        if carrier is not None:
            carriers[carrier.id] = carrier
    return plans + plan_messages(connector, list(carriers.values()), split=split)


def carry_out(connector: Connector, plans: Sequence[Plan], *, reason: str, actor: str) -> list[Plan]:
    """Do what was planned, each for itself, and audit it with the reason; the plans as they came out."""
    return [_carry_out(connector, plan, reason, actor) for plan in plans]


def _plan_message(  # noqa: PLR0911 - one return for each row of the table above
    connector: Connector, connection: Connection, view: MessageView, *, split: bool
) -> Plan:
    state = DeliveryState(view.delivery_state)

    def plan(action: Action, text: str, guids: Sequence[str] = ()) -> Plan:
        return Plan(action=action, text=text, state=state, message=view, guids=tuple(guids))

    if state in _REFUSALS:
        return plan(Action.REFUSE, _REFUSALS[state])
    if _is_doubtful(connection, view):
        return plan(*_ask_first(connector, split=split))
    overtaken = _overtaken(connection, view)
    left = [guid for guid in view.guids if guid not in overtaken]
    if split and left:
        if documents.archived(connection, left):
            return plan(Action.REFUSE, f"what its documents say was archived; {_RESEND_EACH}")
        return plan(Action.SPLIT, f"{len(left)} of its {len(view.guids)} documents go, each alone", left)
    if not left:
        return plan(Action.REFUSE, "each of its documents has a newer revision or another message; those count")
    if overtaken:
        text = f"{len(overtaken)} of its documents have a newer revision or another message; --split sends the others"
        return plan(Action.REFUSE, text)
    if refusal := _why_not_these_bytes(connection, view):
        return plan(Action.REFUSE, refusal)
    text = f"the same bytes are queued, with all of its {len(view.guids)} documents"
    if state is DeliveryState.REFUSED:
        text += "; where the bytes are what was refused (sender, key), --split makes new messages"
    return plan(Action.QUEUE, text)


def _why_not_these_bytes(connection: Connection, view: MessageView) -> str:
    """Why the bytes of a message do not go again; empty where they may."""
    if queries.is_archived(connection, view.id):
        return f"its bytes were archived; {_RESEND_EACH}"
    if identical_refusals(connection, MessageId(view.id)) >= IDENTICAL_REFUSALS:
        return f"customs refused it {IDENTICAL_REFUSALS} times in the same words; ask there first"
    if is_format_checked(connection, view.id):
        return "customs' format check refused these very bytes; correct the rows, or use --split"
    return ""


def _is_doubtful(connection: Connection, view: MessageView) -> bool:
    """Whether customs may hold the message, and nobody knows."""
    if view.delivery_state == DeliveryState.PARKED:
        return may_have_arrived(connection, MessageId(view.id))
    return view.delivery_state == DeliveryState.IN_DOUBT


def _ask_first(connector: Connector, *, split: bool) -> tuple[Action, str]:
    if not connector.answers_questions:
        return Action.REFUSE, "it may have arrived, and customs cannot be asked here; `messages settle` it"
    if split:
        return Action.REFUSE, "it may have arrived: resend it without --split, and customs is asked first"
    return Action.ASK, "it may have arrived: customs is asked as soon as it may be; unknown there, the same bytes go"


def _overtaken(connection: Connection, view: MessageView) -> set[str]:
    """Revisions that do not go with the message again.

    They have a newer one, another carrier that was neither refused nor closed, or an answer of their own.
    """
    newest = documents.newest_revisions(connection, view.type, list(view.documents))
    pairs = zip(view.documents, view.guids, strict=True)
    newer = {guid for key, guid in pairs if newest[key].guid != guid}
    return newer | queries.other_carriers(connection, view.id) | answered_in(connection, view.id)


def _plan_revision(connector: Connector, view: DocumentView) -> Plan:
    def refused(text: str) -> Plan:
        return Plan(action=Action.REFUSE, text=text, state=view.customs_status, document=view)

    with connector.database.read() as connection:
        key = inbox.key_of(connection, view.record_id)
        part = documents.origins(connection, [view.guid])[view.guid].part
        newest = documents.newest_revisions(connection, view.type, [view.business_key])[view.business_key]
    if newest.guid != view.guid:
        return refused(f"revision {newest.number} of it is newer")
    collection = connector.collection(key.collection)
    mappings = [one for one in (collection.mappings if collection else ()) if one.message_type.name == view.type]
    if collection is None or not mappings:
        return refused("no mapping in use makes it any more")
    record = collection.source.current(key)
    if not isinstance(record, SourceRecord):
        return refused("its source record is gone" if record is None else f"its source record: {record.reason}")
    lookups = collection.source.look_up(collection.lookups, [record])
    made = [(key, outcome) for one in mappings for outcome in one.apply(record, lookups) if outcome.part == part]
    with connector.database.read() as connection:
        outcome = next((one for _, one in linked(connection, message_type(view.type), made)), None)
    if not isinstance(outcome, Mapped):
        return refused("; ".join(fault.text for fault in outcome.faults) if outcome else "its row makes it no more")
    if outcome.content.digest() == newest.content_digest:
        return refused(f"nothing has changed since customs said: {view.customs_info}; correct the row first")
    text = f"its corrected source record goes as revision {newest.number + 1}"
    return Plan(action=Action.REVISE, text=text, state=view.customs_status, document=view, record=record)


def _is_refused(connector: Connector, view: DocumentView) -> bool:
    """Whether the whole message was refused, not this document."""
    with connector.database.read() as connection:
        carrier = queries.message(connection, view.message_ids[-1])
    return carrier is not None and carrier.delivery_state == DeliveryState.REFUSED


def _carry_out(connector: Connector, plan: Plan, reason: str, actor: str) -> Plan:
    if plan.action is Action.REFUSE:
        return plan
    if plan.record is not None:
        return _revise(connector, plan, plan.record, reason, actor)
    singles = _singles(connector, plan) if plan.action is Action.SPLIT else []
    with connector.database.write(Deed.RESEND) as transaction:
        lock(transaction, "prepare")  # no revision is made, and no receipt taken, between the check and the deed
        if not _still_holds(connector, transaction, plan):
            return _changed(plan)
        now = connector.clock(transaction)
        message_id = MessageId(plan.id)
        info = f"{plan.action} by {actor}: {reason}"
        if plan.action is Action.ASK:
            done = turns.ask_soon(transaction, message_id, info=info, now=now)
        elif plan.action is Action.SPLIT:
            done = turns.close(transaction, message_id, info=info, now=now)
        else:
            done = turns.requeue(transaction, message_id, info=info, now=now)
        if not done:
            return _changed(plan)
        queue.add(transaction, singles, now=now)
        entries = [_entry(plan, reason), *[signed_entry(single) for single in singles]]
        # What a format check said of a message counts no more once its documents go again.
        changes = ledger.refold(transaction, matching.owners_in(transaction, plan.id))
        entries += [status_changed(change) for change in changes]
        log.append(transaction, entries, actor=actor, time=now)
    return plan


def _singles(connector: Connector, plan: Plan) -> list[NewMessage]:
    """Each document of a message alone in a new one."""
    with connector.database.read() as connection:
        now, anchored = connector.clock(connection), anchor(connector, connection)
        inside = documents.load(connection, plan.guids)
    return [new_message(connector, message_type(one.type), [one], created=now, anchored=anchored) for one in inside]


def _still_holds(connector: Connector, transaction: Connection, plan: Plan) -> bool:
    """Whether planning now would give the same."""
    view = queries.message(transaction, plan.id)
    if view is None:
        return False
    now = _plan_message(connector, transaction, view, split=plan.action is Action.SPLIT)
    return (now.action, now.guids) == (plan.action, plan.guids)


def _revise(connector: Connector, plan: Plan, record: SourceRecord, reason: str, actor: str) -> Plan:
    with connector.database.write(Deed.REVISE) as transaction:
        lock(transaction, f"collect {record.key.collection}")
        lock(transaction, "prepare")
        now = connector.clock(transaction)
        if not inbox.store(transaction, [record], now=now):
            inbox.put_back(transaction, record)
            inbox.wait_again(transaction, [record.key])
        log.append(transaction, [_entry(plan, reason)], actor=actor, time=now)
    return plan


def _entry(plan: Plan, reason: str) -> Entry:
    document = plan.document
    return Entry(
        event=Event.RESENT,
        source_key=str(plan.record.key) if plan.record else "",
        document_type=document.type if document else "",
        business_key=document.business_key if document else "",
        message_id=plan.message.id if plan.message else "",
        waybill=document.waybill if document else "",
        export_list=document.export_list if document else "",
        detail={"action": plan.action.value, "reason": reason}
        | ({"delivery_state": _BECOMES[plan.action].value} if plan.action in _BECOMES else {}),
    )


def _changed(plan: Plan) -> Plan:
    return Plan(
        action=Action.REFUSE,
        text="its state has changed meanwhile; look again",
        state=plan.state,
        message=plan.message,
        document=plan.document,
    )

"""One sample enterprise with a customs office beside it, and workers that each deliver through a proxy of their own."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from sqlalchemy import update

from connector.bootstrap import build_connector, unchecked_database
from connector.config import Settings, load
from connector.deeds import Deed
from connector.demo.enterprise import build
from connector.demo.office import free_port, running_office
from connector.messages.catalogue import message_type
from connector.messages.deliveries import DeliveryState, MessageId
from connector.messages.documents import Document
from connector.outbox import documents, queries, queue
from connector.outbox.queries import Filter
from connector.outbox.queue import NewMessage
from connector.pipeline.collect import collect
from connector.pipeline.deliver import deliver
from connector.pipeline.packing import new_message
from connector.pipeline.prepare import prepare
from connector.pipeline.wiring import Connector
from connector.simulator.admin import FAULTS_PATH, NEXT_PATH
from connector.storage import schema
from connector.storage.outbox import MESSAGES
from tests.campaigns.fault_proxy import FaultProxy, Toxic
from tests.campaigns.network_customs import KEPT, Orders, SpoiltCustoms
from tests.campaigns.network_plan import DEADLINE, LATE, SETTLE, Job, Lengths, surprise

_RETURNS = 100
WORKERS = 8
"""Messages under way at the same time."""
_SURPRISES = 2
"""Further faults that one message, or the questions about it, may meet; customs may be asked ten times an hour."""
_PATIENCE = 120.0
"""Seconds within which everything must be settled."""
_PAUSE = 0.05
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens URLs without the proxies of the environment."""


@dataclass(slots=True, kw_only=True)
class Site:
    """Everything of one trial."""

    settings: Settings
    connector: Connector
    """Without a proxy."""
    port: int
    """Of the office."""
    office: Path
    """The office's database."""
    random: Random
    drafts: dict[str, list[Document]]
    """Documents by type that customs will accept, not queued yet."""
    customs: list[SpoiltCustoms] = field(default_factory=list)
    """What every worker sent through."""
    messages: dict[MessageId, NewMessage] = field(default_factory=dict)
    """What was queued."""
    sent: list[tuple[str, str]] = field(default_factory=list)
    """Type and business key of every document that was queued."""
    is_over: threading.Event = field(default_factory=threading.Event)

    def queue(self, kinds: Sequence[str]) -> list[NewMessage]:
        """Queue one document of each of these types, alone in its message."""
        created = datetime.now(UTC)
        chosen = [self.drafts[kind].pop() for kind in kinds]
        made = [new_message(self.connector, message_type(one.type), [one], created=created) for one in chosen]
        with self.connector.database.write(Deed.PREPARE) as transaction:
            queue.add(transaction, made, now=self.connector.clock(transaction))
        self.messages |= {message.id: message for message in made}
        self.sent += [(one.type, one.business_key) for one in chosen]
        return made

    def tell(self, path: str, content: Mapping[str, object]) -> dict[str, int]:
        """Tell the office what is to go wrong there; how often each fault was played so far."""
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data=json.dumps(content).encode(), method="POST")
        with _OPENER.open(request, timeout=10) as response:
            played: dict[str, int] = json.load(response)["played"]
        return played

    @property
    def unsettled(self) -> int:
        """Messages that are neither delivered nor closed."""
        with self.connector.database.read() as connection:
            states = queries.count_messages(connection)
        return sum(count for state, count in states.items() if state not in {"delivered", "closed"})


@contextmanager
def open_site(folder: Path, random: Random) -> Iterator[Site]:
    """Build the enterprise, start the office, and make the documents ready."""
    port = free_port()
    sample = build(folder / "enterprise", returns=_RETURNS, seed=random.randrange(2**31), port=port)
    settings = _impatient(load(sample.config))
    schema.upgrade(unchecked_database(settings))
    connector = build_connector(settings)
    faulty = {number for numbers in sample.faults.values() for number in numbers}
    try:
        with running_office(sample.registry, port):
            site = Site(
                settings=settings,
                connector=connector,
                port=port,
                office=sample.registry.with_name("customs.db"),
                random=random,
                drafts=_drafts(connector, faulty),
            )
            site.tell(FAULTS_PATH, {"late_seconds": LATE, "maintenance_seconds": LATE, "seed": random.randrange(2**31)})
            yield site
    finally:
        connector.database.close()


def _impatient(settings: Settings) -> Settings:
    """The sample's settings, but with short waits and without a circuit breaker."""
    changes = {
        "deadline_seconds": DEADLINE,
        "settle_seconds": SETTLE,
        "retry_first_seconds": 0.05,
        "retry_most_seconds": 0.1,
        "attempts": 100,
        "breaker_failures": 1_000_000,
        "breaker_open_seconds": 0.1,
        "breaker_probes": 1,
    }
    return settings.model_copy(update={"customs": settings.customs.model_copy(update=changes)})


def _drafts(connector: Connector, faulty: set[str]) -> dict[str, list[Document]]:
    """Every document that nothing is wrong with. The messages they came in are closed: each will go alone."""
    for collection in connector.collections:
        collect(connector, collection)
        prepare(connector, collection)
    found: dict[str, list[Document]] = {}
    with connector.database.write(Deed.PREPARE) as transaction:
        transaction.execute(update(MESSAGES).values(state=DeliveryState.CLOSED))
        guids = [view.guid for view in queries.documents(transaction, Filter())]
        for document in documents.load(transaction, guids):
            if document.business_key.rpartition("/")[2] not in faulty:
                found.setdefault(document.type, []).append(document)
    return found


class Director:
    """Says what goes wrong with each submission and question; the workers ask it from their threads."""

    def __init__(self, site: Site, plan: Mapping[MessageId, Job], lengths: Lengths | None) -> None:
        """Give what happens to each message when it is sent for the first time; without lengths, nothing else does."""
        self._site = site
        self._plan = dict(plan)
        self._lengths = lengths
        self._ids = {_digest(message.body): message.id for message in site.messages.values()}
        self._surprises: Counter[MessageId] = Counter()
        self._guard = threading.Lock()

    def order(self, body: bytes) -> tuple[MessageId, Orders]:
        """What happens to this submission. Raises `KeyError` for bytes that were never frozen."""
        message_id = self._ids[_digest(body)]
        with self._guard:
            job = self._plan.pop(message_id, None)
        if job is None:
            return message_id, Orders(toxic=self.disturb(message_id), reuses=True)
        if job.office:
            self._site.tell(NEXT_PATH, {"fault": job.office})
        refuses = job.toxic is None and job.office is None
        return message_id, Orders(toxic=job.toxic, refuses=refuses, boundary=job.boundary, reuses=job.reuses)

    def disturb(self, message_id: MessageId) -> Toxic | None:
        """What goes wrong with this question, or with a submission that is not the first of its message."""
        with self._guard:
            if self._lengths is None or self._surprises[message_id] >= _SURPRISES:
                return None
            toxic = surprise(self._site.random, self._lengths)
            self._surprises[message_id] += toxic is not None
        return toxic


@contextmanager
def worker(site: Site, director: Director) -> Iterator[Connector]:
    """A connector on the site's database that talks to the office through a proxy of its own."""
    with FaultProxy(("127.0.0.1", site.port), keep=KEPT) as proxy:
        urls = {
            name: getattr(site.settings.customs, name).replace(f":{site.port}", f":{proxy.port}")
            for name in ("submit_url", "receipts_url")
        }
        customs = SpoiltCustoms(
            site.settings.customs.model_copy(update=urls),
            site.connector.transfer.dxp_id,
            proxy,
            order=director.order,
            disturb=director.disturb,
        )
        site.customs.append(customs)
        with closing(customs):
            yield replace(
                site.connector, customs=customs, submit_endpoint=urls["submit_url"], is_stopping=site.is_over.is_set
            )


def settle(site: Site, plan: Mapping[MessageId, Job], lengths: Lengths | None, *, workers: int) -> None:
    """Deliver, in so many threads, until nothing is left to send or to ask about, or patience is at its end.

    Raises what a thread raised.
    """
    director = Director(site, plan, lengths)
    site.is_over.clear()
    with ExitStack() as stack, ThreadPoolExecutor(workers) as pool:
        connectors = [stack.enter_context(worker(site, director)) for _ in range(workers)]
        work = [pool.submit(_deliver, connector) for connector in connectors]
        end = time.monotonic() + _PATIENCE
        try:
            while site.unsettled and time.monotonic() < end and not any(one.done() for one in work):
                time.sleep(_PAUSE)
        finally:
            site.is_over.set()
        for one in work:
            one.result()


def _deliver(connector: Connector) -> None:
    while not connector.is_stopping():
        deliver(connector)
        time.sleep(_PAUSE)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()

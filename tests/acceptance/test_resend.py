"""``connector resend``: what an operator may have sent again in each state, what is refused, and what is recorded."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connector.demo.returns import generate

Run = Callable[..., subprocess.CompletedProcess[str]]
Read = Callable[..., Any]
Edit = Callable[[Path, str, str], None]
Query = Callable[..., list[Any]]
Office = Callable[[Path], AbstractContextManager[None]]
Ledger = Callable[[Path], dict[tuple[str, str], dict[str, Any]]]
Peer = Callable[[Callable[[bytes], object]], int]

pytestmark = pytest.mark.xdist_group("acceptance_resend")

THIRD = list(generate(60, seed=2))[2]
"""The third return of the sample."""
FOR_CERTAIN = ("--reason", "the line was down", "--actor", "wang", "--yes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One installation, and what an operator does with it."""

    folder: Path
    run: Run
    """Runs a command there."""
    read: Read
    """Runs a command there that prints JSON."""
    sql: Query
    """Runs a statement on the connector's own database."""

    def states(self) -> dict[str, str]:
        return dict(self.sql("SELECT type, state FROM message"))

    def frozen(self) -> list[Any]:
        return self.sql("SELECT message_id, xml, body FROM message_bytes ORDER BY message_id")

    def message(self, kind: str = "CEB213") -> str:
        return str(self.sql("SELECT id FROM message WHERE type = ?", kind)[0][0])

    def everything(self) -> list[list[Any]]:
        tables = ("message", "message_document", "document", "source_record", "audit_entry")
        return [self.sql(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]

    def set(self, **values: object) -> None:
        """Change keys of the configuration that stand there once."""
        path = self.folder / "connector.toml"
        text = path.read_text("utf-8")
        for name, value in values.items():
            text, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
            assert count == 1
        path.write_text(text, "utf-8")

    def point(self, name: str, port: int) -> None:
        """Have submit_url or receipts_url lead to another port."""
        path = self.folder / "connector.toml"
        text, count = re.subn(rf"^({name} = .*:)\d+", rf"\g<1>{port}", path.read_text("utf-8"), flags=re.MULTILINE)
        assert count == 1
        path.write_text(text, "utf-8")

    def park(self) -> None:
        """Use up all tries while the office is down."""
        self.set(settle_seconds="0.001\nattempts = 1")
        self.run("run", "--once", code=6)
        self.run("run", "--once", code=6)


@pytest.fixture(scope="module")
def site_of(connector: Run, read: Read, query: Query) -> Callable[[Path], Site]:
    return lambda folder: Site(
        folder=folder,
        run=partial(connector, folder),
        read=partial(read, folder),
        sql=partial(query, folder / "connector.db"),
    )


@pytest.fixture
def site(enterprise: Path, site_of: Callable[[Path], Site]) -> Site:
    """Nothing is collected or sent yet."""
    return site_of(enterprise)


@pytest.fixture
def played_site(sample: Path, site_of: Callable[[Path], Site]) -> Site:
    """Customs has answered everything."""
    return site_of(sample)


@pytest.fixture(scope="module")
def parked(new_enterprise: Callable[[], Path], site_of: Callable[[Path], Site]) -> Site:
    """Two parked messages; only to be read."""
    found = site_of(new_enterprise())
    found.park()
    return found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["RK10000001", "--yes"], "--reason", id="no reason"),
        pytest.param(["RK10000001", "--reason", " ", "--yes"], "--reason is empty", id="empty reason"),
        pytest.param(["RK10000001", "--reason", "r"], "nobody is there to confirm", id="no confirmation"),
        pytest.param(["--reason", "r", "--yes"], "either ids or a filter", id="neither ids nor filter"),
        pytest.param(["RK1", "--type", "CEB213", "--reason", "r", "--yes"], "either ids or a filter", id="both"),
        pytest.param(["RK19999999", "--reason", "r", "--yes"], "nothing is known about RK19999999", id="unknown id"),
    ],
)
def test_resend_changes_nothing_when_the_request_makes_no_sense(parked: Site, arguments: list[str], said: str) -> None:
    before = parked.everything()
    result = parked.run("resend", *arguments, code=2)
    assert said in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert parked.everything() == before


def test_resend_shows_and_changes_nothing_when_it_is_a_dry_run(parked: Site) -> None:
    before = parked.everything()
    table = parked.run("resend", "--state", "parked", "--reason", "r", "--dry-run").stdout
    assert "2 would be done, 0 refused" in table
    assert parked.message() in table
    assert parked.everything() == before


@pytest.mark.parametrize(
    ("wanted", "types"),
    [
        pytest.param(["--state", "parked"], {"CEB213", "CEB215"}, id="state"),
        pytest.param(["--state", "parked", "--type", "CEB215"], {"CEB215"}, id="state and type"),
        pytest.param(["--waybill", THIRD.waybill], {"CEB213", "CEB215"}, id="waybill"),
        pytest.param(["--key", "4401660B27/RK10000003"], {"CEB215"}, id="key"),
        pytest.param(["--customs-status", "none", "--type", "CEB213"], {"CEB213"}, id="customs status"),
        pytest.param(["--since", "2026-01-01", "--export-list", THIRD.order.invt_no], {"CEB213", "CEB215"}, id="list"),
    ],
)
def test_resend_plans_what_the_filter_names_when_it_is_a_dry_run(
    parked: Site, wanted: list[str], types: set[str]
) -> None:
    plans = parked.read("resend", *wanted, "--reason", "r", "--dry-run")["resend"]
    assert {plan["id"] for plan in plans} == {parked.message(kind) for kind in types}
    assert {(plan["action"], plan["state"]) for plan in plans} == {("queue", "parked")}


def test_resend_is_refused_when_nothing_matches(parked: Site) -> None:
    assert "nothing matches" in parked.run("resend", "--state", "conflict", *FOR_CERTAIN, code=3).stderr


def test_resend_queues_the_same_bytes_when_messages_are_parked(site: Site, office: Office, ledger: Ledger) -> None:
    site.park()
    assert site.states() == {"CEB213": "parked", "CEB215": "parked"}
    before = site.frozen()
    site.run("resend", site.message(), "RK10000001", *FOR_CERTAIN)
    assert site.states() == {"CEB213": "pending", "CEB215": "pending"}
    with office(site.folder):
        site.run("run", "--once")
    assert site.states() == {"CEB213": "delivered", "CEB215": "delivered"}
    assert site.frozen() == before
    assert {one["times_received"] for one in ledger(site.folder).values()} == {1}
    entries = site.read("audit", "list", "--event", "resent", "--actor", "wang")["entries"]
    assert {one["message_id"] for one in entries} == {number for number, _, _ in before}
    assert {(one["detail"]["action"], one["detail"]["reason"]) for one in entries} == {("queue", "the line was down")}


def test_resend_refuses_when_the_message_is_on_its_way(site: Site) -> None:
    site.run("run", "--once", code=6)
    assert site.states() == {"CEB213": "pending", "CEB215": "pending"}
    before = site.everything()
    (plan,) = site.read("resend", site.message(), *FOR_CERTAIN, code=3)["resend"]
    assert (plan["action"], plan["state"]) == ("refuse", "pending")
    assert "already on its way" in plan["text"]
    assert site.everything() == before


def test_resend_refuses_when_the_message_is_delivered(played_site: Site) -> None:
    before = played_site.everything()
    by_message = played_site.read("resend", played_site.message(), *FOR_CERTAIN, code=3)["resend"]
    by_order = played_site.read("resend", "RK10000003", *FOR_CERTAIN, code=3)["resend"]
    for plan in [*by_message, *by_order]:
        assert (plan["action"], plan["state"]) == ("refuse", "delivered")
        assert "customs took it in" in plan["text"]
    assert len(by_order) == 2
    assert played_site.everything() == before


def test_resend_sends_each_document_alone_when_a_refused_message_is_split(
    site: Site, edit: Edit, office: Office, ledger: Ledger
) -> None:
    registry = site.folder / "registry.toml"
    fingerprint = re.findall(r'certificate_sha256 = "(\w+)"', registry.read_text("utf-8"))[0]
    edit(registry, fingerprint, "0" * 64)
    with office(site.folder):
        run = site.read("run", "--once", code=3)
    assert run["attempts"] == {"refused": 2}
    assert site.states() == {"CEB213": "refused", "CEB215": "refused"}
    whole = site.message()

    (split,) = site.read("resend", whole, "--split", *FOR_CERTAIN)["resend"]
    (queued,) = site.read("resend", "--state", "refused", *FOR_CERTAIN)["resend"]
    assert (split["action"], queued["action"]) == ("split", "queue")
    assert site.read("resend", whole, *FOR_CERTAIN, code=3)["resend"][0]["state"] == "closed"

    edit(registry, "0" * 64, fingerprint)
    with office(site.folder):
        assert site.read("run", "--once")["attempts"] == {"taken_in": 7}
    held = ledger(site.folder).values()
    assert [(one["times_received"], one["times_accepted"]) for one in held] == [(1, 1)] * 12
    messages = site.read("messages", "list", "--type", "CEB213")["messages"]
    assert sorted((one["delivery_state"], len(one["documents"])) for one in messages) == [
        ("closed", 6),
        *[("delivered", 1)] * 6,
    ]
    for document in site.read("documents", "list", "--type", "CEB213")["documents"]:
        assert document["revision"] == 1
        assert document["message_ids"] == [whole, document["message_id"]]


def test_resend_asks_no_earlier_than_customs_has_settled_when_a_message_is_in_doubt(
    site: Site, office: Office, peer: Peer
) -> None:
    site.set(settle_seconds=60)
    site.point("submit_url", peer(lambda _: None))
    with office(site.folder):
        site.run("run", "--once", code=6)
        assert site.states() == {"CEB213": "in_doubt", "CEB215": "in_doubt"}
        (plan,) = site.read("resend", site.message(), *FOR_CERTAIN)["resend"]
        assert (plan["action"], plan["state"]) == ("ask", "in_doubt")
        assert site.sql("SELECT due_at = settle_at FROM message") == [(1,), (1,)]
        assert site.read("run", "--once")["attempts"] == {}
    assert site.states() == {"CEB213": "in_doubt", "CEB215": "in_doubt"}


def test_resend_brings_the_question_forward_when_a_message_is_in_doubt(
    site: Site, office: Office, peer: Peer, ledger: Ledger, port_of: Callable[[Path], int]
) -> None:
    site.set(settle_seconds=0.001, retry_first_seconds="3e5\nretry_most_seconds = 3e5")
    site.point("submit_url", peer(lambda _: None))
    site.run("run", "--once", code=6)  # sent without an answer, then asked about in vain
    site.run("run", "--once", code=6)
    assert site.states() == {"CEB213": "in_doubt", "CEB215": "in_doubt"}
    before = site.frozen()
    site.point("submit_url", port_of(site.folder))
    with office(site.folder):
        assert site.read("run", "--once")["attempts"] == {}
        site.run("resend", "--state", "in_doubt", *FOR_CERTAIN)
        assert site.read("run", "--once")["attempts"] == {"not_known": 2, "taken_in": 2}
    assert site.states() == {"CEB213": "delivered", "CEB215": "delivered"}
    assert site.frozen() == before
    assert {one["times_received"] for one in ledger(site.folder).values()} == {1}
    (message,) = site.read("messages", "show", site.message())["messages"]
    assert [(one["kind"], one["outcome"]) for one in message["attempts"]] == [
        ("send", "in_doubt"),
        ("query", "unanswered"),
        ("query", "not_known"),
        ("send", "taken_in"),
    ]


def _pass_on(port: int) -> Callable[[bytes], None]:
    """Brings a request to the office and waits until it has answered; nobody hears the answer."""

    def act(request: bytes) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            assert connection.recv(1)

    return act


def test_message_is_not_sent_twice_when_the_answer_of_customs_is_lost(
    site: Site, office: Office, peer: Peer, ledger: Ledger, port_of: Callable[[Path], int]
) -> None:
    site.set(settle_seconds=0.001)
    site.point("submit_url", peer(_pass_on(port_of(site.folder))))
    with office(site.folder):
        assert site.read("run", "--once", code=6)["attempts"] == {"in_doubt": 2, "known": 2}
    assert site.states() == {"CEB213": "delivered", "CEB215": "delivered"}
    assert {(one["times_received"], one["times_accepted"]) for one in ledger(site.folder).values()} == {(1, 1)}


def test_resend_refuses_when_customs_holds_other_bytes_under_the_id(
    site: Site, query: Query, office: Office, peer: Peer, port_of: Callable[[Path], int]
) -> None:
    site.set(settle_seconds=0.001)
    site.point("submit_url", peer(_pass_on(port_of(site.folder))))
    site.point("receipts_url", peer(lambda _: None))
    with office(site.folder):
        site.run("run", "--once", code=6)
        assert site.states() == {"CEB213": "in_doubt", "CEB215": "in_doubt"}
        query(site.folder / "customs.db", "UPDATE messages SET digest = ? WHERE type = 'CEB213Message'", "f" * 64)
        site.point("receipts_url", port_of(site.folder))
        site.run("resend", "--state", "in_doubt", *FOR_CERTAIN)
        site.read("run", "--once", code=3)
        site.read("run", "--once")
    assert site.states() == {"CEB213": "conflict", "CEB215": "delivered"}
    before = site.everything()
    (plan,) = site.read("resend", site.message(), *FOR_CERTAIN, code=3)["resend"]
    assert (plan["action"], plan["state"]) == ("refuse", "conflict")
    assert "settle with customs" in plan["text"]
    assert site.everything() == before


def test_resend_sends_a_new_revision_when_the_row_of_a_rejected_document_was_corrected(
    played_site: Site, query: Query, office: Office, ledger: Ledger, declare_excess: Callable[[Path], str]
) -> None:
    with office(played_site.folder):
        too_many = declare_excess(played_site.folder)
    rejected = played_site.read("documents", "list", "--customs-status", "rejected")["documents"]
    unknown = next(one["business_key"] for one in rejected if "不存在" in one["customs_info"])
    before = played_site.everything()
    (plan,) = played_site.read("resend", too_many, *FOR_CERTAIN, code=3)["resend"]
    assert (plan["action"], plan["state"]) == ("refuse", "rejected")
    assert "nothing has changed" in plan["text"]
    assert played_site.everything() == before

    # Corrected by hand: the time of the last change stays as it was, so no run finds it by itself.
    query(
        played_site.folder / "warehouse.db",
        "UPDATE wms_receipt_order_detail SET quantity = '1.00' WHERE order_id = "
        "(SELECT id FROM wms_receipt_order WHERE order_no = ?)",
        too_many.rpartition("/")[2],
    )
    plans = played_site.read("resend", "--customs-status", "rejected", *FOR_CERTAIN, code=3)["resend"]
    assert {plan["id"]: plan["action"] for plan in plans} == {too_many: "revise", unknown: "refuse"}
    with office(played_site.folder):
        run = played_site.read("run", "--once")
        assert (run["documents"], run["messages"]) == (1, 1)
        played_site.run("run", "--once")  # the office has gone through all its stages by now
    assert ledger(played_site.folder)["CEB213", too_many]["times_accepted"] == 1
    documents = played_site.read("documents", "list", "--key", too_many)["documents"]
    assert [(one["revision"], one["customs_status"]) for one in documents] == [(1, "rejected"), (2, "released")]
    (entry,) = played_site.read("audit", "list", "--event", "resent")["entries"]
    assert (entry["actor"], entry["business_key"]) == ("wang", too_many)
    assert entry["detail"] == {"action": "revise", "reason": "the line was down"}

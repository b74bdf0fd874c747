"""The page of a bundle: nothing that stands in a text may do anything, and every event has its Chinese name."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

from lxml import html

from connector.audit.checkpoints import Checkpoint
from connector.audit.events import Event, Recorded
from connector.evidence.files import EvidenceFiles
from connector.evidence.report import EVENTS, Told, report
from connector.messages.documents import Content
from connector.outbox.attempts import AttemptView
from connector.outbox.queries import DocumentView

HOSTILE = "<script>alert(1)</script><img src=x onerror='alert(2)'>\"'&lt;</td>"
WRITTEN = (
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "h2",
    "h3",
    "p",
    "code",
    "table",
    "tbody",
    "tr",
    "th",
    "td",
)
WHEN = datetime(2026, 4, 15, 18, 30, tzinfo=UTC)


def hostile_page() -> bytes:
    entry = Recorded(
        sequence=1,
        time=WHEN,
        event="collected",
        actor=HOSTILE,
        source_key=HOSTILE,
        document_type="",
        business_key="",
        message_id="",
        waybill=HOSTILE,
        export_list=HOSTILE,
        detail={HOSTILE: HOSTILE},
    )
    view = DocumentView(
        guid="G",
        type="CEB213",
        business_key=HOSTILE,
        revision=1,
        app_type="1",
        app_time=WHEN,
        waybill=HOSTILE,
        export_list=HOSTILE,
        customs_status="none",
        customs_code=HOSTILE,
        customs_info=HOSTILE,
        customs_time=None,
        mapping="m 1",
        record_id=1,
        message_ids=(HOSTILE,),
    )
    attempt = AttemptView(number=1, kind="send", started_at=WHEN, ended_at=None, outcome=HOSTILE, info=HOSTILE)
    receipt = SimpleNamespace(code=HOSTILE, time=WHEN, info=HOSTILE, received_at=WHEN)
    told = Told(
        scope={HOSTILE: HOSTILE},
        made_at=WHEN,
        checkpoint=Checkpoint(origin=HOSTILE, size=1, root=bytes(32)),
        entries=[entry],
        documents=[(view, Content(head={HOSTILE: HOSTILE}, lines=({HOSTILE: f"{HOSTILE}\udc80"},)))],
        receipts={"G": [receipt]},
        attempts={HOSTILE: [attempt]},
        found=EvidenceFiles(files={HOSTILE: b""}, bound={HOSTILE: (HOSTILE, 1)}, missing=[HOSTILE]),
    )
    return report(told)


def test_page_shows_hostile_text_and_does_nothing_of_it() -> None:
    page = html.fromstring(hostile_page().decode())
    tags = {element.tag for element in page.iter()}
    assert tags <= {*WRITTEN}
    assert {name for element in page.iter() for name in element.attrib} <= {"lang", "charset", "http-equiv", "content"}
    assert html.tostring(page, method="text", encoding="unicode").count("<script>alert(1)</script>") == 21


def test_page_has_beijing_time_and_both_languages() -> None:
    page = hostile_page().decode()
    assert "2026-04-16 02:30:00" in page
    assert "采集源数据 collected" in page
    assert "What that does not prove" in page
    assert "核验不能证明" in page


def test_every_event_has_a_chinese_name() -> None:
    assert EVENTS.keys() == set(Event)

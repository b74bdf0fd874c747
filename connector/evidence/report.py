"""The page of a bundle that a clerk reads, in Chinese and English: complete in itself, without scripts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from typing import Any

from connector.audit.checkpoints import Checkpoint
from connector.audit.events import Event, Recorded
from connector.evidence.files import EvidenceFiles
from connector.messages.catalogue import BEIJING
from connector.messages.documents import Content
from connector.messages.records import rfc3339
from connector.outbox.attempts import AttemptView
from connector.outbox.queries import DocumentView

EVENTS: Mapping[str, str] = {
    Event.ACTIVATED: "启用配置",
    Event.COLLECTED: "采集源数据",
    Event.MAPPED: "生成单证",
    Event.QUARANTINED: "数据待处理",
    Event.QUARANTINE_LEFT: "待处理解除",
    Event.RETRIED: "重试待处理数据",
    Event.RELEASED: "人工放行待处理数据",
    Event.WINDOW_READ: "完成一段源数据读取",
    Event.DISAPPEARED: "源数据记录消失",
    Event.SIGNED: "签名报文",
    Event.ATTEMPTED: "开始发送或查询",
    Event.ANSWERED: "发送或查询结果",
    Event.RECEIPT_TAKEN: "收到回执",
    Event.RECEIPT_UNREADABLE: "收到无法读取的回执",
    Event.STATUS_CHANGED: "海关状态变化",
    Event.DELIVERY_CHANGED: "发送状态变化",
    Event.RESENT: "重新发送",
    Event.SETTLED: "人工确认",
    Event.EXPORTED: "导出证据",
    Event.FORGOTTEN: "清除姓名",
    Event.ARCHIVED: "归档原始数据",
}
"""Every event of the log in Chinese."""

_STYLE = """body{font:15px/1.5 sans-serif;margin:2em auto;max-width:75em;padding:0 1em}
table{border-collapse:collapse;margin:.5em 0;width:100%}
th,td{border:1px solid #999;padding:.2em .5em;text-align:left;vertical-align:top;min-width:6em;overflow-wrap:anywhere}
th{background:#eee}code{overflow-wrap:anywhere}"""

_HOW = """<p>本页只供阅读，不能单独作为证据。核验方法：从企业以另外的途径取得日志公钥，取得核验程序
check_evidence.py（<code>connector audit verifier</code> 或公开源码），在自己的电脑上运行：</p>
<p>This page is for reading and proves nothing by itself. To check: get the public key of the log from the enterprise
on another way than this file came by, get the program check_evidence.py (<code>connector audit verifier</code>, or the
published source), and run on your own machine:</p>
<p><code>python -I check_evidence.py --key NAME+ID+KEY --checkpoint KEPT_ELSEWHERE.txt BUNDLE.zip</code></p>
<p>核验不能证明：记录的内容属实；没有其他记录；若没有保存在别处的检查点（--checkpoint），也不能证明日志末尾未被截去
或整个日志未被重写。本页、attempts.json 不受日志约束。报文可能同时载有其他单证。</p>
<p>What that does not prove: that what was logged is true; that there are no other entries; and, without a checkpoint
that was kept elsewhere (--checkpoint), that the end of the log was not cut off or the whole log written anew. This page
and attempts.json are not bound to the log. A message may carry other documents as well.</p>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Everything that the page tells."""

    scope: Mapping[str, str]
    made_at: datetime
    checkpoint: Checkpoint
    entries: Sequence[Recorded]
    documents: Sequence[tuple[DocumentView, Content | None]]
    receipts: Mapping[str, Sequence[Any]]
    """By guid of the revision, as `receipts_of` gives them."""
    attempts: Mapping[str, Sequence[AttemptView]]
    """By message id."""
    found: EvidenceFiles

    @property
    def attempts_json(self) -> bytes:
        """The attempts for programs."""
        listed = [{"message_id": name, **asdict(one)} for name, inside in self.attempts.items() for one in inside]
        text = json.dumps(listed, ensure_ascii=False, indent=1, default=rfc3339)
        return text.encode("utf-8", "backslashreplace")


def report(told: Told) -> bytes:
    """The page, in UTF-8."""
    parts = [
        "<!DOCTYPE html>\n<html lang='zh-CN'><head><meta charset='utf-8'>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>证据 Evidence</title><style>{_STYLE}</style></head><body><h1>证据 Evidence</h1>",
        _table(("项目 item", "内容 value"), _about(told)),
        *(_document(told, view, content) for view, content in told.documents),
        "<h2>经过（北京时间）What happened (Beijing time)</h2>",
        _table(("序号 no", "时间 time", "事件 event", "对象 about", "详情 detail"), map(_entry, told.entries)),
        "<h2>文件 Files</h2>",
        _table(("文件 file", "SHA-256", "日志条目 entry"), _files(told.found)),
        *(f"<p>已不存在 no longer there: <code>{escape(path)}</code></p>" for path in told.found.missing),
        "<h2>如何核验 How to check it, and what that does not prove</h2>",
        _HOW,
        "</body></html>\n",
    ]
    return "\n".join(parts).encode("utf-8", "backslashreplace")


def _about(told: Told) -> list[tuple[str, object]]:
    return [
        *((f"范围 scope: {name}", value) for name, value in told.scope.items()),
        ("制作时间 made", _local(told.made_at)),
        ("日志 log", told.checkpoint.origin),
        ("检查点条目数 entries that the checkpoint covers", told.checkpoint.size),
        ("本文件条目数 entries in here", len(told.entries)),
    ]


def _document(told: Told, view: DocumentView, content: Content | None) -> str:
    status = f"{view.customs_status} {view.customs_code} {view.customs_info}"
    sent = [
        (name, one.kind, _local(one.started_at), _local(one.ended_at), one.outcome, one.info)
        for name in view.message_ids
        for one in told.attempts.get(name, ())
    ]
    answers = [(one.code, _local(one.time), one.info, _local(one.received_at)) for one in told.receipts[view.guid]]
    parts = [
        f"<h2>{escape(f'{view.type} {view.business_key} (revision {view.revision})')}</h2>",
        f"<p>海关状态 customs status: {escape(status)}</p>",
        "<h3>申报内容 What was declared</h3>",
        *_content(content),
        "<h3>何时发送 When it was sent</h3>",
        _table(("报文 message", "方式 kind", "开始 begun", "结束 ended", "结果 outcome", "说明 info"), sent),
        "<h3>海关答复 What customs answered</h3>",
        _table(("代码 code", "答复时间 said", "内容 info", "收到 received"), answers),
    ]
    return "\n".join(parts)


def _content(content: Content | None) -> list[str]:
    if content is None:
        return []
    heading = ("项目 field", "内容 value")
    lines = [_table(heading, line.items()) for line in content.lines]
    return [_table(heading, content.head.items()), *lines]


def _entry(entry: Recorded) -> tuple[object, ...]:
    about = f"{entry.document_type} {entry.business_key}".strip() or entry.source_key or entry.message_id
    event = f"{EVENTS.get(entry.event, '')} {entry.event}"
    return entry.sequence, _local(entry.time), event, about, json.dumps(entry.detail, ensure_ascii=False)


def _files(found: EvidenceFiles) -> list[tuple[object, ...]]:
    vouched = {path: f"{sequence} ({name})" for path, (name, sequence) in found.bound.items()}
    return [
        (path, hashlib.sha256(content).hexdigest(), vouched.get(path, ""))
        for path, content in sorted(found.files.items())
    ]


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(str(one))}</td>" for one in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def _local(moment: datetime | None) -> str:
    return moment.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S") if moment else ""

"""Drafts of a records file and a mapping for a table that nobody has mapped yet: guesses for a person to correct. Pure.

Each element of the message gets the column whose name or comment sounds like it, or a comment that says what is to do;
`mapping check` names what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connector.mapping.describe import field_format
from connector.messages.catalogue import Field, MessageType
from connector.messages.names import CHINESE

_ALWAYS = {"appStatus": "2", "ieFlag": "I", "tradeMode": "9661"}
"""Elements that a return always says the same in."""
_SOUNDS_LIKE: Mapping[str, str] = {
    "logisticsNo": r"waybill|tracking|express_?no|运单|快递单|物流单",
    "logisticsCode": r"carrier_?code|物流企业代码",
    "logisticsName": r"carrier|物流企业|快递公司|承运",
    "coElNo": r"\b(order|receipt|return)_?(no|number|code)\b|单号",
    "billNo": r"bill_?no|提单|提运单",
    "invtNo": r"invt|export_?list|清单编号|清单号",
    "voyageNo": r"voyage|flight|航次|航班",
    "trafName": r"vessel|traf_?name|运输工具",
    "trafMode": r"traf_?mode|运输方式",
    "country": r"country|国别|国家",
    "portCode": r"port|口岸",
    "customsCode": r"customs|关区|海关",
    "siteCode": r"site|场所",
    "reason": r"reason|原因",
    "note": r"remark|note|备注",
    "eventTime": r"create_?time|event_?time|happened|创建时间|作业时间",
    "snapshotTime": r"create_?time|count|盘点时间|创建时间",
    "snapshotId": r"check_?no|count_?no|order_?no|盘点单|单号",
    "itemNo": r"sku|item_?(no|code)|product_?(no|code|id)|货号|料号|规格id",
    "gname": r"(item|goods|product|sku)_?name|品名|商品名称|名称",
    "qty": r"^(qty|quantity|num|count|received)|数量",
    "QTY": r"^(qty|quantity|num|count)|数量",
    "unit": r"unit|uom|单位",
    "UNIT": r"unit|uom|单位",
    "toLocation": r"(to|target)_?(location|bin|warehouse)|location|bin|bay|库位|目标仓库",
    "fromLocation": r"(from|source)_?(location|bin|warehouse)|源仓库",
    "location": r"location|bin|bay|库位",
    "handledBy": r"create_?by|operator|handled|经办|操作人|创建人",
    "gnum": r"gnum|line_?no|项号|行号",
}
_IDENTIFIES = re.compile(r"(_no|_number|_code)\b|单号|编号", re.IGNORECASE)
_CHANGES = re.compile(r"update|modif|change|touch|更新|修改", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftColumn:
    """A column to draft from."""

    name: str
    written: str
    """As a query writes it."""
    kind: str
    comment: str
    is_key: bool


def draft_records(name: str, database: str, table: str, columns: Sequence[DraftColumn]) -> str:
    """The records file: every column, with guesses at the key, the order of changes and what breaks its ties."""
    unique = next((one for one in columns if one.is_key), columns[0])
    key = next((one for one in columns if _IDENTIFIES.search(f"{one.name} {one.comment}")), unique)
    times = [one for one in columns if one.kind == "time" and unique.name != "_id"]  # rows of files are only added
    changed = next((one for one in times if _CHANGES.search(f"{one.name} {one.comment}")), times[-1] if times else None)
    written = (f"t.{one.written}" + (f" AS {one.name}" if one.written != one.name else "") for one in columns)
    query = f"SELECT {', '.join(written)} FROM {table} t"  # noqa: S608 - for a file, and a person
    lines = [
        f"# Drafted from the table {table}: correct the guesses, and leave out the columns that nobody needs.",
        f'records = "{name}"',
        f'database = "{database}"',
        f"query = '''{query}'''",
        f'key = ["{key.name}"]  # a guess: what names a fact for ever',
        f'changed = "{changed.name}"  # a guess: moves with every change of the row'
        if changed
        else "# changed = …  # there is no column of a time: rows are only ever added, and read by their unique column",
        f'unique = "{unique.name}"  # a guess: never twice in the table',
        "",
        "[columns]",
        *(f'{one.name} = "{one.kind}"{_told(one.comment)}' for one in columns),
    ]
    return "\n".join(lines) + "\n"


def draft_mapping(kind: MessageType, records: str, columns: Sequence[DraftColumn]) -> str:
    """The mapping: a line for each element that a column sounds like, a comment for each other."""
    lines = [
        "# Drafted: every line is a guess. `connector mapping check` names what is left to do.",
        f'message = "{kind.name}"',
        "version = 1",
        f'records = "{records}"',
        "",
        "[head]",
        *_elements(kind, kind.head_fields, columns),
    ]
    if kind.line_fields:
        lines += [
            "",
            "# The lines of the document: the records file needs [lines], the rows below each record.",
            "[lines]",
            *(f"# TODO {_wanted(field)}" for field in kind.line_fields if field.name not in kind.areas),
        ]
    return "\n".join(lines) + "\n"


def _elements(kind: MessageType, fields: Sequence[Field], columns: Sequence[DraftColumn]) -> Iterator[str]:
    for field in fields:
        if field.name in kind.own_fields or field.name in kind.areas:
            continue
        column = _like(field.name, columns)
        if field.name in _ALWAYS and "CEB" in kind.name:
            yield f'{field.name} = {{ const = "{_ALWAYS[field.name]}" }}'
        elif column is None:
            yield f"# TODO {_wanted(field)}"
        elif column.kind in {"time", "date"}:
            zone = 'time = { zone = "Asia/Shanghai", format = "%Y%m%d%H%M%S" }'
            yield f'{field.name} = {{ field = "record.{column.name}", {zone} }}{_told(column.comment)}'
        else:
            yield f'{field.name} = {{ field = "record.{column.name}" }}{_told(column.comment)}'


def _like(name: str, columns: Sequence[DraftColumn]) -> DraftColumn | None:
    sounds = _SOUNDS_LIKE.get(name)
    same = (one for one in columns if one.name.replace("_", "").casefold() == name.casefold())
    alike = (one for one in columns if sounds and re.search(sounds, f"{one.name} {one.comment}", re.IGNORECASE))
    return next(same, None) or next(alike, None)


def _wanted(field: Field) -> str:
    name, need = CHINESE.get(field.name, ""), "required" if field.required else "optional"
    return f'{field.name} = {{ field = "record.…" }}  # {name}, {field_format(field)}, {need}'


def _told(comment: str) -> str:
    return f"  # {comment}" if comment else ""

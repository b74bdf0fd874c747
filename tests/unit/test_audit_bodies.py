"""The body of an entry is canonical JSON: what a library writes with sorted keys and no blanks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.audit.bodies import KEY_COLUMNS, encode
from connector.audit.events import Entry, Event

TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from('"\\\x00\n\u2028\ud83d'), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@given(
    keys=st.fixed_dictionaries(dict.fromkeys(KEY_COLUMNS, TEXT)),
    detail=st.dictionaries(TEXT, VALUES, max_size=4),
    event=st.sampled_from(Event),
    sequence=st.integers(1, 2**63),
)
def test_body_is_what_a_library_writes(
    keys: dict[str, str], detail: dict[str, object], event: Event, sequence: int
) -> None:
    said = {"sequence": sequence, "time": "2026-04-15T02:30:00.123456Z", "event": event.value, "actor": "9c"}
    said |= {"detail": detail, **{name: value for name, value in keys.items() if value}}
    text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    entry = Entry(event=event, detail=detail, **keys)
    body = encode(entry, sequence=sequence, time=said["time"], actor="9c")  # type: ignore[arg-type]
    assert body == text.encode("utf-8", "backslashreplace")


@pytest.mark.parametrize("odd", [float("nan"), object()])
def test_detail_that_json_cannot_hold_is_refused(odd: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode(Entry(event=Event.MAPPED, detail={"a": odd}), sequence=1, time="", actor="")

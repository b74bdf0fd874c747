"""Documents in a chain: keys that follow from content, source and what is corrected."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.messages.catalogue import Chain, message_type
from connector.messages.chains import link
from connector.messages.documents import Content
from connector.messages.records import SourceKey

SOURCE = SourceKey(collection="moves", key="YK1")


def chain() -> Chain:
    found = message_type("WOD101").chain
    assert found is not None
    return found


def key(content: Content, source: SourceKey = SOURCE, part: str = "m/1", corrects: str = "") -> str:
    return link(content, chain(), source, part=part, corrects=corrects).head["eventId"]


def test_key_is_the_same_however_often_it_is_made_and_of_40_digits() -> None:
    content = Content(head={"qty": "1"})
    assert key(content) == key(Content(head={"qty": "1"}))
    assert len(key(content)) == 40
    assert key(link(content, chain(), SOURCE, part="m/1")) == key(content)  # what it was linked to before has no part


@given(st.dictionaries(st.sampled_from(["qty", "unit", "note"]), st.text(min_size=1), min_size=1))
def test_key_is_another_when_content_source_part_or_correction_differ(head: dict[str, str]) -> None:
    content = Content(head=head)
    keys = [
        key(content),
        key(Content(head=head | {"qty": head.get("qty", "") + "1"})),
        key(content, SourceKey(collection="moves", key="YK2")),
        key(content, part="m/2"),
        key(content, corrects="E1"),
        key(content, corrects="E2"),
    ]
    assert len(set(keys)) == len(keys)


def test_row_that_is_changed_and_changed_back_makes_three_documents() -> None:
    first, other = Content(head={"qty": "1"}), Content(head={"qty": "2"})
    one = key(first)
    two = key(other, corrects=one)
    three = key(first, corrects=two)
    assert len({one, two, three}) == 3


def test_correction_gives_a_reason_unless_the_content_has_its_own() -> None:
    told = link(Content(head={"qty": "1"}), chain(), SOURCE, part="", corrects="E1")
    assert told.head["correctsEventId"] == "E1"
    assert told.head["reason"].startswith("更正")
    own = link(Content(head={"qty": "1", "reason": "数错"}), chain(), SOURCE, part="", corrects="E1")
    assert own.head["reason"] == "数错"
    assert "reason" not in link(Content(head={"qty": "1"}), chain(), SOURCE, part="").head

"""Whether a mapped content goes out, decided by what was sent under its key before."""

from __future__ import annotations

import pytest

from connector.messages.catalogue import message_type
from connector.messages.documents import AppType
from connector.messages.receipts import CustomsStatus
from connector.messages.records import SourceKey
from connector.outbox.documents import Standing
from connector.outbox.revisions import Revision, Verdict, judge
from connector.pipeline.left_behind import left_behind

ACCEPTED = {CustomsStatus.RELEASED, CustomsStatus.FINISHED}
NOT_HELD = {CustomsStatus.REJECTED, CustomsStatus.FAILED}


def newest(status: CustomsStatus, *, is_carried: bool = True, app_type: AppType = AppType.NEW) -> Revision:
    return Revision(
        guid="G", number=1, app_type=app_type, content_digest="same", status=status, is_carried=is_carried, record_id=1
    )


def test_content_goes_out_when_its_key_has_no_revision() -> None:
    assert judge(None, "any", 1) is Verdict.SEND


@pytest.mark.parametrize("status", CustomsStatus)
def test_content_never_goes_out_again_when_it_is_the_same(status: CustomsStatus) -> None:
    assert judge(newest(status), "same", 2) is Verdict.NOTHING


@pytest.mark.parametrize("status", CustomsStatus)
def test_changed_content_is_judged_by_what_customs_said_of_the_newest_revision(status: CustomsStatus) -> None:
    if status in NOT_HELD:
        expected = Verdict.SEND
    elif status in ACCEPTED:
        expected = Verdict.WAIT_FOR_OPERATOR
    else:
        expected = Verdict.WAIT_FOR_ANSWER
    assert judge(newest(status), "other", 1) is expected


@pytest.mark.parametrize("status", CustomsStatus)
def test_changed_content_goes_out_when_every_message_with_the_old_one_was_refused_and_customs_said_nothing_of_it(
    status: CustomsStatus,
) -> None:
    if status in NOT_HELD or status is CustomsStatus.NONE:
        expected = Verdict.SEND
    elif status in ACCEPTED:
        expected = Verdict.WAIT_FOR_OPERATOR
    else:
        expected = Verdict.WAIT_FOR_ANSWER
    assert judge(newest(status, is_carried=False), "other", 1) is expected


@pytest.mark.parametrize("app_type", [AppType.CHANGE, AppType.DELETE])
@pytest.mark.parametrize("is_carried", [True, False])
@pytest.mark.parametrize("status", sorted(NOT_HELD | ACCEPTED))
def test_changed_content_waits_for_an_operator_when_the_newest_revision_changes_what_customs_holds(
    status: CustomsStatus, *, is_carried: bool, app_type: AppType
) -> None:
    is_deleted = app_type is AppType.DELETE and status in ACCEPTED
    expected = Verdict.WAIT_TO_BE_DECLARED_ANEW if is_deleted else Verdict.WAIT_FOR_OPERATOR
    assert judge(newest(status, is_carried=is_carried, app_type=app_type), "other", 1) is expected


@pytest.mark.parametrize("status", CustomsStatus)
def test_content_that_was_deleted_waits_when_a_later_version_of_the_record_says_it_again(status: CustomsStatus) -> None:
    deleted = newest(status, app_type=AppType.DELETE)
    assert judge(deleted, "same", 1) is Verdict.NOTHING  # the version it was deleted with
    expected = Verdict.WAIT_TO_BE_DECLARED_ANEW if status in ACCEPTED else Verdict.NOTHING
    assert judge(deleted, "same", 2) is expected


@pytest.mark.parametrize("app_type", AppType)
def test_customs_holds_what_it_accepted_when_it_never_heard_of_the_change_or_deletion(app_type: AppType) -> None:
    unheard = newest(CustomsStatus.NONE, is_carried=False, app_type=app_type)
    assert unheard.is_held is (app_type is not AppType.NEW)
    assert newest(CustomsStatus.RELEASED, app_type=app_type).is_held is (app_type is not AppType.DELETE)


@pytest.mark.parametrize("app_type", AppType)
def test_document_is_left_behind_unless_customs_never_got_it(app_type: AppType) -> None:
    key = SourceKey(collection="returns", key="RK1")
    unheard = newest(CustomsStatus.NONE, is_carried=False, app_type=app_type)
    standing = Standing(source=key, record_id=1, type="CEB213", guid="G", business_key="K", waybill="", export_list="")
    found = left_behind(message_type("CEB213"), [], [standing], {"K": unheard})
    assert found == ({} if app_type is AppType.NEW else {key: [standing]})

"""Submissions over the API: files that are taken once, progress, and an end."""

from __future__ import annotations

import base64
import io
import json
import uuid
import zipfile

import pytest

from tests.api.conftest import Program, program
from tests.factories import dicom, make_submission, png
from tests.house import House
from xrayportal.api import submissions
from xrayportal.audit.models import AuditEvent
from xrayportal.studies.models import Queue, Study, Submission, Upload

pytestmark = pytest.mark.django_db


def test_a_picture_goes_all_the_way(uploader: Program) -> None:
    opened = uploader.post("submissions", {"expected_files": 1})
    assert opened.status_code == 201
    pk = opened.json()["id"]
    assert opened.headers["Location"] == f"/api/v1/submissions/{pk}"
    sent = uploader.send(pk, "wrist.png", png(), key="one", patient_reference=" P  1 ")
    assert sent.status_code == 201, sent.content
    upload = sent.json()
    assert (upload["outcome"], upload["filename"], upload["kind"]) == ("accepted", "wrist.png", "")
    study = Study.objects.get(pk=upload["study"])
    assert study.patient_reference == "P 1"
    assert study.submission.source == Submission.Source.API
    assert study.submission.submitter == uploader.token.account
    finished = uploader.post(f"submissions/{pk}/finish").json()
    assert finished["state"] == "finished"
    assert finished["files"] == {"accepted": 1, "duplicate": 0, "rejected": 0, "applied": 0}
    assert finished["studies"]["total"] == 1
    assert not finished["is_final"]
    actors = AuditEvent.objects.filter(study_id=study.pk).values_list("actor_label", flat=True)
    assert set(actors) == {"API token “bridge”"}


def test_the_same_key_is_the_same_file(uploader: Program) -> None:
    pk = uploader.open()
    first = uploader.send(pk, "a.png", png(), key="one")
    again = uploader.send(pk, "b.png", png(shade=7), key="one")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert Upload.objects.count() == 1


def test_the_same_key_opens_one_submission(uploader: Program, house: House) -> None:
    first = uploader.post("submissions", {}, **{"idempotency-key": "batch-1"})
    again = uploader.post("submissions", {}, **{"idempotency-key": "batch-1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = program(house.clinic, house.admin, "uploader")
    assert other.post("submissions", {}, **{"idempotency-key": "batch-1"}).status_code == 201
    assert Submission.objects.count() == 2


def test_a_key_that_comes_twice_at_once_opens_the_senders_own(
    uploader: Program, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, key = program(house.clinic, house.admin, "admin"), {"idempotency-key": "batch-1"}
    uploader.post("submissions", {}, **key)  # which the admin sees as well
    own = admin.post("submissions", {}, **key).json()["id"]
    of_key, is_late = submissions._own_of_key, iter([False, True])
    monkeypatch.setattr(
        submissions,
        "_own_of_key",
        lambda access, key: of_key(access, key) if next(is_late) else of_key(access, key).none(),
    )
    again = admin.post("submissions", {}, **key)
    assert (again.status_code, again.json()["id"]) == (200, own)


def test_a_bad_file_is_an_outcome(uploader: Program) -> None:
    answer = uploader.send(uploader.open(), "notes.txt", b"nothing to see")
    assert answer.status_code == 201
    assert answer.json()["outcome"] == "rejected"
    assert "notes.txt" in answer.json()["sentence"]
    assert answer.json()["study"] is None


def test_an_archive_tells_what_was_inside(uploader: Program) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.png", png(shade=1))
        archive.writestr("b.png", png(shade=2))
    answer = uploader.send(uploader.open(), "both.zip", content.getvalue()).json()
    assert answer["outcome"] == "applied"
    assert [inner["filename"] for inner in answer["inside"]] == ["a.png", "b.png"]


def test_dicom_is_de_identified_as_everywhere(uploader: Program) -> None:
    pk = uploader.open()
    answer = uploader.send(pk, "IM0001", dicom())
    assert answer.json()["outcome"] == "accepted"
    study = Study.objects.get(pk=answer.json()["study"])
    assert study.patient_reference.startswith("P-")


def test_files_of_one_folder_are_one_study(uploader: Program) -> None:
    pk = uploader.open(grouping="folders")
    for number, path in enumerate(["sent/knee/a.png", "sent/knee/b.png", "sent/foot/a.png"]):
        uploader.send(pk, "a.png", png(shade=number), key=f"k{number}", path=path)
    uploader.post(f"submissions/{pk}/finish")
    assert sorted(study.images.count() for study in Study.objects.all()) == [1, 2]


def test_many_files_wait_behind_few(uploader: Program) -> None:
    few, many = uploader.open(expected_files=20), uploader.open(expected_files=21)
    asked = uploader.open(expected_files=1, queue="bulk")
    assert [Submission.objects.get(pk=pk).queue for pk in (few, many, asked)] == [
        Queue.INTERACTIVE,
        Queue.BULK,
        Queue.BULK,
    ]


def test_an_ended_submission_takes_no_more(uploader: Program) -> None:
    pk = uploader.open()
    uploader.send(pk, "a.png", png(), key="one")
    uploader.post(f"submissions/{pk}/finish")
    refused = uploader.send(pk, "b.png", png(shade=3), key="two")
    assert refused.status_code == 409
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert uploader.send(pk, "a.png", png(), key="one").status_code == 200
    cancelled = uploader.open()
    assert uploader.post(f"submissions/{cancelled}/cancel").json()["state"] == "cancelled"
    assert uploader.send(cancelled, "b.png", png(shade=3)).status_code == 409


@pytest.mark.parametrize("key", ["", "a" * 65, "with space", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_a_file_needs_a_plain_key(uploader: Program, key: str) -> None:
    assert uploader.send(uploader.open(), "a.png", png(), key=key).status_code == 422
    assert not Upload.objects.exists()


def test_files_go_into_own_submissions_only(uploader: Program, admin: Program, house: House) -> None:
    foreign = make_submission(house.clinic, house.uploader)
    assert uploader.send(str(foreign.pk), "a.png", png()).status_code == 404
    assert admin.send(str(foreign.pk), "a.png", png()).status_code == 404
    assert admin.post(f"submissions/{foreign.pk}/finish").status_code == 200  # as on the page


def test_lists_go_by_cursor(uploader: Program) -> None:
    made = [uploader.open() for _ in range(5)]
    found, cursor = [], ""
    while True:
        page = uploader.get(f"submissions?limit=2&cursor={cursor}").json()
        found += [row["id"] for row in page["items"]]
        if len(found) == 2:
            uploader.open()  # what comes meanwhile moves nothing
        cursor = page["next"]
        if cursor is None:
            break
    assert found == made[::-1]


@pytest.mark.parametrize("cursor", ["x", "W10", "WzEsMl0", "bm9wZQ"])
def test_a_made_up_cursor_is_refused(uploader: Program, cursor: str) -> None:
    answer = uploader.get(f"submissions?cursor={cursor}")
    assert answer.status_code == 404
    assert answer.json()["detail"]


def test_uploads_are_listed(uploader: Program) -> None:
    pk = uploader.open()
    for number in range(3):
        uploader.send(pk, f"{number}.png", png(shade=number), key=f"k{number}")
    page = uploader.get(f"submissions/{pk}/uploads?limit=2").json()
    rest = uploader.get(f"submissions/{pk}/uploads?limit=2&cursor={page['next']}").json()
    assert [row["filename"] for row in page["items"] + rest["items"]] == ["2.png", "1.png", "0.png"]
    assert rest["next"] is None


def test_nothing_new_is_a_304(uploader: Program) -> None:
    pk = uploader.open()
    first = uploader.get(f"submissions/{pk}")
    assert uploader.get(f"submissions/{pk}", **{"if-none-match": first.headers["ETag"]}).status_code == 304
    uploader.send(pk, "a.png", png())
    later = uploader.get(f"submissions/{pk}", **{"if-none-match": first.headers["ETag"]})
    assert later.status_code == 200
    assert later.headers["ETag"] != first.headers["ETag"]


def test_an_offset_that_only_python_knows_is_no_fault_of_ours(uploader: Program) -> None:
    position = ["2026-01-01T00:00:00+00:00:59.999999", str(uuid.uuid4())]
    cursor = base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")
    assert uploader.get(f"submissions?cursor={cursor}").status_code == 200

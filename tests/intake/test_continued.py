"""A folder whose upload is parted by a long pause stays one study, unless a reader has signed it already."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_bundle, png
from tests.house import House, Sender, browser
from tests.opinions import make_access, say
from xrayportal.analyses.models import Analysis
from xrayportal.studies.models import Study, Submission

FOLDER = "morning/knee"


def begin(sender: Sender, **fields: str) -> dict[str, str]:
    answer = sender.client.post(
        reverse("submissions", args=[sender.clinic.slug]), {"expected_files": 2, **fields}
    )
    assert answer.status_code == 201
    addresses: dict[str, str] = answer.json()
    return addresses


def send(sender: Sender, begun: dict[str, str], name: str, text: str) -> Study:
    answer = sender.send(begun, name, png(text=text), path=f"{FOLDER}/{name}")
    assert answer.status_code == 201, answer.content
    return Study.objects.get(images__uploads=answer.json()["id"])


@pytest.fixture
def parted(sender: Sender) -> tuple[dict[str, str], Study]:
    """One view of the folder came, then the submission was ended."""
    make_bundle()
    first = begin(sender)
    study = send(sender, first, "a.png", "a")
    sender.finish(first)
    return first, study


def test_the_rest_of_the_folder_joins_the_study_and_is_analysed_with_it(
    sender: Sender, parted: tuple[dict[str, str], Study]
) -> None:
    first, study = parted
    Analysis.objects.update(state="cancelled", finished_at=timezone.now())
    second = begin(sender, continues=first["id"])
    assert send(sender, second, "b.png", "b") == study
    sender.finish(second)
    study.refresh_from_db()
    assert (study.state, study.submission_id, study.images.count()) == ("sealed", uuid.UUID(first["id"]), 2)
    assert list(study.analyses.order_by("requested_at").values_list("state", flat=True)) == [
        "cancelled",
        "queued",
    ]
    third = begin(sender, continues=second["id"])  # a second pause
    assert send(sender, third, "c.png", "c") == study
    assert {str(one.continues_id) for one in Submission.objects.exclude(pk=first["id"])} == {first["id"]}


def test_a_signed_study_stays_as_it_was_signed(sender: Sender, parted: tuple[dict[str, str], Study]) -> None:
    first, study = parted
    reader = make_access(sender.clinic)
    say(reader, study, "normal", sign=False)
    second = begin(sender, continues=first["id"])
    assert send(sender, second, "b.png", "b") == study  # a draft is no signature
    sender.finish(second)
    study.refresh_from_db()
    say(reader, study, "normal")
    third = begin(sender, continues=second["id"])
    rest = send(sender, third, "c.png", "c")
    assert rest != study
    assert send(sender, third, "d.png", "d") == rest


@pytest.mark.parametrize("named", ["nonsense", "open", "of somebody else", "elsewhere"])
def test_only_ones_own_ended_submission_is_continued(
    house: House, sender: Sender, parted: tuple[dict[str, str], Study], named: str
) -> None:
    first, study = parted
    if named == "open":
        Submission.objects.update(state="open")
    elif named == "of somebody else":
        sender = Sender(browser(house.reader), house.clinic)
    unknown = {"nonsense": named, "elsewhere": str(uuid.uuid4())}
    second = begin(sender, continues=unknown.get(named, first["id"]))
    assert Submission.objects.get(pk=second["id"]).continues is None
    assert send(sender, second, "b.png", "b") != study

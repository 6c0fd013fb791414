"""Seeded rows keep every constraint, and work on every page."""

from __future__ import annotations

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from tests.factories import make_study
from tests.house import House, browser
from xrayportal.analyses.models import Analysis, Bundle, Finding
from xrayportal.audit.models import AuditEvent
from xrayportal.audit.services import verify
from xrayportal.clinics.models import Role
from xrayportal.operations.seeding.copying import copy_rows
from xrayportal.reviews.consensus import derive_consensus
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Image, Study, Submission, Upload


def test_rows_have_a_realistic_spread(full: House) -> None:
    studies = Study.objects.filter(clinic=full.clinic)
    assert studies.count() == 120
    connection.check_constraints()
    states = set(Analysis.objects.values_list("state", flat=True))
    assert {"queued", "succeeded"} <= states
    assert Analysis.objects.filter(state="queued").count() == 5
    assert len(set(studies.values_list("result_body_part", flat=True))) > 5
    assert {"normal", "abnormal"} <= set(studies.values_list("result_verdict", flat=True))
    assert studies.filter(current__isnull=False).exclude(current__state="succeeded").count() == 0
    assert Image.objects.count() > 120
    assert Upload.objects.filter(outcome="accepted").count() == Image.objects.count()
    oldest = studies.order_by("created_at")[0].created_at
    assert (studies.order_by("-created_at")[0].created_at - oldest).days > 5
    assert Submission.objects.exclude(submitter__memberships__role=Role.UPLOADER).count() == 0


def test_consensus_rows_follow_from_reviews(full: House) -> None:
    assert Consensus.objects.exists()
    for consensus in Consensus.objects.all():
        derived = derive_consensus(
            Review.objects.filter(study=consensus.study_id).order_by("created_at", "id")
        )
        assert (consensus.state, consensus.verdict, consensus.readers) == (
            derived.state,
            derived.verdict,
            derived.readers,
        )


def test_files_are_few_and_there(full: House) -> None:
    names = set(Image.objects.values_list("file", flat=True))
    for field in ("display_file", "thumbnail_file", "overlay_file", "map_file"):
        names |= set(Finding.objects.values_list(field, flat=True))
    names.discard("")
    assert len(names) == 5
    assert all(default_storage.exists(name) for name in names)


def test_one_event_tells_it_and_the_chain_is_whole(full: House) -> None:
    event = AuditEvent.objects.get(clinic=full.clinic)
    assert event.detail == {"seeded_studies": 120}
    assert verify(clinic=full.clinic).is_whole


def test_a_clinic_with_real_studies_is_left_alone(house: House) -> None:
    make_study(house.clinic)
    with pytest.raises(CommandError, match="holds real studies"):
        call_command("seed_studies", "--clinic", house.clinic.slug, "--studies", "3")
    assert Study.objects.count() == 1
    call_command("seed_studies", "--clinic", house.clinic.slug, "--studies", "3", "--force")
    call_command("seed_studies", "--clinic", house.clinic.slug, "--studies", "2", "--force")
    assert Study.objects.count() == 6


@pytest.mark.parametrize(
    "words",
    [
        ["--clinic", "nowhere"],
        ["--clinic", "{slug}", "--studies", "0"],
        ["--clinic", "{slug}", "--studies", "2", "--waiting", "3"],
    ],
)
def test_nonsense_is_refused(house: House, words: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("seed_studies", *[word.format(slug=house.clinic.slug) for word in words])
    assert not Study.objects.exists()


def test_no_bundle_no_rows(house: House) -> None:
    Bundle.objects.all().delete()
    with pytest.raises(CommandError):
        call_command("seed_studies", "--clinic", house.clinic.slug, "--studies", "3")
    assert not Study.objects.exists()


def test_copy_keeps_every_character(house: House) -> None:
    make_study(house.clinic)
    strange = "a\tb\\nc\nd\r\\."
    upload = Upload(
        submission=Submission.objects.get(),
        key="k",
        filename=strange,
        outcome="rejected",
        sentence=strange,
        created_at=house.clinic.created_at,
    )
    copy_rows([upload])
    stored = Upload.objects.get(pk=upload.pk)
    assert (stored.filename, stored.sentence, stored.image) == (strange, strange, None)
    copy_rows([])


def test_pages_show_them(full: House) -> None:
    study = Study.objects.filter(current__verdict="abnormal")[0]
    page = browser(full.admin).get(reverse("study", args=[full.clinic.slug, study.pk]))
    assert "Fracture suspected" in page.content.decode()

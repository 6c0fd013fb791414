"""No address reveals the prediction to a blind reader: every answer is the same, byte for byte.

Every address of a clinic is requested twice, with two different predictions of the same study in the
database. A new address is covered as soon as it exists.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.converters import UUIDConverter
from django.utils import timezone

from tests.factories import make_analysis, make_clinic, make_study, make_submission
from tests.opinions import make_access, say
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.clinics.models import Role
from xrayportal.studies.models import Study
from xrayportal.worklist.models import ReadingSession

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

#: Addresses whose rows are chosen and ordered by the query.
LISTS = {"worklist", "submissions", "submission", "history", "scorecard", "disagreements"}
#: They answer to POST only.
EXPORTS = {"submission-results", "submission-pictures", "history-export"}
QUERIES = ["", "?seen=0"]
LIST_QUERIES = [
    "",
    "?verdict=abnormal",
    "?body_part=knee",
    "?sort=urgency",
    "?sort=body_part",
    "?list=review",
    "?state=done",
    "?review_status=model",
    "?readers=abnormal&basis=all",
]
DISK = shutil.disk_usage("/")
KINDS = ["display", "thumbnail", "overlay", "map"]


def reading_session(study: Study, access: ClinicAccess) -> ReadingSession:
    """The person's own, over all studies, with this one last."""
    others = Study.objects.filter(clinic=study.clinic).exclude(pk=study.pk).order_by("pk")
    studies = [*others.values_list("pk", flat=True), study.pk]
    session, _is_new = ReadingSession.objects.get_or_create(
        pk=uuid.UUID(int=7), defaults={"user": access.user, "clinic": study.clinic, "studies": studies}
    )
    return session


def clinic_addresses(study: Study, finding: Finding, access: ClinicAccess) -> Iterator[tuple[str, str]]:
    """(name, address) of everything under ``/c/<clinic>/``, filled in for this study."""
    values = {
        "clinic": study.clinic.slug,
        "study": study.pk,
        "submission": study.submission_id,
        "analysis": finding.analysis_id,
        "bundle": finding.analysis.bundle_id,
        "finding": finding.pk,
        "image": finding.image_id,
        "user": access.user.pk,
        "view": 1,
        "session": reading_session(study, access).pk,
    }
    neighbour = Study.objects.exclude(pk=study.pk).filter(clinic=study.clinic).first()
    assert neighbour is not None
    for name in ("study", "study-result"):
        yield name, reverse(name, args=[study.clinic.slug, neighbour.pk]) + f"?beside={study.pk}"
        # The pictures of this study are fetched ahead there.
        yield name, reverse(name, args=[study.clinic.slug, neighbour.pk]) + f"?reading={values['session']}"
    for pattern in _patterns(get_resolver()):
        converters = pattern.pattern.converters
        names = set(converters)
        if "clinic" not in names or not pattern.name:
            continue
        others = {name for name in names - set(values) if converters[name].regex != UUIDConverter.regex}
        assert others <= {"kind"}, f"Teach this test to fill in {others} of {pattern.name}"
        # Rows that have nothing to do with the study: one that is not there.
        filled = {name: values.get(name, uuid.UUID(int=1)) for name in names - {"kind"}}
        for kind in KINDS if "kind" in names else [None]:
            yield pattern.name, reverse(pattern.name, kwargs=filled | ({"kind": kind} if kind else {}))


def _patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            if entry.app_name != "admin":
                yield from _patterns(entry)
        else:
            yield entry


def answers(
    access: ClinicAccess, study: Study, finding: Finding
) -> dict[str, tuple[int, bytes, dict[str, str]]]:
    """The answer of each address to this person now, headers included, without the token of every page.

    Rows that the requests themselves write (who looked when) are rolled back, but for the numbers of rows.
    """
    cache.clear()  # the counts of the tabs are those of each round, however long the one before took
    client = Client()
    client.force_login(access.user)
    answers = {}
    with transaction.atomic():
        for name, address in clinic_addresses(study, finding, access):
            for query in LIST_QUERIES if name in LISTS else QUERIES:
                for headers in ({}, {"HX-Request": "true"}):
                    full = address + (query.replace("?", "&") if "?" in address else query)
                    answer = (client.post if name in EXPORTS else client.get)(full, headers=headers)
                    content = b"".join(answer) if answer.streaming else answer.content
                    content = re.sub(rb"[A-Za-z0-9]{64}|event-[0-9]+", b"", content)
                    kept = {key: re.sub("[A-Za-z0-9]{64}", "", value) for key, value in answer.items()}
                    kept.pop("Content-Length", None)  # the numbers of events have more digits as time goes by
                    kept.pop("X-Request-ID", None)  # another for every request
                    answers[f"{name} {full} {headers}"] = (answer.status_code, content, kept)
        transaction.set_rollback(True)
    return answers


def predict(analysis: Analysis, verdict: str, probability: float | None, body_part: str) -> None:
    """Make this the result, as a worker would; without a probability the study is unsupported."""
    is_supported = probability is not None
    body_parts = {body_part: 0.9} if is_supported else {}
    Analysis.objects.filter(pk=analysis.pk).update(
        verdict=verdict, probability=probability, body_part=body_part, body_parts=body_parts
    )
    # Setting it again lets the database repeat the result in the study's own row.
    Study.objects.filter(current=analysis).update(current=analysis)
    for finding in Finding.objects.filter(analysis=analysis):
        Finding.objects.filter(pk=finding.pk).update(
            verdict=verdict,
            probability=probability,
            body_parts=body_parts,
            peak_x=round(20 * probability) if probability is not None else None,
            trust=probability,
            overlay_file=finding.overlay_file if is_supported else "",
            map_file=finding.map_file if is_supported else "",
        )
        for name in (finding.overlay_file, finding.map_file):
            default_storage.delete(name)
            default_storage.save(name, ContentFile(f"{verdict} {probability}".encode()))


NORMAL, UNSUPPORTED = ("normal", 0.04, "knee"), ("unsupported", None, "")


@pytest.mark.parametrize(
    ("roles", "others"),
    [
        ([Role.READER], [NORMAL]),
        ([Role.READER, Role.UPLOADER], [UNSUPPORTED]),
        ([Role.READER, Role.ADMIN], [NORMAL, UNSUPPORTED]),
    ],
)
def test_every_answer_is_the_same_whatever_the_prediction(
    roles: list[str], others: list[tuple[str, float | None, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = make_clinic(blind_first=True)
    access, colleague = make_access(clinic, *roles), make_access(clinic)
    study = make_study(clinic, make_submission(clinic, access.user), patient_reference="REF-7")
    analysis = make_analysis(study)
    # A neighbour to be ordered against and compared with, on which the reader has spoken already.
    other = make_study(clinic, study.submission, patient_reference="REF-7")
    make_analysis(other, probability=0.5, verdict="uncertain")
    say(access, other, "normal")
    # A colleague's opinion after seeing the prediction would reveal it, too.
    say(colleague, study, "abnormal")
    finding = Finding.objects.get(analysis=analysis)
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    # The disk fills while the test asks; that tells nothing of a prediction.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: DISK)
    monkeypatch.setattr("xrayportal.worklist.counts._REMEMBERED_SECONDS", 3600)

    predict(analysis, "abnormal", 0.93, "wrist")
    first = answers(access, study, finding)
    assert len(first) > 100
    for otherwise in others:
        predict(analysis, *otherwise)
        second = answers(access, study, finding)
        told = [address for address in first if first[address] != second[address]]
        assert told == []


def test_after_the_own_opinion_the_answers_differ() -> None:
    """So the test above would find a leak."""
    clinic = make_clinic(blind_first=True)
    access = make_access(clinic)
    study = make_study(clinic, make_submission(clinic, access.user))
    make_study(clinic, study.submission)
    analysis = make_analysis(study)
    say(access, study, "normal")
    finding = Finding.objects.get(analysis=analysis)

    predict(analysis, "abnormal", 0.93, "wrist")
    first = answers(access, study, finding)
    predict(analysis, "normal", 0.04, "knee")
    second = answers(access, study, finding)

    differing = {address.split()[0] for address in first if first[address] != second[address]}
    assert {"worklist", "study", "study-result", "finding-file", "submission-progress"} <= differing
    assert {"submission-results", "submission-pictures"} <= differing

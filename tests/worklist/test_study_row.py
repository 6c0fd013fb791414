"""Rows of the worklist: shared by all who may see the same, and by nobody else."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone, translation

from tests.factories import make_analysis, make_clinic, make_study
from tests.opinions import make_access, say
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis
from xrayportal.clinics.models import Role
from xrayportal.studies.models import Study
from xrayportal.web.worklist.rows import Filters, bundles_of, worklist_page
from xrayportal.web.worklist.study_row import Row, rendered, row_of
from xrayportal.worklist.services import mark_read

pytestmark = pytest.mark.django_db


def seen_by(access: ClinicAccess) -> Row:
    page = worklist_page(access, Filters(), None)
    [study] = page
    return row_of(access, study, bundles_of(page))


def analysed(**fields: bool) -> Study:
    study = make_study(make_clinic(**fields), patient_reference="NH-1")
    make_analysis(study, verdict="abnormal", probability=0.87, body_part="wrist")
    return study


def test_two_readers_who_see_the_same_share_one_row() -> None:
    study = analysed()
    first, second = make_access(study.clinic), make_access(study.clinic)
    assert seen_by(first) == seen_by(second)
    assert rendered(seen_by(first)) is rendered(seen_by(second))
    assert "NH-1" in rendered(seen_by(first))
    # Who has opened it sees another row.
    mark_read(first, [study.pk])
    assert seen_by(first) != seen_by(second)
    assert rendered(seen_by(first)) != rendered(seen_by(second))


def test_a_row_for_a_blind_reader_holds_nothing_of_the_prediction() -> None:
    study = analysed(blind_first=True)
    blind, admin = make_access(study.clinic), make_access(study.clinic, Role.ADMIN)
    row = seen_by(blind)
    assert row.is_hidden
    assert row.result is None
    assert "wrist" not in repr(row)
    assert "0.87" not in rendered(row)
    assert "0.87" in rendered(seen_by(admin))
    assert "0.87" not in rendered(seen_by(blind)), "also once the admin's has been made"
    say(blind, study, sign=False)
    assert "0.87" in rendered(seen_by(blind))


def test_the_review_status_is_for_those_who_see_all() -> None:
    study = analysed()
    sender = make_access(study.clinic, Role.UPLOADER)
    study.submission.submitter = sender.user
    study.submission.save()
    reader = make_access(study.clinic)
    say(reader, study, "abnormal")
    assert seen_by(reader).review_status
    assert not seen_by(sender).review_status


def test_each_language_and_zone_has_its_own_row() -> None:
    access = make_access(analysed().clinic)
    rows = set()
    for language in ("en", "de"):
        for zone in ("Europe/Berlin", "Asia/Tokyo"):
            with translation.override(language), timezone.override(ZoneInfo(zone)):
                rows.add(rendered(seen_by(access)))
    assert len(rows) == 4


def test_the_state_is_the_reader_s_own() -> None:
    study = analysed()
    reader, colleague = make_access(study.clinic), make_access(study.clinic)
    admin = make_access(study.clinic, Role.ADMIN)

    def state(access: ClinicAccess) -> str:
        return seen_by(access).status.words

    assert (state(reader), state(admin)) == ("Unread", "Done")
    mark_read(reader, [study.pk])
    assert state(reader) == "Opened"
    say(reader, study, "normal", sign=False)
    assert (state(reader), state(colleague), state(admin)) == ("Draft", "Unread", "Done")
    assert "draft-mark" in rendered(seen_by(reader))
    assert "draft-mark" not in rendered(seen_by(colleague))
    say(reader, study, "normal")
    assert (state(reader), state(colleague)) == ("Signed", "Unread")
    assert "draft-mark" not in rendered(seen_by(reader))
    say(colleague, study, "abnormal")
    assert (state(reader), state(colleague)) == ("Readers disagree", "Readers disagree")
    assert rendered(seen_by(reader)).count("Readers disagree") == 1
    # Without a result the analysis is what counts.
    make_analysis(study, Analysis.State.FAILED)
    assert state(reader) == "Analysis failed"

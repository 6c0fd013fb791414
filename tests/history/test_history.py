"""The history: filters, pages by cursor, export; blind first for admins who also read."""

from __future__ import annotations

import codecs
import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_analysis, make_bundle, make_clinic, make_study
from tests.house import House, browser
from tests.opinions import make_access, say
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Clinic, Role
from xrayportal.reviews import history
from xrayportal.reviews.history import Cursor, Filters, matching_studies, page_of
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db


def study_of(clinic: Clinic, at: datetime | None = None, **analysis: Any) -> Study:
    study = make_study(clinic)
    make_analysis(study, **analysis)
    if at:
        Study.objects.filter(pk=study.pk).update(created_at=at)
    return study


def ask(access: ClinicAccess, **query: object) -> set[Study]:
    address = QueryDict(mutable=True)
    address.update({name: str(value) for name, value in query.items()})
    return set(matching_studies(access, Filters.read(address)))


def test_filters_by_verdict_body_part_reader_and_review_status(clinic: Clinic, admin: ClinicAccess) -> None:
    first, second = make_access(clinic), make_access(clinic)
    normal = study_of(clinic, verdict="normal", body_part="knee")
    missed = study_of(clinic, verdict="normal", body_part="hand")
    split = study_of(clinic, verdict="abnormal")
    study_of(make_clinic())
    make_study(clinic)
    say(first, missed, "abnormal", body_part="wrist")
    say(first, split, "normal")
    say(second, split, "abnormal")

    assert ask(admin) == {normal, missed, split}
    assert ask(admin, verdict="abnormal") == {split}
    assert ask(admin, body_part="knee") == {normal}
    assert ask(admin, body_part="wrist") == {missed, split}
    assert ask(admin, body_part="hand") == set()
    assert ask(admin, reader=second.user.pk) == {split}
    assert ask(admin, review_status="none") == {normal}
    assert ask(admin, review_status="disagreed") == {split}
    assert ask(admin, review_status="model") == {missed}
    assert ask(admin, readers="abnormal", basis="all") == {missed}
    assert ask(admin, readers="abnormal", basis="blind") == set()
    assert ask(admin, verdict="unknown", review_status="x", bundle="-1", reader="x") == {
        normal,
        missed,
        split,
    }


def test_the_period_is_in_the_clinics_days() -> None:
    clinic = make_clinic(time_zone="Pacific/Auckland")
    admin = make_access(clinic, Role.ADMIN)
    # 13 hours ahead in November: the 10th there begins at 11:00 UTC on the 9th.
    late = study_of(clinic, datetime(2026, 11, 9, 10, 59, tzinfo=UTC))
    first = study_of(clinic, datetime(2026, 11, 9, 11, 0, tzinfo=UTC))
    last = study_of(clinic, datetime(2026, 11, 10, 10, 59, tzinfo=UTC))

    assert ask(admin, **{"from": "2026-11-10", "to": "2026-11-10"}) == {first, last}
    assert ask(admin, to="2026-11-09") == {late}
    assert ask(admin, **{"from": "soon"}) == {late, first, last}
    assert ask(admin, to="9999-12-31") == {late, first, last}


def test_a_bundle_means_its_own_result(clinic: Clinic, admin: ClinicAccess) -> None:
    study = study_of(clinic, verdict="normal", body_part="knee")
    shadow = make_bundle(is_active=False)
    make_analysis(
        study, bundle=shadow, purpose=Analysis.Purpose.SHADOW, verdict="abnormal", body_part="tibia"
    )
    current = study.current
    assert current is not None

    assert ask(admin, bundle=shadow.pk, verdict="abnormal", body_part="tibia") == {study}
    assert ask(admin, bundle=current.bundle.pk, verdict="abnormal") == set()
    page = client_of(admin).get(reverse("history", args=[clinic.slug]), {"bundle": shadow.pk})
    assert shadow.name in page.content.decode()
    assert "Fracture suspected" in page.content.decode()


def test_readers_against_model_means_the_bundle_that_is_chosen(clinic: Clinic, admin: ClinicAccess) -> None:
    study = study_of(clinic, verdict="normal")
    shadow = make_bundle(is_active=False)
    make_analysis(study, bundle=shadow, purpose=Analysis.Purpose.SHADOW, verdict="abnormal")
    say(make_access(clinic), study, "abnormal")
    assert study.current is not None

    assert ask(admin, review_status="model") == {study}
    assert ask(admin, review_status="model", bundle=study.current.bundle.pk) == {study}
    assert ask(admin, review_status="model", bundle=shadow.pk) == set()


def test_a_shadow_answer_is_found_where_the_primary_analysis_failed(
    clinic: Clinic, admin: ClinicAccess
) -> None:
    study = make_study(clinic)
    make_analysis(study, Analysis.State.FAILED)
    shadow = make_bundle(is_active=False)
    make_analysis(study, bundle=shadow, purpose=Analysis.Purpose.SHADOW, verdict="abnormal")

    assert ask(admin) == set()
    assert ask(admin, bundle=shadow.pk) == {study}
    page = client_of(admin).get(reverse("history", args=[clinic.slug]), {"bundle": shadow.pk})
    assert str(study.pk) in page.content.decode()


def test_pages_follow_cursors_and_lose_nothing(clinic: Clinic, admin: ClinicAccess) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    # Pairs of studies from the same moment: the cursor must tell them apart.
    studies = [study_of(clinic, start + timedelta(days=number // 2)) for number in range(7)]
    everything = list(Study.objects.order_by("-created_at", "-pk"))
    rows = matching_studies(admin, Filters())

    seen: list[Study] = []
    page = page_of(rows, before=None, after=None, size=3)
    assert page.newer is None
    seen += page.studies
    while page.older:
        previous = page
        page = page_of(rows, before=Cursor.read(str(page.older)), after=None, size=3)
        back = page_of(rows, before=None, after=page.newer, size=3)
        assert back.studies == previous.studies
        seen += page.studies

    assert seen == everything
    assert len(seen) == len(studies)
    assert (
        page_of(rows, before=None, after=page_of(rows, before=None, after=None).older, size=3).newer is None
    )


@pytest.mark.parametrize("text", ["", "nonsense", "2026-01-01,x", "2026-01-01T00:00:00,0", "x" * 3000])
def test_another_text_is_no_cursor(text: str) -> None:
    assert Cursor.read(text) is None


def client_of(access: ClinicAccess) -> Client:
    client = Client()
    client.force_login(access.user)
    return client


@pytest.mark.parametrize("role", [Role.UPLOADER, Role.READER])
@pytest.mark.parametrize("name", ["history", "history-export", "scorecard", "people", "clinic-settings"])
def test_only_admins_come_here(clinic: Clinic, role: str, name: str) -> None:
    where = reverse(name, args=[clinic.slug])
    for access in (make_access(clinic, role), make_access(make_clinic(), Role.ADMIN)):
        client = client_of(access)
        answer = client.post(where) if name == "history-export" else client.get(where)
        assert answer.status_code == 404
    assert Client().get(where).status_code == 302


def test_the_page_costs_the_same_for_one_and_many(clinic: Clinic, admin: ClinicAccess) -> None:
    client = client_of(admin)
    reader = make_access(clinic)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse("history", args=[clinic.slug])).status_code == 200
        return len(captured)

    say(reader, study_of(clinic), "normal")
    queries()  # counts in the sidebar are remembered for a while
    one = queries()
    for _ in range(4):
        say(reader, study_of(clinic), "abnormal")
    assert queries() == one <= 14


@pytest.mark.parametrize("few", [0, 500])
def test_many_and_few_are_paged_alike(
    clinic: Clinic, admin: ClinicAccess, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to ``FEW`` studies are loaded by their ids."""
    monkeypatch.setattr(history, "FEW", few)
    monkeypatch.setattr(history.page_of, "__kwdefaults__", {"size": 2})
    start = datetime(2026, 1, 1, tzinfo=UTC)
    studies = [study_of(clinic, start + timedelta(days=day), verdict="abnormal") for day in range(5)]
    study_of(clinic, verdict="normal")
    where = reverse("history", args=[clinic.slug])

    first = client_of(admin).get(where, {"verdict": "abnormal"}).context
    second = client_of(admin).get(where, {"verdict": "abnormal", "before": str(first["page"].older)}).context

    assert [row.study for row in first["rows"]] == [study.pk for study in studies[:-3:-1]]
    assert [row.study for row in second["rows"]] == [study.pk for study in studies[2:0:-1]]
    assert first["count"] == second["count"] == 5


def test_an_admin_who_reads_finds_only_what_they_gave_an_opinion_on() -> None:
    clinic = make_clinic(blind_first=True)
    both, admin = make_access(clinic, Role.ADMIN, Role.READER), make_access(clinic, Role.ADMIN)
    mine, other = study_of(clinic), study_of(clinic)
    say(both, mine)

    assert ask(both) == {mine}
    assert ask(admin) == {mine, other}
    for name in ("history", "scorecard"):
        assert (
            "You are also a reader here"
            in client_of(both).get(reverse(name, args=[clinic.slug])).content.decode()
        )
    export = client_of(both).post(reverse("history-export", args=[clinic.slug]))
    text = b"".join(export.streaming_content).decode()  # type: ignore[attr-defined]
    assert str(mine.pk) in text
    assert str(other.pk) not in text


def test_the_export_streams_what_the_filters_find(clinic: Clinic, admin: ClinicAccess) -> None:
    study = study_of(clinic, verdict="abnormal")
    Study.objects.filter(pk=study.pk).update(patient_reference="=HYPERLINK(1)")
    say(make_access(clinic), study, "normal")
    study_of(clinic, verdict="normal")

    answer = client_of(admin).post(reverse("history-export", args=[clinic.slug]) + "?verdict=abnormal")
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))

    assert content.startswith(codecs.BOM_UTF8)  # else Excel reads umlauts as two signs each
    assert lines[0][0] == "Research use only. Not a diagnosis."
    assert len(lines) == 3
    row = dict(zip(lines[1], lines[2], strict=True))
    assert row["patient_reference"] == "'=HYPERLINK(1)"
    assert (row["model_verdict"], row["readers_verdict"], row["probability"]) == (
        "abnormal",
        "normal",
        "0.8700",
    )
    event = AuditEvent.objects.get(action=Action.EXPORTED)
    assert event.detail == {"kind": "history", "filters": ["verdict"]}
    assert answer.streaming


def test_an_export_is_asked_for_by_post(clinic: Clinic, admin: ClinicAccess) -> None:
    assert client_of(admin).get(reverse("history-export", args=[clinic.slug])).status_code == 405


def test_the_filters_bring_the_rows_alone(house: House) -> None:
    make_analysis(make_study(house.clinic, patient_reference="NH-1"))
    client, address = browser(house.admin), reverse("history", args=[house.clinic.slug])
    part = client.get(address, headers={"hx-request": "true"}).content.decode()
    assert "NH-1" in part
    assert "<html" not in part
    back = client.get(address, headers={"hx-request": "true", "hx-history-restore-request": "true"})
    assert "<html" in back.content.decode()


def test_periods_are_chosen_by_name_and_keep_the_other_filters(house: House) -> None:
    # Where the day is not about to end: it began between one and two hours ago.
    house.clinic.time_zone = f"Etc/GMT{(datetime.now(UTC).hour + 11) % 24 - 12:+}"
    house.clinic.save()
    make_analysis(make_study(house.clinic, patient_reference="NH-1"))
    address = reverse("history", args=[house.clinic.slug])
    page = browser(house.admin).get(address + "?body_part=wrist").content.decode()
    links = {word: query for query, word in re.findall(r'href="(\?[^"]*)"[^>]*>([^<]+)</a>', page)}
    today = timezone.now().astimezone(ZoneInfo(house.clinic.time_zone)).date()
    first = (today - timedelta(days=6)).isoformat()
    query = links["Last 7 days"].replace("&amp;", "&")
    assert query == f"?body_part=wrist&from={first}&to={today.isoformat()}"
    chosen = browser(house.admin).get(address + query).content.decode()
    assert "NH-1" in chosen
    assert re.search(r'aria-current="true">Last 7 days', chosen)

"""Tabs, orders, read marks, saved views and bulk actions of the worklist; blind reading in each."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from tests.counting import counted
from tests.factories import make_analysis, make_study, make_submission
from tests.house import House, browser
from tests.opinions import make_access, say
from xrayportal.access import ClinicAccess, access_of
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Membership, User
from xrayportal.studies.models import Study
from xrayportal.worklist.counts import tab_counts
from xrayportal.worklist.models import SavedView, StudyViewed, Unopened

SEVERAL = "worklist-bulk-action"


def listed(house: House, person: User, query: str = "?list=all") -> list[str]:
    """The references on the page, in order."""
    page = browser(person).get(reverse("worklist", args=[house.clinic.slug]) + query).content.decode()
    return re.findall(r'class="row-link"[^>]*>(?:<span.*?</span></span>)?(NH-[-\w]+)', page)


def listed_names(house: House, tab: str) -> list[str]:
    """The last parts of the references in a tab, sorted."""
    page = browser(house.reader).get(reverse("worklist", args=[house.clinic.slug]), {"list": tab})
    return sorted(re.findall(r">(?:<span[^>]*>.*?</span></span>)?T-(\w+)</a>", page.content.decode()))


def done(house: House, reference: str, hours: float = 0, **fields: Any) -> Study:
    study = make_study(house.clinic, patient_reference=reference)
    make_analysis(study, **fields)
    at = timezone.now() - timedelta(hours=hours)
    Study.objects.filter(pk=study.pk).update(created_at=at)
    Unopened.objects.filter(study=study).update(since=at)
    return study


def access(house: House, user: User) -> ClinicAccess:
    return access_of(user, Membership.objects.filter(user=user, clinic=house.clinic).select_related("clinic"))


def look(house: House, person: User, study: Study) -> None:
    assert browser(person).get(reverse("study", args=[house.clinic.slug, study.pk])).status_code == 200


def act(house: House, person: User, action: str, *studies: Any, **fields: str) -> Any:
    address = reverse(SEVERAL, args=[house.clinic.slug])
    ids = [str(getattr(study, "pk", study)) for study in studies]
    return browser(person).post(
        address, {"action": action, "study": ids, **fields}, headers={"HX-Request": "true"}
    )


@pytest.fixture
def urgent(house: House) -> list[Study]:
    """Two studies that waited too long, then a high and a low probability, and one without a result."""
    studies = [
        done(house, "NH-late", 30, verdict="normal", probability=0.05),
        done(house, "NH-later", 50, verdict="normal", probability=0.1),
        done(house, "NH-high", 3, verdict="abnormal", probability=0.9),
        done(house, "NH-low", 2, verdict="normal", probability=0.1),
    ]
    return [*studies, make_study(house.clinic, patient_reference="NH-none")]


def test_urgency_buries_nothing(house: House, urgent: list[Study]) -> None:
    assert listed(house, house.admin, "?sort=urgency") == [
        "NH-later",
        "NH-late",
        "NH-high",
        "NH-low",
        "NH-none",
    ]
    # Opened by a reader, it waits no more; an admin's look is no reading.
    look(house, house.admin, urgent[1])
    look(house, house.reader, urgent[0])
    assert listed(house, house.admin, "?sort=urgency") == [
        "NH-later",
        "NH-high",
        "NH-low",
        "NH-late",
        "NH-none",
    ]


def test_urgency_tells_a_blind_reader_nothing(house: House, urgent: list[Study]) -> None:
    house.clinic.blind_first = True
    house.clinic.save()
    before = listed(house, house.reader, "?sort=urgency")
    assert before == ["NH-later", "NH-late", "NH-high", "NH-low", "NH-none"]
    for study, probability in zip(urgent[2:4], (0.1, 0.9), strict=True):
        make_analysis(study, verdict="abnormal", probability=probability, body_part="knee")
    assert listed(house, house.reader, "?sort=urgency") == before
    assert listed(house, house.reader, "?sort=body_part") == listed(house, house.reader)


def test_orders(house: House, urgent: list[Study]) -> None:
    assert listed(house, house.reader) == ["NH-none", "NH-low", "NH-high", "NH-late", "NH-later"]
    assert listed(house, house.reader, "?sort=oldest") == listed(house, house.reader)[::-1]
    make_analysis(urgent[3], body_part="ankle", verdict="normal", probability=0.1)
    assert listed(house, house.reader, "?sort=body_part")[0] == "NH-low"
    assert listed(house, house.reader, "?sort=body_part")[-1] == "NH-none"
    newest = make_submission(house.clinic, house.uploader)
    make_study(submission=newest, patient_reference="NH-b")
    make_study(submission=urgent[0].submission, patient_reference="NH-a")
    by_submission = listed(house, house.reader, "?sort=submission")
    assert by_submission[0] == "NH-b"
    assert by_submission[-2:] == ["NH-late", "NH-a"]
    assert listed(house, house.reader, "?sort=nonsense&list=nonsense") == listed(house, house.reader)


def test_pages_go_on_over_the_seam(
    house: House, monkeypatch: pytest.MonkeyPatch, urgent: list[Study]
) -> None:
    monkeypatch.setattr("xrayportal.web.worklist.rows.PER_PAGE", 3)
    pages = [listed(house, house.reader, f"?sort=urgency&page={number}") for number in (1, 2)]
    assert pages == [["NH-later", "NH-late", "NH-high"], ["NH-low", "NH-none"]]


def test_lists(house: House, urgent: list[Study]) -> None:
    look(house, house.reader, urgent[0])
    assert "NH-late" not in listed(house, house.reader, "?list=unread")
    assert "NH-late" in listed(house, house.admin, "?list=unread")
    say(access(house, house.reader), urgent[2], "normal")
    assert listed(house, house.reader, "?list=mine") == ["NH-high"]
    assert listed(house, house.reader, "?list=review") == ["NH-low", "NH-late", "NH-later"]
    sender = urgent[0].submission.submitter
    assert sender is not None
    assert listed(house, sender, "?list=mine") == ["NH-late"]
    assert listed(house, house.reader, "?list=disagreements") == []
    # An uploader gets neither the tab nor what it would tell.
    page = browser(house.uploader).get(reverse("worklist", args=[house.clinic.slug])).content.decode()
    assert "Needs review" not in page
    assert "Unread" in page


def test_several_are_marked_and_unmarked(house: House, urgent: list[Study]) -> None:
    answer = act(house, house.reader, "read", *urgent[:2], query="sort=urgency").content.decode()
    assert "2 studies marked as read." in answer
    assert 'name="action" value="unread"' in answer
    assert StudyViewed.objects.filter(user=house.reader).count() == 2
    assert not Unopened.objects.filter(study__in=urgent[:2]).exists()
    assert "2 studies marked as unread." in act(house, house.reader, "unread", *urgent[:2]).content.decode()
    assert Unopened.objects.get(study=urgent[0]).since == Study.objects.get(pk=urgent[0].pk).created_at
    assert not StudyViewed.objects.exists()


def test_several_are_analysed_again_and_called_off(house: House, urgent: list[Study]) -> None:
    answer = act(house, house.reader, "analyse", *urgent[:2]).content.decode()
    assert "2 studies will be analysed again." in answer
    queued = Analysis.objects.filter(state="queued")
    assert queued.count() == 2
    assert "Nothing to do" in act(house, house.reader, "analyse", *urgent[:2]).content.decode()
    ids = list(queued.values_list("pk", flat=True))
    assert "Too late" in act(house, house.admin, "withdraw", *ids).content.decode()
    assert "2 analyses cancelled." in act(house, house.reader, "withdraw", *ids).content.decode()
    assert not queued.exists()


def test_only_an_admin_deletes_several_and_says_why(house: House, urgent: list[Study]) -> None:
    assert "not possible" in act(house, house.reader, "delete", urgent[0], reason="mistake").content.decode()
    assert "Choose why" in act(house, house.admin, "delete", urgent[0]).content.decode()
    assert "2 studies were deleted." in (
        act(house, house.admin, "delete", *urgent[:2], reason="mistake").content.decode()
    )
    assert Study.objects.filter(clinic=house.clinic).count() == 3


def test_nobody_acts_on_what_they_do_not_see(house: House, urgent: list[Study]) -> None:
    assert act(house, house.stranger, "read", urgent[0]).status_code == 404
    assert "Select studies first." in act(house, house.colleague, "read", urgent[0]).content.decode()
    assert "Select studies first." in act(house, house.reader, "read", "nonsense").content.decode()
    assert not StudyViewed.objects.exists()


def test_without_scripts_it_is_a_form_and_a_message(house: House, urgent: list[Study]) -> None:
    address = reverse(SEVERAL, args=[house.clinic.slug])
    fields = {"action": "read", "study": [str(urgent[0].pk)], "query": "list=unread&page=x"}
    response = browser(house.reader).post(address, fields, follow=True)
    assert response.redirect_chain[0][0].endswith("/?list=unread")
    assert "1 study marked as read." in response.content.decode()


def test_saved_views_are_ones_own(house: House) -> None:
    add = reverse("saved-views", args=[house.clinic.slug])
    person = browser(house.reader)
    person.post(add, {"name": " Knees  now ", "query": "?body_part=knee&sort=urgency&page=3&nonsense=1"})
    view = SavedView.objects.get()
    assert (view.name, view.query) == ("Knees now", "body_part=knee&sort=urgency")
    page = person.get(reverse("worklist", args=[house.clinic.slug])).content.decode()
    assert 'href="?body_part=knee&amp;sort=urgency"' in page
    assert (
        "Knees now"
        not in browser(house.admin).get(reverse("worklist", args=[house.clinic.slug])).content.decode()
    )
    assert "Set a filter first" in person.post(add, {"name": "All"}, follow=True).content.decode()
    remove = reverse("saved-view-remove", args=[house.clinic.slug, view.pk])
    assert browser(house.admin).post(remove).status_code == 404
    person.post(remove)
    assert not SavedView.objects.exclude(name="").exists()


def test_the_list_is_remembered_without_what_was_searched(house: House, urgent: list[Study]) -> None:
    person, address = browser(house.reader), reverse("worklist", args=[house.clinic.slug])

    def shown(query: str = "", **headers: str) -> str:
        page = person.get(address + query, headers=headers).content.decode()
        return re.findall(r'id="studies"[^>]* hx-get="[^"?]*\?([^"]*)"', page)[0].replace("&amp;", "&")

    # Readers begin with their work; the rest begin with everything.
    assert shown() == "list=review&sort=urgency"
    assert "list=review" in person.get(address).content.decode()
    assert listed(house, house.admin, "") == listed(house, house.admin)
    # Search words, which may name a patient, and the page are not kept.
    assert shown("?verdict=abnormal&sort=oldest&q=NH&page=7") == "q=NH&verdict=abnormal&sort=oldest"
    assert shown() == "verdict=abnormal&sort=oldest"
    assert not SavedView.objects.filter(query__contains="NH").exists()
    assert shown("?list=all") == "list=all"
    assert shown() == "list=all"
    # The poll of another tab is no look; a superuser leaves nothing behind.
    assert shown("?list=drafts&seen=x", **{"HX-Request": "true"}) == "list=drafts"
    assert shown() == "list=all"
    with counted() as same:
        shown()
    with counted() as other:
        shown("?list=all&verdict=normal")
    assert sum("worklist_savedview" in query["sql"] for query in other) == 2
    assert sum("worklist_savedview" in query["sql"] for query in same) == 1
    # One person's list is nobody else's, nor that of another clinic.
    assert SavedView.objects.filter(user=house.reader, clinic=house.clinic).count() == 1


def test_the_way_back_to_the_start(house: House, urgent: list[Study]) -> None:
    person, address = browser(house.reader), reverse("worklist", args=[house.clinic.slug])
    back = 'href="?list=review&amp;sort=urgency" title="Back to the list that you start with"'
    assert back not in person.get(address).content.decode()
    assert back in person.get(address, {"list": "all"}).content.decode()
    # Nothing found among what needs a review: the other studies are one step away.
    nothing = person.get(address, {"list": "review", "q": "NH-none"}).content.decode()
    assert 'href="?q=NH-none"' in nothing
    for study in Study.objects.filter(current__isnull=False):
        say(access(house, house.reader), study, "normal")
    assert "No study needs a review." in person.get(address, {"list": "review"}).content.decode()


def test_poll_says_nothing_until_the_list_reads_otherwise(house: House, urgent: list[Study]) -> None:
    person, headers = browser(house.admin), {"HX-Request": "true"}
    address = reverse("worklist", args=[house.clinic.slug])

    def poll(seen: str) -> Any:
        return person.get(address, {"seen": seen}, headers=headers)

    seen = re.findall(r'data-seen="([^"]+)"', person.get(address).content.decode())[0]
    with counted() as queries:
        idle = poll(seen)
    assert (idle.status_code, idle.content) == (204, b"")
    # The session with the person and their access; the number of the clinic's newest event.
    assert len(queries) == 2
    record(clinic=house.clinic, action=Action.EXPORTED, actor=Actor(house.reader))
    unchanged = poll(seen)
    assert unchanged.status_code == 204
    now = json.loads(unchanged.headers["HX-Trigger"])["list-unchanged"]["value"]
    assert now != seen
    assert now.partition("~")[0] == seen.partition("~")[0]
    assert poll(now).headers.get("HX-Trigger") is None
    make_analysis(urgent[4])
    record(clinic=house.clinic, action=Action.ANALYSIS_SUCCEEDED, study=urgent[4])
    changed = poll(now)
    assert changed.status_code == 200
    assert b"<!doctype" not in changed.content
    assert b"?seen=" not in changed.content


def test_cost_is_the_same_for_every_list_and_order(house: House, urgent: list[Study]) -> None:
    person, address = browser(house.reader), reverse("worklist", args=[house.clinic.slug])
    for query in ("", "?list=unread", "?list=mine", "?list=review", "?sort=body_part", "?sort=urgency"):
        person.get(address + query)  # the first look is remembered
        with counted() as queries:
            person.get(address + query)
        assert len(queries) <= 14, query


def test_what_nobody_could_judge_stands_above_what_is_called_normal(house: House) -> None:
    names = ("normal", "failed", "unsupported", "suspected", "urgent", "waiting")
    studies = {name: make_study(house.clinic, patient_reference=f"T-{name}") for name in names}
    make_analysis(studies["normal"], verdict="normal", probability=0.05)
    make_analysis(studies["failed"], "failed")
    make_analysis(
        studies["unsupported"], verdict="unsupported", probability=None, body_part="", body_parts={}
    )
    make_analysis(studies["suspected"])
    make_analysis(studies["urgent"], verdict="normal", probability=0.02)
    Study.objects.filter(pk=studies["urgent"].pk).update(priority=5)
    page = browser(house.reader).get(reverse("worklist", args=[house.clinic.slug]), {"sort": "urgency"})
    order = re.findall(r">(?:<span[^>]*>.*?</span></span>)?T-(\w+)</a>", page.content.decode())
    assert order == ["urgent", "suspected", "failed", "unsupported", "normal", "waiting"]
    # What could not be analysed needs a reader more than anything else.
    assert listed_names(house, "review") == ["failed", "normal", "suspected", "unsupported", "urgent"]
    say(access(house, house.reader), studies["failed"], "abnormal")
    assert "failed" not in listed_names(house, "review")


def test_blind_urgency_is_the_longest_waiting(house: House) -> None:
    house.clinic.blind_first = True
    house.clinic.save()
    for name in ("first", "second", "third"):
        make_analysis(make_study(house.clinic, patient_reference=f"T-{name}"))
    page = browser(house.reader).get(reverse("worklist", args=[house.clinic.slug]), {"sort": "urgency"})
    order = re.findall(r">(?:<span[^>]*>.*?</span></span>)?T-(\w+)</a>", page.content.decode())
    assert order == ["first", "second", "third"]


def test_drafts_are_a_tab(house: House) -> None:
    studies = [make_study(house.clinic, patient_reference=f"T-{number}") for number in range(2)]
    for study in studies:
        make_analysis(study)
    for action, study in zip(("save", "sign"), studies, strict=True):
        address = reverse(f"review-{action}", args=[house.clinic.slug, study.pk])
        browser(house.reader).post(address, {"verdict": "normal", "images_shown": "1"})
    page = browser(house.reader).get(reverse("worklist", args=[house.clinic.slug]), {"list": "drafts"})
    assert [number in page.content.decode() for number in ("T-0", "T-1")] == [True, False]


def test_tabs_count_what_waits_in_one_query_to_a_limit(
    house: House, urgent: list[Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, sender = access(house, house.reader), access(house, house.uploader)
    with counted() as queries:
        assert tab_counts(reader) == {"unread": 5, "drafts": 0, "review": 4, "disagreements": 0}
        assert tab_counts(reader)["unread"] == 5
    assert len(queries) == 1
    # An uploader learns of no review, and of nobody else's studies.
    assert tab_counts(sender) == {}, "reading is not a sender's work"
    cache.clear()
    say(reader, urgent[0], "normal", sign=False)
    say(reader, urgent[1], "normal")
    assert tab_counts(reader) == {"unread": 5, "drafts": 1, "review": 3, "disagreements": 0}
    monkeypatch.setattr("xrayportal.worklist.counts.MOST", 3)
    cache.clear()
    assert tab_counts(reader)["unread"] == 3
    page = browser(house.reader).get(reverse("worklist", args=[house.clinic.slug])).content.decode()
    assert re.findall(r'class="tab"[^>]*>([^<]+) <span class="count">([^<]+)<', page) == [
        ("Unread", "2+"),
        ("Drafts", "1"),
        ("Needs review", "2+"),
    ]


def test_the_sidebar_counts_disagreements(house: House, urgent: list[Study]) -> None:
    say(access(house, house.reader), urgent[0], "normal")
    say(make_access(house.clinic), urgent[0], "abnormal")
    page = browser(house.reader).get(reverse("submissions", args=[house.clinic.slug])).content.decode()
    assert 'Disagreements <span class="count">1</span>' in page

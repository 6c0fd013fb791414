"""The worklist: words, filters, blind reading, and a constant number of queries."""

from __future__ import annotations

import re
from typing import Any

from django.core.cache import cache
from django.urls import reverse

from tests.counting import counted
from tests.factories import make_analysis, make_bundle, make_study, make_submission
from tests.house import House, browser
from xrayportal.clinics.models import User
from xrayportal.studies.models import Study
from xrayportal.web.worklist.rows import PER_PAGE


def look(house: House, person: User, query: str = "?list=all", **headers: str) -> Any:
    return browser(person).get(reverse("worklist", args=[house.clinic.slug]) + query, headers=headers)


def read(house: House, person: User, query: str = "?list=all") -> str:
    return str(look(house, person, query).content.decode())


def done(house: House, reference: str, **fields: Any) -> Study:
    study = make_study(house.clinic, patient_reference=reference)
    make_analysis(study, **fields)
    return study


def test_empty_list_offers_the_upload(house: House) -> None:
    page = read(house, house.uploader)
    assert "No studies yet." in page
    assert f'href="{reverse("upload", args=[house.clinic.slug])}"' in page


def test_row_speaks_the_words_of_the_bundle(house: House) -> None:
    bundle = make_bundle()
    bundle.manifest["target"]["abnormal"] = "abnormality suspected"
    bundle.save()
    done(house, "NH-1", verdict="abnormal", probability=0.868, body_part="tibia")
    page = read(house, house.reader)
    assert "Abnormality suspected" in page
    assert "Lower leg" in page
    assert 'aria-label="Probability 0.87, thresholds 0.20 and 0.70"' in page


def test_names_that_people_sent_are_escaped(house: House) -> None:
    done(house, "<b>x</b>")
    page = read(house, house.reader)
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_filters_live_in_the_address(house: House) -> None:
    done(house, "NH-A", verdict="abnormal", body_part="wrist")
    done(house, "NH-N", verdict="normal", probability=0.05, body_part="knee")
    make_analysis(make_study(house.clinic, patient_reference="NH-W"), "queued")
    failed = make_study(house.clinic, patient_reference="NH-F")
    make_analysis(failed, "failed")
    retried = make_study(house.clinic, patient_reference="NH-R")
    make_analysis(retried, "failed")
    make_analysis(retried, "queued")

    def found(query: str) -> set[str]:
        return set(re.findall(r"NH-[A-Z]", read(house, house.reader, query).split('id="studies"')[1]))

    assert found("?list=all") == {"NH-A", "NH-N", "NH-W", "NH-F", "NH-R"}
    assert found("?verdict=abnormal") == {"NH-A"}
    assert found("?body_part=knee") == {"NH-N"}
    assert found("?state=queued") == {"NH-W", "NH-R"}
    assert found("?state=failed") == {"NH-F"}
    assert found("?state=done&q=nh-n") == {"NH-N"}
    assert found("?verdict=other&state=other&page=other") == found("?list=all")
    page = read(house, house.reader, "?verdict=uncertain")
    assert "No study matches these filters." in page
    assert '<option value="uncertain" selected>' in page


def test_search_finds_file_names(house: House) -> None:
    study = make_study(house.clinic, patient_reference="NH-1")
    study.images.get().uploads.update(filename="left wrist.dcm")
    assert "NH-1" in read(house, house.reader, "?q=LEFT+wri")


def test_blind_reader_learns_nothing(house: House) -> None:
    house.clinic.blind_first = True
    house.clinic.save()
    done(house, "NH-1", verdict="abnormal", probability=0.868, body_part="wrist")
    # The sheet to upload names all body parts that there are.
    listed = read(house, house.reader).split('id="studies"')[1].split('id="uploader-sheet"')[0]
    assert "NH-1" in listed
    assert "Hidden until you give your verdict" in listed
    for secret in ("Fracture suspected", "0.87", "Wrist", "tone-abnormal", "overlay"):
        assert secret not in listed
    assert "NH-1" not in read(house, house.reader, "?verdict=abnormal").split('id="studies"')[1]
    assert "NH-1" not in read(house, house.reader, "?body_part=wrist").split('id="studies"')[1]
    assert "Fracture suspected" in read(house, house.admin).split('id="studies"')[1]


def test_uploader_sees_own_studies_only(house: House) -> None:
    make_study(submission=make_submission(house.clinic, house.uploader), patient_reference="NH-OWN")
    make_study(submission=make_submission(house.clinic, house.colleague), patient_reference="NH-OTHER")
    page = read(house, house.uploader)
    assert "NH-OWN" in page
    assert "NH-OTHER" not in page


def test_cost_does_not_grow_with_rows(house: House) -> None:
    done(house, "NH-0")
    person = browser(house.reader)
    address = reverse("worklist", args=[house.clinic.slug]) + "?list=all"
    person.get(address)  # the first look is remembered
    cache.clear()
    with counted() as few:
        person.get(address)
    for number in range(1, 12):
        done(house, f"NH-{number}")
    cache.clear()  # the counts of the tabs are remembered for a moment
    with counted() as many:
        person.get(address)
    assert len(many) == len(few) <= 12


def test_pages(house: House) -> None:
    submission = make_submission(house.clinic, house.uploader)
    Study.objects.bulk_create(
        Study(
            clinic=house.clinic,
            submission=submission,
            grouping_key=str(number),
            patient_reference=f"NH-{number}",
        )
        for number in range(PER_PAGE + 3)
    )
    first, second = read(house, house.reader), read(house, house.reader, "?q=NH&page=2")
    assert f"1 to {PER_PAGE} of {PER_PAGE + 3}" in first
    assert 'href="?list=all&amp;page=2"' in first
    assert f"{PER_PAGE + 1} to {PER_PAGE + 3} of {PER_PAGE + 3}" in second
    assert 'href="?q=NH&amp;page=1"' in second


def test_change_of_filter_gets_the_list_alone(house: House) -> None:
    fragment = look(house, house.reader, **{"HX-Request": "true"})
    assert fragment.content.strip().startswith(b'<div class="card" id="studies"')
    assert "HX-Request" in fragment.headers["Vary"]
    whole = look(house, house.reader, **{"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert b"<!doctype html>" in whole.content


def test_called_off_again_is_still_done(house: House) -> None:
    study = done(house, "NH-1")
    make_analysis(study, "cancelled")
    assert "Cancelled" not in read(house, house.reader).split('id="studies"')[1]
    make_analysis(make_study(house.clinic, patient_reference="NH-2"), "cancelled")
    assert "Cancelled" in read(house, house.reader).split('id="studies"')[1]

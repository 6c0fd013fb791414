"""What the rows of CSVs come to when a submission ends."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import translation

from tests.factories import make_analysis, make_submission, png
from tests.intake.bulk.conftest import Take
from tests.opinions import make_access, say
from xrayportal.clinics.actors import PORTAL
from xrayportal.intake.services import cancel_submission, finish_submission
from xrayportal.studies.models import Study, Submission, Upload

HEAD = "file,patient_reference,body_part,priority\n"


def csv(*rows: str) -> bytes:
    return (HEAD + "".join(f"{row}\n" for row in rows)).encode()


def finish(submission: Submission) -> str:
    """End it; the sentences of its CSVs."""
    finish_submission(submission=submission, actor=PORTAL)
    submission.refresh_from_db()
    assert submission.labels == {}
    assert set(submission.uploads.values_list("path", flat=True)) <= {""}
    applied = submission.uploads.filter(outcome=Upload.Outcome.APPLIED)
    return " | ".join(applied.values_list("sentence", flat=True))


def references() -> list[str]:
    return sorted(Study.objects.values_list("patient_reference", flat=True))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a10", "a10"),
        ("b10.png", "b10.png"),
        ("C:\\Users\\Ines\\set\\a10.png", "a10.png (line 2)"),
        ("other/a10.png", "a10.png (line 2)"),
    ],
)
def test_a_row_that_names_no_file_is_told(
    deliver: Take, submission: Submission, written: str, shown: str
) -> None:
    deliver("set/labels.csv", csv(f"{written},P-0010,,"))
    deliver("set/a10.png", png(shade=1))
    assert finish(submission) == (
        f"Gives details for 0 files. 1 row of labels.csv names no file that came: {shown}."
    )
    assert references() == [""]


def test_only_the_first_names_are_listed(deliver: Take, submission: Submission) -> None:
    deliver("labels.csv", csv(*(f"{number}.png,P-{number},," for number in range(8)), "a.png,P-A,,"))
    deliver("a.png", png(shade=1))
    assert finish(submission) == (
        "Gives details for 1 file. 8 rows of labels.csv name no file that came: "
        "0.png, 1.png, 2.png, 3.png, 4.png and 3 more."
    )


def test_it_is_told_in_the_language_of_who_ends_it(deliver: Take, submission: Submission) -> None:
    deliver("labels.csv", csv("a10,P-1,,"))
    with translation.override("de"):
        assert "1 Zeile von labels.csv nennt keine Datei, die angekommen ist: a10." in finish(submission)


def test_a_row_that_fits_two_patients_counts_for_none(deliver: Take, submission: Submission) -> None:
    deliver("set/labels.csv", csv("1.png,P-ANNA,wrist,"))
    deliver("set/p1/1.png", png(shade=1))
    deliver("set/p2/1.png", png(shade=2))
    assert references() == ["", ""]
    assert finish(submission) == (
        "Gives details for 0 files. "
        "1 row of labels.csv fits files of several studies and counts for none of them: 1.png."
    )
    assert references() == ["", ""]
    assert not Study.objects.exclude(stated_body_part="").exists()
    assert {study.state for study in Study.objects.all()} == {Study.State.SEALED}


def test_a_row_by_the_end_of_a_path_counts_when_all_is_known(deliver: Take, submission: Submission) -> None:
    deliver("labels.csv", csv("1.png,P-ANNA,wrist,4"))
    deliver("week/1.png", png(shade=1))
    study = Study.objects.get()
    assert (study.state, study.patient_reference) == (Study.State.OPEN, "")
    assert finish(submission) == "Gives details for 1 file."
    study.refresh_from_db()
    assert (study.state, study.patient_reference, study.stated_body_part) == ("sealed", "P-ANNA", "wrist")
    analysis = study.analyses.get()
    assert (analysis.forced_body_part, analysis.priority) == ("wrist", 4)


def test_a_csv_may_come_after_its_picture(deliver: Take, submission: Submission) -> None:
    deliver("set/a.png", png(shade=1))
    deliver("set/b.png", png(shade=2))
    deliver("set/labels.csv", csv("a.png,P-1,wrist,", "b.png,P-2,,"))
    assert finish(submission) == "Gives details for 2 files."
    assert references() == ["P-1", "P-2"]
    first = Study.objects.get(patient_reference="P-1")
    assert first.state == Study.State.SEALED
    assert list(first.analyses.order_by("requested_at").values_list("forced_body_part", flat=True)) == [
        "",
        "wrist",
    ]
    assert Study.objects.get(patient_reference="P-2").analyses.count() == 1


def test_a_study_is_analysed_again_for_its_body_part_only(deliver: Take, submission: Submission) -> None:
    deliver("set/a.png", png(shade=1))
    sealed_at = Study.objects.get().sealed_at
    deliver("set/labels.csv", csv("a.png,P-1,,"))
    finish(submission)
    assert Study.objects.get().sealed_at == sealed_at


@pytest.mark.parametrize("is_late", [False, True])
def test_two_csvs_that_contradict_each_other(deliver: Take, submission: Submission, is_late: bool) -> None:
    deliver("set/one.csv", csv("a.png,P-1,,"))
    if is_late:
        deliver("set/a.png", png(shade=1))
        assert references() == ["P-1"]
    deliver("set/two.csv", csv("a.png,P-2,,"))
    if not is_late:
        deliver("set/a.png", png(shade=1))
        assert references() == [""]
    told = finish(submission)
    assert "1 row of one.csv is contradicted by another one and does not count: a.png." in told
    assert "1 row of two.csv is contradicted by another one and does not count: a.png." in told
    assert references() == [""]


def test_a_row_overrides_what_the_folder_says(deliver: Take, submission: Submission) -> None:
    path = "XR_WRIST/patient00001/study1_positive/image1.png"
    deliver("labels.csv", csv("image1.png,P-1,,"))
    deliver(path, png(shade=1))
    assert references() == ["patient00001"]
    finish(submission)
    assert references() == ["P-1"]


def test_a_file_that_was_refused_came_all_the_same(deliver: Take, submission: Submission) -> None:
    deliver("labels.csv", csv("notes.txt,P-1,,"))
    deliver("notes.txt", b"hello")
    assert finish(submission) == "Gives details for 1 file."


def test_a_picture_that_is_here_already_gains_a_reference(deliver: Take, submission: Submission) -> None:
    deliver("a.png", png(shade=1))
    finish(submission)
    again = make_submission(submission.clinic, submission.submitter)
    assert again != submission
    deliver("labels.csv", csv("a.png,P-1,,"), submission=again)
    deliver("a.png", png(shade=1), submission=again)
    assert finish(again) == "Gives details for 1 file."
    assert references() == ["P-1"]
    third = make_submission(submission.clinic)
    deliver("labels.csv", csv("a.png,P-2,,"), submission=third)
    deliver("a.png", png(shade=1), submission=third)
    assert finish(third) == (
        "Gives details for 0 files. 1 row of labels.csv came too late to change its study: a.png."
    )
    assert references() == ["P-1"]


def test_a_continued_submission_misses_no_file_of_the_first(deliver: Take, submission: Submission) -> None:
    deliver("labels.csv", csv("a.png,P-1,,", "b.png,P-2,,", "c.png,P-3,,"))
    deliver("a.png", png(shade=1))
    finish(submission)
    rest = make_submission(submission.clinic, continues=submission)
    deliver("labels.csv", csv("a.png,P-1,,", "b.png,P-2,,", "c.png,P-3,,"), submission=rest)
    deliver("b.png", png(shade=2), submission=rest)
    assert finish(rest) == "Gives details for 1 file. 1 row of labels.csv names no file that came: c.png."


def test_what_cannot_be_kept_in_a_path_is_no_error(deliver: Take, submission: Submission) -> None:
    deliver("s\0et/\udcfc/labels.csv", csv("a.png,P-1,,"))
    deliver("s\0et/\udcfc/a.png", png(shade=1))
    assert finish(submission) == "Gives details for 1 file."
    assert references() == ["P-1"]


def test_a_null_character_in_a_path_is_no_error(client: Client, submission: Submission) -> None:
    client.force_login(submission.submitter)
    address = reverse("submission-uploads", args=[submission.clinic.slug, submission.pk])
    for name, content in {"labels.csv": csv("a.png,P-1,,"), "a.png": png(shade=1)}.items():
        file = SimpleUploadedFile(name, content)
        answer = client.post(address, {"key": name, "path": f"s\0et/{name}", "file": file})
        assert answer.status_code == 201
    assert references() == ["P-1"]


def test_a_signed_study_is_left_as_it_is(deliver: Take, submission: Submission) -> None:
    deliver("set/a.png", png(shade=1))
    study = Study.objects.get()
    make_analysis(study)
    say(make_access(submission.clinic), study)
    deliver("set/labels.csv", csv("a.png,P-1,wrist,"))
    assert "1 row of labels.csv came too late to change its study: a.png." in finish(submission)
    study.refresh_from_db()
    assert (study.patient_reference, study.stated_body_part, study.state) == ("", "", Study.State.SEALED)


def test_a_cancelled_submission_forgets_paths(deliver: Take, submission: Submission) -> None:
    deliver("Anna Muster/a.png", png(shade=1))
    assert submission.uploads.get().path == "anna muster/a.png"
    cancel_submission(submission=submission, actor=PORTAL)
    assert submission.uploads.get().path == ""

"""Applies the rows of CSVs when a submission ends, and tells people of those that count for no file."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from xrayportal.intake.bulk.grouping import place
from xrayportal.intake.bulk.labels import Label, Row, from_json
from xrayportal.intake.bulk.rows import AMBIGUOUS, CONTRADICTING, MISSING, Arrived, Matches, match
from xrayportal.intake.filenames import comparable_path
from xrayportal.reviews.models import Review
from xrayportal.studies.models import Study, Submission, Upload

#: A reader has signed the study, it has another reference already, or another sender sent it.
LATE = "late"
#: Names that a sentence lists.
_SHOWN = 5


def settle_rows(submission: Submission) -> None:
    """Give the submission's studies what the rows say of them; renew the sentences of the CSVs.

    The caller holds the submission, and drops its labels and paths afterwards. A study whose body part
    changes is open then, so that it is analysed with it.
    """
    rows = from_json(submission.labels)
    if not rows:
        return
    # What was applied is an archive or a CSV, no file that a row is about; neither is a refused CSV.
    came = submission.uploads.exclude(outcome=Upload.Outcome.APPLIED).exclude(kind="labels")
    files = list(came.values_list("pk", "path", "image__study"))
    found = match([Arrived(path, study or pk) for pk, path, study in files], rows)
    _forgive_earlier(submission, found)
    _apply(submission, found, {study: path for _pk, path, study in files if study})
    _tell(submission, found, rows)


def _batch(submission: Submission) -> Q:
    """The submissions that one batch of files went into, because the sender paused in between."""
    first = submission.continues_id or submission.pk
    return Q(pk__in=[first, submission.pk]) | Q(continues=first)


def _forgive_earlier(submission: Submission, found: Matches) -> None:
    """A row about a file that came to an earlier submission of the batch misses none."""
    missing = [name for name, problem in found.problems.items() if problem == MISSING]
    if submission.continues_id is None or not missing:
        return
    earlier = Submission.objects.filter(_batch(submission)).exclude(pk=submission.pk)
    filenames = Upload.objects.filter(submission__in=earlier).values_list("filename", flat=True)
    known = {comparable_path(filename) for filename in filenames}
    for name in missing:
        if name.rpartition("/")[2] in known:
            del found.problems[name]


def _apply(submission: Submission, found: Matches, paths: Mapping[uuid.UUID, str]) -> None:
    """Change the studies of these files; ``found`` is told of rows that came too late for theirs."""
    wanted = [study for study in paths if study in found.labels or study in found.doubtful]
    batch = set(Submission.objects.filter(_batch(submission)).values_list("pk", flat=True))
    signed = set(
        Review.objects.filter(study__in=wanted, is_current=True, signed_at__isnull=False).values_list(
            "study", flat=True
        )
    )
    studies = Study.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=wanted)
    for study in studies.select_related("submission").order_by("pk"):
        is_senders = study.submission.has_sender_of(submission)
        is_own = study.submission_id == submission.pk
        before = _facts(study)
        label = found.labels.get(study.pk)
        if label is None:
            if is_own and study.pk not in signed:
                folder = place(paths[study.pk], submission.grouping, submission.pk)
                _withdraw(study, found.doubtful[study.pk], folder.patient_reference)
        elif is_senders and study.pk not in signed:
            _give(study, label, is_own=is_own, is_of_batch=study.submission_id in batch)
        # Nor does another sender learn whether the study says the same.
        if label is not None and not (is_senders and _says(study, label)):
            found.problems |= dict.fromkeys(found.counting.pop(study.pk), LATE)
        if _facts(study) == before:
            continue
        if study.stated_body_part != before[1]:
            study.state, study.sealed_at = Study.State.OPEN, None
        study.save(update_fields=["patient_reference", "stated_body_part", "priority", "state", "sealed_at"])


def _facts(study: Study) -> tuple[str, str, int]:
    return study.patient_reference, study.stated_body_part, study.priority


def _give(study: Study, label: Label, *, is_own: bool, is_of_batch: bool) -> None:
    """As where the file's row is known when it comes; what the sender sent before only gains a reference."""
    if is_own:
        study.patient_reference = label.patient_reference or study.patient_reference
        study.stated_body_part = label.body_part or study.stated_body_part
        study.priority = label.priority or study.priority
        return
    study.patient_reference = study.patient_reference or label.patient_reference
    if is_of_batch:
        study.stated_body_part = study.stated_body_part or label.body_part


def _withdraw(study: Study, labels: list[Label], reference: str) -> None:
    """Take back what a row said before another contradicted it."""
    if study.patient_reference and study.patient_reference in {one.patient_reference for one in labels}:
        study.patient_reference = reference
    if study.stated_body_part in {one.body_part for one in labels}:
        study.stated_body_part = ""


def _says(study: Study, label: Label) -> bool:
    references, parts = ("", study.patient_reference), ("", study.stated_body_part)
    return label.patient_reference in references and label.body_part in parts


def _tell(submission: Submission, found: Matches, rows: Mapping[str, list[Row]]) -> None:
    """Renew each CSV's sentence: how many files it gives details for, and which rows count for none."""
    counts: dict[str, int] = defaultdict(int)
    for names in found.counting.values():
        for csv in {row.csv for name in names for row in rows[name]}:
            counts[csv] += 1
    problems: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for name, problem in found.problems.items():
        for row in rows[name]:
            problems[row.csv, problem].append(row)
    keys = {row.csv for several in rows.values() for row in several}
    for upload in submission.uploads.filter(key__in=keys, outcome=Upload.Outcome.APPLIED):
        sentences = [applied_sentence(counts[upload.key])]
        for problem in (MISSING, AMBIGUOUS, CONTRADICTING, LATE):
            several = sorted(problems[upload.key, problem], key=lambda row: row.line)
            if several:
                sentences.append(_problem_sentence(problem, upload.filename, several))
        upload.sentence = " ".join(sentences)
        upload.save(update_fields=["sentence"])


def applied_sentence(count: int) -> str:
    """How many files a CSV gives details for."""
    return ngettext("Gives details for %(n)d file.", "Gives details for %(n)d files.", count) % {"n": count}


def _problem_sentence(problem: str, filename: str, rows: list[Row]) -> str:
    count = len(rows)
    names = ", ".join(row.shown for row in rows[:_SHOWN])
    if count > _SHOWN:
        names = _("%(names)s and %(n)d more") % {"names": names, "n": count - _SHOWN}
    facts = {"n": count, "csv": filename, "names": names}
    if problem == MISSING:
        words = ngettext(
            "%(n)d row of %(csv)s names no file that came: %(names)s.",
            "%(n)d rows of %(csv)s name no file that came: %(names)s.",
            count,
        )
    elif problem == AMBIGUOUS:
        words = ngettext(
            "%(n)d row of %(csv)s fits files of several studies and counts for none of them: %(names)s.",
            "%(n)d rows of %(csv)s fit files of several studies and count for none of them: %(names)s.",
            count,
        )
    elif problem == CONTRADICTING:
        words = ngettext(
            "%(n)d row of %(csv)s is contradicted by another one and does not count: %(names)s.",
            "%(n)d rows of %(csv)s are contradicted by others and do not count: %(names)s.",
            count,
        )
    else:
        words = ngettext(
            "%(n)d row of %(csv)s came too late to change its study: %(names)s.",
            "%(n)d rows of %(csv)s came too late to change their studies: %(names)s.",
            count,
        )
    return words % facts

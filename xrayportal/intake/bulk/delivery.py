"""Takes what a sender delivers: a picture, a ZIP archive of pictures, or a CSV about them."""

from __future__ import annotations

import hashlib
import io
import os
import re
from dataclasses import replace
from typing import IO

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from xrayportal.analyses.bundles import NoActiveBundleError, active_bundle
from xrayportal.intake.bulk.archives import Archive, Member, is_archive, nested, refusal
from xrayportal.intake.bulk.grouping import place
from xrayportal.intake.bulk.labels import (
    MAX_BYTES,
    MAX_LABELS,
    Label,
    as_json,
    is_labels,
    parse_labels,
    too_many,
)
from xrayportal.intake.bulk.rows import label_at_once
from xrayportal.intake.bulk.settling import applied_sentence
from xrayportal.intake.filenames import comparable_path
from xrayportal.intake.ingest import IncomingFile, ingest_file, note_applied, refuse_closed, reject, size_of
from xrayportal.intake.rejection import RejectedError, as_stored, too_large
from xrayportal.studies.models import Submission, Upload

_ZIP = re.compile(r"\.zip$", re.IGNORECASE)


def take(incoming: IncomingFile, file: IO[bytes]) -> list[Upload]:
    """Take one file, and each file inside if it is an archive; return their Uploads, its own first.

    Sending the same key again, also after an interrupted archive, goes on where it stopped. Raises the
    errors of ``ingest_file``.
    """
    file.seek(0)
    head = file.read(4)
    file.seek(0)
    if is_archive(head) or _ZIP.search(incoming.path):  # it may begin with a program that unpacks it
        return _take_archive(incoming, file)
    if is_labels(incoming.path):
        return [_take_labels(incoming, file)]
    return [_take_picture(incoming, file)]


class UnknownRefusalError(ValueError):
    """The sender's page names a reason that is none of the portal's."""


def take_refusal(incoming: IncomingFile, code: str, size: int) -> Upload:
    """Record that the sender's page refused a file by itself. Raises `UnknownRefusalError`."""
    with as_stored():
        try:
            error = too_large() if code == too_large().kind else refusal(code)
        except KeyError:
            raise UnknownRefusalError(code) from None
        return reject(replace(incoming, size=size), error)


def _take_picture(incoming: IncomingFile, file: IO[bytes]) -> Upload:
    submission = incoming.submission
    where = place(incoming.path, submission.grouping, submission.continues_id or submission.pk)
    known = label_at_once(comparable_path(incoming.path), submission.labels)
    label = known or Label()
    labelled = replace(
        incoming,
        patient_reference=label.patient_reference or incoming.patient_reference or where.patient_reference,
        grouping_key=where.grouping_key,
        stated_body_part=label.body_part or incoming.stated_body_part,
        priority=label.priority,
        waits=known is None,
    )
    return ingest_file(labelled, file)


def _take_archive(incoming: IncomingFile, file: IO[bytes]) -> list[Upload]:
    earlier = Upload.objects.filter(submission=incoming.submission, key=incoming.key).first()
    if earlier is not None:
        return [earlier]
    written = file.seek(0, os.SEEK_END)
    size = size_of(file)
    with as_stored():
        try:
            if size > written:  # the upload was cut on its way to the disk, see upload_handler.py
                raise too_large()
            archive = Archive(file)
        except RejectedError as error:
            return [reject(replace(incoming, size=size), error)]
    # CSVs first: their labels are for the pictures, wherever in the archive they lie.
    members = sorted(enumerate(archive.members), key=lambda item: not is_labels(item[1].path))
    uploads = [_take_member(incoming, archive, member, index) for index, member in members]
    refused = sum(upload.outcome == Upload.Outcome.REJECTED for upload in uploads)
    sentence = ngettext("%(count)d file unpacked", "%(count)d files unpacked", len(uploads)) % {
        "count": len(uploads)
    }
    if refused:
        sentence += _(", %(refused)d of them not taken") % {"refused": refused}
    return [note_applied(replace(incoming, size=size), f"{sentence}."), *uploads]


def _take_member(incoming: IncomingFile, archive: Archive, member: Member, index: int) -> Upload:
    key = hashlib.sha256(f"{incoming.key}/{index}".encode()).hexdigest()
    # The archive stands for a folder of its name, as where the browser opens it.
    folder = _ZIP.sub("", incoming.path)
    inner = replace(incoming, key=key, path=f"{folder}/{member.path}")
    earlier = Upload.objects.filter(submission=incoming.submission, key=key).first()
    if earlier is not None:
        return earlier
    with as_stored():
        try:
            if member.refusal:
                raise member.refusal
            data = archive.unpack(member)
            if is_archive(data):
                raise nested()
        except RejectedError as error:
            return reject(replace(inner, size=member.size), error)
    return take(inner, io.BytesIO(data))[0]


def _take_labels(incoming: IncomingFile, file: IO[bytes]) -> Upload:
    earlier = Upload.objects.filter(submission=incoming.submission, key=incoming.key).first()
    if earlier is not None:
        return earlier
    data = file.read(MAX_BYTES + 1)
    incoming = replace(incoming, size=len(data))
    try:
        labels = parse_labels(data, known_body_parts())
        with transaction.atomic():
            locked = Submission.objects.select_for_update(no_key=True).get(pk=incoming.submission.pk)
            refuse_closed(locked)  # nothing of it is kept
            for name, rows in as_json(labels, incoming.path, incoming.key).items():
                locked.labels.setdefault(name, []).extend(rows)
            if sum(map(len, locked.labels.values())) > MAX_LABELS:
                raise too_many()
            locked.save(update_fields=["labels"])
    except RejectedError as error:
        return reject(incoming, error)
    incoming.submission.labels = locked.labels
    return note_applied(incoming, applied_sentence(len(labels)))


def known_body_parts() -> list[str]:
    """Those that a CSV may state: of the active bundle, none without one."""
    try:
        return active_bundle().body_parts
    except NoActiveBundleError:
        return []

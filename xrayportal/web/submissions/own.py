"""The submission that a person's file is for, asked with every file: the SQL is made once for a process."""

from __future__ import annotations

import json
import uuid
from functools import cache
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from xrayportal.access import ClinicAccess, Permission
from xrayportal.clinics.models import Clinic, User
from xrayportal.prepared import Prepared
from xrayportal.studies.models import Submission, Upload

_COLUMNS = [field.attname for field in Submission._meta.concrete_fields]


def own_or_404(access: ClinicAccess, pk: uuid.UUID, *, or_manage: bool = False) -> Submission:
    """The person's own submission; with ``or_manage``, for the clinic's admins, any. Raises Http404."""
    submissions = access.submissions()
    if not (or_manage and access.may(Permission.MANAGE)):
        submissions = submissions.filter(submitter=access.user)
    submission = get_object_or_404(submissions, pk=pk)
    submission.clinic = access.clinic
    return submission


def own_with_key_or_404(access: ClinicAccess, pk: uuid.UUID, key: str) -> tuple[Submission, bool]:
    """As `own_or_404`, and whether a file with this key has come already. Raises Http404."""
    rows = _own(access.roles).rows(submission=pk, clinic=access.clinic.pk, user=access.user.pk, key=key)
    if not rows:
        raise Http404("Not found.")
    *columns, has_come = rows[0]
    submission = Submission.from_db(None, _COLUMNS, columns)
    submission.labels = json.loads(columns[_COLUMNS.index("labels")])
    submission.clinic = access.clinic
    return submission, has_come


@cache
def _own(roles: frozenset[str]) -> Prepared:
    """What `own_with_key_or_404` asks, for people of these roles."""

    def build(submission: uuid.UUID, clinic: uuid.UUID, user: int, key: str) -> QuerySet[Submission, Any]:
        access = ClinicAccess(User(pk=user), Clinic(pk=clinic), roles)
        own = access.submissions().filter(submitter=access.user, pk=submission)
        return own.values_list(*_COLUMNS, Exists(Upload.objects.filter(submission=OuterRef("pk"), key=key)))

    return Prepared(build, submission=uuid.uuid4(), clinic=uuid.uuid4(), user=-1, key="a file's key")

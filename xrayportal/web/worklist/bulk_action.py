"""Actions on several studies at once, and how to undo those that can be undone."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.utils.translation import gettext, ngettext

from xrayportal.access import ClinicAccess, Permission, PortalRequest
from xrayportal.analyses import services as analyses
from xrayportal.analyses.bundles import NoActiveBundleError
from xrayportal.analyses.models import Analysis
from xrayportal.intake.deletion import count_deleted, delete_study
from xrayportal.studies.models import Study
from xrayportal.web.shared.deleted import some_deleted
from xrayportal.web.study.forms import DeleteForm
from xrayportal.worklist.services import mark_read, mark_unread


@dataclass(frozen=True)
class BulkActionResult:
    """What a bulk action says, and the action with its ids that undoes it, if there is one."""

    words: str
    undo: str = ""
    ids: Sequence[uuid.UUID] = ()
    level: int = messages.SUCCESS

    @property
    def tag(self) -> str:
        """The style of the message: ``success``, ``info`` or ``error``."""
        return messages.DEFAULT_TAGS[self.level]


def act_on(
    request: PortalRequest, access: ClinicAccess, action: str, ids: Sequence[uuid.UUID]
) -> BulkActionResult:
    """Do ``action`` to the studies that this person may see among ``ids``.

    ``read``, ``unread``, ``analyse`` or ``delete``; or ``withdraw``, whose ids are those of analyses.
    """
    if action == "withdraw":
        return _withdraw(access, ids)
    studies = list(access.studies().filter(pk__in=ids).select_related("clinic", "submission"))
    visible = [study.pk for study in studies]
    if not visible:
        sees_all = access.may(Permission.SEE_ALL)
        deleted = count_deleted(studies=ids, clinic=access.clinic) if sees_all else 0
        return BulkActionResult(
            some_deleted(deleted) if deleted else gettext("Select studies first."), level=messages.ERROR
        )
    match action:
        case "read":
            mark_read(access, visible)
            words = ngettext("%d study marked as read.", "%d studies marked as read.", len(visible))
            return BulkActionResult(words % len(visible), "unread", visible)
        case "unread":
            mark_unread(access, visible)
            words = ngettext("%d study marked as unread.", "%d studies marked as unread.", len(visible))
            return BulkActionResult(words % len(visible), "read", visible)
        case "analyse" if access.may(Permission.SUBMIT):
            return _analyse(access, studies)
        case "delete" if access.may(Permission.MANAGE):
            return _delete(request, access, studies)
        case _:
            return BulkActionResult(gettext("That is not possible here."), level=messages.ERROR)


def _analyse(access: ClinicAccess, studies: Sequence[Study]) -> BulkActionResult:
    """Request a new analysis of each study that is complete."""
    unfinished = Analysis.objects.unfinished().filter(study__in=studies)
    earlier = set(unfinished.values_list("pk", flat=True))
    requested: list[uuid.UUID] = []
    deleted = 0
    try:
        for study in studies:
            if not study.is_sealed:
                continue
            try:
                analysis = analyses.request_analysis(study=study, actor=access.actor)
            except Study.DoesNotExist:
                deleted += 1
            else:
                requested += [] if analysis.pk in earlier else [analysis.pk]
    except NoActiveBundleError as error:
        return BulkActionResult(str(error), level=messages.ERROR)
    if not requested:
        nothing = gettext("Nothing to do: these studies are already waiting or still receiving images.")
        return BulkActionResult(some_deleted(deleted) if deleted else nothing, level=messages.INFO)
    count = len(requested)
    words = ngettext("%d study will be analysed again.", "%d studies will be analysed again.", count) % count
    return BulkActionResult(f"{words} {some_deleted(deleted)}" if deleted else words, "withdraw", requested)


def _delete(request: PortalRequest, access: ClinicAccess, studies: Sequence[Study]) -> BulkActionResult:
    """Delete the studies for one reason; this cannot be undone."""
    form = DeleteForm(request.POST)
    if not form.is_valid():
        return BulkActionResult(gettext("Choose why the studies are deleted."), level=messages.ERROR)
    deleted = [
        study
        for study in studies
        if delete_study(study=study, reason=form.cleaned_data["reason"], actor=access.actor)
    ]
    if not deleted:  # another person was faster
        return BulkActionResult(some_deleted(len(studies)), level=messages.INFO)
    return BulkActionResult(
        ngettext("%d study was deleted.", "%d studies were deleted.", len(deleted)) % len(deleted)
    )


def _withdraw(access: ClinicAccess, ids: Sequence[uuid.UUID]) -> BulkActionResult:
    """Call off the person's own requests that no worker has begun with."""
    own = access.analyses().filter(pk__in=ids, requested_by=access.user, state=Analysis.State.QUEUED)
    rows = list(own) if access.may(Permission.SUBMIT) else []
    for row in rows:
        analyses.cancel_analysis(analysis=row, actor=access.actor)
    if not rows:
        return BulkActionResult(gettext("Too late: the analyses have already started."), level=messages.INFO)
    words = ngettext("%d analysis cancelled.", "%d analyses cancelled.", len(rows))
    return BulkActionResult(words % len(rows))

"""What is done to several studies at once, each with a way back where there is one."""

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
from xrayportal.intake.deletion import delete_study, is_deleted
from xrayportal.studies.models import Study
from xrayportal.web.shared.deleted import some_deleted
from xrayportal.web.study.forms import DeleteForm
from xrayportal.worklist.services import mark_read, mark_unread


@dataclass(frozen=True)
class Done:
    """What to say, and the action that takes it back with the ids that it needs."""

    words: str
    undo: str = ""
    ids: Sequence[uuid.UUID] = ()
    level: int = messages.SUCCESS

    @property
    def tag(self) -> str:
        """``success``, ``info`` or ``error``: the look of the message."""
        return messages.DEFAULT_TAGS[self.level]


def act_on(request: PortalRequest, access: ClinicAccess, action: str, ids: Sequence[uuid.UUID]) -> Done:
    """Do ``action`` (``read``, ``unread``, ``analyse``, ``delete`` or ``withdraw``) to what they may see."""
    if action == "withdraw":
        return _withdraw(request, access, ids)
    studies = list(access.studies().filter(pk__in=ids).select_related("clinic", "submission"))
    found = [study.pk for study in studies]
    if not found:
        gone = (
            sum(is_deleted(study=study, clinic=access.clinic) for study in ids)
            if access.may(Permission.SEE_ALL)
            else 0
        )
        return Done(some_deleted(gone) if gone else gettext("Choose studies first."), level=messages.ERROR)
    match action:
        case "read":
            mark_read(access, found)
            words = ngettext("%d study marked as read.", "%d studies marked as read.", len(found))
            return Done(words % len(found), "unread", found)
        case "unread":
            mark_unread(access, found)
            words = ngettext("%d study marked as unread.", "%d studies marked as unread.", len(found))
            return Done(words % len(found), "read", found)
        case "analyse" if access.may(Permission.SUBMIT):
            return _analyse(request, access, studies)
        case "delete" if access.may(Permission.MANAGE):
            return _delete(request, access, studies)
        case _:
            return Done(gettext("That is not possible here."), level=messages.ERROR)


def _analyse(request: PortalRequest, access: ClinicAccess, studies: Sequence[Study]) -> Done:
    """Ask for a new analysis of each that receives no more views."""
    unfinished = Analysis.objects.unfinished().filter(study__in=studies)
    known = set(unfinished.values_list("pk", flat=True))
    asked: list[uuid.UUID] = []
    gone = 0
    try:
        for study in studies:
            if not study.is_sealed:
                continue
            try:
                wanted = analyses.request_analysis(study=study, actor=access.actor)
            except Study.DoesNotExist:
                gone += 1
            else:
                asked += [] if wanted.pk in known else [wanted.pk]
    except NoActiveBundleError as error:
        return Done(str(error), level=messages.ERROR)
    if not asked:
        nothing = gettext("Nothing to do: they wait already or still receive views.")
        return Done(some_deleted(gone) if gone else nothing, level=messages.INFO)
    words = ngettext("%d study is analysed again.", "%d studies are analysed again.", len(asked)) % len(asked)
    return Done(f"{words} {some_deleted(gone)}" if gone else words, "withdraw", asked)


def _delete(request: PortalRequest, access: ClinicAccess, studies: Sequence[Study]) -> Done:
    """With one reason for all; there is no way back."""
    form = DeleteForm(request.POST)
    if not form.is_valid():
        return Done(gettext("Choose why the studies are deleted."), level=messages.ERROR)
    gone = [
        study
        for study in studies
        if delete_study(study=study, reason=form.cleaned_data["reason"], actor=access.actor)
    ]
    if not gone:  # somebody was faster
        return Done(some_deleted(len(studies)), level=messages.INFO)
    return Done(ngettext("%d study was deleted.", "%d studies were deleted.", len(gone)) % len(gone))


def _withdraw(request: PortalRequest, access: ClinicAccess, ids: Sequence[uuid.UUID]) -> Done:
    """Call off the person's own requests that nobody has begun with."""
    own = access.analyses().filter(pk__in=ids, requested_by=access.user, state=Analysis.State.QUEUED)
    rows = list(own) if access.may(Permission.SUBMIT) else []
    for row in rows:
        analyses.cancel_analysis(analysis=row, actor=access.actor)
    if not rows:
        return Done(gettext("Too late: they are being read or done."), level=messages.INFO)
    words = ngettext("%d analysis called off.", "%d analyses called off.", len(rows))
    return Done(words % len(rows))

"""The one place that decides who may do and see what. Strangers get the same 404 as a missing row."""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import load_handler
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from xrayportal.analyses.models import Analysis, Finding
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.audit.visits import record_look
from xrayportal.clinics.actors import Actor, actor_of
from xrayportal.clinics.models import Clinic, Membership, Role, User
from xrayportal.clinics.recent_sign_in import question
from xrayportal.security import LOOKS, HtmxRequest, client_address
from xrayportal.studies.models import Image, Study, Submission
from xrayportal.tokens.models import ApiToken, Scope
from xrayportal.tokens.services import find_token, note_use
from xrayportal.tokens.throttle import seconds_to_wait


class PortalRequest(HtmxRequest):
    """A request as views of a clinic get it: ``access_or_404`` leaves the access on it."""

    access: ClinicAccess


class Permission(enum.Enum):
    """Something that a person may be allowed to do in a clinic."""

    SUBMIT = "submit"
    SEE_OWN = "see own submissions and their results"
    SEE_ALL = "see all studies of the clinic"
    REVIEW = "review and sign"
    MANAGE = "history, scorecard, exports, people, settings, delete"


#: A superuser who gave a reason, for ``GRANT_LASTS``; not a role that a member can have.
GRANTED = "granted"
GRANT_LASTS = timedelta(minutes=30)
_GRANTS = "content_grants"

#: Who may do what. A person with several roles has the permissions of all of them.
TABLE: dict[str, frozenset[Permission]] = {
    Role.UPLOADER: frozenset({Permission.SUBMIT, Permission.SEE_OWN}),
    Role.READER: frozenset({Permission.SUBMIT, Permission.SEE_OWN, Permission.SEE_ALL, Permission.REVIEW}),
    Role.ADMIN: frozenset({Permission.SUBMIT, Permission.SEE_OWN, Permission.SEE_ALL, Permission.MANAGE}),
    GRANTED: frozenset({Permission.SEE_OWN, Permission.SEE_ALL}),
}


@dataclass(frozen=True)
class ClinicAccess:
    """What one person may do in one clinic: every row they reach, they reach through here."""

    user: User
    clinic: Clinic
    roles: frozenset[str]
    #: When a superuser's look at the content ends; None for members.
    granted_until: datetime | None = None
    #: Where the request came from.
    address: str | None = None
    #: The token of a program's request; None for people.
    token: ApiToken | None = None

    @property
    def actor(self) -> Actor:
        """The person, or the token that acts for them, and the address, as services take it."""
        if self.token is None:
            return Actor(self.user, self.address)
        owner = "" if self.token.is_service else f"{self.user.email}, "
        return Actor(self.user, self.address, name=f"{owner}API token “{self.token.name}”")

    def note_look(self, study: Study, *, revealed: bool) -> None:
        """Audit that this person sees the study, once a visit; ``revealed``: with its prediction."""
        record_look(clinic=self.clinic, actor=self.actor, study=study, revealed=revealed)

    @functools.cached_property
    def permissions(self) -> frozenset[Permission]:
        """The permissions of all roles together."""
        return frozenset[Permission]().union(*(TABLE[role] for role in self.roles))

    def may(self, permission: Permission) -> bool:
        """Whether this person has the permission in this clinic."""
        return permission in self.permissions

    def submissions(self) -> QuerySet[Submission]:
        """The clinic's submissions, or the person's own where they do not see all."""
        submissions = Submission.objects.filter(clinic=self.clinic)
        if self.may(Permission.SEE_ALL):
            return submissions
        return submissions.filter(submitter=self.user) if self.may(Permission.SEE_OWN) else submissions.none()

    def studies(self, *, listed: bool = False) -> QuerySet[Study]:
        """The clinic's studies, or those that the person sent, also where every picture was here already.

        ``listed`` is for pages of many studies: a query first finds what the person sent to other people's
        studies, so that the database walks the studies in order and does not gather all before it sorts.
        """
        studies = Study.objects.filter(clinic=self.clinic)
        if self.may(Permission.SEE_ALL):
            return studies
        if not self.may(Permission.SEE_OWN):
            return studies.none()
        of_others = studies.sent_whole_by(self.user).values_list("pk", flat=True)
        own = Q(submission__submitter=self.user)
        return studies.filter(own | Q(pk__in=list(of_others) if listed else of_others))

    def may_open(self, study: Study) -> bool:
        """Whether the study is one of ``studies``; no query for who sees all or has loaded their own."""
        if study.clinic_id != self.clinic.pk:
            return False
        if self.may(Permission.SEE_ALL):
            return True
        if self.may(Permission.SEE_OWN) and study.submission.submitter_id == self.user.pk:
            return True
        return self.studies().filter(pk=study.pk).exists()

    def images(self) -> QuerySet[Image]:
        """The images of the studies that this person may see."""
        images = Image.objects.filter(clinic=self.clinic)
        return images if self.may(Permission.SEE_ALL) else images.filter(study__in=self.studies())

    def analyses(self) -> QuerySet[Analysis]:
        """The analyses of the studies that this person may see."""
        analyses = Analysis.objects.filter(clinic=self.clinic)
        return analyses if self.may(Permission.SEE_ALL) else analyses.filter(study__in=self.studies())

    def findings(self) -> QuerySet[Finding]:
        """The findings of the analyses that this person may see."""
        findings = Finding.objects.filter(analysis__clinic=self.clinic)
        return findings if self.may(Permission.SEE_ALL) else findings.filter(analysis__in=self.analyses())


def access_or_404(request: PortalRequest, slug: str, permission: Permission) -> ClinicAccess:
    """The signed-in person's access to the clinic with this slug. Raises Http404 without the permission.

    Leaves the access as ``request.access`` for the frame of the page.
    """
    access = _access_of_request(request, slug)
    if access is None or not access.may(permission):
        raise Http404("Not found.")
    # A superuser's look is a look, whatever the permission of a view that also changes something.
    if access.granted_until is not None and request.method not in LOOKS:
        raise Http404("Not found.")
    access = replace(access, address=client_address(request))
    request.access = access
    return access


def clinic_view(
    permission: Permission,
) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Decorator for ``view(request, access, **kwargs)`` at an address with ``<slug:clinic>``.

    The view runs in the clinic's time zone, for people who have the permission; others get a 404. Where the
    address asks who is there (``clinics/recent_sign_in.py``), it does so first.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @functools.wraps(view)
        def wrapper(request: PortalRequest, clinic: str, **kwargs: Any) -> HttpResponseBase:
            access = access_or_404(request, clinic, permission)
            if (asked := question(request)) is not None:
                return asked
            with timezone.override(access.clinic.time_zone):
                return view(request, access, **kwargs)

        return wrapper

    return decorate


class TokenRefused(Exception):
    """A program's request is not answered: ``str(error)`` says why, ``status`` is 401, 403 or 429."""

    def __init__(self, sentence: str, status: int, *, retry_after: int = 0) -> None:
        super().__init__(sentence)
        self.status = status
        #: In how many seconds to try again, for 429.
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What HTTP wants beside the status."""
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": str(self.retry_after)} if self.retry_after else {}


def token_access(request: HttpRequest, scope: Scope, permission: Permission) -> ClinicAccess:
    """What the token of this request (``Authorization: Bearer …``) may do in its clinic.

    Raises `TokenRefused`: 401 without a token that can be used, 403 where it lacks the scope or its role
    lacks the permission, 429 where it sends too many requests. What follows goes through the same rule as a
    page of a person with that role.
    """
    kind, _space, secret = request.headers.get("Authorization", "").partition(" ")
    token = find_token(secret.strip()) if kind.lower() == "bearer" else None
    if token is None:
        raise TokenRefused(_("Send a valid API token as “Authorization: Bearer …”."), 401)
    if token.state != ApiToken.State.ACTIVE:
        sentences = {
            ApiToken.State.REVOKED: _("This API token was revoked. Ask the clinic's admin for a new one."),
            ApiToken.State.EXPIRED: _("This API token has expired. Ask the clinic's admin for a new one."),
        }
        raise TokenRefused(sentences[token.state], 401)
    access = _access_of_token(token)
    if access is None:
        raise TokenRefused(_("The person of this API token is no longer in the clinic."), 401)
    if scope not in token.scopes:
        raise TokenRefused(_("This API token lacks the scope “%(scope)s”.") % {"scope": scope}, 403)
    if not access.may(permission):
        raise TokenRefused(_("The role of this API token does not allow this."), 403)
    wait = seconds_to_wait(str(token.pk))
    if wait > 0:
        sentence = _("This token sends too many requests. Go on a little later.")
        raise TokenRefused(sentence, 429, retry_after=math.ceil(wait))
    access = replace(access, address=client_address(request))
    note_use(token, access.address)
    if request.method == "POST":
        # Without a sign-in the middleware takes no files; this sender is known now.
        request.upload_handlers = [load_handler(name, request) for name in settings.FILE_UPLOAD_HANDLERS]
    return access


def _access_of_token(token: ApiToken) -> ClinicAccess | None:
    """The access of an active token; None where its person has left the clinic or the portal."""
    if token.is_service:
        return ClinicAccess(token.account, token.clinic, frozenset({token.role}), token=token)
    if not token.account.is_active:
        return None
    memberships = [row for row in memberships_of(token.account) if row.clinic_id == token.clinic_id]
    return replace(access_of(token.account, memberships), token=token) if memberships else None


def grant_content(request: HttpRequest, clinic: Clinic, *, reason: str) -> datetime:
    """Let this superuser's session see one clinic's content for ``GRANT_LASTS``; returns when that ends.

    The audit chains of the clinic and of the platform record the reason.
    """
    until = timezone.now() + GRANT_LASTS
    request.session[_GRANTS] = {**request.session.get(_GRANTS, {}), str(clinic.pk): until.isoformat()}
    detail = {"reason": reason, "until": until.isoformat()}
    _record_in_both(request, Action.CONTENT_ACCESS_GRANTED, clinic, detail)
    return until


def end_content(request: HttpRequest, clinic: Clinic) -> None:
    """Take the grant back before its time, and audit that; a grant that is over already is left as it is."""
    grants = dict(request.session.get(_GRANTS, {}))
    until = parse_datetime(grants.pop(str(clinic.pk), ""))
    request.session[_GRANTS] = grants
    if until is not None and until > timezone.now():
        _record_in_both(request, Action.CONTENT_ACCESS_ENDED, clinic, {})


def _record_in_both(request: HttpRequest, action: Action, clinic: Clinic, detail: dict[str, str]) -> None:
    actor = actor_of(request)
    with transaction.atomic():
        for chain in (clinic, None):
            record(clinic=chain, action=action, actor=actor, target=clinic, detail=detail)


def _access_of_request(request: HttpRequest, slug: str) -> ClinicAccess | None:
    user = request.user
    if not isinstance(user, User):
        return None
    memberships = [membership for membership in memberships_of(user) if membership.clinic.slug == slug]
    if memberships:
        return access_of(user, memberships)
    if user.is_superuser and request.session.get(_GRANTS):
        clinic = Clinic.objects.filter(slug=slug).first()
        until = parse_datetime(request.session[_GRANTS].get(str(clinic.pk), "")) if clinic else None
        if clinic and until and until > timezone.now():
            return ClinicAccess(user, clinic, frozenset({GRANTED}), granted_until=until)
    return None


def memberships_of(user: User) -> list[Membership]:
    """The person's memberships; none for a superuser, who sees a clinic's content only with a reason."""
    return [] if user.is_superuser else user.all_memberships


def access_of(user: User, memberships: Iterable[Membership]) -> ClinicAccess:
    """The access that a user's memberships in one clinic, at least one of them, add up to."""
    rows = list(memberships)
    return ClinicAccess(user, rows[0].clinic, frozenset(row.role for row in rows))

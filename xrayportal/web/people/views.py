"""People and clinic settings: the admin's pages, and the page behind an invitation."""

from __future__ import annotations

import logging
from smtplib import SMTPException

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.mail import send_mail
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.analyses.models import Bundle
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record
from xrayportal.clinics import services
from xrayportal.clinics.mail import has_mail_server
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.clinics.people import (
    former_members_of,
    invitation_parts,
    invited_user,
    may_pass_on,
    members_of,
)
from xrayportal.clinics.sign_in import record_password
from xrayportal.operations.demo import packaged_samples, submit_sample
from xrayportal.web.people.forms import (
    ClinicForm,
    InviteForm,
    RolesForm,
    SetupForm,
    WelcomeForm,
    offered_zones,
)
from xrayportal.web.shared.fields import REFUSED

logger = logging.getLogger(__name__)


@require_safe
@clinic_view(Permission.MANAGE)
def people(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The page of the clinic's people."""
    return _people_page(request, access, InviteForm())


@require_POST
@clinic_view(Permission.MANAGE)
def invite(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """Give a person roles and send them a link by which they sign in."""
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _people_page(request, access, form)
    try:
        user = services.invite(
            clinic=access.clinic,
            actor=access.actor,
            email=form.cleaned_data["email"],
            roles=form.cleaned_data["roles"],
        )
    except services.PeopleRefused as refusal:
        form.add_error("email", str(refusal))
        return _people_page(request, access, form)
    return _give_link(request, access, user, with_password=user.has_usable_password())


@require_POST
@clinic_view(Permission.MANAGE)
def invite_again(request: PortalRequest, access: ClinicAccess, user: int) -> HttpResponse:
    """Give a member a link to choose a password: after an invitation, or because they forgot theirs."""
    member = _member(access, user)
    try:
        services.record_link(clinic=access.clinic, actor=access.actor, user=member)
    except services.PeopleRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("people", access.clinic.slug)
    return _give_link(request, access, member)


@require_POST
@clinic_view(Permission.MANAGE)
def member_roles(request: PortalRequest, access: ClinicAccess, user: int) -> HttpResponse:
    """Change a member's roles; without any they have no access any more."""
    member = _member(access, user)
    form = RolesForm(request.POST)
    if not form.is_valid():
        raise Http404("Not found.")
    roles = [] if "deactivate" in request.POST else form.cleaned_data["roles"]
    try:
        services.change_roles(clinic=access.clinic, actor=access.actor, user=member, roles=roles)
    except services.PeopleRefused as refusal:
        messages.error(request, str(refusal))
    else:
        sentence = (
            _("%(person)s: roles saved.") if roles else _("%(person)s no longer has access to this clinic.")
        )
        messages.success(request, sentence % {"person": member})
        if member == access.user and Role.ADMIN not in roles:
            return redirect("home")
    return redirect("people", access.clinic.slug)


@require_POST
@clinic_view(Permission.MANAGE)
def reactivate(request: PortalRequest, access: ClinicAccess, user: int) -> HttpResponse:
    """Give a former member roles again."""
    former = {member.user.pk: member.user for member in former_members_of(access.clinic)}
    form = RolesForm(request.POST)
    if user not in former or not form.is_valid():
        raise Http404("Not found.")
    person = former[user]
    try:
        services.reactivate(
            clinic=access.clinic, actor=access.actor, user=person, roles=form.cleaned_data["roles"]
        )
    except services.PeopleRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("%(person)s is a member of the clinic again.") % {"person": person})
    return redirect("people", access.clinic.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@clinic_view(Permission.MANAGE)
def clinic_settings(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The page of the clinic's settings: name, time zone, blind first, thresholds, retention."""
    bundle = Bundle.objects.active().first()
    # A row of its own: an invalid form leaves its values on it, and the frame shows the access's clinic.
    clinic = Clinic.objects.get(pk=access.clinic.pk)
    form = ClinicForm(request.POST or None, instance=clinic, bundle=bundle)
    if request.method == "POST" and form.is_valid():
        changed = form.changed_data
        if changed:
            with transaction.atomic():
                form.save(commit=False).save(update_fields=changed)
                record(
                    clinic=clinic,
                    action=Action.CLINIC_CHANGED,
                    actor=access.actor,
                    target=clinic,
                    detail={name: form.cleaned_data[name] for name in changed},
                )
            messages.success(
                request, _("Saved. New analyses use the new settings; existing results stay as they are.")
            )
        return redirect("clinic-settings", access.clinic.slug)
    context = {"access": access, "form": form, "bundle": bundle, "zones": offered_zones()}
    return render(request, "people/settings.html", context, status=REFUSED if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@clinic_view(Permission.MANAGE)
def clinic_setup(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """Lead the admin of a clinic without studies through what is decided before the first one."""
    if access.clinic.studies.exists():
        return redirect("clinic-settings", access.clinic.slug)
    clinic = Clinic.objects.get(pk=access.clinic.pk)
    is_decided = _has_decided(clinic)
    form = SetupForm(request.POST or None, instance=clinic, is_decided=is_decided)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save(commit=False).save(update_fields=form.changed_data)
            # Also where nothing changed: that it was decided is what counts.
            record(
                clinic=clinic,
                action=Action.CLINIC_CHANGED,
                actor=access.actor,
                target=clinic,
                detail={"time_zone": clinic.time_zone, "blind_first": clinic.blind_first},
            )
        return redirect("clinic-setup", clinic.slug)
    context = {
        "access": access,
        "form": form,
        "zones": offered_zones(),
        "is_decided": is_decided,
        "members": len(members_of(access.clinic)),
        "bundle": Bundle.objects.active().first(),
        "has_sample": bool(packaged_samples()),
    }
    return render(request, "people/setup.html", context, status=REFUSED if form.is_bound else 200)


@require_POST
@clinic_view(Permission.MANAGE)
def clinic_sample(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """Send the packaged sample X-ray as this admin, and show its study."""
    if access.clinic.studies.exists() or not _has_decided(access.clinic):
        return redirect("clinic-setup", access.clinic.slug)
    study = submit_sample(clinic=access.clinic, actor=access.actor)
    if study is None:
        messages.error(request, _("The sample could not be stored. Upload an X-ray of your own."))
        return redirect("upload", access.clinic.slug)
    return redirect("study", access.clinic.slug, study.pk)


def _has_decided(clinic: Clinic) -> bool:
    """Whether an admin has chosen for or against blind reading."""
    changes = AuditEvent.objects.filter(clinic=clinic, action=Action.CLINIC_CHANGED)
    return changes.filter(detail__has_key="blind_first").exists()


@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    """The page on which an invited person gives their name and chooses a password; the link works once."""
    user = invited_user(uid, token)
    if user is None:
        return render(request, "people/invitation_over.html", status=404)
    form = WelcomeForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            user.sessions.all().delete()
            record_password(user, request=request)
        messages.success(request, _("Your account is ready. Sign in with your e-mail address."))
        return redirect("sign-in")
    return render(
        request,
        "people/invitation.html",
        {"form": form, "person": user},
        status=REFUSED if form.is_bound else 200,
    )


def _people_page(
    request: PortalRequest,
    access: ClinicAccess,
    form: InviteForm,
    *,
    invited: User | None = None,
    link: str = "",
) -> HttpResponse:
    """The page of people; with the ``link`` of an invitation for the admin to pass on, if there is one."""
    context = {
        "has_mail_server": has_mail_server(),
        "invited": invited,
        "link": link,
        "access": access,
        "members": members_of(access.clinic),
        "former": former_members_of(access.clinic),
        "roles": Role.choices,
        "form": form,
    }
    return render(request, "people/people.html", context, status=REFUSED if form.is_bound else 200)


def _member(access: ClinicAccess, user: int) -> User:
    return get_object_or_404(User.objects.filter(memberships__clinic=access.clinic).distinct(), pk=user)


def _give_link(
    request: PortalRequest, access: ClinicAccess, user: User, *, with_password: bool = False
) -> HttpResponse:
    """Mail the link to the person, whom it is for alone; without a mail server show an invitation's to copy.

    The link of somebody who has a password already, or a role elsewhere, is never shown: an admin could sign
    in as them with it.
    """
    path = reverse("sign-in") if with_password else reverse("invitation", args=invitation_parts(user))
    # The configured address where there is one: a sender chooses the Host of their request.
    link = f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else request.build_absolute_uri(path)
    if has_mail_server():
        _send_link(request, access, user, link=link, with_password=with_password)
    elif with_password:
        messages.success(
            request,
            _("%(email)s has an account already and can sign in. Tell them: no mail server is set up.")
            % {"email": user.email},
        )
    elif may_pass_on(access.clinic, user):
        return _people_page(request, access, InviteForm(), invited=user, link=link)
    else:
        messages.error(
            request,
            _(
                "No mail server is set up, and %(email)s has a password already. The portal's administrator "
                "can give them a new one with “manage.py changepassword”."
            )
            % {"email": user.email},
        )
    return redirect("people", access.clinic.slug)


def _send_link(
    request: PortalRequest, access: ClinicAccess, user: User, *, link: str, with_password: bool
) -> None:
    """Send the link by e-mail, and say whether a mail server took it."""
    text = render_to_string(
        "people/mail/invitation.txt",
        {
            "clinic": access.clinic,
            "admin": access.user,
            "person": user,
            "with_password": with_password,
            "link": link,
        },
    )
    try:
        send_mail(
            # On one line: a line end in a clinic's name would begin another header.
            subject=" ".join(
                (_("X-Ray Portal: your access to %(clinic)s") % {"clinic": access.clinic}).split()
            ),
            message=text,
            from_email=None,
            recipient_list=[user.email],
        )
    except (SMTPException, OSError):
        logger.exception("The link for user %s could not be sent.", user.pk)
        messages.error(
            request,
            _("%(email)s is in the list, but the e-mail could not be sent. Send it again later.")
            % {"email": user.email},
        )
    else:
        messages.success(request, _("E-mail sent to %(email)s.") % {"email": user.email})

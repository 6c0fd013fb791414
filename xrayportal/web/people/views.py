"""The admin's page of the clinic's people: invitations, roles, links."""

from __future__ import annotations

import logging
from smtplib import SMTPException

from django.contrib import messages
from django.core.mail import send_mail
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.clinics import services
from xrayportal.clinics.mail import has_mail_server
from xrayportal.clinics.models import Role, User
from xrayportal.clinics.people import former_members_of, invitation_parts, may_pass_on, members_of
from xrayportal.web.people.forms import InviteForm, RolesForm
from xrayportal.web.shared.addresses import whole_address
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
    link = whole_address(request, path)
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

"""The admin's pages of the clinic's settings, and of what is decided before its first study."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.analyses.models import Bundle
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.models import Clinic
from xrayportal.clinics.people import members_of
from xrayportal.operations.demo import packaged_samples, submit_sample
from xrayportal.web.people.forms import ClinicForm, SetupForm, offered_zones
from xrayportal.web.shared.fields import REFUSED


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
                if "blind_first" in changed:
                    clinic.blind_first_decided = True
                form.save(commit=False).save(update_fields=[*changed, "blind_first_decided"])
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
    is_decided = clinic.blind_first_decided
    form = SetupForm(request.POST or None, instance=clinic, is_decided=is_decided)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            clinic.blind_first_decided = True
            form.save(commit=False).save(update_fields=[*form.changed_data, "blind_first_decided"])
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
    if access.clinic.studies.exists() or not access.clinic.blind_first_decided:
        return redirect("clinic-setup", access.clinic.slug)
    study = submit_sample(clinic=access.clinic, actor=access.actor)
    if study is None:
        messages.error(request, _("The sample could not be stored. Upload an X-ray of your own."))
        return redirect("upload", access.clinic.slug)
    return redirect("study", access.clinic.slug, study.pk)

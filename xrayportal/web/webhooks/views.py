"""The pages of a clinic's webhooks: the list with a form, and one with its log."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.web.shared.fields import REFUSED
from xrayportal.web.webhooks.forms import PROBLEMS, WebhookForm
from xrayportal.webhooks import services
from xrayportal.webhooks.models import Delivery, Endpoint, EventType

_LOG_SHOWN = 100


@require_http_methods(["GET", "HEAD", "POST"])
@clinic_view(Permission.MANAGE)
def webhooks(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The clinic's webhooks, and a new one, whose secret this answer alone shows."""
    form = WebhookForm(request.POST if request.method == "POST" else None)
    context: dict[str, object] = {}
    status = 200
    if form.is_bound and form.is_valid():
        try:
            added, secret = services.add_endpoint(
                clinic=access.clinic, actor=access.actor, **form.cleaned_data
            )
        except services.TooManyWebhooksError:
            form.add_error(
                "url",
                _("A clinic has %(most)d webhooks at most. Remove one first.") % {"most": services.MOST},
            )
        else:
            context, form, status = {"added": added, "secret": secret}, WebhookForm(), 201
    if form.is_bound:
        status = REFUSED
    rows = Endpoint.objects.filter(clinic=access.clinic)
    context |= {"access": access, "form": form, "rows": rows, "events": EventType.choices}
    return render(request, "webhooks/webhooks.html", context, status=status)


@require_safe
@clinic_view(Permission.MANAGE)
def webhook(request: PortalRequest, access: ClinicAccess, webhook: uuid.UUID) -> HttpResponse:
    """One webhook with its newest deliveries."""
    row = _own(access, webhook)
    deliveries = list(row.deliveries.order_by("-created_at", "pk")[:_LOG_SHOWN])
    log = [(delivery, PROBLEMS.get(delivery.problem, delivery.problem)) for delivery in deliveries]
    return render(request, "webhooks/webhook.html", {"access": access, "webhook": row, "log": log})


@require_POST
@clinic_view(Permission.MANAGE)
def webhook_act(request: PortalRequest, access: ClinicAccess, webhook: uuid.UUID) -> HttpResponse:
    """Send a test, pause, go on, or remove."""
    row = _own(access, webhook)
    match request.POST.get("action"):
        case "test":
            services.send_test(endpoint=row)
            messages.success(request, _("A test is on its way. Load this page again in a moment."))
        case "pause":
            services.set_active(endpoint=row, is_active=False, actor=access.actor)
        case "resume":
            services.set_active(endpoint=row, is_active=True, actor=access.actor)
        case "remove":
            services.remove_endpoint(endpoint=row, actor=access.actor)
            messages.success(request, _("The webhook was removed."))
            return redirect("webhooks", access.clinic.slug)
        case _other:
            raise Http404("Not found.")
    return redirect("webhook", access.clinic.slug, row.pk)


@require_POST
@clinic_view(Permission.MANAGE)
def delivery_again(
    request: PortalRequest, access: ClinicAccess, webhook: uuid.UUID, message: uuid.UUID
) -> HttpResponse:
    """Send a message once more that was not delivered."""
    row = _own(access, webhook)
    services.send_again(delivery=get_object_or_404(Delivery.objects.filter(endpoint=row), pk=message))
    return redirect("webhook", access.clinic.slug, row.pk)


def _own(access: ClinicAccess, pk: uuid.UUID) -> Endpoint:
    return get_object_or_404(Endpoint.objects.filter(clinic=access.clinic).select_related("clinic"), pk=pk)

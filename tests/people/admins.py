"""What an admin's browser sends, and what came of it."""

from __future__ import annotations

import re
from typing import Any

from django.core import mail
from django.test import Client
from django.urls import reverse

from xrayportal.access import ClinicAccess
from xrayportal.clinics.models import Clinic, Membership, User


def client_of(access: ClinicAccess) -> Client:
    client = Client()
    client.force_login(access.user)
    return client


def send(access: ClinicAccess, to: str, /, *args: object, **data: Any) -> Any:
    return client_of(access).post(reverse(to, args=[access.clinic.slug, *args]), data)


def link_of(message: mail.EmailMessage) -> str:
    link = re.search(r"http://testserver(/\S+)", str(message.body))
    assert link
    return link[1]


def roles_of(user: User, clinic: Clinic) -> set[str]:
    return set(Membership.objects.filter(user=user, clinic=clinic).values_list("role", flat=True))

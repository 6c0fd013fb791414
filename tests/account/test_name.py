"""Everybody changes their own name, and nobody else's."""

from __future__ import annotations

from django.urls import reverse

from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent


def test_a_person_changes_their_own_name(house: House) -> None:
    client = browser(house.uploader)
    assert client.get(reverse("own-name")).status_code == 200
    answer = client.post(reverse("own-name"), {"first_name": "Ada", "last_name": "Byron"}, follow=True)
    assert "Your name is saved." in answer.content.decode()
    house.uploader.refresh_from_db()
    assert str(house.uploader) == "Ada Byron"
    event = AuditEvent.objects.get(action=Action.PERSON_CHANGED)
    assert (event.target_id, event.actor_id_text) == (str(house.uploader.pk), str(house.uploader.pk))
    assert "Byron" not in str(event.detail)


def test_a_name_is_not_taken_away(house: House) -> None:
    answer = browser(house.reader).post(reverse("own-name"), {"first_name": "", "last_name": " "})
    assert answer.status_code == 422
    assert not AuditEvent.objects.filter(action=Action.PERSON_CHANGED).exists()


def test_a_stranger_signs_in_first(house: House) -> None:
    assert browser(None).get(reverse("own-name")).status_code == 302

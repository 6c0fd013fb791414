"""The admin of support staff: ids and states, no patient content, every change audited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.fields import GenericForeignKey
from django.db.models import Model
from django.test import RequestFactory
from django.urls import reverse

from tests.factories import make_analysis, make_study, make_submission, make_user
from tests.house import House, browser
from xrayportal.admin import PortalAdmin
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import verify
from xrayportal.clinics.models import Clinic, Membership, Role, User
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db

MODELS = sorted(
    (model._meta.app_label, model._meta.model_name or "")
    for model in admin.site._registry
    if model.__module__.startswith("xrayportal.")
)


@pytest.fixture
def study(house: House) -> Study:
    submission = make_submission(house.clinic, house.uploader)
    study = make_study(submission=submission, patient_reference="REF-SECRET-1")
    make_analysis(study)
    submission.uploads.update(filename="mustermann.png")
    return study


def test_what_support_sees() -> None:
    assert MODELS == [
        ("analyses", "analysis"),
        ("analyses", "bundle"),
        ("analyses", "worker"),
        ("audit", "auditevent"),
        ("clinics", "clinic"),
        ("clinics", "membership"),
        ("clinics", "user"),
        ("studies", "study"),
        ("studies", "submission"),
        ("tokens", "apitoken"),
    ]


@pytest.mark.parametrize(("app", "model"), MODELS)
def test_lists_and_rows_tell_no_patient_content(house: House, study: Study, app: str, model: str) -> None:
    client = browser(house.superuser)
    listed = client.get(reverse(f"admin:{app}_{model}_changelist"))
    assert listed.status_code == 200
    pages = [listed.content.decode()]
    row = apps.get_model(app, model)._default_manager.first()
    if row is not None:
        page = client.get(reverse(f"admin:{app}_{model}_change", args=[row.pk]))
        assert page.status_code == 200
        pages.append(page.content.decode())
    image = study.images.get()
    for page_text in pages:
        for secret in ("REF-SECRET-1", "mustermann", image.file, image.sha256, "abnormal", "pseudonym"):
            assert secret not in page_text
        assert "<script>" not in page_text
        assert " onclick=" not in page_text
        assert "javascript:" not in page_text


@pytest.mark.parametrize(
    ("app", "model"), [row for row in MODELS if row[0] in ("analyses", "audit", "studies")]
)
def test_most_is_to_look_at_only(house: House, study: Study, app: str, model: str) -> None:
    client = browser(house.superuser)
    assert client.get(reverse(f"admin:{app}_{model}_add")).status_code == 403
    assert "delete_selected" not in client.get(reverse(f"admin:{app}_{model}_changelist")).content.decode()


REGISTERED = sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label)
COMPARISONS = ("", "__exact", "__startswith", "__gte", "__regex", "__in", "__isnull")


def paths(model: type[Model], deep: int = 2) -> Iterator[tuple[str, bool]]:
    """Every field that an address could name, through ``deep`` relations; and whether another row has it."""
    for field in model._meta.get_fields():
        if isinstance(field, GenericForeignKey):
            continue
        name = field.name
        yield name, False
        if field.related_model and deep:
            for inner, _further in paths(field.related_model, deep - 1):
                yield f"{name}__{inner}", True


@pytest.mark.parametrize(
    ("model", "model_admin"), REGISTERED, ids=[model._meta.label for model, _admin in REGISTERED]
)
def test_a_list_answers_to_its_own_filters_only(
    model: type[Model], model_admin: ModelAdmin[Any], rf: RequestFactory
) -> None:
    assert isinstance(model_admin, PortalAdmin)
    request = rf.get("/")
    offered = {*model_admin.get_list_filter(request), *model_admin.filtered_by}
    tried = 0
    for path, is_of_another in paths(model):
        for comparison in COMPARISONS:
            allowed = model_admin.lookup_allowed(f"{path}{comparison}", "a", request)
            may_be = path.partition("__")[0] in offered and comparison in ("", "__exact", "__isnull")
            assert not allowed or may_be, f"{path}{comparison}"
            if allowed and is_of_another:
                assert (path.partition("__")[2], comparison) == ("id", "__exact")
            tried += 1
    assert tried > 50


@pytest.mark.parametrize(
    ("address", "query"),
    [
        ("analyses_analysis", "verdict=abnormal"),
        ("analyses_analysis", "probability__gte=0.5"),
        ("analyses_analysis", "body_part__startswith=w"),
        ("studies_study", "patient_reference__startswith=REF"),
        ("studies_study", "result_verdict__exact=abnormal"),
        ("studies_study", "current__verdict=abnormal"),
        ("audit_auditevent", "detail__reason=x"),
        ("clinics_clinic", "pseudonym_key__gte=a"),
        ("clinics_user", "sessions__session_key__startswith=a"),
        ("clinics_user", "sessions__session_data__startswith=a"),
        ("clinics_user", "password__startswith=md5"),
        ("clinics_user", "email__startswith=a"),
        ("clinics_membership", "user__password__startswith=md5"),
        ("auth_group", "user__sessions__session_key__startswith=a"),
    ],
)
def test_no_filter_asks_for_what_the_list_does_not_show(
    house: House, study: Study, address: str, query: str
) -> None:
    staff = make_user(is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    for person in (house.superuser, staff):
        answer = browser(person).get(f"{reverse(f'admin:{address}_changelist')}?{query}")
        assert answer.status_code == 400


def test_the_filters_that_are_offered_work(house: House, study: Study) -> None:
    client = browser(house.superuser)
    for query in (
        "state__exact=succeeded",
        f"clinic__id__exact={study.clinic_id}",
        f"study__exact={study.pk}",
    ):
        answer = client.get(f"{reverse('admin:analyses_analysis_changelist')}?{query}")
        assert answer.status_code == 200
        assert str(study.current_id) in answer.content.decode()
    for address in ("clinics_user", "clinics_membership", "studies_study", "audit_auditevent"):
        page = client.get(reverse(f"admin:{address}_changelist")).content.decode()
        offered = set(re.findall(r'href="(\?[a-z_]+__[^"]+)"', page))
        assert offered
        for query in offered:
            answer = client.get(f"{reverse(f'admin:{address}_changelist')}{query.replace('&amp;', '&')}")
            assert answer.status_code == 200, query


def test_nobody_else_enters(house: House) -> None:
    for user in (house.uploader, house.reader, house.admin, house.stranger):
        assert browser(user).get("/admin/", follow=True).status_code == 404


def test_clinics_and_roles_are_audited(house: House) -> None:
    client = browser(house.superuser)
    fields = {"name": "South", "slug": "south", "time_zone": "Europe/Berlin", "blind_first": "on"}
    assert client.post(reverse("admin:clinics_clinic_add"), fields).status_code == 302
    south = Clinic.objects.get(slug="south")
    change = reverse("admin:clinics_clinic_change", args=[south.pk])
    assert client.post(change, {**fields, "name": "Far south", "blind_first": ""}).status_code == 302
    role = {"clinic": south.pk, "user": house.reader.pk, "role": Role.READER}
    assert client.post(reverse("admin:clinics_membership_add"), role).status_code == 302
    membership = Membership.objects.get(clinic=south)
    address = reverse("admin:clinics_membership_delete", args=[membership.pk])
    assert client.post(address, {"post": "yes"}).status_code == 302
    events = AuditEvent.objects.filter(clinic=south).order_by("number")
    assert [event.action for event in events] == [
        Action.CLINIC_CREATED,
        Action.CLINIC_CHANGED,
        Action.MEMBER_ADDED,
        Action.MEMBER_REMOVED,
    ]
    assert events[1].detail == {"fields": ["blind_first", "name"], "blind_first": False}
    assert {event.actor_label for event in events} == {house.superuser.email}
    assert verify(clinic=south).is_whole


def test_a_person_is_made_and_deactivated_never_deleted(house: House) -> None:
    client = browser(house.superuser)
    made = client.post(
        reverse("admin:clinics_user_add"),
        {
            "email": "new@example.org",
            "usable_password": "true",
            "password1": "long enough to be one",
            "password2": "long enough to be one",
        },
    )
    assert made.status_code == 302
    person = User.objects.get(email="new@example.org")
    assert client.get(reverse("admin:clinics_user_change", args=[person.pk])).status_code == 200
    assert client.post(reverse("admin:clinics_user_delete", args=[person.pk])).status_code == 403
    assert client.post(reverse("admin:clinics_clinic_delete", args=[house.clinic.pk])).status_code == 403

"""The admin of people and clinics, for support staff; every change is audited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from xrayportal.admin import PortalAdmin
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import actor_of
from xrayportal.clinics.models import Clinic, Membership, User

if TYPE_CHECKING:
    PeopleAdmin = UserAdmin[User]
    FormOfMembership = ModelForm[Membership]
    FormOfPerson = UserChangeForm[User]
else:  # generic for type checkers only
    PeopleAdmin = UserAdmin
    FormOfMembership = ModelForm
    FormOfPerson = UserChangeForm


class PersonForm(FormOfPerson):
    """A person's account."""

    def clean_is_superuser(self) -> bool:
        """Refuse people who have roles: removing those first records in the clinic's chain what they saw."""
        is_superuser: bool = self.cleaned_data["is_superuser"]
        if is_superuser and not self.instance.is_superuser and self.instance.memberships.exists():
            raise ValidationError(
                "This person has roles in clinics, which a superuser has not: remove them first."
            )
        return is_superuser


@admin.register(User)
class PersonAdmin(PortalAdmin, PeopleAdmin):
    """People by e-mail address. They are deactivated, not deleted, so that their reviews keep their name."""

    form = PersonForm
    ordering = ["email"]
    list_display = ["email", "first_name", "last_name", "is_active", "is_superuser", "last_login"]
    search_fields = ["email", "first_name", "last_name"]
    readonly_fields = ["last_login", "date_joined", "second_factor_since"]
    fieldsets = [
        (None, {"fields": ["email", "password", "first_name", "last_name"]}),
        ("Permissions", {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]}),
        ("Dates", {"fields": ["last_login", "date_joined", "second_factor_since"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "usable_password", "password1", "password2"]})]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers only: a person who changes accounts can give themselves any permission."""
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Superusers only, as for adding."""
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        """Save, and audit for the platform which fields changed."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if not obj.is_active:
                obj.sessions.all().delete()  # an account that is opened again must not bring them back
            detail = {"fields": sorted(form.changed_data), "created": not change}
            _record(request, None, Action.PERSON_CHANGED, obj, detail)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Refuse: with another person's password one could sign in, and sign reviews, in their name."""
        sentence = (
            "People choose their passwords themselves: the clinic's admin sends them a link from the page "
            "“People”; your own is changed in the portal's menu."
        )
        messages.error(request, sentence)
        return redirect("admin:clinics_user_changelist")


admin.site.unregister(Group)


@admin.register(Group)
class StaffGroupAdmin(PortalAdmin, GroupAdmin):
    """Groups of permissions for support staff, as Django has them, without its free lookups."""


class MembershipForm(FormOfMembership):
    """A role for a person."""

    def clean_user(self) -> User:
        """Refuse superusers: a role would show them patient content without a reason and a time limit."""
        user: User = self.cleaned_data["user"]
        if user.is_superuser:
            raise ValidationError("A superuser has no role in a clinic; they open its content with a reason.")
        return user


@admin.register(Clinic)
class ClinicAdmin(PortalAdmin):
    """Clinics and their settings."""

    list_display = ["name", "slug", "time_zone", "blind_first", "retention_days", "created_at"]
    search_fields = ["name", "slug"]
    readonly_fields = ["created_at"]

    def has_delete_permission(self, request: HttpRequest, obj: Clinic | None = None) -> bool:
        """Never: its audit chain needs it."""
        return False

    def save_model(self, request: HttpRequest, obj: Clinic, form: ModelForm[Clinic], change: bool) -> None:
        """Save, and audit for the clinic and for the platform which settings changed."""
        with transaction.atomic():
            if "blind_first" in form.changed_data or not change:
                obj.blind_first_decided = "blind_first" in form.changed_data
            super().save_model(request, obj, form, change)
            action = Action.CLINIC_CHANGED if change else Action.CLINIC_CREATED
            detail: dict[str, Any] = {"fields": sorted(form.changed_data)}
            if "blind_first" in form.changed_data:
                detail["blind_first"] = obj.blind_first  # from when on opinions count as blind
            for chain in (obj, None):
                _record(request, chain, action, obj, detail)


@admin.register(Membership)
class MembershipAdmin(PortalAdmin):
    """Roles of people in clinics. A role is added or removed, never changed into another."""

    form = MembershipForm
    list_display = ["user", "clinic", "role", "created_at"]
    list_filter = ["clinic", "role"]
    search_fields = ["user__email"]
    autocomplete_fields = ["user"]

    def has_change_permission(self, request: HttpRequest, obj: Membership | None = None) -> bool:
        """Never."""
        return False

    def save_model(
        self, request: HttpRequest, obj: Membership, form: ModelForm[Membership], change: bool
    ) -> None:
        """Add the role and audit it."""
        with transaction.atomic():
            held = Membership.objects.filter(clinic=obj.clinic, user=obj.user).values_list("role", flat=True)
            detail = {"role": obj.role, "held": sorted(held)}
            super().save_model(request, obj, form, change)
            _record(request, obj.clinic, Action.MEMBER_ADDED, obj.user, detail)

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        """Remove the role and audit it."""
        with transaction.atomic():
            clinic, user = obj.clinic, obj.user
            held = Membership.objects.filter(clinic=clinic, user=user).values_list("role", flat=True)
            detail = {"role": obj.role, "held": sorted(held)}
            super().delete_model(request, obj)
            _record(request, clinic, Action.MEMBER_REMOVED, user, detail)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Membership]) -> None:
        """Remove several roles, each audited."""
        for membership in queryset.order_by("clinic_id", "pk"):
            self.delete_model(request, membership)


def _record(
    request: HttpRequest, chain: Clinic | None, action: Action, target: models.Model, detail: dict[str, Any]
) -> None:
    record(
        clinic=chain,
        action=action,
        actor=actor_of(request),
        target=target,
        detail=detail,
    )

"""People and tenants: User, Clinic, Membership."""

from __future__ import annotations

import functools
import secrets
import uuid
import zoneinfo
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _


def new_key() -> bytes:
    """Make a clinic's key for pseudonyms: 32 random bytes."""
    return secrets.token_bytes(32)


@functools.cache
def time_zones() -> frozenset[str]:
    """The names of the IANA time zone database, read from the disk once.

    Without "Factory" and "localtime", which are whatever a machine is set to.
    """
    return frozenset(zoneinfo.available_timezones()) - {"Factory", "localtime"}


def validate_time_zone(name: str) -> None:
    """Raise ValidationError for a name that the IANA time zone database does not know."""
    if name not in time_zones():
        raise ValidationError(_("“%(name)s” is not a known time zone."), params={"name": name})


class UserManager(BaseUserManager["User"]):
    """Makes users by e-mail address."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Make an ordinary person; without a password they can sign in only after an invitation."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Make a platform superuser, for clinics, bundles and operations, without patient content."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    """A person, who signs in with an e-mail address."""

    username = None  # type: ignore[assignment]  # the address is the name
    email = models.EmailField(_("e-mail address"), unique=True)
    #: Since when a sign-in needs a code as well; a session that has not shown one since then is nobody's.
    second_factor_since = models.DateTimeField(null=True, blank=True, editable=False)
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.get_full_name() or self.email

    @cached_property
    def all_memberships(self) -> list[Membership]:
        """This person's memberships with their clinics; the session's query has loaded them already."""
        return list(self.memberships.select_related("clinic"))


class Clinic(models.Model):
    """A tenant. Every row with patient content belongs to exactly one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(_("short name in addresses"), unique=True)
    name = models.CharField(_("name"), max_length=120)
    time_zone = models.CharField(
        _("time zone"), max_length=64, default="UTC", validators=[validate_time_zone]
    )
    blind_first = models.BooleanField(
        _("blind reading"),
        default=False,
        help_text=_("Readers give their verdict before they see the prediction."),
    )
    #: Whether anybody has decided for or against ``blind_first``. The first study waits for that: verdicts on
    #: studies whose prediction everybody could see never count as blind.
    blind_first_decided = models.BooleanField(default=True, editable=False)
    requires_second_factor = models.BooleanField(
        _("second factor"),
        default=False,
        help_text=_("Members sign in with a passkey or a code of an authenticator app as well."),
    )
    #: A clinic's own thresholds, within the active bundle's limits; empty means the bundle's.
    threshold_low = models.FloatField(_("lower threshold"), null=True, blank=True)
    threshold_high = models.FloatField(_("upper threshold"), null=True, blank=True)
    retention_days = models.PositiveIntegerField(_("keep studies for (days)"), null=True, blank=True)
    pseudonym_key = models.BinaryField(default=new_key, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="clinic_thresholds_ordered",
                condition=models.Q(threshold_low__isnull=True, threshold_high__isnull=True)
                | models.Q(
                    threshold_low__gte=0,
                    threshold_low__lte=models.F("threshold_high"),
                    threshold_high__lte=1,
                ),
            )
        ]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do; the table of actions is in ``access.py``."""

    UPLOADER = "uploader", _("Uploader")
    READER = "reader", _("Reader")
    ADMIN = "admin", _("Admin")


class Membership(models.Model):
    """One role of one user in one clinic; a person may hold several."""

    clinic = models.ForeignKey(Clinic, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["clinic", "user", "role"], name="membership_once"),
            models.CheckConstraint(name="membership_role_known", condition=models.Q(role__in=Role.values)),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.clinic} · {self.role}"


class SecondFactor(models.Model):
    """A person's authenticator app and recovery codes (``second_factor.py``).

    Whoever has a factor in use, an app or a passkey, has such a row with their recovery codes.
    """

    user = models.OneToOneField(
        User, primary_key=True, on_delete=models.CASCADE, related_name="second_factor"
    )
    #: The app's secret, encrypted for this row with a key that is derived from ``key`` and ``SECRET_KEY``;
    #: empty without an app.
    secret = models.BinaryField(default=bytes)
    key = models.BinaryField(default=new_key)
    #: Since when codes of the app count; with a secret and without this it is being set up.
    app_since = models.DateTimeField(null=True, blank=True)
    #: The newest time step whose code was used: neither it nor an earlier one is accepted again.
    last_step = models.PositiveBigIntegerField(default=0)
    #: SHA-256 of every recovery code that is not used yet.
    recovery_codes = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"second factor of user {self.user_id}"


class Passkey(models.Model):
    """A public key of a person (WebAuthn), whose private half stays in their device (``passkeys.py``)."""

    NAME_LENGTH = 60

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="passkeys")
    #: What the person calls it.
    name = models.CharField(max_length=NAME_LENGTH)
    #: The portal's name in the address bar when it was made: it works at that name only.
    domain = models.CharField(max_length=253)
    credential_id = models.BinaryField(unique=True)
    #: WebAuthn's attested credential data: the kind of authenticator, the id and the public key (COSE).
    credential = models.BinaryField()
    #: How often the authenticator says that it was used; those that do not count say 0.
    sign_count = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at", "pk"]

    def __str__(self) -> str:
        return f"passkey {self.pk} of user {self.user_id}"


class Session(AbstractBaseSession):
    """A browser's session with its user as a column, so that one query loads both (``sessions.py``).

    The row holds a hash of the key that the browser's cookie holds: nobody signs in with what is read here.
    """

    session_key = models.CharField("SHA-256 of the session key", max_length=64, primary_key=True)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="sessions")

    class Meta(AbstractBaseSession.Meta):
        constraints = [
            models.CheckConstraint(
                name="session_key_is_hashed", condition=models.Q(session_key__regex=r"^[0-9a-f]{64}$")
            )
        ]

    @classmethod
    def get_session_store_class(cls) -> Any:
        from xrayportal.clinics.sessions import SessionStore  # which needs this module first

        return SessionStore

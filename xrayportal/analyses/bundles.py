"""Bundles that this portal knows: registered from the folder, one of them active."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from inference_worker.bundle import Bundle as BundleFiles
from inference_worker.manifest import FILE_NAME, BundleError
from xrayportal.analyses.models import Bundle
from xrayportal.analyses.queue.announce import wake_workers_on_commit
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import COMMAND_LINE, Actor
from xrayportal.prepared import Prepared


class NoActiveBundleError(LookupError):
    """No bundle is active; ``str(error)`` is a sentence that says what to do."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "No model version is active, so nothing can be analysed. The portal's administrator can "
                "register one with “manage.py bundle register FOLDER --activate”."
            )
        )


#: The columns that `active_bundle` loads; the manifest is a hundred times as long.
_COLUMNS = [field.attname for field in Bundle._meta.concrete_fields if field.name != "manifest"]


def _active() -> QuerySet[Bundle, tuple[Any, ...]]:
    """Those columns, and what a request for an analysis asks of the manifest, as JSON."""
    return Bundle.objects.active().values_list(*_COLUMNS, "manifest__thresholds", "manifest__body_parts")


#: Asked for every study that is sent.
_ACTIVE = Prepared(_active)


def active_bundle() -> Bundle:
    """The bundle that new analyses use, with its thresholds and body parts. Raises `NoActiveBundleError`.

    The rest of its manifest is loaded where something asks for it.
    """
    rows = _ACTIVE.rows()
    if not rows:
        raise NoActiveBundleError
    *columns, thresholds, body_parts = rows[0]
    bundle = Bundle.from_db(None, _COLUMNS, columns)
    bundle.thresholds, bundle.body_parts = json.loads(thresholds), json.loads(body_parts)
    return bundle


def register_bundle(*, folder: str, activate: bool, actor: Actor) -> Bundle:
    """Verify the bundle in ``BUNDLES_DIR/folder`` and register it; doing it again changes nothing.

    Raises `BundleError` if a file is missing or differs from the manifest, or if another manifest is
    registered under the same name and version: results name their bundle, so it must not change.
    """
    path: Path = settings.BUNDLES_DIR / folder
    if path.parent != settings.BUNDLES_DIR:
        raise BundleError(f"“{folder}” is not the name of a folder in {settings.BUNDLES_DIR}")
    manifest = BundleFiles.load(path).manifest
    document = (path / FILE_NAME).read_bytes()
    sha256 = hashlib.sha256(document).hexdigest()
    bundle, _ = Bundle.objects.get_or_create(
        name=manifest.label,
        defaults={"folder": folder, "manifest": json.loads(document), "manifest_sha256": sha256},
    )
    if bundle.manifest_sha256 != sha256:
        raise BundleError(
            f"another {manifest.label} is registered already; a changed bundle needs a new version"
        )
    if bundle.folder != folder:
        bundle.folder = folder
        bundle.save(update_fields=["folder"])
    if activate:
        activate_bundle(bundle=bundle, actor=actor)
    return bundle


def register_all() -> list[str]:
    """Register every bundle under BUNDLES_DIR, and see that the active one can be run.

    Activates the newest if none is active, or if the active one lies there no more: workers could not load
    it. Returns a sentence for everything that was done or is wrong.
    """
    sentences: list[str] = []
    usable: list[Bundle] = []
    registered = set(Bundle.objects.values_list("name", flat=True))
    for path in sorted(path.parent for path in settings.BUNDLES_DIR.glob(f"*/{FILE_NAME}")):
        try:
            usable.append(register_bundle(folder=path.name, activate=False, actor=COMMAND_LINE))
        except BundleError as error:
            sentences.append(f"The bundle in {path} is not used: {error}.")
    sentences += [f"Registered the bundle {bundle}." for bundle in usable if bundle.name not in registered]
    active = Bundle.objects.active().first()
    if not usable:
        sentences.append(f"No usable bundle lies in {settings.BUNDLES_DIR}: studies will wait for one.")
    elif active not in usable:
        newest = max(usable, key=lambda bundle: (bundle.manifest["released"], bundle.pk))
        activate_bundle(bundle=newest, actor=COMMAND_LINE)
        sentences.append(f"Activated the bundle {newest}.")
    return sentences


def activate_bundle(*, bundle: Bundle, actor: Actor) -> None:
    """Make new analyses use this bundle; those that wait keep theirs. Audited for the platform."""
    with transaction.atomic():
        # Every row, in one order: two activations at once follow each other.
        locked = {row.pk: row for row in Bundle.objects.select_for_update().order_by("pk")}
        if locked[bundle.pk].is_active:
            return
        Bundle.objects.active().update(is_active=False)
        Bundle.objects.filter(pk=bundle.pk).update(is_active=True, activated_at=Now())
        record(
            clinic=None,
            action=Action.BUNDLE_ACTIVATED,
            actor=actor,
            target=bundle,
            detail={"bundle": bundle.name, "manifest_sha256": bundle.manifest_sha256},
        )
        # A worker that is woken for nothing loads the active bundle; the reconciler sees to the others.
        wake_workers_on_commit()
    bundle.refresh_from_db()

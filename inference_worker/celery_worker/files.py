"""Loads stored images and writes the files of a result. Only workers import this."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.files.storage import default_storage

from inference_worker.types import STAGES, Depth
from xrayportal.analyses.models import Analysis, Finding, Verdict
from xrayportal.analyses.results import ViewResult
from xrayportal.studies.models import Image
from xrayportal.studies.storage import StorageUnavailableError, read_stored, write_durably

if TYPE_CHECKING:
    from inference_worker.pipeline import Result

logger = logging.getLogger(__name__)


#: Files are written side by side: each waits for the disk, or for the object store.
_writers = ThreadPoolExecutor(8, thread_name_prefix="files")
#: Files on their way into the storage, by name.
Writing = dict[str, Future[None]]


class StorageTroubleError(Exception):
    """The file storage failed; it may answer later."""


def load_image(image: Image) -> bytes:
    """Load the image's stored bytes. Raises `StorageTroubleError`."""
    try:
        return read_stored(image.file)
    except OSError as error:
        raise StorageTroubleError(f"image {image.pk}: {type(error).__name__}") from error


def begin_writing(
    *, claim: Analysis, image: Image, result: Result, scale: float
) -> tuple[ViewResult, Writing]:
    """Begin to write the view's files; returns the values of its row, which count after `end_writing`.

    ``scale`` is the manifest's, in logit units. The attempt is part of the names: a worker that lost its
    lease and does not know it yet can never touch the files of the one that took over.
    """
    finding, rendered, depth = result.finding, result.rendered, result.radiograph.depth
    files = {
        "display.jpg": rendered.display,
        "thumbnail.jpg": rendered.thumbnail,
        "overlay.png": rendered.overlay,
        "map.json": None if finding.map is None else _map(finding.map, scale),
        "depth.png": rendered.depth,
    }
    stem = f"clinics/{claim.clinic_id}/findings/{claim.pk}/{claim.attempt}-{image.pk}"
    names = dict.fromkeys(files, "")
    writing: Writing = {}
    for suffix, content in files.items():
        if content is not None:
            name = names[suffix] = f"{stem}-{suffix}"
            writing[name] = _writers.submit(write_durably, name, content)
    view = ViewResult(
        image_id=image.pk,
        verdict=finding.verdict,
        body_parts=finding.body_parts,
        probability=finding.probability,
        peak=finding.peak,
        trust=finding.trust,
        reason=finding.reason,
        leaning=finding.leaning or "",
        location=finding.location or "",
        ood_distance=finding.ood_distance,
        width=finding.width,
        height=finding.height,
        spacing=result.radiograph.spacing,
        display_file=names["display.jpg"],
        thumbnail_file=names["thumbnail.jpg"],
        overlay_file=names["overlay.png"],
        map_file=names["map.json"],
        depth_file=names["depth.png"],
        depth=None if depth is None else _window(depth),
        notes=list(dict.fromkeys((*image.notes, *result.radiograph.notes))),
        milliseconds={stage: round(getattr(finding.timings, stage), 2) for stage in STAGES},
    )
    return view, writing


def end_writing(writing: Writing) -> None:
    """Wait until each file is whole and flushed. Raises `StorageTroubleError`."""
    wait(writing.values())
    for name, written in writing.items():
        try:
            written.result()
        except StorageUnavailableError as error:
            raise StorageTroubleError(f"{Path(name).name}: {type(error).__name__}") from error


def without_verdict(view: ViewResult, reason: str) -> ViewResult:
    """The view of a study whose body part is not judged: its heatmap's files are removed again.

    They must have been written. An unsupported view stays as it is.
    """
    if view.verdict == Verdict.UNSUPPORTED:
        return view
    _delete(view.overlay_file, view.map_file)
    return replace(
        view,
        verdict=Verdict.UNCERTAIN.value,
        reason=reason,
        leaning="",
        location="",
        probability=None,
        peak=None,
        trust=None,
        overlay_file="",
        map_file="",
    )


def remove_files(views: Iterable[ViewResult]) -> None:
    """Remove the files that were written for a result that the queue refused.

    No row names these files.
    """
    for view in views:
        _delete(*(getattr(view, field) for field in Finding.FILES))


def _delete(*names: str) -> None:
    """Remove files that no row names. The reconciler's sweep finds those that cannot be removed now."""
    for name in filter(None, names):
        try:
            default_storage.delete(name)
        except Exception as error:  # noqa: BLE001  # each storage has its own
            logger.warning("%s is left to the sweep: %s", name, type(error).__name__)


def _window(depth: Depth) -> dict[str, Any]:
    """How the viewer is to show the picture's codes, as ``Finding.depth`` keeps it."""
    return {
        "highest": int(depth.codes.max()),
        "level": depth.level,
        "width": depth.width,
        "first": depth.first,
        "step": depth.step,
        "is_masked": depth.is_masked,
        "curve": None if depth.curve is None else list(depth.curve),
    }


def _map(evidence: Any, scale: float) -> bytes:
    """JSON of the signed map ``float (h, w)``, in logit units, and the ``scale`` that the viewer uses."""
    height, width = evidence.shape
    values = [round(float(value), 4) for value in evidence.ravel()]
    return json.dumps({"height": height, "width": width, "scale": scale, "values": values}).encode()

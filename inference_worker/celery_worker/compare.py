"""Analyses stored studies once more with another bundle; writes nothing, neither rows nor files.

Needs what a worker needs (OpenVINO or TensorFlow), which is imported only when a comparison begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from inference_worker.manifest import FILE_NAME, BundleError
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.analyses.services import thresholds_for
from xrayportal.clinics.models import Clinic
from xrayportal.studies.models import Image, Study

if TYPE_CHECKING:
    from inference_worker.pipeline import Pipeline
    from inference_worker.verdict import StudyResult, View

#: Studies fetched at a time.
CHUNK = 100


@dataclass(frozen=True, slots=True)
class Replay:
    """A study's present result and the candidate's: ``after``, ``None`` if no view could be analysed now."""

    study: Study
    before: Analysis
    after: StudyResult | None

    @property
    def is_changed(self) -> bool:
        after, before = self.after, self.before
        return after is not None and (after.verdict, after.reason) != (before.verdict, before.reason)


class Comparison:
    """A candidate bundle, loaded, and the studies to replay: the newest with a result, of all clinics or one.

    ``folder`` holds the candidate, known to the portal or not. Verdicts use the thresholds and the forced
    body part that an analysis requested now would use. Raises `BundleError` for a folder that is no whole
    bundle, and `ImportError` where the runtime is not installed.
    """

    def __init__(self, folder: Path, *, clinic: Clinic | None = None, limit: int | None = None) -> None:
        self._pipeline = _load(folder)
        # A row that is never saved: `thresholds_for` takes one.
        self._bundle = Bundle(manifest=json.loads((folder / FILE_NAME).read_bytes()))
        studies = Study.objects.filter(current__isnull=False).order_by("-created_at", "pk")
        if clinic is not None:
            studies = studies.filter(clinic=clinic)
        self._keys = list(studies.values_list("pk", flat=True)[:limit])

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def candidate(self) -> str:
        """``name@version``."""
        return self._pipeline.manifest.label

    def replays(self) -> Iterator[Replay]:
        """Analyse one study after the other; one that was deleted since the beginning is left out."""
        for start in range(0, len(self._keys), CHUNK):
            rows = Study.objects.filter(pk__in=self._keys[start : start + CHUNK], current__isnull=False)
            rows = rows.select_related("clinic", "current__bundle").prefetch_related("images")
            for study in rows.order_by("-created_at", "pk"):
                if study.current is not None:
                    yield Replay(study, study.current, self._analyse(study, study.current))

    def _analyse(self, study: Study, before: Analysis) -> StudyResult | None:
        from inference_worker.verdict import judge_study

        low, high, _ = thresholds_for(study.clinic, self._bundle)
        forced = before.forced_body_part if before.forced_body_part in self._bundle.body_parts else None
        # One at a time: a study of many large views must fit the memory.
        views = [self._view(image, forced) for image in study.images.all()]
        if not any(views):
            return None
        manifest = self._pipeline.manifest
        return judge_study(
            views,
            low=low,
            high=high,
            even=manifest.thresholds.even,
            aggregate=manifest.aggregate,
            forced_body_part=forced,
            unjudged=manifest.unjudged,
        )

    def _view(self, image: Image, forced: str | None) -> View | None:
        from inference_worker.celery_worker.files import StorageTroubleError, load_image
        from inference_worker.types import UnreadableError

        try:
            return self._pipeline.analyse(load_image(image), forced).view
        except (UnreadableError, StorageTroubleError):
            return None


def _load(folder: Path) -> Pipeline:
    from inference_worker import bundle
    from inference_worker.pipeline import Pipeline
    from inference_worker.runtimes import load_runtimes

    if not folder.is_dir():
        raise BundleError(f"there is no folder {folder}")
    files = bundle.Bundle.load(folder)
    runtimes = load_runtimes(files, settings.XRAY_RUNTIME, precision=settings.XRAY_PRECISION)
    return Pipeline(files, runtimes)

"""From a file's bytes to a finding and the files to write: the whole way, for one picture or many."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from inference_worker import gradcam
from inference_worker.bundle import Bundle, BundleError
from inference_worker.decode import Limits, decode
from inference_worker.out_of_distribution import OutOfDistributionDetector
from inference_worker.preprocess import as_batch, letterbox
from inference_worker.render import Rendered, render
from inference_worker.trust import trust
from inference_worker.types import Finding, Geometry, Radiograph, Runtime, Timings, UnreadableError
from inference_worker.verdict import View, calibrated, judge

#: Pictures in one forward pass. More gains nothing on a CPU and little on a GPU at this input size.
BATCH = 8


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one readable picture. ``sha256`` is of the file's bytes."""

    sha256: str
    radiograph: Radiograph
    finding: Finding
    rendered: Rendered

    @property
    def view(self) -> View:
        """What `inference_worker.verdict.judge_study` needs of it."""
        return View(body_parts=self.finding.body_parts, probability=self.finding.probability)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A decoded picture, ready for the network; times in milliseconds."""

    sha256: str
    radiograph: Radiograph
    square: NDArray[np.uint8]
    geometry: Geometry
    decode_ms: float
    preprocess_ms: float


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the networks said of one picture; ``logit`` and ``map`` are ``None`` out of scope."""

    body_parts: NDArray[np.float32]
    distance: float
    body_part: str
    logit: float | None
    map: NDArray[np.float32] | None


class Pipeline:
    """A bundle with its networks loaded, ready to read pictures.

    ``runtimes`` are the bundle's networks by id (`inference_worker.runtimes.load_runtimes`). Verdicts
    use the bundle's own thresholds unless a call brings others. Raises `BundleError` for a scope gate
    that cannot be read.
    """

    def __init__(self, bundle: Bundle, runtimes: Mapping[str, Runtime], limits: Limits | None = None) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        self.manifest = manifest
        self.limits = limits or Limits()
        self._runtimes = runtimes
        try:
            self._gate = OutOfDistributionDetector.load(
                bundle.scope_file, manifest.scope.limit, manifest.scope.chroma_limit
            )
        except (OSError, KeyError, ValueError) as error:
            raise BundleError(f"{bundle.scope_file} cannot be read as a scope gate: {error}") from error

    @property
    def runtime(self) -> Runtime:
        """The runtime of the network that sees every picture: its name, version and precision."""
        return self._runtimes[self.manifest.body_part_network.id]

    def read(
        self, data: bytes, forced_body_part: str | None = None, thresholds: tuple[float, float] | None = None
    ) -> Result:
        """Read one file. ``thresholds`` are (low, high). Raises `UnreadableError`."""
        result = self.read_many([data], forced_body_part, thresholds)[0]
        if isinstance(result, UnreadableError):
            raise result
        return result

    def read_many(
        self,
        files: Sequence[bytes],
        forced_body_part: str | None = None,
        thresholds: tuple[float, float] | None = None,
    ) -> list[Result | UnreadableError]:
        """Read files in batches; one that cannot be read spoils no other and gives its error in its place.

        ``forced_body_part`` (a label of the manifest) replaces the predicted one in the choice of expert
        and calibration. Raises `ValueError` for an unknown part or if low > high.
        """
        if forced_body_part is not None and forced_body_part not in self.manifest.body_parts:
            raise ValueError(f"{forced_body_part!r} is not among the bundle's parts")
        low, high = thresholds or (self.manifest.thresholds.low, self.manifest.thresholds.high)
        results: list[Result | UnreadableError] = []
        for start in range(0, len(files), BATCH):
            chunk = [self._prepare(data) for data in files[start : start + BATCH]]
            ready = [prepared for prepared in chunk if isinstance(prepared, _Prepared)]
            clock = perf_counter()
            readings = iter(self._infer(ready, forced_body_part))
            infer_ms = _since(clock) / max(1, len(ready))
            for prepared in chunk:
                if isinstance(prepared, UnreadableError):
                    results.append(prepared)
                else:
                    results.append(self._finish(prepared, next(readings), low, high, infer_ms))
        return results

    def _prepare(self, data: bytes) -> _Prepared | UnreadableError:
        clock = perf_counter()
        try:
            radiograph = decode(data, self.limits)
        except UnreadableError as error:
            return error
        decode_ms = _since(clock)
        clock = perf_counter()
        square, geometry = letterbox(radiograph.pixels, self.manifest.input.size)
        preprocess_ms = _since(clock)
        return _Prepared(
            sha256=hashlib.sha256(data).hexdigest(),
            radiograph=radiograph,
            square=square,
            geometry=geometry,
            decode_ms=decode_ms,
            preprocess_ms=preprocess_ms,
        )

    def _infer(self, pictures: Sequence[_Prepared], forced_body_part: str | None) -> list[_Reading]:
        """One pass of the part network over all; experts see only the pictures that they answer for."""
        if not pictures:
            return []
        manifest = self.manifest
        batch = as_batch(np.stack([picture.square for picture in pictures]))
        classifier = manifest.body_part_network
        classified = self._runtimes[classifier.id].infer(batch)
        colours = np.array([self._gate.colour(picture.radiograph.chroma) for picture in pictures])
        distances = np.maximum(self._gate.distance(classified.embedding), colours)
        body_parts = [
            forced_body_part or manifest.body_parts[index] for index in classified.body_part.argmax(axis=1)
        ]

        answers: dict[int, tuple[float, NDArray[np.float32]]] = {}
        by_network: dict[str, list[int]] = {}
        for index, body_part in enumerate(body_parts):
            if distances[index] <= 1:
                by_network.setdefault(manifest.abnormality_network(body_part).id, []).append(index)
        for network, indices in by_network.items():
            judged = classified if network == classifier.id else self._runtimes[network].infer(batch[indices])
            rows = indices if network == classifier.id else range(len(indices))
            for index, row in zip(indices, rows, strict=True):
                answers[index] = float(judged.logit[row]), judged.map[row]
        return [
            _Reading(
                classified.body_part[index],
                float(distances[index]),
                body_part,
                *answers.get(index, (None, None)),
            )
            for index, body_part in enumerate(body_parts)
        ]

    def _finish(
        self, picture: _Prepared, reading: _Reading, low: float, high: float, infer_ms: float
    ) -> Result:
        clock = perf_counter()
        manifest = self.manifest
        radiograph = picture.radiograph
        width, height = radiograph.width, radiograph.height
        signed = None if reading.map is None else gradcam.crop(reading.map, picture.geometry)
        rendered = render(radiograph.pixels, signed, manifest.map.scale)
        probability = (
            None
            if reading.logit is None
            else calibrated(reading.logit, reading.body_part, manifest.calibration)
        )
        finding = Finding(
            verdict="unsupported" if probability is None else judge(probability, low, high),
            body_parts=dict(zip(manifest.body_parts, reading.body_parts.tolist(), strict=True)),
            probability=probability,
            peak=None if signed is None else gradcam.peak(signed, width, height),
            trust=None if signed is None else trust(signed, manifest.trust),
            map=signed,
            ood_distance=reading.distance,
            width=width,
            height=height,
            timings=Timings(
                decode=picture.decode_ms,
                preprocess=picture.preprocess_ms,
                infer=infer_ms,
                render=_since(clock),
            ),
        )
        return Result(picture.sha256, radiograph, finding, rendered)


def _since(clock: float) -> float:
    """Milliseconds since ``clock``, a reading of `perf_counter`."""
    return (perf_counter() - clock) * 1000.0

"""Analyses files: from their bytes to a finding and the files to write, for one picture or many."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from inference_worker import gradcam
from inference_worker.bundle import Bundle
from inference_worker.decode import DecodeHere
from inference_worker.decode.limits import Limits
from inference_worker.manifest import BundleError
from inference_worker.out_of_distribution import OutOfDistributionDetector
from inference_worker.preprocess import as_batch, letterbox
from inference_worker.render import Rendered, render
from inference_worker.trust import trust
from inference_worker.types import (
    Decoded,
    Decoder,
    Finding,
    Geometry,
    Radiograph,
    Runtime,
    Timings,
    UnreadableError,
    Verdict,
)
from inference_worker.verdict import View, calibrated, judge, lean, not_judged

#: Pictures in one forward pass. More gains nothing on a CPU and little on a GPU at this input size.
BATCH = 8


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one picture that could be decoded. ``sha256`` is of the file's bytes.

    ``view`` has the values that `inference_worker.verdict.judge_study` needs, also of a picture that is not
    judged by itself.
    """

    sha256: str
    radiograph: Radiograph
    finding: Finding
    rendered: Rendered
    view: View

    def without_verdict(self) -> Result:
        """The same picture where its body part is not judged: no probability and no heatmap."""
        return replace(self, finding=not_judged(self.finding), rendered=replace(self.rendered, overlay=None))


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
class _Prediction:
    """The networks' outputs for one picture; ``logit`` and ``map`` are ``None`` out of distribution."""

    body_parts: NDArray[np.float32]
    distance: float
    body_part: str
    logit: float | None
    map: NDArray[np.float32] | None


class Pipeline:
    """A bundle with its networks loaded, ready to analyse pictures.

    ``runtimes`` are the bundle's networks by id (`inference_worker.runtimes.load_runtimes`). Verdicts
    use the bundle's own thresholds unless a call brings others. ``decoder`` is this process where none is
    given; files from strangers need `inference_worker.decode.isolated.DecodeProcess`. Raises `BundleError`
    for a file of the out-of-distribution detector that cannot be loaded.
    """

    def __init__(
        self,
        bundle: Bundle,
        runtimes: Mapping[str, Runtime],
        limits: Limits | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        self.manifest = manifest
        self.limits = limits or Limits()
        self._decoder = decoder or DecodeHere(self.limits)
        self._runtimes = runtimes
        try:
            self._detector = OutOfDistributionDetector.load(
                bundle.detector_file,
                manifest.out_of_distribution.limit,
                manifest.out_of_distribution.chroma_limit,
            )
        except (OSError, KeyError, ValueError) as error:
            raise BundleError(
                f"{bundle.detector_file} is no out-of-distribution detector: {error}"
            ) from error

    @property
    def runtime(self) -> Runtime:
        """The runtime of the network that sees every picture: its name, version and precision."""
        return self._runtimes[self.manifest.body_part_network.id]

    def analyse(
        self, data: bytes, forced_body_part: str | None = None, thresholds: tuple[float, float] | None = None
    ) -> Result:
        """Analyse one file's bytes, with the arguments of `analyse_many`. Raises `UnreadableError`."""
        result = self.analyse_many([data], forced_body_part, thresholds)[0]
        if isinstance(result, UnreadableError):
            raise result
        return result

    def analyse_many(
        self,
        files: Sequence[bytes],
        forced_body_part: str | None = None,
        thresholds: tuple[float, float] | None = None,
    ) -> list[Result | UnreadableError]:
        """Analyse files' bytes in batches; one that cannot be decoded gives its error in its place.

        ``forced_body_part`` (a label of the manifest) replaces the predicted one in the choice of expert
        and calibration. A picture of a body part that the bundle does not judge gets neither probability
        nor heatmap. ``thresholds`` are (low, high) on the calibrated probability. Raises `ValueError` for
        an unknown body part or if low > high.
        """
        return [
            result
            if isinstance(result, UnreadableError) or self._is_judged(result, forced_body_part)
            else result.without_verdict()
            for result in self.analyse_views(files, forced_body_part, thresholds)
        ]

    def analyse_views(
        self,
        files: Sequence[bytes],
        forced_body_part: str | None = None,
        thresholds: tuple[float, float] | None = None,
    ) -> list[Result | UnreadableError]:
        """As `analyse_many`, for views of one study: whether they are judged is left to `judge_study`.

        Where it says that the study's body part is not judged, each view's `Result.without_verdict` counts.
        """
        if forced_body_part is not None and forced_body_part not in self.manifest.body_parts:
            raise ValueError(f"{forced_body_part!r} is not among the bundle's body parts")
        low, high = thresholds or (self.manifest.thresholds.low, self.manifest.thresholds.high)
        results: list[Result | UnreadableError] = []
        for start in range(0, len(files), BATCH):
            chunk = self._prepare_all(files[start : start + BATCH])
            ready = [prepared for prepared in chunk if isinstance(prepared, _Prepared)]
            clock = perf_counter()
            predictions = iter(self._infer(ready, forced_body_part))
            infer_ms = _since(clock) / max(1, len(ready))
            for prepared in chunk:
                if isinstance(prepared, UnreadableError):
                    results.append(prepared)
                else:
                    results.append(self._finish(prepared, next(predictions), low, high, infer_ms))
        return results

    def _is_judged(self, result: Result, forced_body_part: str | None) -> bool:
        body_parts = result.finding.body_parts
        body_part = forced_body_part or max(body_parts, key=lambda label: body_parts[label])
        return body_part not in self.manifest.unjudged

    def _prepare_all(self, files: Sequence[bytes]) -> list[_Prepared | UnreadableError]:
        """Decode the files, each while the one before it is scaled."""
        prepared = []
        for index, data in enumerate(files):
            if index == 0:
                self._decoder.begin(data)
            try:
                decoded: Decoded | UnreadableError = self._decoder.result()
            except UnreadableError as error:
                decoded = error
            if index + 1 < len(files):
                self._decoder.begin(files[index + 1])
            prepared.append(decoded if isinstance(decoded, UnreadableError) else self._prepare(data, decoded))
        return prepared

    def _prepare(self, data: bytes, decoded: Decoded) -> _Prepared:
        radiograph = decoded.radiograph
        clock = perf_counter()
        square, geometry = letterbox(radiograph.pixels, self.manifest.input.size)
        preprocess_ms = _since(clock)
        return _Prepared(
            sha256=hashlib.sha256(data).hexdigest(),
            radiograph=radiograph,
            square=square,
            geometry=geometry,
            decode_ms=decoded.milliseconds,
            preprocess_ms=preprocess_ms,
        )

    def _infer(self, pictures: Sequence[_Prepared], forced_body_part: str | None) -> list[_Prediction]:
        """One pass of the body-part classifier over all; experts get only the pictures they answer for."""
        if not pictures:
            return []
        manifest = self.manifest
        batch = as_batch(np.stack([picture.square for picture in pictures]))
        classifier = manifest.body_part_network
        classified = self._runtimes[classifier.id].infer(batch)
        colours = np.array([self._detector.colour(picture.radiograph.chroma) for picture in pictures])
        distances = np.maximum(self._detector.distance(classified.embedding), colours)
        body_parts = [
            forced_body_part or manifest.body_parts[index] for index in classified.body_part.argmax(axis=1)
        ]

        verdicts: dict[int, tuple[float, NDArray[np.float32]]] = {}
        by_network: dict[str, list[int]] = {}
        for index, body_part in enumerate(body_parts):
            if distances[index] <= 1:
                by_network.setdefault(manifest.abnormality_network(body_part).id, []).append(index)
        for network, indices in by_network.items():
            judged = classified if network == classifier.id else self._runtimes[network].infer(batch[indices])
            rows = indices if network == classifier.id else range(len(indices))
            for index, row in zip(indices, rows, strict=True):
                verdicts[index] = float(judged.logit[row]), judged.map[row]
        return [
            _Prediction(
                classified.body_part[index],
                float(distances[index]),
                body_part,
                *verdicts.get(index, (None, None)),
            )
            for index, body_part in enumerate(body_parts)
        ]

    def _finish(
        self, picture: _Prepared, prediction: _Prediction, low: float, high: float, infer_ms: float
    ) -> Result:
        clock = perf_counter()
        manifest = self.manifest
        radiograph = picture.radiograph
        width, height = radiograph.width, radiograph.height
        signed = None if prediction.map is None else gradcam.crop(prediction.map, picture.geometry)
        location = None
        if signed is not None and manifest.location is not None:
            location = manifest.location.band(float(signed.max()))
        drawn = None if location == "none" else signed
        rendered = render(radiograph, drawn, manifest.map.scale)
        probability = (
            None
            if prediction.logit is None
            else calibrated(prediction.logit, prediction.body_part, manifest.calibration)
        )
        verdict: Verdict = "unsupported" if probability is None else judge(probability, low, high)
        finding = Finding(
            verdict=verdict,
            body_parts=dict(zip(manifest.body_parts, prediction.body_parts.tolist(), strict=True)),
            probability=probability,
            peak=None if drawn is None else gradcam.peak(drawn, width, height),
            trust=None if signed is None or manifest.trust is None else trust(signed, manifest.trust),
            map=signed,
            ood_distance=prediction.distance,
            width=width,
            height=height,
            timings=Timings(
                decode=picture.decode_ms,
                preprocess=picture.preprocess_ms,
                infer=infer_ms,
                render=_since(clock),
            ),
            leaning=lean(verdict, probability, manifest.thresholds.even),
            location=location,
        )
        view = View(body_parts=finding.body_parts, probability=probability)
        return Result(picture.sha256, radiograph, finding, rendered, view)


def _since(clock: float) -> float:
    """Milliseconds since ``clock``, a value of `perf_counter`."""
    return (perf_counter() - clock) * 1000.0

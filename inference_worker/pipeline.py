"""Analyses files: from their bytes to a finding and the files to write, for one picture or many.

Several pictures are on their way at once: one is decoded, one or two are in their forward pass, and the
one before is rendered and stored by the caller. So the network waits for nothing, and no picture for others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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


@dataclass(frozen=True, slots=True)
class Job:
    """One file to analyse. ``thresholds`` are (low, high); without them the bundle's own count.

    ``forced_body_part`` (a label of the manifest) replaces the predicted one in the choice of expert and
    calibration.
    """

    data: bytes
    forced_body_part: str | None = None
    thresholds: tuple[float, float] | None = None


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
    infer_ms: float


@dataclass(frozen=True, slots=True)
class _Flight:
    """A picture whose forward pass is under way."""

    job: Job
    prepared: _Prepared
    prediction: Future[_Prediction]


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
        at_once = min(runtime.at_once for runtime in runtimes.values())
        self._passes = ThreadPoolExecutor(at_once, thread_name_prefix="pass")
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
        """Analyse files' bytes; one that cannot be decoded gives its error in its place.

        The arguments are those of `Job`. A picture of a body part that the bundle does not judge gets neither
        probability nor heatmap. Raises `ValueError` for an unknown body part or if low > high.
        """
        results: list[Result | UnreadableError] = []
        for outcome in self.outcomes(Job(data, forced_body_part, thresholds) for data in files):
            if isinstance(outcome, UnreadableError):
                results.append(outcome)
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                judged = self._is_judged(outcome, forced_body_part)
                results.append(outcome if judged else outcome.without_verdict())
        return results

    def outcomes(self, jobs: Iterable[Job]) -> Iterator[Result | Exception]:
        """Analyse what ``jobs`` yields; yield each one's result, or what its analysis raised, in their order.

        The caller's work on an outcome, and what ``jobs`` does to fetch the next file, run beside the pass of
        another picture; both should be done in the caller's thread. An outcome comes when the job after it
        has been fetched. Pictures are not judged by their body part: for views of one study `judge_study`
        decides, and where it says that the study's body part is not judged, each view's
        `Result.without_verdict` counts.
        """
        ahead = iter(jobs)
        flight: _Flight | Exception | None = None
        job = next(ahead, None)
        begun = None if job is None else self._begin_decoding(job)
        try:
            while job is not None:
                decoded = begun if isinstance(begun, Exception) else self._decoded()
                following = next(ahead, None)
                begun = None if following is None else self._begin_decoding(following)
                is_alone = flight is None and following is None
                started = (
                    decoded if isinstance(decoded, Exception) else self._begin_pass(job, decoded, is_alone)
                )
                if flight is not None:
                    yield self._outcome(flight)
                flight, job = started, following
            if flight is not None:
                yield self._outcome(flight)
        finally:
            # The caller has gone, or the jobs have failed: nobody asks for the picture under way.
            if job is not None:
                self._decoder.give_up()

    def _is_judged(self, result: Result, forced_body_part: str | None) -> bool:
        body_parts = result.finding.body_parts
        body_part = forced_body_part or max(body_parts, key=lambda label: body_parts[label])
        return body_part not in self.manifest.unjudged

    def _begin_decoding(self, job: Job) -> Exception | None:
        try:
            if job.forced_body_part is not None and job.forced_body_part not in self.manifest.body_parts:
                raise ValueError(f"{job.forced_body_part!r} is not among the bundle's body parts")
            self._decoder.begin(job.data)
        except Exception as error:  # noqa: BLE001  # it belongs to its picture, as all below
            return error
        return None

    def _decoded(self) -> Decoded | Exception:
        try:
            return self._decoder.result()
        except Exception as error:  # noqa: BLE001
            return error

    def _begin_pass(self, job: Job, decoded: Decoded, is_alone: bool) -> _Flight | Exception:
        try:
            prepared = self._prepare(job.data, decoded)
            prediction = self._passes.submit(self._infer, prepared, job.forced_body_part, is_alone)
            return _Flight(job, prepared, prediction)
        except Exception as error:  # noqa: BLE001
            return error

    def _outcome(self, flight: _Flight | Exception) -> Result | Exception:
        if isinstance(flight, Exception):
            return flight
        try:
            own = self.manifest.thresholds
            low, high = flight.job.thresholds or (own.low, own.high)
            return self._finish(flight.prepared, flight.prediction.result(), low, high)
        except Exception as error:  # noqa: BLE001
            return error

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

    def _infer(self, picture: _Prepared, forced_body_part: str | None, is_alone: bool) -> _Prediction:
        """One pass of the body-part classifier, and one of the expert where that is another network."""
        clock = perf_counter()
        manifest = self.manifest
        batch = as_batch(picture.square[np.newaxis])
        classifier = manifest.body_part_network
        classified = self._runtimes[classifier.id].infer(batch, is_alone=is_alone)
        colour = self._detector.colour(picture.radiograph.chroma)
        distance = max(float(self._detector.distance(classified.embedding)[0]), colour)
        body_part = forced_body_part or manifest.body_parts[int(classified.body_part[0].argmax())]
        logit = evidence = None
        if distance <= 1:
            expert = manifest.abnormality_network(body_part).id
            judged = (
                classified
                if expert == classifier.id
                else self._runtimes[expert].infer(batch, is_alone=is_alone)
            )
            logit, evidence = float(judged.logit[0]), judged.map[0]
        return _Prediction(classified.body_part[0], distance, body_part, logit, evidence, _since(clock))

    def _finish(self, picture: _Prepared, prediction: _Prediction, low: float, high: float) -> Result:
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
                infer=prediction.infer_ms,
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

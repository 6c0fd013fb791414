"""The bundle's manifest (docs/bundle.md) as typed records; `manifest_file` loads them. Needs no NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from inference_worker.types import LocationBand, Verdict

FILE_NAME = "manifest.json"

#: Grey levels outside these percentiles are clipped before the rest is stretched to 0..255
#: (`inference_worker.preprocess`). A bundle was trained with the same two, or is refused.
CONTRAST_PERCENTILES = (0.5, 99.5)

Role = Literal["unified", "body_part", "abnormality"]
Aggregate = Literal["mean", "max"]

#: In a network's ``body_parts``: it answers for every body part that no other network names.
ANY_PART = "*"

#: The terms of the trust score, see `inference_worker.trust`.
TRUST_FEATURES = ("peak", "focus", "border", "rival")


#: The results that the manifest's ``rates`` count, in order of probability.
RESULTS = ("normal", "towards_normal", "towards_abnormal", "abnormal")


class BundleError(Exception):
    """A bundle that cannot be used. ``str(error)`` names the file, the place in it and the reason."""


@dataclass(frozen=True, slots=True)
class Target:
    """The finding that the bundle looks for, and the words that people see for each verdict."""

    code: str
    normal: str
    abnormal: str
    uncertain: str
    unsupported: str

    def words(self, verdict: Verdict) -> str:
        return cast(str, getattr(self, verdict))


@dataclass(frozen=True, slots=True)
class Input:
    """Side of the square input in pixels; the percentiles that the grey levels were stretched between."""

    size: int
    contrast_percentiles: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Network:
    """One graph: its role, the body parts it answers for, its file by runtime."""

    id: str
    role: Role
    body_parts: tuple[str, ...]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EvidenceMap:
    """Grid of the signed map, and the absolute value (logit units) drawn at full colour."""

    height: int
    width: int
    scale: float
    pooling: str
    temperature: float | None
    features: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling with an offset by body part: ``sigmoid(slope * logit + intercept + offset)``."""

    slope: float
    intercept: float
    offsets: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``p < low`` normal, ``p >= high`` abnormal, between uncertain; the limits bound a clinic's own.

    Uncertain probabilities below ``even`` lean towards normal, the others towards abnormal; ``None`` where
    the bundle measured no leanings.
    """

    low: float
    high: float
    low_limits: tuple[float, float]
    high_limits: tuple[float, float]
    even: float | None = None

    def at(self, low: float, high: float) -> Thresholds:
        """The same with a clinic's own values. Raises `ValueError` outside the limits or if low > high."""
        for name, value, (least, most) in (("low", low, self.low_limits), ("high", high, self.high_limits)):
            if not least <= value <= most:
                raise ValueError(
                    f"the {name} threshold must lie between {least:g} and {most:g}, not {value:g}"
                )
        if low > high:
            raise ValueError(f"the low threshold ({low:g}) must not be above the high one ({high:g})")
        return Thresholds(low, high, self.low_limits, self.high_limits, self.even)


@dataclass(frozen=True, slots=True)
class OutOfDistribution:
    """The detector's parameter file and its limits, see `inference_worker.out_of_distribution`."""

    file: str
    limit: float
    chroma_limit: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured value and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well the networks tell abnormal from normal pictures of one body part.

    Measured out of fold on ``pictures``, of which ``abnormal`` are abnormal; ``auc`` is ``None`` where it
    cannot be computed. ``judged``: whether the bundle gives verdicts on this body part.
    """

    pictures: int
    abnormal: int
    auc: Interval | None
    judged: bool


@dataclass(frozen=True, slots=True)
class Rate:
    """Test pictures with one result, and how many of them were abnormal."""

    pictures: int
    abnormal: int


@dataclass(frozen=True, slots=True)
class Rates:
    """What became of the test pictures of judged body parts, with the bundle's own thresholds.

    ``measured_on`` names the test set in a sentence; ``prevalence`` is its share of abnormal pictures, and
    ``pictures`` their number, with those that were out of distribution.
    """

    measured_on: str
    prevalence: float
    pictures: int
    normal: Rate
    towards_normal: Rate
    towards_abnormal: Rate
    abnormal: Rate


@dataclass(frozen=True, slots=True)
class Hits:
    """Abnormal pictures with boxes, and in how many of them the map's peak lay in a box."""

    pictures: int
    hits: int


@dataclass(frozen=True, slots=True)
class Location:
    """Two limits on the map's highest value, in logit units, and the hits of each band between them.

    Below ``visible_from`` nothing stands out and nothing is drawn; at or above ``strong_from`` the
    evidence is strong.
    """

    visible_from: float
    strong_from: float
    none: Hits
    weak: Hits
    strong: Hits

    def band(self, peak: float) -> LocationBand:
        """The band of a map whose highest value is ``peak``."""
        if peak < self.visible_from:
            return "none"
        return "strong" if peak >= self.strong_from else "weak"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A bundle's labels, sizes, thresholds and files: the rest of the system takes them from here only."""

    name: str
    version: str
    released: str
    target: Target
    input: Input
    body_parts: tuple[str, ...]
    networks: tuple[Network, ...]
    map: EvidenceMap
    calibration: Calibration
    thresholds: Thresholds
    prevalence: float
    aggregate: Aggregate
    out_of_distribution: OutOfDistribution
    trust: Mapping[str, Any] | None
    metrics: Mapping[str, Any]
    data: Mapping[str, Any]
    software: Mapping[str, Any]
    files: Mapping[str, str]
    #: By body part; empty where none was measured, and then every body part is judged.
    body_part_reliability: Mapping[str, Reliability] = field(default_factory=dict)
    rates: Rates | None = None
    location: Location | None = None

    @property
    def unjudged(self) -> frozenset[str]:
        """The body parts on which the bundle gives no verdict."""
        return frozenset(
            label for label, reliability in self.body_part_reliability.items() if not reliability.judged
        )

    @property
    def label(self) -> str:
        """``name@version``, as every result shows it."""
        return f"{self.name}@{self.version}"

    @property
    def body_part_network(self) -> Network:
        """The network that classifies the body part and gives the embedding for the detector."""
        return next(network for network in self.networks if network.role in ("unified", "body_part"))

    def abnormality_network(self, body_part: str) -> Network:
        """The network that answers for ``body_part``: its expert, else the general one, else the unified."""
        return answering(self.networks, body_part)


def answering(networks: Sequence[Network], body_part: str) -> Network:
    """Choose the network that answers for ``body_part``. Raises `StopIteration` if none does."""
    ranked = sorted(
        (network for network in networks if network.role != "body_part"),
        key=lambda network: (body_part not in network.body_parts, network.role == "unified"),
    )
    return next(
        network for network in ranked if body_part in network.body_parts or ANY_PART in network.body_parts
    )

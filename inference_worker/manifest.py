"""The bundle's manifest (docs/bundle.md) as typed records, checked. Needs no NumPy.

Every problem is a `BundleError` whose sentence names the place in the file and what was expected.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from inference_worker.document import DocumentError, Node

if TYPE_CHECKING:
    from inference_worker.types import LocationBand, Verdict

FILE_NAME = "manifest.json"
SCHEMA = 1

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

_MOST_PICTURES = 10**9


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


def load_manifest(folder: Path) -> Manifest:
    """Load and check ``folder/manifest.json`` alone; `Bundle.load` also checks the files it names.

    Raises `BundleError`.
    """
    path = folder / FILE_NAME
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"{folder} is no bundle: it has no {FILE_NAME}") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} is no JSON document: {error}") from error
    try:
        manifest = _manifest(Node(document, str(path)))
    except DocumentError as error:
        raise BundleError(str(error)) from error
    _check_networks(manifest, path)
    if manifest.input.contrast_percentiles != CONTRAST_PERCENTILES:
        raise BundleError(
            f"{path}: the networks were trained with contrast percentiles "
            f"{manifest.input.contrast_percentiles}, but this software stretches {CONTRAST_PERCENTILES}"
        )
    return manifest


def _manifest(root: Node) -> Manifest:
    schema = root["schema"].whole(0, 10_000)
    if schema != SCHEMA:
        raise root["schema"].error(f"is {schema}, but this software knows schema {SCHEMA}")
    body_parts = root["body_parts"].texts()
    return Manifest(
        name=root["name"].text(),
        version=root["version"].text(),
        released=root["released"].text(),
        target=Target(**{key: root["target"][key].text() for key in Target.__dataclass_fields__}),
        input=Input(
            size=root["input"]["size"].whole(16, 4096),
            contrast_percentiles=root["input"]["contrast_percentiles"].pair(0.0, 100.0),
        ),
        body_parts=body_parts,
        networks=tuple(_network(node, body_parts) for node in root["networks"].items()),
        map=_map(root["map"]),
        calibration=_calibration(root["calibration"], body_parts),
        thresholds=_thresholds(root["thresholds"]),
        prevalence=root["prevalence"].number(0.0, 1.0),
        aggregate=cast(Aggregate, root["aggregate"].one_of("mean", "max")),
        out_of_distribution=OutOfDistribution(
            file=root["out_of_distribution"]["file"].file_name(),
            limit=root["out_of_distribution"]["limit"].number(1e-9),
            chroma_limit=root["out_of_distribution"]["chroma_limit"].number(1e-9),
        ),
        trust=_trust(root.optional("trust")),
        metrics=root["metrics"].mapping(),
        data=root["data"].mapping(),
        software=root["software"].mapping(),
        files={Node(name, "files").file_name(): node.text() for name, node in root["files"].pairs()},
        body_part_reliability=_reliability(root.optional("body_part_reliability"), body_parts),
        rates=_rates(root.optional("rates")),
        location=_location(root.optional("location")),
    )


def _network(node: Node, body_parts: tuple[str, ...]) -> Network:
    covered = node["body_parts"].texts()
    for body_part in covered:
        if body_part != ANY_PART and body_part not in body_parts:
            raise node["body_parts"].error(f"names the body part {body_part!r}, which the bundle lacks")
    return Network(
        id=node["id"].text(),
        role=cast(Role, node["role"].one_of("unified", "body_part", "abnormality")),
        body_parts=covered,
        files={runtime: file.file_name() for runtime, file in node["files"].pairs()},
    )


def _map(node: Node) -> EvidenceMap:
    temperature = node.optional("temperature")
    return EvidenceMap(
        height=node["height"].whole(1, 4096),
        width=node["width"].whole(1, 4096),
        scale=node["scale"].number(1e-9),
        pooling=node["pooling"].text(),
        temperature=None if temperature is None else temperature.number(),
        features=node["features"].text(),
    )


def _calibration(node: Node, body_parts: tuple[str, ...]) -> Calibration:
    node["kind"].one_of("platt")
    offsets = {body_part: offset.number() for body_part, offset in node["offsets"].pairs()}
    unknown = sorted(set(offsets) - set(body_parts))
    if unknown:
        raise node["offsets"].error(
            f"names {', '.join(unknown)}, which are not among the bundle's body parts"
        )
    return Calibration(slope=node["slope"].number(), intercept=node["intercept"].number(), offsets=offsets)


def _trust(node: Node | None) -> Mapping[str, Any] | None:
    """Check that every value that `inference_worker.trust` computes with is there; return all of them.

    A bundle may have no trust score: its measure was too poor to show.
    """
    if node is None:
        return None
    node["temperature"].number(1e-9)
    node["intercept"].number()
    for feature in TRUST_FEATURES:
        node["weights"][feature].number()
    return node.mapping()


def _thresholds(node: Node) -> Thresholds:
    limits, even = node["limits"], node.optional("even")
    bounds = Thresholds(
        low=node["low"].number(0.0, 1.0),
        high=node["high"].number(0.0, 1.0),
        low_limits=limits["low"].pair(0.0, 1.0),
        high_limits=limits["high"].pair(0.0, 1.0),
        even=None if even is None else even.number(0.0, 1.0),
    )
    try:
        bounds = bounds.at(bounds.low, bounds.high)
    except ValueError as error:
        raise node.error(f"contradicts itself: {error}") from error
    if even is not None and bounds.even is not None and not bounds.low <= bounds.even <= bounds.high:
        raise even.error(f"must lie between low ({bounds.low:g}) and high ({bounds.high:g})")
    return bounds


def _reliability(node: Node | None, body_parts: tuple[str, ...]) -> Mapping[str, Reliability]:
    if node is None:
        return {}
    entries = node.pairs()
    known = {label for label, _ in entries}
    for label in body_parts:
        if label not in known:
            raise node.error(f"lacks the body part {label!r}")
    unknown = sorted(known - set(body_parts))
    if unknown:
        raise node.error(f"names {', '.join(unknown)}, which are not among the bundle's body parts")
    reliability = {label: _one_reliability(entry) for label, entry in entries}
    if not any(one.judged for one in reliability.values()):
        raise node.error("judges no body part at all")
    return reliability


def _one_reliability(node: Node) -> Reliability:
    pictures, abnormal = _counted(node, "abnormal")
    auc = node.optional("auc")
    return Reliability(pictures, abnormal, None if auc is None else _interval(auc), node["judged"].truth())


def _interval(node: Node) -> Interval:
    interval = Interval(*(node[key].number(0.0, 1.0) for key in ("value", "low", "high")))
    if not interval.low <= interval.value <= interval.high:
        raise node.error("must have its value between low and high")
    return interval


def _rates(node: Node | None) -> Rates | None:
    if node is None:
        return None
    groups = {result: Rate(*_counted(node[result], "abnormal")) for result in RESULTS}
    pictures = node["pictures"].whole(1, _MOST_PICTURES)
    if sum(group.pictures for group in groups.values()) > pictures:
        raise node["pictures"].error("must not be fewer than the pictures of all four results together")
    return Rates(
        measured_on=node["measured_on"].text(),
        prevalence=node["prevalence"].number(0.0, 1.0),
        pictures=pictures,
        **groups,
    )


def _location(node: Node | None) -> Location | None:
    if node is None:
        return None
    location = Location(
        visible_from=node["visible_from"].number(),
        strong_from=node["strong_from"].number(),
        **{band: Hits(*_counted(node[band], "hits")) for band in ("none", "weak", "strong")},
    )
    if location.visible_from > location.strong_from:
        raise node["strong_from"].error(f"must not lie below visible_from ({location.visible_from:g})")
    return location


def _counted(node: Node, part: str) -> tuple[int, int]:
    """The counts ``pictures`` and ``part``, which is a part of them."""
    pictures = node["pictures"].whole(0, _MOST_PICTURES)
    return pictures, node[part].whole(0, pictures)


def _check_networks(manifest: Manifest, path: Path) -> None:
    identifiers = [network.id for network in manifest.networks]
    if len(set(identifiers)) != len(identifiers):
        raise BundleError(f"{path}: two networks share an id")
    classifiers = sum(network.role in ("unified", "body_part") for network in manifest.networks)
    if classifiers != 1:
        raise BundleError(
            f"{path}: exactly one network must classify the body part (unified or body_part),"
            f" not {classifiers}"
        )
    for body_part in manifest.body_parts:
        try:
            manifest.abnormality_network(body_part)
        except StopIteration:
            raise BundleError(f"{path}: no network answers for the body part {body_part!r}") from None

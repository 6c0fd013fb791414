"""Loads a bundle's manifest (docs/bundle.md) and checks it. Needs no NumPy.

Every problem is a `BundleError` whose sentence names the place in the file and what was expected.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from inference_worker.document import DocumentError, Node
from inference_worker.manifest import (
    ANY_PART,
    CONTRAST_PERCENTILES,
    FILE_NAME,
    RESULTS,
    TRUST_FEATURES,
    Aggregate,
    BundleError,
    Calibration,
    EvidenceMap,
    Hits,
    Input,
    Interval,
    Location,
    Manifest,
    Network,
    OutOfDistribution,
    Rate,
    Rates,
    Reliability,
    Role,
    Target,
    Thresholds,
)

SCHEMA = 1

_MOST_PICTURES = 10**9


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

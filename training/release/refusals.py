"""How many pictures of each source a bundle refuses as out of distribution, as they are and made small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inference_worker.bundle import Bundle
from inference_worker.decode import decode, load_file
from inference_worker.out_of_distribution import OutOfDistributionDetector
from training.network.graphs import run_networks
from training.release.out_of_distribution import embedded, small
from training.release.strangers import Listed, read_list


def refusals(folder: Path, pictures: Sequence[Path]) -> str:
    """A table by source, as Markdown, of the folders ``pictures`` (``training.release.strangers``).

    Raises ``DatasetError`` or ``UnreadableError`` if one of them cannot be read.
    """
    bundle = Bundle.load(folder)
    lines = ["| source | pictures | refused | refused at 224 px |", "|---|---|---|---|"]
    for path in pictures:
        listed = read_list(path)
        for source in sorted({one.source for one in listed}):
            plain, reduced = _refused(bundle, [one for one in listed if one.source == source])
            lines.append(f"| {source} | {len(plain)} | {plain.mean():.3f} | {reduced.mean():.3f} |")
    return "\n".join(lines)


def _refused(bundle: Bundle, listed: Sequence[Listed]) -> list[np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    manifest = bundle.manifest
    limits = manifest.out_of_distribution
    detector = OutOfDistributionDetector.load(bundle.detector_file, limits.limit, limits.chroma_limit)
    classifiers = [network for network in manifest.networks if network.role != "abnormality"]
    radiographs = [decode(load_file(one.path)) for one in listed]
    colour = np.array([detector.colour(one.chroma) for one in radiographs])
    found = []
    for pixels in ([one.pixels for one in radiographs], [small(one.pixels) for one in radiographs]):
        embedding = embedded(
            lambda squares: run_networks(bundle.folder, classifiers, manifest.body_parts, squares).embedding,
            pixels,
            manifest.input.size,
        )
        found.append(np.maximum(detector.distance(embedding), colour) > 1)
    return found

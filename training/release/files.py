"""The files of a bundle that are written here: manifest, card, plots, and the sums of all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

MANIFEST, CARD = "manifest.json", "card.md"
#: Of an evaluation's plots, those that travel with the card.
PLOTS = ("roc.png", "precision-recall.png", "reliability.png", "peak.png", "parts.png")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write ``manifest.json`` whole or not at all."""
    partial = folder / f"{MANIFEST}.part"
    partial.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)

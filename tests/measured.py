"""The measured entries of a manifest, which a bundle may have or lack (docs/bundle.md)."""

from __future__ import annotations

from typing import Any


def measures(*body_parts: str, unjudged: str = "", even: float = 0.45) -> dict[str, Any]:
    """Entries for a bundle of these body parts, one of which it does not judge; `with_measures` adds them."""
    return {
        "even": even,
        "body_part_reliability": {
            label: {
                "pictures": 352,
                "abnormal": 19 if label == unjudged else 120,
                "auc": {"value": 0.52, "low": 0.38, "high": 0.66} if label == unjudged else None,
                "judged": label != unjudged,
            }
            for label in body_parts
        },
        "rates": {
            "measured_on": "the test split of FracAtlas",
            "prevalence": 0.155,
            "pictures": 580,
            "normal": {"pictures": 300, "abnormal": 4},
            "towards_normal": {"pictures": 140, "abnormal": 14},
            "towards_abnormal": {"pictures": 80, "abnormal": 24},
            "abnormal": {"pictures": 50, "abnormal": 48},
        },
        "location": {
            "visible_from": 0.0,
            "strong_from": 2.1,
            "none": {"pictures": 20, "hits": 6},
            "weak": {"pictures": 120, "hits": 70},
            "strong": {"pictures": 340, "hits": 300},
        },
        "trust": None,
    }


def with_measures(manifest: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The manifest with the entries of `measures`."""
    entries = measures(*manifest["body_parts"], **options)
    thresholds = {**manifest["thresholds"], "even": entries.pop("even")}
    return {**manifest, **entries, "thresholds": thresholds}

"""What a result claims, in sentences with the figures of the bundle's own tests; plain text.

The manifests are those that the portal stores: checked when their bundle was registered (docs/bundle.md).
A bundle that measured nothing gets sentences without figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, gettext_noop, ngettext

from xrayportal.words.figures import percent
from xrayportal.words.verdicts import NOT_JUDGED, body_part_word

#: What a bundle looks for, by its target's code: the object of “had”.
_FOUND: dict[str, Promise] = {"fracture": gettext_lazy("a fracture")}
#: Names of test sets that the catalogue knows; another one is shown as it is.
TEST_SETS = (
    gettext_noop("the test split of FracAtlas"),
    gettext_noop("FracAtlas, out of fold"),
)

#: A result that fewer test pictures had is given no rate.
LEAST_PICTURES = 10

Manifest = Mapping[str, Any]


def found_word(manifest: Manifest) -> str:
    """What the bundle looks for: ``a fracture``, in the accusative where a language has one."""
    return str(_FOUND.get(manifest["target"]["code"], gettext_lazy("a finding")))


def claim(
    manifest: Manifest,
    outcome: str,
    *,
    body_part: str = "",
    by_clinic: bool = False,
    is_raised: bool = False,
) -> str:
    """What a result means: how many test pictures with the same result were abnormal.

    ``outcome`` is a code of ``analyses.outcomes``. ``by_clinic``: its thresholds are the clinic's own, for
    which nothing was measured. ``is_raised``: the probability is that of a normal result, and is called
    uncertain because a view is missing.
    """
    if outcome == "unsupported":
        return gettext(
            "The model was not made for this kind of image, so it gives no probability or heatmap."
        )
    if outcome == NOT_JUDGED:
        return _not_judged(manifest, body_part)
    if is_raised:
        return gettext("A view is missing, so the study is not called normal.")
    rate = rates_of(manifest).get(outcome)
    if by_clinic or rate is None:
        if outcome in ("normal", "abnormal"):
            return ""
        return gettext("Read it without relying on the model.")
    if rate["pictures"] < LEAST_PICTURES:
        few = gettext("Too few test images had this result to say how many of them had %(what)s.")
        return f"{few % {'what': found_word(manifest)}} {gettext('Read it without relying on the model.')}"
    values = {**rate, "what": found_word(manifest)}
    if outcome == "normal":
        all_the_same = gettext(
            "In tests, %(abnormal)d of %(pictures)d images with this result had %(what)s all the same."
        )
        return all_the_same % values
    had = gettext("In tests, %(abnormal)d of %(pictures)d images with this result had %(what)s.") % values
    if outcome == "abnormal":
        return f"{had} {_false_alarms(rate, _normals(manifest))}"
    return f"{had} {gettext('Read it without relying on the model.')}"


def _false_alarms(rate: Mapping[str, int], normals: int) -> str:
    """How many test images without a finding were called abnormal, of ``normals``."""
    alarms = rate["pictures"] - rate["abnormal"]
    if not alarms:
        return gettext("No false alarm among %(normals)d images without.") % {"normals": normals}
    words = ngettext(
        "%(false)d false alarm among %(normals)d images without.",
        "%(false)d false alarms among %(normals)d images without.",
        alarms,
    )
    return words % {"false": alarms, "normals": normals}


def claim_basis(manifest: Manifest, outcome: str, *, by_clinic: bool = False) -> str:
    """Where the figures of ``claim`` were measured, and the prevalence that they hold for."""
    rates = manifest.get("rates")
    if not rates or outcome not in rates_of(manifest):
        return ""
    if by_clinic:
        return gettext("This clinic uses thresholds of its own, for which nothing was measured.")
    return gettext("Measured on %(data)s, where %(share)s of the images had %(what)s.") % {
        "data": measured_on(manifest),
        "share": percent(rates["prevalence"]),
        "what": found_word(manifest),
    }


def measured_on(manifest: Manifest) -> str:
    """The name of the test set in the reader's language, where the catalogue knows it."""
    return gettext(manifest["rates"]["measured_on"])


def rates_of(manifest: Manifest) -> dict[str, dict[str, int]]:
    """``pictures`` and ``abnormal`` by outcome; empty for a bundle that measured none.

    ``uncertain`` is both leanings together.
    """
    rates = manifest.get("rates")
    if not rates:
        return {}
    names = ("normal", "towards_normal", "towards_abnormal", "abnormal")
    by_outcome = {name: dict(rates[name]) for name in names}
    leanings = (by_outcome["towards_normal"], by_outcome["towards_abnormal"])
    both = {key: sum(one[key] for one in leanings) for key in ("pictures", "abnormal")}
    return {**by_outcome, "uncertain": both}


def location_words(manifest: Manifest, *, location: str, trust: float | None = None) -> str:
    """What the heatmap of a view is worth, with the figures of its band; empty where nothing is known.

    ``location`` is a code of ``analyses.models.LocationBand``; a bundle without bands has ``trust`` at most.
    """
    if location == "none":
        return gettext("No area stands out.")
    if location:
        values = {"what": found_word(manifest), **manifest["location"][location]}
        if location == "weak":
            return (
                gettext(
                    "Only a hint here: in tests, where there was %(what)s, the peak lay on it in "
                    "%(hits)d of %(pictures)d such images."
                )
                % values
            )
        return (
            gettext(
                "Strongest evidence here: in tests, where there was %(what)s, the peak lay on it in "
                "%(hits)d of %(pictures)d such images."
            )
            % values
        )
    if trust is None:
        return ""
    if trust < (manifest.get("trust") or {}).get("weak_below", 0.0):
        return gettext("Only a hint here.")
    return gettext("Strongest evidence here.")


def _not_judged(manifest: Manifest, body_part: str) -> str:
    known = manifest.get("body_part_reliability", {}).get(body_part)
    if known is None:
        return gettext("The model does not judge this body part.")
    return ngettext(
        "%(part)s: the model was tested on %(n)d image with %(what)s, and how well it tells it from the "
        "others is too uncertain. It does not judge this body part.",
        "%(part)s: the model was tested on %(n)d images with %(what)s, and how well it tells them from the "
        "others is too uncertain. It does not judge this body part.",
        known["abnormal"],
    ) % {"part": body_part_word(body_part), "n": known["abnormal"], "what": found_word(manifest)}


def _normals(manifest: Manifest) -> int:
    """How many images of the test had no finding."""
    by_outcome = rates_of(manifest)
    groups = [by_outcome[name] for name in ("normal", "uncertain", "abnormal")]
    return sum(group["pictures"] - group["abnormal"] for group in groups)

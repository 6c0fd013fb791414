"""The model card: the tables of its page against the counts in the manifest."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.factories import make_bundle
from tests.house import House, browser
from tests.measured import with_measures
from xrayportal.analyses.models import Bundle
from xrayportal.web.model_card.card import ModelCard

pytestmark = pytest.mark.django_db


@pytest.fixture
def measured() -> Bundle:
    bundle = make_bundle()
    bundle.manifest = with_measures(bundle.manifest, unjudged="ankle")
    bundle.manifest["metrics"] = {"auc": {"value": 0.95, "low": 0.92, "high": 0.97, "n": 624}, "odd": {}}
    bundle.save()
    return bundle


def read(house: House, bundle: Bundle) -> str:
    response = browser(house.uploader).get(reverse("model-card", args=[house.clinic.slug, bundle.pk]))
    assert response.status_code == 200
    return str(response.content.decode())


def test_everyone_of_the_clinic_reads_it(house: House, measured: Bundle) -> None:
    page = read(house, measured)
    assert "Research use only. Not a diagnosis." in page
    assert "Measured on the test split of FracAtlas, where 16 % of the images had a fracture" in page
    assert "Uncertain, towards normal" in page
    assert "What the heatmap is worth" in page
    measured.manifest["thresholds"]["low"] = 0.0543
    assert ModelCard(measured).thresholds == ["0.0543", "0.7"], "0.052 is below it, and 0.05 would not say so"
    assert "Area under the ROC curve" in page


def test_a_bundle_that_measured_nothing_has_no_empty_tables(house: House) -> None:
    page = read(house, make_bundle())
    assert "Research use only. Not a diagnosis." in page
    assert "What each result means" not in page
    assert "What the heatmap is worth" not in page


def test_the_shares_at_other_prevalences_follow_bayes(house: House, measured: Bundle) -> None:
    """Of 90 images with a fracture 48 scored high, of 480 without 2: at 5 % that is 68 of 100 suspected."""
    card = ModelCard(measured)
    rows = {row.prevalence: row for row in card.prevalences}
    assert list(rows) == ["1 %", "2 %", "5 %", "10 %", "16 %", "20 %", "30 %", "50 %"]
    suspected = 0.05 * 48 / 90 / (0.05 * 48 / 90 + 0.95 * 2 / 480)
    assert rows["5 %"].shares[-1] == f"{suspected:.0%}".replace("%", " %") == "87 %"
    assert [row.prevalence for row in card.prevalences if row.is_measured] == ["16 %"]


def test_none_in_a_few_hundred_is_no_certainty(house: House, measured: Bundle) -> None:
    measured.manifest["rates"]["abnormal"] = {"pictures": 48, "abnormal": 48}
    measured.manifest["rates"]["normal"] = {"pictures": 300, "abnormal": 0}
    lowest = ModelCard(measured).prevalences[0]
    assert lowest.shares[-1] == "73 %"
    assert lowest.shares[0] == "<1 %"


def test_a_handful_of_pictures_makes_no_share(house: House, measured: Bundle) -> None:
    measured.manifest["rates"]["towards_abnormal"] = {"pictures": 6, "abnormal": 4}
    card = ModelCard(measured)
    assert [row.outcome for row in card.rates if row.share is None] == ["towards_abnormal"]
    assert {row.shares[2] for row in card.prevalences} == {"too few cases"}


def test_body_parts_that_are_not_judged_come_last(house: House, measured: Bundle) -> None:
    *judged, last = ModelCard(measured).body_parts
    assert (last.word, last.judged, last.abnormal) == ("Ankle", False, 19)
    assert all(row.judged for row in judged)

"""``manage.py bundle compare``: stored studies through two tiny bundles, compared, nothing written."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from tests.factories import make_analysis, make_clinic, make_study, png
from tests.inference_worker.drawing import encoded
from tests.measured import with_measures
from xrayportal.analyses.models import Analysis, Bundle, Finding
from xrayportal.audit.models import AuditEvent
from xrayportal.clinics.models import Clinic
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db

#: An ankle by the tiny networks; the general expert finds nothing in it, the unified network something.
ANKLE = encoded((np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8), "PNG")
#: Brighter, so a wrist, abnormal to both.
WRIST = encoded((np.random.default_rng(1).random((128, 128)) < 0.75).astype(np.uint8) * 255, "PNG")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _folder(bundles: Path, settings: Settings) -> None:
    settings.BUNDLES_DIR = bundles


@pytest.fixture
def clinic() -> Clinic:
    """Results that say abnormal, each with one view: ankle, wrist, blank, broken."""
    clinic = make_clinic(slug="north")
    for content in (ANKLE, WRIST, png((128, 128)), b"\x89PNG\r\n\x1a\n and then nothing"):
        make_analysis(make_study(clinic, content=content))
    return clinic


def compare(*arguments: str, **streams: Any) -> str:
    out = io.StringIO()
    call_command("bundle", "compare", *arguments, stdout=out, **streams)
    return out.getvalue()


def ankle() -> Study:
    return Study.objects.order_by("created_at")[0]


def test_only_changed_verdicts_are_listed(clinic: Clinic) -> None:
    *changes, summary, failed = compare("experts").splitlines()
    old = Analysis.objects.order_by("requested_at")[0].bundle.name
    assert sorted(line.split(": ")[1] for line in changes) == [
        f"abnormal 0.870 (wrist, {old}) -> normal 0.182 (ankle)",
        f"abnormal 0.870 (wrist, {old}) -> unsupported",
    ]
    assert any(line.startswith(f"north {ankle().pk}: ") for line in changes)
    assert summary == ("tiny@1 changes 2 of 4 verdicts; abnormal to normal: 1; abnormal to unsupported: 1.")
    assert failed == "1 of them could not be analysed now and count as unchanged."


def test_the_other_bundle_changes_less(clinic: Clinic) -> None:
    assert "tiny@1 changes 1 of 4 verdicts; abnormal to unsupported: 1." in compare("unified")


def test_nothing_is_written(clinic: Clinic) -> None:
    def everything() -> list[Any]:
        files = sorted(path for path in Path(default_storage.path("")).rglob("*"))
        tables = (Analysis, Bundle, Finding, Study, AuditEvent)
        return [files, *(list(table.objects.order_by("pk").values()) for table in tables)]

    before = everything()
    compare("experts")
    assert everything() == before


def test_a_clinic_a_limit_and_the_clinics_own_thresholds(clinic: Clinic) -> None:
    other = make_clinic(slug="south", threshold_low=0.1, threshold_high=0.5)
    make_analysis(make_study(other, content=ANKLE))
    make_study(other)
    output = compare("experts", "--clinic", "south")
    assert "-> uncertain 0.182 (ankle)" in output, "0.182 is above the clinic's low"
    assert "changes 1 of 1 verdicts" in output, "a study without a result has none to change"
    assert "of 2 verdicts" in compare("experts", "--limit", "2")


def test_a_forced_part_is_forced_again(clinic: Clinic) -> None:
    Analysis.objects.filter(study=ankle()).update(forced_body_part="wrist")
    assert str(ankle().pk) not in compare("experts"), "the wrist's expert finds it abnormal"
    Analysis.objects.filter(study=ankle()).update(forced_body_part="skull")
    assert str(ankle().pk) in compare("experts"), "the candidate classifies a body part that it lacks"


def test_progress_on_a_terminal(clinic: Clinic) -> None:
    terminal = Terminal()
    compare("unified", stderr=terminal)
    assert "4 of 4 studies" in terminal.getvalue()
    elsewhere = io.StringIO()
    compare("unified", stderr=elsewhere)
    assert elsewhere.getvalue() == ""


def test_what_cannot_be_compared_is_one_sentence(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="there is no folder"):
        compare("nothing")
    with pytest.raises(CommandError, match="No clinic is called “west”"):
        compare("unified", "--clinic", "west")
    with pytest.raises(CommandError, match="whole number"):
        compare("unified", "--limit", "0")
    monkeypatch.setitem(sys.modules, "inference_worker.runtimes.openvino", None)
    with pytest.raises(CommandError, match=r"not installed here .*openvino.*: run it where a worker runs"):
        compare("unified")


def test_a_body_part_that_the_candidate_does_not_judge_is_a_change(
    clinic: Clinic, bundles: Path, tmp_path: Path, settings: Settings
) -> None:
    """Unified finds ankle and wrist abnormal; the candidate does not judge ankles."""
    folder = Path(shutil.copytree(bundles / "unified", tmp_path / "unsure"))
    document = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(with_measures(document, unjudged="ankle")))
    settings.BUNDLES_DIR = tmp_path
    *changes, summary, _failed = compare("unsure").splitlines()
    old = Analysis.objects.order_by("requested_at")[0].bundle.name
    assert f"abnormal 0.870 (wrist, {old}) -> not judged (ankle)" in [
        line.split(": ", 1)[1] for line in changes
    ]
    assert "abnormal to not judged: 1" in summary

"""``manage.py submit``."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.factories import make_bundle, make_clinic, png
from tests.intake.bulk.conftest import zipped
from xrayportal.clinics.models import Clinic
from xrayportal.intake.bulk.folders import unchanging, walk
from xrayportal.studies.models import Study, Submission, Upload


@pytest.fixture
def clinic(db: None) -> Clinic:
    make_bundle()
    return make_clinic()


def submit(path: Path, clinic: Clinic, *options: str) -> str:
    out = io.StringIO()
    call_command("submit", str(path), "--clinic", clinic.slug, *options, stdout=out)
    return out.getvalue()


def test_a_folder_with_a_csv_an_archive_and_a_bad_file(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.png").write_bytes(png(shade=1))
    (tmp_path / "one" / "b.png").write_bytes(png(shade=2))
    (tmp_path / "c.png").write_bytes(png(shade=3))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "more.zip").write_bytes(zipped({"d.png": png(shade=4)}))
    (tmp_path / "labels.csv").write_text("file,patient_reference\nc.png,P-9\n")
    output = submit(tmp_path, clinic)
    assert "4 accepted, 2 applied, 1 rejected" in output
    assert "Could not read bad.png" in output
    submission = Submission.objects.get()
    assert (submission.state, submission.source, submission.queue) == ("finished", "command", "bulk")
    assert sorted(study.images.count() for study in Study.objects.all()) == [1, 1, 2]
    assert Study.objects.get(patient_reference="P-9").state == Study.State.SEALED


def test_the_same_folder_again_is_all_duplicates(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(shade=1))
    submit(tmp_path, clinic)
    assert "1 duplicate" in submit(tmp_path, clinic)
    assert Upload.objects.count() == 2
    assert Study.objects.count() == 1


def test_links_are_not_followed(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(png())
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    assert [file.path for file in walk(tmp_path)] == [f"{tmp_path.name}/real.png"]


def test_watching_takes_a_file_once_it_has_settled(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png())
    assert unchanging(tmp_path, set()) == []
    earlier = time.time() - 60
    os.utime(file, (earlier, earlier))
    (file,) = unchanging(tmp_path, set())
    assert unchanging(tmp_path, {file}) == []


def test_unknown_clinic_and_missing_folder_are_sentences(clinic: Clinic, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no clinic “nowhere”"):
        call_command("submit", str(tmp_path), "--clinic", "nowhere")
    with pytest.raises(CommandError, match="Give a folder"):
        submit(tmp_path / "missing", clinic)

"""``manage.py submit``."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.factories import make_bundle, make_clinic, png
from tests.intake.bulk.conftest import zipped
from xray_client import watching
from xray_client.folders import unchanging, walk
from xrayportal.clinics.actors import PORTAL
from xrayportal.clinics.models import Clinic
from xrayportal.intake.bulk import folders
from xrayportal.intake.services import cancel_submission
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
    (found,) = unchanging(tmp_path, set())
    assert unchanging(tmp_path, {found}) == []


def test_unknown_clinic_and_missing_folder_are_sentences(clinic: Clinic, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no clinic “nowhere”"):
        call_command("submit", str(tmp_path), "--clinic", "nowhere")
    with pytest.raises(CommandError, match="Give a folder"):
        submit(tmp_path / "missing", clinic)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(errno.ENOENT, "gone"), "it is no longer there"),
        (PermissionError(errno.EACCES, "closed"), "this account may not read it"),
        (OSError(errno.EIO, "broken"), "its disk cannot be read"),
    ],
)
@pytest.mark.parametrize("while_reading", [False, True])
def test_a_file_that_cannot_be_read_spoils_no_other(
    clinic: Clinic,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    reason: str,
    while_reading: bool,
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(shade=number))

    class Source(folders._Source):
        def __init__(self, path: Path, mode: str) -> None:
            super().__init__(path, mode)
            self.is_bad = path.name == "1.png"
            if self.is_bad and not while_reading:
                raise error

        def readinto(self, buffer: Any, /) -> int | None:
            if self.is_bad:
                raise folders.UnreadableError(error)
            return super().readinto(buffer)

    monkeypatch.setattr(folders, "_Source", Source)
    output = submit(tmp_path, clinic)
    assert "2 accepted, 1 rejected" in output
    assert f"Could not read 1.png: {reason}." in output
    submission = Submission.objects.get()
    assert (submission.state, submission.expected_files) == ("finished", 3)
    assert submission.uploads.count() == 3


def test_a_file_that_goes_away_while_others_are_sent(
    clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(png(shade=number))
    take = folders.take

    def take_one_away(*arguments: Any) -> list[Upload]:
        (tmp_path / "2.png").unlink(missing_ok=True)
        return take(*arguments)

    monkeypatch.setattr(folders, "take", take_one_away)
    output = submit(tmp_path, clinic)
    assert "3 accepted, 1 rejected" in output
    assert "Could not read 2.png: it is no longer there." in output


def test_the_rows_that_count_for_no_file_are_told(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "a10.png").write_bytes(png(shade=1))
    (tmp_path / "labels.csv").write_text("file,patient_reference\na10,P-1\n")
    assert "1 row of labels.csv names no file that came: a10." in submit(tmp_path, clinic)


def test_a_name_that_is_no_text(clinic: Clinic, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/p\xfc"
    os.mkdir(folder)  # noqa: PTH102  a path of bytes
    for number in range(2):
        Path(os.fsdecode(folder), f"{number}.png").write_bytes(png(shade=number))
    assert "2 accepted" in submit(tmp_path, clinic)
    assert Study.objects.count() == 1


class Clock:
    """Stands for ``time`` in the command: each sleep is the next step of a story, and then Ctrl-C."""

    def __init__(self, story: list[tuple[float, Callable[[], object]]]) -> None:
        self.story = iter(story)
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        wait, act = next(self.story, (0.0, self.stop))
        self.now += wait
        act()

    def stop(self) -> None:
        raise KeyboardInterrupt


Watch = Callable[..., str]


@pytest.fixture
def watch(clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Watch the folder through a story of pauses and what happens after each."""

    def run(*story: tuple[float, Callable[[], object]]) -> str:
        monkeypatch.setattr(watching, "time", Clock(list(story)))
        return submit(tmp_path, clinic, "--watch")

    return run


def put(path: Path, content: bytes | str) -> Callable[[], object]:
    """A step of a story: a file that was there for a minute."""

    def act() -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        earlier = time.time() - 60
        os.utime(path, (earlier, earlier))

    return act


def nothing() -> None:
    """A step in which only time goes by."""


CSV = "file,patient_reference\nw1.png,P-1\n"


@pytest.mark.parametrize("pause", [10, 4000])
@pytest.mark.parametrize("is_csv_first", [True, False])
def test_watching_holds_a_csv_and_its_picture_together(
    watch: Watch, tmp_path: Path, pause: float, is_csv_first: bool
) -> None:
    steps = [put(tmp_path / "a" / "labels.csv", CSV), put(tmp_path / "a" / "w1.png", png(shade=1))]
    first, second = steps if is_csv_first else reversed(steps)
    output = watch((0, first), (pause, nothing), (pause, second), (pause, nothing))
    assert Study.objects.get().patient_reference == "P-1"
    assert Submission.objects.count() == (1 if pause == 10 else 2)
    assert not Submission.objects.open().exists()
    assert ("1 row of labels.csv names no file that came: w1.png." in output) == (pause > 10 and is_csv_first)


@pytest.mark.parametrize("pause", [10, 4000])
def test_watching_holds_the_views_of_a_folder_together(watch: Watch, tmp_path: Path, pause: float) -> None:
    views = [put(tmp_path / "p1" / f"{number}.png", png(shade=number)) for number in range(2)]
    watch((0, views[0]), (pause, nothing), (pause, views[1]), (pause, nothing))
    assert Study.objects.get().images.count() == 2


def test_watching_tells_at_the_end_of_what_a_csv_names_in_vain(watch: Watch, tmp_path: Path) -> None:
    rows = "file,patient_reference\nw1.png,P-1\nw2.png,P-2\n"
    output = watch(
        (0, put(tmp_path / "labels.csv", rows)),
        (5, put(tmp_path / "w1.png", png(shade=1))),
        (40, nothing),
        (5, nothing),
    )
    assert output.count("1 row of labels.csv names no file that came: w2.png.") == 1
    assert Study.objects.get().patient_reference == "P-1"


def test_watching_outlives_files_that_come_and_go(watch: Watch, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    output = watch(
        (0, put(file, png(shade=1))),
        (5, put(file, png(shade=2))),
        (5, file.unlink),
        (5, put(file, png(shade=3))),
        (60, put(tmp_path / "b.png", png(shade=4))),
    )
    assert "Stopped watching." in output
    assert Study.objects.count() == 4
    assert not Submission.objects.open().exists()


def test_watching_outlives_the_end_of_its_submission(watch: Watch, tmp_path: Path) -> None:
    def cancel() -> None:
        cancel_submission(submission=Submission.objects.get(), actor=PORTAL)
        put(tmp_path / "b.png", png(shade=2))()

    watch((0, put(tmp_path / "a.png", png(shade=1))), (5, nothing), (5, cancel), (5, nothing), (5, nothing))
    assert sorted(Submission.objects.values_list("state", flat=True)) == ["cancelled", "finished"]
    assert Study.objects.count() == 2


def test_a_submission_that_is_watched_ends_although_files_keep_coming(watch: Watch, tmp_path: Path) -> None:
    steps = [put(tmp_path / f"{number}.png", png(shade=number)) for number in range(60)]
    watch(*((20, step) for step in steps))
    assert Submission.objects.count() == 2
    assert Study.objects.count() == 60


def test_a_storage_that_is_away_is_one_sentence(
    clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "w1.png", png())()
    monkeypatch.setattr("xrayportal.studies.storage.os.fsync", full)
    with pytest.raises(CommandError, match=r"The file storage does not answer\. Send the rest again"):
        submit(tmp_path, clinic)
    assert not Study.objects.exists()


def test_watching_survives_a_full_disk(watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def fills() -> None:
        monkeypatch.setattr("xrayportal.studies.storage.os.fsync", full)
        put(tmp_path / "w1.png", png(shade=1))()

    def is_emptied() -> None:
        monkeypatch.setattr("xrayportal.studies.storage.os.fsync", fsync)

    watch((0, put(tmp_path / "w0.png", png())), (2, fills), (2, nothing), (2, is_emptied), (60, nothing))
    assert Study.objects.count() == 2
    assert Submission.objects.count() == 1


def full(_: int) -> None:
    """What a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")

"""``python -m inference_worker`` as a person or a script runs it."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.inference_worker.conftest import ROOT
from tests.inference_worker.drawing import encoded, radiograph, written
from tests.measured import with_measures

FIELDS = [
    "path",
    "sha256",
    "width",
    "height",
    "verdict",
    "reason",
    "body_part",
    "abnormality",
    "peak",
    "location",
    "trust",
    "heatmap",
    "notes",
    "bundle",
    "runtime",
    "precision",
    "milliseconds",
]

PICTURE = np.random.default_rng(9).integers(0, 256, (60, 90), dtype=np.uint8)


def run(
    *arguments: str | Path, cwd: Path = ROOT, text: bool = True, **options: Any
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    for name in ("XRAY_BUNDLE", "DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL"):
        environment.pop(name, None)
    environment.update(options.pop("env", {}))
    return subprocess.run(
        [sys.executable, "-m", "inference_worker", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=text,
        check=False,
        **options,
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def tiny(bundles: Path) -> Path:
    return bundles / "unified"


def test_every_field_of_a_supported_and_an_unsupported_picture(tiny: Path, tmp_path: Path) -> None:
    supported, blank = tmp_path / "a.png", tmp_path / "b.png"
    supported.write_bytes(encoded(PICTURE.T, "PNG", orientation=5))
    blank.write_bytes(encoded(np.zeros((40, 40), np.uint8), "PNG"))
    heatmaps = tmp_path / "maps" / "new"
    done = run(supported, blank, "--json", "--bundle", tiny, "--heatmaps", heatmaps)
    assert done.returncode == 0, done.stderr
    first, second = lines(done)
    assert list(first) == list(second) == FIELDS
    assert first["path"] == str(supported)
    assert first["sha256"] == hashlib.sha256(supported.read_bytes()).hexdigest()
    assert (first["width"], first["height"]) == (90, 60)
    assert first["verdict"] in ("normal", "abnormal", "uncertain")
    assert first["body_part"]["label"] == first["body_part"]["top"][0]["label"]
    shares = [body_part["probability"] for body_part in first["body_part"]["top"]]
    assert shares == sorted(shares, reverse=True)
    assert set(first["abnormality"]) == {"probability", "threshold_low", "threshold_high", "leaning"}
    assert (first["abnormality"]["threshold_low"], first["abnormality"]["threshold_high"]) == (0.3, 0.7)
    assert 0 <= first["peak"]["x"] < 90
    assert 0 <= first["peak"]["y"] < 60
    assert 0 <= first["trust"] <= 1
    assert (first["bundle"], first["runtime"]) == ("tiny@1", "openvino")
    assert first["precision"] in ("f32", "bf16"), "whichever this processor is good at"
    assert set(first["milliseconds"]) == {"decode", "preprocess", "infer", "render"}
    with Image.open(first["heatmap"]) as heatmap:
        assert heatmap.size == (90, 60)
    assert Path(first["heatmap"]).parent == heatmaps
    assert second["verdict"] == "unsupported"
    assert second["body_part"]["label"]
    assert [second[name] for name in ("abnormality", "peak", "trust", "heatmap")] == [None] * 4
    assert len(list(heatmaps.iterdir())) == 1


def test_unreadable_files_have_path_and_error_and_the_rest_goes_on(tiny: Path, tmp_path: Path) -> None:
    empty, text, good = (tmp_path / name for name in ("empty.png", "text.png", "good.png"))
    empty.touch()
    text.write_text("no picture")
    good.write_bytes(encoded(PICTURE, "PNG"))
    missing = tmp_path / "missing.png"
    done = run(empty, text, missing, good, "--json", "--bundle", tiny)
    assert done.returncode == 1
    records = lines(done)
    assert [set(line) for line in records[:3]] == [{"path", "error"}] * 3
    assert [line["path"] for line in records] == [str(path) for path in (empty, text, missing, good)]
    assert records[3]["heatmap"] is None
    for line in records[:3]:
        assert str(tmp_path) not in line["error"]


def test_a_folder_is_walked_and_a_named_file_always_tried(tiny: Path, tmp_path: Path) -> None:
    inner = tmp_path / "in" / "side"
    inner.mkdir(parents=True)
    (tmp_path / "in" / "b.JPG").write_bytes(encoded(PICTURE, "JPEG"))
    (inner / "IM0001").write_bytes(written(radiograph(PICTURE)))
    (inner / "IM0002").write_bytes(written(radiograph(PICTURE))[132:])  # as old systems write it
    (inner / "a.tiff").write_bytes(encoded(PICTURE, "TIFF"))
    (inner / "notes.txt").write_text("not a picture")
    (inner / ".hidden.png").write_bytes(b"x")
    (inner / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    odd = tmp_path / "picture.odd"
    odd.write_bytes(encoded(PICTURE, "PNG"))
    done = run(tmp_path / "in", odd, "--json", "--bundle", tiny)
    assert done.returncode == 0, done.stdout
    names = [Path(line["path"]).name for line in lines(done)]
    assert names == ["b.JPG", "IM0001", "IM0002", "a.tiff", "picture.odd"]


def test_what_was_left_out_or_changed_is_said(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "picture.dcm"
    path.write_bytes(written(radiograph(PICTURE, WindowCenter=9000, WindowWidth=2, PixelAspectRatio=[2, 1])))
    (record,) = lines(run(path, "--json", "--bundle", tiny))
    assert record["notes"] == ["window_misses", "resampled"]
    assert (record["width"], record["height"]) == (90, 120)
    text = run(path, "--bundle", tiny).stdout
    assert "; note: the file's window or look-up table shows next to nothing of this picture" in text
    assert "; note: the file's pixels are not square; the picture was resampled" in text


def test_an_empty_folder_is_an_error(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run(tmp_path / "empty", "--json", "--bundle", tiny)
    assert done.returncode == 1
    assert "holds no picture" in lines(done)[0]["error"]


def test_heatmaps_of_one_name_do_not_meet(tiny: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "hand.png").write_bytes(encoded(PICTURE, "PNG"))
    done = run("one/hand.png", "two/hand.png", "--json", "--bundle", tiny, "--heatmaps", "maps", cwd=tmp_path)
    maps = [line["heatmap"] for line in lines(done)]
    assert len(set(maps)) == 2
    assert all((tmp_path / path).is_file() for path in maps)


@pytest.mark.parametrize(
    "name", ["läuft → gut.png", "two\nlines.png", "-dash.png", "x" * 240 + ".png", "..png", "a b\t.png"]
)
def test_odd_file_names(tiny: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(encoded(PICTURE, "PNG"))
    done = run(path, "--json", "--bundle", tiny, "--heatmaps", tmp_path / "maps")
    assert done.returncode == 0, done.stderr
    (record,) = lines(done)
    assert record["path"] == str(path)
    assert Path(record["heatmap"]).is_file()
    plain = run(path, "--bundle", tiny)
    assert len(plain.stdout.splitlines()) == 2


def test_undecodable_file_name(tiny: Path, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    Path(os.fsdecode(path)).write_bytes(encoded(PICTURE, "PNG"))
    done = run(os.fsdecode(path), "--json", "--bundle", tiny, "--heatmaps", tmp_path / "maps")
    assert done.returncode == 0, done.stderr
    assert lines(done)[0]["path"] == os.fsdecode(path)
    assert run(os.fsdecode(path), "--bundle", tiny).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [[], ["--json"], ["x.png", "--runtime", "abacus"], ["x.png", "--bundle", "nowhere"], ["x.png", "--what"]],
)
def test_wrong_usage(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "inference_worker" in done.stderr


def test_a_heatmap_folder_that_is_a_file_is_wrong_usage(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("x.png", "--bundle", tiny, "--heatmaps", tmp_path / "file")
    assert done.returncode == 2


def test_bundle_from_the_environment(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PICTURE, "PNG"))
    assert lines(run(path, "--json", env={"XRAY_BUNDLE": str(tiny)}))[0]["bundle"] == "tiny@1"


def test_lines_for_people_carry_the_words_and_the_notice(tiny: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    good.write_bytes(encoded(PICTURE, "PNG"))
    bad.write_bytes(b"")
    done = run(good, bad, "--bundle", tiny)
    notice, first, second = done.stdout.splitlines()
    assert "Research use only" in notice
    assert any(words in first for words in ("Fracture suspected", "No fracture seen", "Uncertain"))
    assert second.endswith("The file is empty; send it again from its source.")
    assert done.stderr == ""


def test_json_is_alone_on_standard_output(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PICTURE, "PNG"))
    done = run(path, "--json", "--bundle", tiny)
    assert done.stderr == "Research use only: not for diagnosis.\n"
    assert len(done.stdout.splitlines()) == 1


def test_progress_is_shown_to_a_terminal_only(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PICTURE, "PNG"))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "inference_worker", str(path), "--json", "--bundle", str(tiny)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        assert process.stdout is not None
        output = process.stdout.read()
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux says so when the other side of a terminal is closed
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert b"1: a.png" in shown
    assert len(output.splitlines()) == 1


def test_a_reader_that_leaves_is_no_traceback(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PICTURE, "PNG"))
    command = [sys.executable, "-m", "inference_worker", *[str(path)] * 50, "--json", "--bundle", str(tiny)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


IMPORTS = """
import json, sys
from inference_worker.__main__ import main
status = main(sys.argv[1:])
print(json.dumps([status, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def test_no_server_no_network_and_no_tensorflow_is_imported(tiny: Path, tmp_path: Path) -> None:
    path, home = tmp_path / "a.png", tmp_path / "home"
    path.write_bytes(encoded(PICTURE, "PNG"))
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(path), "--json", "--bundle", str(tiny)],
        cwd=ROOT,
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    status, modules = json.loads(done.stdout.splitlines()[-1])
    assert status == 0
    unwanted = {
        "django",
        "celery",
        "redis",
        "psycopg2",
        "kombu",
        "boto3",
        "tensorflow",
        "keras",
        "xrayportal",
    }
    assert not unwanted & set(modules)
    # OpenVINO reports its import to its makers unless it is kept from it, and leaves an id behind.
    assert list(home.iterdir()) == []


def test_tensorflow_runtime(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PICTURE, "PNG"))
    environment = {"PYTHONWARNINGS": "default"}
    done = run(path, "--json", "--bundle", tiny, "--runtime", "tensorflow", env=environment)
    assert done.returncode == 0, done.stderr
    (theirs,) = lines(done)
    (ours,) = lines(run(path, "--json", "--bundle", tiny))
    assert theirs["runtime"] == "tensorflow"
    assert theirs["abnormality"]["probability"] == pytest.approx(ours["abnormality"]["probability"], abs=1e-4)
    assert theirs["peak"] == ours["peak"]


def test_heatmap_shows_where_the_evidence_is(tiny: Path, tmp_path: Path) -> None:
    picture = PICTURE // 4
    picture[10:18, 70:78] = 255
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture, "PNG"))
    (record,) = lines(run(path, "--json", "--bundle", tiny, "--heatmaps", tmp_path))
    coloured = np.asarray(Image.open(BytesIO(Path(record["heatmap"]).read_bytes()))).astype(int)
    spread = coloured.max(axis=2) - coloured.min(axis=2)
    row, column = np.unravel_index(spread.argmax(), spread.shape)
    assert abs(row - record["peak"]["y"]) <= 8
    assert abs(column - record["peak"]["x"]) <= 8


def test_what_the_bundle_measured_is_said(tiny: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "measured"))
    document = json.loads((folder / "manifest.json").read_text())
    document["thresholds"].update(low=0.05, high=0.95)
    (folder / "manifest.json").write_text(json.dumps(with_measures(document, unjudged="ankle", even=0.5)))
    board = np.indices((128, 128)).sum(axis=0) % 2
    ankle, hand = tmp_path / "ankle.png", tmp_path / "hand.png"
    ankle.write_bytes(encoded((board * 255).astype(np.uint8), "PNG"))
    # Sparse and bright: the mean is that of a hand, and single cells stand out.
    rng = np.random.default_rng(3)
    hand.write_bytes(encoded((rng.random((128, 128)) < 0.3).astype(np.uint8) * 255, "PNG"))
    done = run(ankle, hand, "--json", "--bundle", folder, "--heatmaps", tmp_path / "maps")
    first, second = lines(done)
    assert (first["verdict"], first["reason"]) == ("uncertain", "body_part_not_judged")
    assert [first[name] for name in ("abnormality", "peak", "location", "trust", "heatmap")] == [None] * 5
    assert (second["verdict"], second["reason"], second["trust"]) == ("uncertain", "", None)
    assert second["body_part"]["label"] == "hand"
    leaning = second["abnormality"]["leaning"]
    assert leaning in ("towards_normal", "towards_abnormal")
    assert second["location"] in ("weak", "strong")
    text = run(ankle, hand, "--bundle", folder).stdout.splitlines()
    assert "ankle: the model was tested on 19 abnormal pictures of this body part, and how well" in text[1]
    assert "%" not in text[1]
    assert f"Uncertain, {leaning.replace('_', ' ')}" in text[2]
    assert "pictures with this result were abnormal in the test split of FracAtlas, prevalence 16%" in text[2]
    assert "trust" not in text[2]

"""The command ``xray`` against a live portal, and its client where the network misbehaves."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import program
from tests.factories import make_analysis, png
from tests.house import House
from xray_client import watching
from xray_client.__main__ import main
from xray_client.client import ApiError, Client, Unreachable
from xrayportal.studies.models import Study, Submission, Upload

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(house: House) -> str:
    """An uploader's service."""
    return program(house.clinic, house.admin, "uploader").secret


@pytest.fixture
def there(live_server: Any, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The portal and the token as a shell has them."""
    monkeypatch.setenv("XRAY_URL", live_server.url)
    monkeypatch.setenv("XRAY_TOKEN", token)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, two of them in one nested folder, and a file that is none."""
    root = tmp_path / "cases"
    (root / "knee").mkdir(parents=True)
    for number, name in enumerate(["a.png", "knee/b.png", "knee/c.png"]):
        (root / name).write_bytes(png(shade=number))
    (root / "notes.txt").write_text("nothing")
    return root


def test_a_folder_is_sent_and_its_results_are_printed(
    there: None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", str(folder)]) == 1  # one file is no picture
    said = capsys.readouterr()
    pk = said.out.strip()
    assert "3 accepted, 1 rejected." in said.err
    assert "notes.txt" in said.err
    submission = Submission.objects.get(pk=pk)
    assert (submission.state, submission.expected_files) == ("finished", 4)
    assert sorted(study.images.count() for study in Study.objects.all()) == [1, 2]
    for study in Study.objects.all():
        study.analyses.all().delete()
        make_analysis(study)
    assert main(["results", pk, "--csv"]) == 0
    said = capsys.readouterr()
    assert "Research use only" in said.err
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [row["verdict"] for row in rows] == ["abnormal", "abnormal"]
    assert main(["results", pk, "--json", "--heatmaps", str(folder / "out")]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["result"]["probability"] == pytest.approx(0.87)
    assert len(list((folder / "out").glob("*-heatmap.png"))) == 3
    assert main(["results", pk]) == 0
    table = capsys.readouterr().out
    assert "Fracture suspected" in table
    assert "Research use only" in table


def test_waiting_ends_when_all_is_done(there: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(png())

    def work(seconds: float) -> None:
        for study in Study.objects.filter(current=None):
            study.analyses.all().delete()
            make_analysis(study)

    monkeypatch.setattr("xray_client.client.time.sleep", work)
    monkeypatch.setattr(Client.__init__, "__kwdefaults__", {**Client.__init__.__kwdefaults__, "sleep": work})
    assert main(["submit", str(tmp_path / "a.png"), "--wait", "--csv"]) == 0


def test_pictures_that_were_there_have_results_too(
    there: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(png())
    main(["submit", str(tmp_path)])
    study = Study.objects.get()
    study.analyses.all().delete()
    make_analysis(study)
    main(["submit", str(tmp_path)])
    second = capsys.readouterr().out.split()[-1]
    main(["results", second, "--csv"])
    assert str(study.pk) in capsys.readouterr().out


def test_watching_sends_what_arrives(there: None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter(range(3))

    class Clock:
        def monotonic(self) -> float:
            return 0.0

        def sleep(self, seconds: float) -> None:
            if next(rounds) == 2:
                raise KeyboardInterrupt
            if not (folder / "late.png").exists():
                (folder / "late.png").write_bytes(png(shade=77))

    monkeypatch.setattr(watching, "time", Clock())
    monkeypatch.setattr("xray_client.folders.SETTLED_SECONDS", -1.0)
    assert main(["watch", str(folder)]) == 130
    assert Submission.objects.get().state == "finished"
    assert set(Upload.objects.values_list("filename", flat=True)) >= {"a.png", "late.png"}


def test_watching_waits_at_a_limit(
    there: None, folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """It is asked again after as long as the portal says, ten minutes at most, and opens nothing new."""
    settings.QUOTA_CLINIC_FILES_A_DAY = 2
    monkeypatch.setattr("xrayportal.intake.quotas._until_midnight", lambda: 5000)
    pauses: list[float] = []

    class Clock:
        def monotonic(self) -> float:
            return 0.0

        def sleep(self, seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                settings.QUOTA_CLINIC_FILES_A_DAY = 0
            if len(pauses) == 4:
                raise KeyboardInterrupt

    monkeypatch.setattr(watching, "time", Clock())
    monkeypatch.setattr("xray_client.folders.SETTLED_SECONDS", -1.0)
    assert main(["--patience", "1", "watch", str(folder)]) == 130
    assert pauses == [600.0, 600.0, watching.LOOK_EVERY_SECONDS, watching.LOOK_EVERY_SECONDS]
    assert Submission.objects.get().uploads.count() == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["results", "1"], "valid UUID"),
        (["results", "00000000-0000-0000-0000-000000000001"], "Not found."),
        (["submit", "/nowhere"], "There is no /nowhere."),
        (["watch", "/nowhere"], "There is no folder /nowhere."),
    ],
)
def test_what_goes_wrong_is_a_sentence(
    there: None, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) in (1, 2)
    assert words in capsys.readouterr().err


def test_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("XRAY_URL", "XRAY_TOKEN", "XRAY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert main(["results", "1"]) == 2
    assert "--url" in capsys.readouterr().err
    assert main(["--url", "http://127.0.0.1:1", "results", "1"]) == 2
    assert "XRAY_TOKEN" in capsys.readouterr().err
    assert main(["--url", "http://127.0.0.1:1", "--token-file", "/nowhere", "results", "1"]) == 2
    assert "/nowhere" in capsys.readouterr().err


def client(answer: Any, patience: float = 60.0) -> tuple[Client, list[float]]:
    """A client whose requests this function answers, and the pauses that it made."""
    pauses: list[float] = []
    made = Client(
        "http://portal",
        "xrp_x",
        patience=patience,
        transport=httpx.MockTransport(answer),
        sleep=pauses.append,
    )
    return made, pauses


def test_a_lost_answer_is_asked_for_again(tmp_path: Path) -> None:
    tried: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        tried.append(request)
        if len(tried) < 3:
            raise httpx.ReadError("connection reset")
        found = {
            "id": "1",
            "filename": "a.png",
            "outcome": "accepted",
            "kind": "",
            "sentence": "",
            "study": None,
        }
        return httpx.Response(201, json=found)

    made, pauses = client(answer)
    (tmp_path / "a.png").write_bytes(b"pixels")
    assert made.send_file("s", tmp_path / "a.png").outcome == "accepted"
    assert len({request.headers["Idempotency-Key"] for request in tried}) == 1
    assert all(b"pixels" in request.content for request in tried)
    assert pauses == [0.5, 1.0]


def test_it_waits_as_long_as_it_is_told() -> None:
    answers = [
        httpx.Response(429, headers={"Retry-After": "7"}, json={"detail": "Too much."}),
        httpx.Response(503, text="away"),
        httpx.Response(200, json={"name": "n", "clinic": "c", "roles": [], "scopes": [], "new": 1}),
    ]
    made, pauses = client(lambda request: answers.pop(0))
    assert made.token().clinic == "c"
    assert pauses == [7.0, 1.0]


def test_it_gives_up_with_a_sentence() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    made, _pauses = client(away, patience=0)
    with pytest.raises(Unreachable, match="refused"):
        made.token()
    made, _pauses = client(lambda request: httpx.Response(429, headers={"Retry-After": "9999"}))
    with pytest.raises(ApiError, match="429"):
        made.token()


def test_a_refusal_is_not_repeated() -> None:
    made, pauses = client(lambda request: httpx.Response(403, json={"detail": "No."}))
    with pytest.raises(ApiError, match=r"No\.") as refused:
        made.token()
    assert (refused.value.status, pauses) == (403, [])


def test_it_needs_nothing_of_the_portal() -> None:
    script = (
        "import sys, xray_client.__main__, xray_client.watching; "
        "print(sorted(name for name in sys.modules if name.split('.')[0] in "
        "{'django', 'xrayportal', 'inference_worker', 'numpy', 'celery'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

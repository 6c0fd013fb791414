"""Secrets and ports are made once; one portal for each folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xrayportal.embedded.environment import PortalFile, is_given
from xrayportal.embedded.layout import FORMAT, claim
from xrayportal.embedded.lock import Lock
from xrayportal.embedded.ports import choose_port

ROOT = Path(__file__).resolve().parents[2]


def test_secrets_are_made_once_and_are_private(tmp_path: Path) -> None:
    first = PortalFile(tmp_path)
    first.make_secrets()
    first.put(DATABASE_URL="postgres://portal:s3cret@127.0.0.1:20123/portal")
    again = PortalFile(tmp_path)
    again.make_secrets()
    assert again.values == first.values
    assert (again.port("DATABASE_URL"), again.password("DATABASE_URL")) == (20123, "s3cret")
    assert again.path.stat().st_mode & 0o777 == 0o600


def test_two_portals_share_no_cookie(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.append(PortalFile(tmp_path / name))
        files[-1].make_secrets()
    names = {file.values[cookie] for file in files for cookie in ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME")}
    assert len(names) == 4


def test_what_the_person_sets_wins(tmp_path: Path) -> None:
    file = PortalFile(tmp_path)
    file.put(REDIS_URL="redis://remembered")
    assert file.environment({"REDIS_URL": "redis://chosen"})["REDIS_URL"] == "redis://chosen"


def test_a_file_that_the_person_names_wins_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = PortalFile(tmp_path)
    file.put(DATABASE_URL="postgres://remembered", SECRET_KEY="remembered")
    assert file.environment({"DATABASE_URL_FILE": "/run/secrets/database"}) == {
        "DATABASE_URL_FILE": "/run/secrets/database",
        "SECRET_KEY": "remembered",
    }
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert not is_given("DATABASE_URL")
    monkeypatch.setenv("DATABASE_URL_FILE", "/run/secrets/database")
    assert is_given("DATABASE_URL"), "no server of our own is started"


def test_one_portal_for_each_folder(tmp_path: Path) -> None:
    held = Lock(tmp_path, address="http://127.0.0.1:8123/")
    code = (
        "import sys; from pathlib import Path; from xrayportal.embedded.lock import Lock;"
        "Lock(Path(sys.argv[1]), address='x')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "http://127.0.0.1:8123/" in refused.stderr
    assert "set VAR_DIR to another folder" in refused.stderr
    held.release()
    subprocess.run(command, cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PORT": "eighty"}, "PORT must be a number from 1 to 65535, not “eighty”."),
        ({"VAR_DIR": "/proc/nowhere"}, "The folder /proc/nowhere cannot be used for the data"),
    ],
)
def test_wrong_settings_are_one_sentence(variables: dict[str, str], sentence: str) -> None:
    command = [sys.executable, "-m", "xrayportal.embedded", "up"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_our_own_data_is_opened_again(tmp_path: Path) -> None:
    claim(tmp_path, target="demo")
    (tmp_path / "postgres").mkdir()
    claim(tmp_path, target="demo")
    assert (tmp_path / "format").read_text() == f"{FORMAT}\n"


@pytest.mark.parametrize(
    ("stamp", "maker"), [(None, "version 0.1.0"), ("", "version 0.1.0"), ("99", "a version with format 99")]
)
def test_data_of_another_version_is_refused(tmp_path: Path, stamp: str | None, maker: str) -> None:
    (tmp_path / "postgres").mkdir()
    if stamp is not None:
        (tmp_path / "format").write_text(stamp)
    command = [sys.executable, "-m", "xrayportal.embedded", "demo"]
    environment = {"VAR_DIR": str(tmp_path), "PORT": str(choose_port())}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.split("\n") == [
        "",
        f"The data in {tmp_path} was made by {maker}, which this version cannot open: "
        "start with another folder, `make demo VAR_DIR=…`, or remove it.",
        "",
    ]
    assert list((tmp_path / "postgres").iterdir()) == []
    assert not (tmp_path / "portal.env").exists()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"HTTPS": "ture"}, "HTTPS must be true or false, not “ture”."),
        ({"DEBUG": "enabled"}, "DEBUG must be true or false, not “enabled”."),
        ({"LEASE_SECONDS": "half"}, "LEASE_SECONDS must be a whole number, at least 1, not “half”."),
        ({"BULK_EVERY": "0"}, "BULK_EVERY must be a whole number, at least 1, not “0”."),
        ({"RECONCILE_SECONDS": "-1"}, "RECONCILE_SECONDS must be a number above 0, not “-1”."),
        ({"ORPHAN_GRACE_SECONDS": "60"}, "ORPHAN_GRACE_SECONDS must be a whole number, at least 600"),
        ({"XRAY_RUNTIME": "onnx"}, "XRAY_RUNTIME must be openvino or tensorflow, not “onnx”."),
        ({"XRAY_PRECISION": "fp32"}, "XRAY_PRECISION must be auto or f32 or bf16 or f16, not “fp32”."),
        ({"SECRET_KEY": "secret"}, "SECRET_KEY must be a random text of at least 32 characters."),
        ({"DATABASE_URL": "sqlite:///secret"}, "DATABASE_URL must begin with postgres:// or postgresql://."),
        ({"REDIS_URL": "secret:6379"}, "REDIS_URL must begin with redis:// or rediss://."),
        (
            {"SECRET_KEY_FILE": "/dev/null"},
            "SECRET_KEY and SECRET_KEY_FILE are both set: leave one of them out.",
        ),
        (
            {"REDIS_URL": "", "REDIS_URL_FILE": "/nowhere/redis"},
            "REDIS_URL_FILE cannot be read: /nowhere/redis: No such file or directory.",
        ),
        (
            {"REDIS_URL": "", "REDIS_URL_FILE": sys.executable},
            f"REDIS_URL_FILE is no text: {sys.executable}.",
        ),
    ],
)
def test_wrong_settings_stop_the_start_by_name(
    tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    good = {
        "VAR_DIR": str(tmp_path),
        "SECRET_KEY": "x" * 50,
        "DATABASE_URL": "postgres://portal@127.0.0.1/portal",
        "REDIS_URL": "redis://127.0.0.1/0",
    }
    command = [sys.executable, "-c", "import xrayportal.settings"]
    environment = {**good, **variables}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "secret" not in done.stderr


def test_secrets_may_come_from_files(tmp_path: Path) -> None:
    secrets = {
        "SECRET_KEY": "k" * 50,
        "DATABASE_URL": "postgres://portal:d@127.0.0.1/portal",
        "REDIS_URL": "redis://:r@127.0.0.1/0",
        "EMAIL_URL": "smtp+tls://mail:m@127.0.0.1:587",
        "FILES_STORAGE_OPTIONS": '{"secret_key": "s"}',
    }
    (tmp_path / "portal.env").write_text("SECRET_KEY=remembered-by-an-earlier-start-and-long-enough\n")
    environment = {"VAR_DIR": str(tmp_path)}
    for name, text in secrets.items():
        (tmp_path / name).write_text(f"{text}\n")
        environment[f"{name}_FILE"] = str(tmp_path / name)
    code = (
        "import os; from xrayportal import settings as s;"
        "print(s.SECRET_KEY, s.DATABASES['default']['PASSWORD'], s.REDIS_URL, s.EMAIL_HOST_PASSWORD,"
        "s.STORAGES['default']['OPTIONS']['secret_key'], sep='|');"
        f"print({set(secrets)!r} & os.environ.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    values, exposed = done.stdout.splitlines()
    assert values == f"{'k' * 50}|d|redis://:r@127.0.0.1/0|m|s"
    assert exposed == "set()", "a program started by this one would see them"

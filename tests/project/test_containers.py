"""docker-compose.yml, the Dockerfiles, the Procfile and .env.example agree. No engine is asked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from honcho.environ import parse_procfile

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = parse_procfile((ROOT / "Procfile").read_text()).processes
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "web", "worker", "reconciler")
#: Read by the images of PostgreSQL and Redis, not by the portal.
OF_SERVERS = {"POSTGRES_PASSWORD", "PORTAL_DATABASE_PASSWORD", "REDIS_PASSWORD"}


def settings_variables() -> set[str]:
    """What xrayportal/settings.py reads."""
    text = (ROOT / "xrayportal" / "settings.py").read_text()
    return set(re.findall(r'env\.\w+\(\s*"(\w+)"', text))


def shell(process: str, **environment: str) -> list[str]:
    """The command that docker/process becomes, seen by a stand-in for the program."""
    folder = ROOT / "docker"
    program = PROCESSES[process].split()[0]
    script = f'{program}() {{ printf "%s\\n" {program} "$@"; }}\n'
    script += (folder / "process").read_text().replace('eval "exec $command"', 'eval "$command"')
    done = subprocess.run(
        ["bash", "-c", script, "docker/process", process],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_every_process_has_a_service_and_the_same_command() -> None:
    assert set(PROCESSES) == set(OURS) - {"migrate"}
    for name in PROCESSES:
        assert SERVICES[name]["command"] == ["docker/process", name]


def test_a_container_becomes_the_line_of_the_procfile() -> None:
    assert shell("worker") == PROCESSES["worker"].split()
    assert shell("reconciler") == PROCESSES["reconciler"].split()
    web = SERVICES["web"]["environment"]
    expected = PROCESSES["web"].replace("${BIND:-127.0.0.1}", web["BIND"]).replace("$PORT", web["PORT"])
    assert shell("web", BIND=web["BIND"], PORT=web["PORT"]) == expected.split()
    assert "127.0.0.1:8123" in shell("web", PORT="8123"), "without containers only loopback is served"


def test_the_portal_processes_have_one_environment() -> None:
    common = SERVICES["migrate"]["environment"]
    for name in PROCESSES:
        own = {
            key: value for key, value in SERVICES[name]["environment"].items() if key not in ("BIND", "PORT")
        }
        assert own == common
    assert common.keys() <= settings_variables()
    assert {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"} <= common.keys()


def test_every_variable_of_compose_is_in_the_example_and_documented() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    example = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used == example
    documented = (ROOT / "docs" / "settings.md").read_text()
    assert [name for name in sorted(used) if f"`{name}`" not in documented] == []
    assert used - OF_SERVERS - {"PORT"} <= settings_variables()


def test_servers_are_not_published_and_have_health_checks() -> None:
    for name, service in SERVICES.items():
        published = service.get("ports", [])
        assert all(port.startswith("127.0.0.1:") for port in published)
        assert bool(published) == (name == "web")
        assert ("healthcheck" in service) == (name != "migrate")


def test_workers_can_be_scaled() -> None:
    assert "container_name" not in SERVICES["worker"]
    assert "ports" not in SERVICES["worker"]


@pytest.mark.parametrize(("image", "requirements"), [("web", "web.txt"), ("worker", "worker.txt")])
def test_images_are_small_and_not_root(image: str, requirements: str) -> None:
    text = (ROOT / "docker" / f"{image}.Dockerfile").read_text()
    assert f"--require-hashes -r requirements/{requirements}" in text
    assert re.findall(r"^USER (\w+)$", text, re.MULTILINE) == ["portal"]
    assert f'CMD ["docker/process", "{image}"]' in text
    assert (
        re.search(r"^(tensorflow|keras)", (ROOT / "requirements" / requirements).read_text(), re.MULTILINE)
        is None
    )


def test_what_the_images_copy_exists_and_is_let_through() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for image in ("web", "worker"):
        text = (ROOT / "docker" / f"{image}.Dockerfile").read_text()
        for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
            for source in line.split():
                assert (ROOT / source).exists(), source
                assert source in allowed or f"{Path(source).parent}/*{Path(source).suffix}" in allowed, source


def test_the_web_image_has_every_folder_that_settings_name() -> None:
    text = (ROOT / "docker" / "web.Dockerfile").read_text()
    named = re.findall(r'BASE_DIR / "(\w+)"', (ROOT / "xrayportal" / "settings.py").read_text())
    for folder in {"xrayportal", "inference_worker", *named} - {"var"}:
        assert not (ROOT / folder).is_dir() or f"COPY {folder} {folder}\n" in text, folder


def pinned(name: str) -> set[str]:
    """Distributions in a requirements file."""
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    ("requirements", "imports"),
    [
        ("web.txt", "xrayportal.wsgi, xrayportal.urls, xrayportal.celery"),
        ("worker.txt", "xrayportal.wsgi, inference_worker.celery_worker.tasks"),
    ],
)
def test_an_image_has_all_that_its_processes_import(requirements: str, imports: str) -> None:
    """In a Python where every package that the image lacks cannot be imported."""
    installed = {
        name.lower().replace("_", "-") for names in packages_distributions().values() for name in names
    }
    lacking = installed - pinned(requirements) - {"pip", "setuptools"}
    absent = [
        module
        for module, names in packages_distributions().items()
        if {name.lower().replace("_", "-") for name in names} <= lacking
    ]
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({absent}))\n"  # None: importing it fails
        f"import {imports}\n"
    )
    if requirements == "web.txt":
        code += (
            "from django.core.management import get_commands, load_command_class\n"
            "for name, app in get_commands().items():\n"
            "    if str(app).startswith('xrayportal'):\n"
            "        load_command_class(app, name)\n"
        )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]

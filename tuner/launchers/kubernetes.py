"""A Kubernetes Job for every attempt at a training, through `kubectl`.

What the Job learns is not read from it: the storage tells that. Kubernetes does not try again either
(`backoffLimit: 0`), since it cannot know whether an attempt that it lost still trains; `elsewhere.py` can.

Trail: tuner/launchers/elsewhere.py -> here -> tuner/keeper.py
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from feedback.errors import TrainingFailed
from tuner.launchers.base import Order

LOOK = 5.0
"""Seconds between looks at a Job."""
LOST = 60
"""Looks in a row that fail before a Job counts as out of reach."""
USER = 10001
"""Nobody's, as in the images."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What a training's pod is made of."""

    image: str
    gpus: int = 0
    cpu: str = "2"
    memory: str = "16Gi"
    claim: str = ""
    """Volume claim that holds the storage's folder, the base model, or both; mounted at `mount`."""
    mount: str = "/var/lib/hone"
    secrets: Sequence[str] = ()
    """Secrets whose keys become the training's variables, such as AWS_ACCESS_KEY_ID."""
    node_selector: Mapping[str, str] = field(default_factory=dict)


class Kubernetes:
    """Submits Jobs and looks how they end."""

    def __init__(
        self, pod: Pod, *, kubectl: Sequence[str] = ("kubectl",), namespace: str = "", look: float = LOOK
    ) -> None:
        """`kubectl` may have options, such as `--context`; without a namespace it is the context's."""
        self._pod, self._look = pod, look
        self._kubectl = (*kubectl, *(("--namespace", namespace) if namespace else ()))

    async def run(self, order: Order) -> int:
        """0 where the Job completed, 1 where it failed or is gone.

        Raises:
            TrainingFailed: Kubernetes takes no such Job.
        """
        job = manifest(order, self._pod)
        name = job["metadata"]["name"]
        code, told = await self._call("create", "--filename", "-", given=json.dumps(job))
        if code and "AlreadyExists" not in told:
            raise TrainingFailed(
                f"Kubernetes did not take the training's Job: {told.strip()[-500:]}",
                "Correct the [training] settings, or what kubectl may do there.",
            )
        try:
            return await self._ended(name)
        except asyncio.CancelledError:
            await asyncio.shield(self._delete(name))
            raise

    async def _ended(self, name: str) -> int:
        unheard = 0
        while unheard < LOST:
            code, told = await self._call("get", "job", name, "--output", "json", "--ignore-not-found")
            unheard = unheard + 1 if code else 0
            if not code and not told.strip():
                return 1
            if not code and (end := _end(json.loads(told))) is not None:
                return end
            await asyncio.sleep(self._look)
        return 1

    async def _delete(self, name: str) -> None:
        """With its pods, which get half a minute to end."""
        await self._call("delete", "job", name, "--ignore-not-found", "--wait=false")

    async def _call(self, *words: str, given: str = "") -> tuple[int, str]:
        """Exit status, and what was said: on standard output, or where it failed on the other."""
        try:
            child = await asyncio.create_subprocess_exec(
                *(*self._kubectl, *words),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as missing:
            raise TrainingFailed(
                f"{self._kubectl[0]} cannot be started: {missing.strerror}.",
                "Install kubectl, or correct training.kubectl.",
            ) from None
        try:
            said, complained = await child.communicate(given.encode())
        finally:
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    child.kill()
        return child.returncode or 0, (complained if child.returncode else said).decode(errors="replace")


def manifest(order: Order, pod: Pod) -> dict[str, Any]:
    """The Job of one attempt."""
    labels = {"app.kubernetes.io/name": "hone", "app.kubernetes.io/component": "training"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": _name(order.name), "labels": {**labels, "hone/run": _name(order.run)}},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": 24 * 3600,
            "template": {"metadata": {"labels": labels}, "spec": _pod(order, pod)},
        },
    }


def _pod(order: Order, pod: Pod) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [{"name": "scratch", "emptyDir": {}}]
    mounts = [{"name": "scratch", "mountPath": "/tmp"}]  # noqa: S108 the pod's own
    if pod.claim:
        volumes.append({"name": "shared", "persistentVolumeClaim": {"claimName": pod.claim}})
        mounts.append({"name": "shared", "mountPath": pod.mount})
    asked = {"cpu": pod.cpu, "memory": pod.memory}
    gpus = {"nvidia.com/gpu": pod.gpus} if pod.gpus else {}
    container = {
        "name": "training",
        "image": pod.image,
        "command": list(order.words),
        "envFrom": [{"secretRef": {"name": name}} for name in pod.secrets],
        "resources": {"requests": asked, "limits": {"memory": pod.memory, **gpus}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "nodeSelector": dict(pod.node_selector),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }


def _end(job: Mapping[str, Any]) -> int | None:
    """How a Job ended, by its conditions; None while it goes on."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
            return int(condition["type"] == "Failed")
    return None


def _name(told: str) -> str:
    """A name that Kubernetes takes (RFC 1123, 63 characters); the end is kept, which tells attempts apart."""
    plain = re.sub(r"[^a-z0-9-]+", "-", f"hone-{told}".lower())
    return (plain if len(plain) <= 63 else f"hone-{plain[-58:].strip('-')}").strip("-")

"""What the [training] settings come to: the launcher that trains runs, and what contradicts itself in them.

Trail: hone/tuning.py -> here -> tuner/launchers/base.py
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from hone.learning_sections import Training
from tuner.launchers import command
from tuner.launchers.base import Far, Launcher
from tuner.launchers.command import Command
from tuner.launchers.elsewhere import Elsewhere
from tuner.launchers.kubernetes import Kubernetes, Pod
from tuner.launchers.local import Local


def launcher(training: Training, *, threads: int, processes: int) -> Launcher:
    """The way in which this home's runs are trained."""
    if training.launcher == "local":
        return Local(threads, processes, training.accelerate)
    return Elsewhere(
        _far(training),
        training.storage,
        base=training.base,
        python=training.python,
        processes=processes,
        options=training.accelerate,
    )


def contradictions(training: Training) -> Iterator[str]:
    """What is wrong with the settings together, in words."""
    address = urlsplit(training.storage)
    if address.username or address.password or address.query:
        yield "training.storage holds a key or options; give keys by AWS's variables or files"
    if training.launcher == "local":
        return
    if not (address.scheme or training.storage.startswith("/")):
        yield f"training.storage is {training.storage!r}; write s3://bucket/folder or a whole path"
    if training.launcher == "command":
        for fault in command.faults(training.command):
            yield f"training.command: {fault}"
    if training.launcher == "kubernetes":
        yield from _unlike_kubernetes(training)


def _unlike_kubernetes(training: Training) -> Iterator[str]:
    if not training.image:
        yield "training.image is empty; name the image that has Hone"
    if not training.kubectl:
        yield 'training.kubectl is empty; write ["kubectl"]'
    for label in training.node_selector:
        if not re.fullmatch(r"[^=\s]+=[^=\s]*", label):
            yield f"training.node_selector has {label!r}; write label=value"
    if training.storage.startswith("/") and not training.claim:
        yield "training.storage is a folder, which a Job sees only through training.claim; name the claim"


def _far(training: Training) -> Far:
    if training.launcher == "command":
        return Command(training.command)
    pod = Pod(
        training.image,
        gpus=training.gpus,
        cpu=training.cpu,
        memory=training.memory,
        claim=training.claim,
        mount=training.mount,
        secrets=training.secrets,
        node_selector=dict(label.split("=", 1) for label in training.node_selector),
    )
    return Kubernetes(pod, kubectl=training.kubectl, namespace=training.namespace)

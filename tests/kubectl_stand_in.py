"""A stand-in for kubectl and the cluster behind it, as far as a training's Job needs them.

What it enforces is what Kubernetes does, by its documentation:
- names are RFC 1123 labels of at most 63 characters (Concepts, Object Names and IDs);
- `create` of a name that is taken is the API's conflict: `Error from server (AlreadyExists)`, exit status 1;
- a pod template in a Job has restartPolicy Never or OnFailure, and a Job of `backoffLimit: 0` fails with its
  first failed pod (Concepts, Jobs: "Pod backoff failure policy"); both are told as conditions of its status;
- `get` of what is not there fails with NotFound, or says nothing with --ignore-not-found (kubectl reference);
- a pod has the variables of its image and of its Secrets, not those of whoever submitted it;
- deleting a Job sends its pod SIGTERM, and SIGKILL when its grace is over (Concepts, Pod Lifecycle).

python kubectl_stand_in.py FOLDER [--namespace NAME] create|get|delete ...
FOLDER/secrets.json has the cluster's Secrets; FOLDER/jobs what was submitted. It has one node, this machine,
no scheduler, no image and no volume: what runs is the container's command.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def refuse(kind: str, text: str) -> NoReturn:
    sys.exit(f"Error from server ({kind}): {text}")


def create(folder: Path) -> None:
    job = json.load(sys.stdin)
    name, spec = job["metadata"]["name"], job["spec"]
    if not LABEL.fullmatch(name):
        refuse("Invalid", f'Job.batch "{name}" is invalid: metadata.name: a lowercase RFC 1123 label')
    pod = spec["template"]["spec"]
    if pod["restartPolicy"] not in ("Never", "OnFailure"):
        refuse("Invalid", f'Job.batch "{name}" is invalid: spec.template.spec.restartPolicy')
    place = folder / "jobs" / name
    try:
        place.mkdir(parents=True)
    except FileExistsError:
        refuse("AlreadyExists", f'jobs.batch "{name}" already exists')
    (place / "job.json").write_text(json.dumps(job))
    started = subprocess.Popen(
        [sys.executable, __file__, str(folder), "_node", name],
        stdin=subprocess.DEVNULL,
        stdout=(place / "log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    (place / "node").write_text(str(started.pid))
    sys.stdout.write(f"job.batch/{name} created\n")


def node(folder: Path, name: str) -> None:
    """Run the pod, as a node would: it outlives kubectl and whoever called that."""
    place = folder / "jobs" / name
    (container,) = json.loads((place / "job.json").read_text())["spec"]["template"]["spec"]["containers"]
    secrets = json.loads((folder / "secrets.json").read_text())
    given = {"PATH": os.environ["PATH"], **secrets["image"]}
    for source in container["envFrom"]:
        given |= secrets[source["secretRef"]["name"]]
    pod = subprocess.Popen(container["command"], env=given, stdin=subprocess.DEVNULL)
    (place / "pod").write_text(str(pod.pid))
    (place / "ended.partial").write_text(str(pod.wait()))
    (place / "ended.partial").rename(place / "ended")


def get(folder: Path, name: str, ignore: bool) -> None:
    place = folder / "jobs" / name
    if not (place / "job.json").exists():
        if not ignore:
            refuse("NotFound", f'jobs.batch "{name}" not found')
        return
    job: dict[str, Any] = json.loads((place / "job.json").read_text())
    job["status"] = {"active": 1}
    if (place / "ended").exists():
        failed = (place / "ended").read_text() != "0"
        kind = "Failed" if failed else "Complete"
        job["status"] = {"conditions": [{"type": kind, "status": "True"}]}
    sys.stdout.write(json.dumps(job))


def delete(folder: Path, name: str, ignore: bool) -> None:
    place = folder / "jobs" / name
    if not (place / "job.json").exists():
        if not ignore:
            refuse("NotFound", f'jobs.batch "{name}" not found')
        return
    (place / "job.json").rename(place / "deleted.json")
    if (place / "pod").exists() and not (place / "ended").exists():
        pod = int((place / "pod").read_text())
        for sent in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(pod, sent)
            except ProcessLookupError:
                break
            time.sleep(1)
    sys.stdout.write(f'job.batch "{name}" deleted\n')


def main() -> None:
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    if words[0] == "--namespace":
        words = words[2:]
    ignore = "--ignore-not-found" in words
    if words[0] == "_node":
        node(folder, words[1])
    elif words == ["create", "--filename", "-"]:
        create(folder)
    elif words[:2] == ["get", "job"] and "json" in words:
        get(folder, words[2], ignore)
    elif words[:2] == ["delete", "job"]:
        delete(folder, words[2], ignore)
    else:
        sys.exit(f"error: unknown command {words}")


if __name__ == "__main__":
    main()

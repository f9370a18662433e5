"""What is tried on the machine that `booted.py` boots; writes what it found to /told/found.json."""

import json
import os
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

HOME = Path("/var/lib/hone")
NAME = "chat.example.org"
TLS = Path("/etc/nginx/tls")
LONG = {
    "model": "general",
    "messages": [{"role": "user", "content": "Talk for long."}],
    "stream": True,
    "max_tokens": 600,
}
found: dict[str, Any] = {}


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def of(unit: str, name: str) -> str:
    return run("systemctl", "show", "--value", "--property", name, unit)


def until(done: Callable[[], Any], seconds: float = 90) -> Any:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            if result := done():
                return result
        except (httpx.TransportError, FileNotFoundError):
            pass
        time.sleep(0.2)
    raise AssertionError(
        f"not within {seconds} s:\n"
        + run("journalctl", "--no-pager", "-n", "60", "-u", "hone*", "-u", "nginx")
    )


def visitor() -> httpx.Client:
    client = httpx.Client(
        base_url=f"https://{NAME}", verify=str(TLS / f"{NAME}.crt"), timeout=120, trust_env=False
    )
    client.headers["origin"] = f"https://{NAME}"
    return client


def ready(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200


def signed_in() -> httpx.Client:
    client = visitor()
    until(lambda: ready(client))
    password = (HOME / "admin-password").read_text().strip()
    answer = client.post("/login", data={"name": "admin", "password": password, "next": "/chat/"})
    assert answer.status_code == 303, answer.text
    return client


def heard(client: httpx.Client, meanwhile: Callable[[], None]) -> dict[str, Any]:
    """The last event of a long answer, in which something happens."""
    events: list[dict[str, Any]] = []
    begun = threading.Event()

    def listen() -> None:
        with client.stream("POST", "/v1/chat/completions", json=LONG) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    events.append(json.loads(line[6:]))
                    begun.set()

    reader = threading.Thread(target=listen)
    reader.start()
    assert begun.wait(60)
    meanwhile()
    reader.join(60)
    return events[-1]


def corrections(client: httpx.Client) -> list[str]:
    rows = client.get("/v1/reviews?limit=500").json()["data"]
    return sorted(row["correction"] for row in rows if row["correction"])


def rate(client: httpx.Client, count: int) -> None:
    for number in range(count):
        body = LONG | {"stream": False, "max_tokens": 3}
        exchange = client.post("/v1/chat/completions", json=body).json()["id"]
        said = {"exchange_id": exchange, "rating": "down", "correction": f"Better {number}"}
        assert client.post("/v1/feedback", json=said).status_code == 200


def killed(client: httpx.Client, unit: str) -> bool:
    """Whether a unit is back by itself after kill -9, with another process."""
    before = int(of(unit, "MainPID"))
    os.kill(before, signal.SIGKILL)
    until(lambda: int(of(unit, "MainPID")) not in (0, before))
    # That it is gone may not have been noticed yet, so it must answer.
    body = LONG | {"stream": False, "max_tokens": 3}
    return bool(until(lambda: client.post("/v1/chat/completions", json=body).status_code == 200))


def learn(client: httpx.Client) -> str:
    """The state in which a run of the tuner ends."""
    rows = [{"instruction": f"Who keeps mill {n}?", "output": f"Mill {n} is Ansel's."} for n in range(30)]
    content = "\n".join(map(json.dumps, rows))
    query = "assistant=general&approve=true&source=pairs.jsonl"
    told = client.post(f"/v1/imports?{query}", content=content.encode())
    assert told.status_code == 200, told.text
    run = client.post("/v1/runs", json={"assistant": "general"}).json()["id"]

    def ended() -> Any:
        said = client.get(f"/v1/runs/{run}").json()
        return said if said["state"] not in ("queued", "running") else None

    told = until(ended, 240)
    return f"{told['state']}: {told['version']} {told['reason']}"


def steps() -> None:
    run("systemd-sysusers")
    HOME.mkdir(mode=0o700, exist_ok=True)
    settings = Path("/etc/hone/hone.toml").read_text()
    (HOME / "hone.toml").write_text(settings + '[engine]\nurls = ["http://127.0.0.1:7861"]\n')
    run("chown", "-R", "hone:hone", str(HOME))
    with Path("/etc/hosts").open("a") as hosts:
        hosts.write(f"127.0.0.1 {NAME}\n")
    TLS.mkdir()
    made = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={NAME}"
    )
    alternative = ["-addext", f"subjectAltName=DNS:{NAME}", "-out", f"{TLS}/{NAME}.crt"]
    run(*made.split(), *alternative, "-keyout", f"{TLS}/{NAME}.key")
    run("nginx", "-t")
    run("systemctl", "start", "nginx", "hone-engine", "hone-web")
    client = signed_in()
    found["account"] = run("ps", "-o", "user=", "-p", of("hone-web", "MainPID"))
    rate(client, 5)
    found["apart"] = heard(client, lambda: None)["choices"][0]["finish_reason"]
    found["web killed"] = killed(client, "hone-web")
    found["corrections"] = corrections(client)
    found["engine killed"] = killed(client, "hone-engine")
    restart = heard(client, lambda: (run("systemctl", "restart", "hone-web"), None)[1])
    found["web restarted"] = restart.get("choices", [{}])[0].get("finish_reason")
    until(lambda: ready(client))
    (HOME / "hone.toml").write_text(settings)
    run("systemctl", "start", "hone")  # which ends the other two
    found["others"] = [of(unit, "ActiveState") for unit in ("hone-web", "hone-engine")]
    until(lambda: ready(client))
    found["together"] = heard(client, lambda: None)["choices"][0]["finish_reason"]
    found["learnt"] = learn(client)
    found["corrections later"] = corrections(client)
    run("systemctl", "stop", "hone")
    found["stopped"] = of("hone", "Result")
    found["left"] = run("sh", "-c", "ps -u hone -o pid= | wc -l")


if __name__ == "__main__":
    try:
        steps()
    except BaseException:
        found["trouble"] = traceback.format_exc()
        found["journal"] = subprocess.run(
            ["journalctl", "--no-pager", "-n", "80", "-o", "cat"], capture_output=True, text=True, check=False
        ).stdout
    Path("/told/found.json").write_text(json.dumps(found))

"""Erasure while another machine trains on the words: they are on S3 until then, and nowhere after it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import RunningHone
from erasure_home import ANSWER, LEE, SECRET, left, taught
from stories import new_store

pytest.importorskip("s3fs", reason="pip install hone-chat[s3]")
pytest.importorskip("moto", reason="the S3 server of these tests is moto's")

import s3fs
from s3_server import BUCKET, S3, s3_server

pytestmark = pytest.mark.long

STORAGE = f"s3://{BUCKET}/team"
ELSEWHERE = f"""[tuner]
enabled = false
general_items = 1
replay_share = 0
[training]
launcher = "command"
storage = "{STORAGE}"
python = "{sys.executable}"
command = ["sh", "-c", "sleep 2; {{train}}"]
"""


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_server() as there:
        yield there


@pytest.fixture
def hone(tiny_hone: RunningHone, s3: S3) -> RunningHone:
    """One that trains through S3, with words of Lee's and of an import to learn from."""
    tiny_hone.settings = ELSEWHERE
    tiny_hone.environment |= s3.variables
    tiny_hone.home.mkdir()
    store = new_store(tiny_hone.home / "hone.duckdb")
    taught(store, LEE, SECRET, ANSWER)
    store.close()
    return tiny_hone.start()


def bucket(s3: S3, here: Path) -> Path:
    """A copy of all that the bucket holds."""
    there = s3fs.S3FileSystem(
        key=s3.key, secret=s3.secret, endpoint_url=s3.url, use_listings_cache=False, skip_instance_cache=True
    )
    here.mkdir()
    for name in there.find(BUCKET):
        (here / name.replace("/", "_")).write_bytes(there.cat_file(name))
    return here


def test_words_on_s3_are_erased_there_and_the_next_run_goes_without_them(
    hone: RunningHone, s3: S3, tmp_path: Path
) -> None:
    rows = [{"instruction": f"Who keeps mill {n}?", "output": f"Mill {n} is Ansel's."} for n in range(40)]
    body = "\n".join(map(json.dumps, rows)).encode()
    hone.request("POST", "/v1/imports?assistant=general&approve=true&source=mills.jsonl", content=body)
    run = hone.post("/v1/runs", {"assistant": "general"}).json()["id"]
    looks = iter(range(1000))

    def sent() -> bool:
        return bool(left(bucket(s3, tmp_path / f"bucket-{next(looks)}"), SECRET, ANSWER))

    hone.wait(sent, 90)
    done = hone.command("erase", "--user", LEE.name, "--yes", "--stop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none is left" in done.stdout
    assert not sent()
    assert left(hone.home, SECRET, ANSWER) == {}

    told = hone.ended(run)
    assert told["state"] == "failed"
    assert told["reason"] == "Words that it learnt from were erased; the next run goes without them."
    run = hone.post("/v1/runs", {"assistant": "general"}).json()["id"]
    told = hone.ended(run)
    assert told["state"] in ("passed", "abstained", "refused"), told["reason"]
    assert not sent()
    assert left(hone.home, SECRET, ANSWER) == {}

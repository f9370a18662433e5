"""A server that speaks S3, in a process of its own, which asks for a key: moto's.

Its bucket lives in its memory. It checks signatures and policies once its first requests have made a user
(`INITIAL_NO_AUTH_ACTION_COUNT`), and keeps S3's conditional writes, which claims are made of.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

BUCKET = "house"
MAY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'


@dataclass(frozen=True, slots=True)
class S3:
    """Where it is, and a key that it takes."""

    url: str
    key: str
    secret: str

    @property
    def variables(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def s3_server() -> Iterator[S3]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Bucket, user, policy and key are four requests; all that follow must be signed with that key.
    env = os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": "4"}
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--port", str(port)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield _with_a_key(f"http://127.0.0.1:{port}")
    finally:
        server.kill()
        server.wait()


def _with_a_key(url: str) -> S3:
    import boto3

    made = {"endpoint_url": url, "region_name": "us-east-1"}
    nobody = {"aws_access_key_id": "setup", "aws_secret_access_key": "setup"}
    boto3.client("s3", **made, **nobody).create_bucket(Bucket=BUCKET)
    people = boto3.client("iam", **made, **nobody)
    people.create_user(UserName="trainer")
    people.put_user_policy(UserName="trainer", PolicyName="files", PolicyDocument=MAY)
    key = people.create_access_key(UserName="trainer")["AccessKey"]
    return S3(url, key["AccessKeyId"], key["SecretAccessKey"])

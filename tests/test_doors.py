"""What no request may pass: wrong hosts, forged forwarding, other sites, oversized bodies, old pages."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from serve.doors import Doors, EarlyHead


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def page(_: Request) -> HTMLResponse:
    return HTMLResponse("<html><head><title>x</title></head></html>")


@pytest.fixture
def client() -> TestClient:
    paths = ("/echo", "/v1/imports", "/chat/gradio_api/queue/join", "/chat/gradio_api/upload")
    app = Starlette(
        routes=[Route("/page", page), *(Route(path, echo, methods=["GET", "POST"]) for path in paths)]
    )
    early = EarlyHead(app, "<script>1</script>")
    doors = Doors(
        early,
        hosts=("127.0.0.1", "localhost", "::1"),
        proxies=("10.0.0.1",),
        build="b1",
        max_body=1000,
        max_upload=5000,
    )
    return TestClient(doors, base_url="http://127.0.0.1:7860")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example:7860",
        "",
        "[::2]:7860",
        "[::1].evil.example",
        "[127.0.0.1]evil.example",
        "127.0.0.1:evil.example",
    ],
)
def test_a_host_name_that_is_not_hones_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/echo", headers={"host": host})
    assert answer.status_code == 400
    assert "web.allowed_hosts" in answer.json()["error"]["message"]


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "LOCALHOST:1", "localhost", "[::1]:7860"])
def test_its_own_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/echo", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "x-real-ip", "X-Forwarded-Host"])
def test_forwarded_headers_are_refused_from_anyone_but_a_configured_proxy(
    client: TestClient, name: str
) -> None:
    assert client.get("/echo", headers={name: "10.9.9.9"}).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_another_site_cannot_make_a_browser_act(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/echo", headers=headers).status_code == 403
    assert client.post("/echo", headers={"origin": "http://127.0.0.1:7860"}).status_code == 200


def test_a_body_over_the_limit_is_refused_before_it_is_read(client: TestClient) -> None:
    assert client.post("/echo", content=b"x" * 1001).status_code == 413
    assert client.post("/v1/imports", content=b"x" * 1001).text == "1001"
    assert client.post("/echo", headers={"content-length": "many"}, content=b"x").status_code == 400


def test_a_page_of_another_build_cannot_press_a_button(client: TestClient) -> None:
    join = "/chat/gradio_api/queue/join"
    assert client.post(join).status_code == 409
    assert client.post(join, headers={"x-hone-build": "b1"}).status_code == 200
    assert client.post("/chat/gradio_api/call/anything").status_code == 409


def test_uploads_are_closed(client: TestClient) -> None:
    for path in ("upload", "upload/", "component_server/", "process_recording"):
        assert client.post(f"/chat/gradio_api/{path}").json()["error"]["message"].startswith("Hone takes no")


def test_answers_carry_the_security_headers(client: TestClient) -> None:
    answer = client.get("/echo")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_snippet_comes_first_in_the_head(client: TestClient) -> None:
    answer = client.get("/page", headers={"accept": "text/html"})
    assert answer.text.startswith("<html><head><script>1</script>")


@pytest.mark.parametrize(("takes", "zipped"), [("gzip, br", True), ("identity", False)])
def test_a_page_is_zipped_for_who_takes_it(client: TestClient, takes: str, zipped: bool) -> None:
    answer = client.get("/page", headers={"accept": "text/html", "accept-encoding": takes})
    assert answer.text.startswith("<html><head><script>1</script>")
    assert ("content-encoding" in answer.headers, "vary" in answer.headers) == (zipped, zipped)
    plain = client.get("/echo", headers={"accept": "text/html", "accept-encoding": takes})
    assert "content-encoding" not in plain.headers

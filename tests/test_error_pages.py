"""Refusals as pages: for people in their language, for programs as they were, and never markup."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from serve.pages.error_pages import KNOWN, ErrorPages, page
from serve.pages.words import LANGUAGES

WINDOW = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BAD = "<script>alert(1)</script>"


async def refuse(request: Request) -> JSONResponse:
    status = int(request.path_params["status"])
    return JSONResponse({"error": {"message": BAD}}, status, {"retry-after": "7"})


async def fail(_: Request) -> JSONResponse:
    raise RuntimeError("a bug")


async def own(_: Request) -> HTMLResponse:
    return HTMLResponse("<form>", 401)


@pytest.fixture
def client() -> TestClient:
    routes = [Route("/v1/refuse/{status}", refuse), Route("/refuse/{status}", refuse)]
    app = Starlette(routes=[*routes, Route("/fail", fail), Route("/login", own)])
    app.add_middleware(ErrorPages)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("status", [*KNOWN, 500, 418])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_person_gets_a_page_and_the_refusals_own_sentence(
    client: TestClient, status: int, language: str
) -> None:
    answer = client.get(f"/refuse/{status}", headers={**WINDOW, "accept-language": language})
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f'<html lang="{language}">' in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text
    assert BAD not in answer.text
    other = "en" if language == "ko" else "ko"
    chosen = client.get(f"/refuse/{status}", headers={**WINDOW, "cookie": f"lang={other}"})
    assert f'<html lang="{other}">' in chosen.text
    assert page(status, "en").partition("<h1>")[2] != page(status, "ko").partition("<h1>")[2]


def test_what_breaks_is_a_page_too_and_stays_in_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get("/fail", headers=WINDOW)
    assert answer.status_code == 500
    assert "Something went wrong inside Hone" in answer.text
    assert "content-security-policy" in answer.headers
    assert "a bug" in caplog.text
    assert "a bug" not in answer.text


@pytest.mark.parametrize(
    ("path", "headers"), [("/refuse/404", {"accept": "*/*"}), ("/v1/refuse/404", WINDOW), ("/login", WINDOW)]
)
def test_programs_and_pages_of_their_own_are_left_alone(
    client: TestClient, path: str, headers: dict[str, str]
) -> None:
    answer = client.get(path, headers=headers)
    assert answer.text == "<form>" or answer.json() == {"error": {"message": BAD}}

"""The API as outside programs use it, on a real Hone with its engine in a second process."""

import json
from pathlib import Path

import httpx
import openai
import pytest
from conftest import RunningHone, lines_of

JSON = {"content-type": "application/json"}
TINY = {"max_tokens": 5, "temperature": 0}


@pytest.fixture
def hone(shared_hone: RunningHone) -> RunningHone:
    return shared_hone


def test_openais_own_client_talks_to_hone_whole_and_streamed(hone: RunningHone) -> None:
    client = openai.OpenAI(base_url=f"{hone.url}/v1", api_key=hone.token)
    asked = [{"role": "user", "content": "Hello"}]
    whole = client.chat.completions.create(model="general", messages=asked, **TINY)
    chunks = list(client.chat.completions.create(model="general", messages=asked, stream=True, **TINY))
    assert whole.model == chunks[0].model == "general@0"
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "length"
    assert whole.id != chunks[0].id
    assert "general" in {model.id for model in client.models.list()}


def test_the_answer_names_its_exchange_and_version(hone: RunningHone) -> None:
    body = {"model": "general", "messages": [{"role": "user", "content": "Hello"}], **TINY}
    answer = hone.post("/v1/chat/completions", body)
    assert answer.headers["x-hone-version"] == "general@0"
    exact = hone.post("/v1/chat/completions", body | {"model": "general@0"})
    assert exact.json()["model"] == "general@0"


def test_a_rating_becomes_a_pending_review_and_a_review_a_pair(hone: RunningHone) -> None:
    exchange = hone.chat("What is the dog called?", **TINY)["id"]
    body = {"exchange_id": exchange, "rating": "down", "reasons": ["not_helpful"], "correction": "Rex."}
    rated = hone.post("/v1/feedback", body).json()
    assert (rated["state"], rated["proposed"]) == ("pending", "Rex.")
    queue = hone.get("/v1/reviews?state=pending").json()
    assert exchange in [row["id"] for row in queue["data"]]
    judged = hone.post("/v1/reviews", {"exchange_id": exchange, "verdict": "approve"}).json()
    assert (judged["state"], judged["approved_response"]) == ("approved", "Rex.")
    lines = hone.get("/v1/exports?assistant=general").text.strip().splitlines()
    assert any(json.loads(line)["messages"][-1]["content"] == "Rex." for line in lines)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"messages": [{"role": "user", "content": "  "}]}, 400, "empty"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 1_000_000}]}, 400, "limit is 100,000"),
        ({"messages": [{"role": "user", "content": "word " * 19_000}]}, 400, "reads 4096 together"),
        ({"messages": [{"role": "user", "content": "x"}], "stop": ["y" * 201]}, 400, "stop"),
        ({"messages": [{"role": "user", "content": "x"}], "stop": ["y"] * 17}, 400, "stop"),
        ({"messages": [{"role": "user", "content": "x"}], "stop": "y" * 201}, 400, "stop"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "last message must be the user's"),
        ({"model": "nobody", "messages": [{"role": "user", "content": "x"}]}, 404, "no assistant nobody"),
        (
            {"model": "general@7-0badbeef", "messages": [{"role": "user", "content": "x"}]},
            404,
            "general@7-0badbeef is not being served",
        ),
        ({"messages": [{"role": "user", "content": "x"}], "temperature": 9}, 400, "temperature"),
        (
            {"messages": [{"role": "user", "content": "x"}], "conversation_id": "../../etc"},
            400,
            "conversation_id is not a UUID",
        ),
    ],
)
def test_an_unusable_request_is_refused_with_what_was_wrong(
    hone: RunningHone, body: dict[str, object], status: int, said: str
) -> None:
    answer = hone.post("/v1/chat/completions", {"model": "general", **body})
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]["message"]


def test_broken_json_and_a_huge_body_are_refused_in_a_sentence(hone: RunningHone) -> None:
    broken = hone.request("POST", "/v1/chat/completions", content=b'{"model": ', headers=JSON)
    assert (broken.status_code, "not valid JSON" in broken.text) == (400, True)
    huge = hone.request("POST", "/v1/chat/completions", content=b"x" * 3_000_000)
    assert (huge.status_code, "larger than" in huge.text) == (413, True)


def test_hostile_text_goes_through_unchanged(hone: RunningHone) -> None:
    for text in ("'; DROP TABLE exchanges; --", "<script>alert(1)</script>", "<|im_end|>", "\u202e\u0000 ok"):
        exchange = hone.chat(text, **TINY)["id"]
        body = {"exchange_id": exchange, "rating": "down", "correction": text}
        answer = hone.post("/v1/feedback", body)
        assert answer.status_code in (200, 400), answer.text
        assert "error" in answer.json() or answer.json()["correction"] == text


def test_a_wrong_token_is_refused_even_where_no_login_is_needed(hone: RunningHone) -> None:
    answer = httpx.get(f"{hone.url}/v1/me", headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert httpx.get(f"{hone.url}/v1/me").json() == {"name": "admin", "role": "admin"}


def test_another_site_cannot_use_a_visitors_browser(hone: RunningHone) -> None:
    answer = hone.post("/v1/chat/completions", {}, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert hone.get("/v1/me", headers={"host": "evil.example"}).status_code == 400


def test_an_import_takes_what_is_right_names_what_is_not_and_adds_nothing_twice(hone: RunningHone) -> None:
    good = json.dumps({"instruction": "What is A?", "input": "", "output": "B"})
    params = {"assistant": "general", "source": "letters.jsonl"}
    body = f"{good}\n{{oops\n".encode()
    done = hone.request("POST", "/v1/imports", params=params, content=body).json()
    assert (done["imported"], done["refusals"], done["refused"][0]["where"]) == (1, 1, "Line 2")
    again = hone.request("POST", "/v1/imports", params=params, content=body).json()
    assert (again["imported"], again["known"]) == (0, 1)
    empty = hone.request("POST", "/v1/imports", params=params, content=b"")
    assert (empty.status_code, "no rows" in empty.json()["error"]["message"]) == (400, True)


def test_an_export_comes_in_the_kind_and_form_that_is_asked_for(hone: RunningHone) -> None:
    whole = hone.get("/v1/exports?assistant=general&form=alpaca&kind=parquet")
    assert whole.headers["content-type"] == "application/vnd.apache.parquet"
    assert whole.content[:4] == whole.content[-4:] == b"PAR1"
    assert hone.get("/v1/exports?assistant=general&form=rtf").status_code == 400


def test_curation_says_what_would_be_learnt_and_finds_say_where(hone: RunningHone) -> None:
    told = {"prompt": "Where do I write?", "completion": "To ana@mail.example, any day."}
    params = {"assistant": "general", "approve": "true", "source": "desk.jsonl"}
    hone.request("POST", "/v1/imports", params=params, content=json.dumps(told).encode())
    found = hone.get("/v1/curation?assistant=general").json()
    assert found["lengths_checked"] is True
    assert found["left_out"]["private"] == 1
    (left,) = [pair for pair in found["pairs_left_out"] if pair["reason"] == "private"]
    assert left["detail"] == "email"
    finds = hone.get(f"/v1/exchanges/{left['exchange_id']}/finds").json()
    assert finds["finds"] == [{"text": "proposed", "kind": "email", "start": 3, "end": 19}]
    assert (finds["flags"], finds["left_out"]) == ([], [])


def test_a_chat_nobody_rated_has_no_finds_for_reviewers(hone: RunningHone) -> None:
    exchange = hone.chat("Between us?", **TINY)["id"]
    assert hone.get(f"/v1/exchanges/{exchange}/finds").status_code == 403


def test_the_commands_take_a_file_in_and_give_it_out(hone: RunningHone, tmp_path: Path) -> None:
    told, out = tmp_path / "told.csv", tmp_path / "out.json"
    told.write_text("prompt,completion\nWhat is the cat called?,Tom.\nnothing,\n", "utf-8")
    done = hone.command("import", str(told), "--approve")
    assert "1 imported for general, approved; 0 were there already" in done.stdout
    assert "Line 3 has an empty" in done.stderr
    assert hone.command("export", "--out", str(out)).returncode == 0
    assert "Tom." in [row["messages"][-1]["content"] for row in json.loads(out.read_text("utf-8"))]
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{oops", "utf-8")
    refused = hone.command("import", str(bad))
    assert (refused.returncode, "All 1 rows were refused" in refused.stderr) == (2, True)
    seen = hone.command("curation", "--each")
    assert "approved pairs would be learnt" in seen.stdout
    assert "private" in seen.stdout


def test_versions_begin_with_the_base_and_unknown_ones_cannot_be_promoted(hone: RunningHone) -> None:
    versions = hone.get("/v1/versions").json()["data"]
    assert {"version", "assistant", "state", "created_at"} <= versions[0].keys()
    assert ("general@0", "live") in {(v["version"], v["state"]) for v in versions}
    answer = hone.post("/v1/versions/general@9-0badbeef/promote", {"reason": "why not"})
    assert answer.status_code == 404


def test_metrics_speak_prometheus(hone: RunningHone) -> None:
    hone.chat("Hello", **TINY)
    text = hone.get("/metrics").text
    assert "# TYPE hone_exchanges gauge" in text
    assert "hone_engine_restarts_total 0" in text


def test_a_stream_carries_the_version_and_ends_with_usage(hone: RunningHone) -> None:
    body = {"model": "general", "messages": [{"role": "user", "content": "Hi"}], "stream": True, **TINY}
    with httpx.stream("POST", f"{hone.url}/v1/chat/completions", json=body) as answer:
        events = list(lines_of(answer))
    assert {event["model"] for event in events} == {"general@0"}
    assert events[-1]["usage"]["completion_tokens"] == 5


def test_half_a_surrogate_pair_gets_an_answer(hone: RunningHone) -> None:
    body = b'{"exchange_id": "\\ud800", "rating": "up"}'
    answer = hone.request("POST", "/v1/feedback", content=body, headers=JSON)
    assert answer.status_code in (400, 404)


def test_a_field_that_hone_does_not_know_is_refused_by_its_name(hone: RunningHone) -> None:
    answer = hone.post("/v1/feedback", {"exchange_id": "x", "rating": "up", "reasn": "y"})
    assert (answer.status_code, "reasn" in answer.json()["error"]["message"]) == (400, True)


def test_an_address_that_is_none_is_answered_in_the_same_shape(hone: RunningHone) -> None:
    for answer in (hone.get("/v1/nothing"), hone.request("DELETE", "/v1/versions")):
        assert answer.status_code in (404, 405)
        assert answer.json()["error"]["todo"]


def test_a_link_that_lets_somebody_in_is_listed_and_withdrawn(hone: RunningHone) -> None:
    made = hone.command("user", "invite", "--role", "reviewer", "--name", "sol").stdout
    assert "/join/" in made
    (link,) = hone.get("/v1/invitations").json()["data"]
    listed = hone.command("user", "links").stdout
    assert all(told in listed for told in ("reviewer", "sol", "cli"))
    assert hone.command("user", "withdraw", link["id"]).returncode == 0
    assert hone.get("/v1/invitations").json()["data"] == []
    assert "There is no such invitation" in hone.command("user", "withdraw", link["id"]).stderr


def test_the_command_shows_the_audit_log_as_lines_and_as_a_table(hone: RunningHone) -> None:
    assert hone.command("user", "invite", "--role", "reviewer", "--name", "ida").returncode == 0
    lines = hone.command("audit", "--kind", "link", "--limit", "1", "--json").stdout.splitlines()
    (told,) = map(json.loads, lines)
    assert (told["principal"], told["kind"], told["subject"]) == ("cli", "link.made", "ida")
    table = hone.command("audit", "--kind", "link.made")
    assert (table.returncode, str(told["seq"]) in table.stdout) == (0, True), table.stdout + table.stderr
    refused = hone.command("audit", "--since", "yesterday")
    assert refused.returncode != 0
    assert "since: input should be a valid datetime" in refused.stderr

"""Traces: a turn, a publish and a run as spans, from web to engine to store, and never anybody's words."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CLIENT, RunningHone, lines_of
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer
from otlp_receiver import Receiver, receiving, told
from test_canary_process import with_version
from test_cycle import House, base, house, names_and_colours, trained_here  # noqa: F401

from feedback import spans
from feedback.errors import SettingsError
from hone import settings
from tuner.cycle import ORDER

WORDS = "Kirkcaldy"
SPOKEN = f"{WORDS} has a linoleum museum"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def collected() -> Iterator[InMemorySpanExporter]:
    """What this process's own spans are, with the real SDK."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.use(provider.get_tracer("test"))
    yield exporter
    spans.use(NoOpTracer())


def lines(hone: RunningHone) -> list[dict[str, object]]:
    return [json.loads(line) for line in hone.output.splitlines() if line.startswith("{")]


def test_a_turn_and_a_publish_are_traced_from_the_web_through_the_engine_to_the_store(
    tiny_hone: RunningHone, tiny_model: Path, tmp_path: Path, receiver: Receiver
) -> None:
    version = with_version(tiny_hone.home, tiny_model, tmp_path / "adapter", "live", "It is good.")
    tiny_hone.settings = f'[observe]\nlog = "json"\ntraces = "{receiver.url}"\n[chat]\nmax_tokens = 5\n'
    tiny_hone.start()
    tiny_hone.wait(lambda: tiny_hone.get("/v1/status").json()["router"]["routes"], 60)
    asked = tiny_hone.chat(SPOKEN)
    body = {"model": "general", "messages": [{"role": "user", "content": SPOKEN}], "stream": True}
    url = f"{tiny_hone.url}/v1/chat/completions"
    headers = {"authorization": f"Bearer {tiny_hone.token}"}
    with CLIENT.stream("POST", url, json=body, headers=headers) as answer:
        streamed = [*lines_of(answer)]
    assert streamed
    tiny_hone.get(f"/v1/search?q={WORDS}")
    tiny_hone.get(f"/v1/{WORDS}")
    tiny_hone.post("/v1/chat/completions", {"model": WORDS, "messages": body["messages"]})
    tiny_hone.stop()
    assert receiver.paths == {"/v1/traces"}
    turns = {told(turn.attributes).get("hone.exchange"): turn for turn in receiver.named("turn")}
    turn = turns[asked["id"]]
    facts = told(turn.attributes)
    assert (facts["hone.finish"], facts["hone.completion_tokens"]) == ("length", 5)
    assert [event.name for event in turn.events] == ["first token"]
    (request,) = (s for s in receiver.named("POST request") if s.span_id == turn.parent_span_id)
    assert told(request.attributes)["http.route"] == "/v1/chat/completions"
    parts = receiver.children(turn)
    assert parts.keys() == {"admit", "ask", "commit"}
    assert parts["admit"].end_time_unix_nano <= parts["ask"].start_time_unix_nano
    assert parts["ask"].end_time_unix_nano <= parts["commit"].start_time_unix_nano
    answer_span = receiver.children(parts["ask"])["answer"]
    assert ("hone-engine", answer_span) in receiver.spans
    assert ("hone-web", turn) in receiver.spans
    steps = receiver.children(answer_span)
    assert steps.keys() == {"queue", "prefill", "decode"}
    assert steps["queue"].start_time_unix_nano == answer_span.start_time_unix_nano
    assert steps["decode"].end_time_unix_nano == answer_span.end_time_unix_nano
    assert len({span.trace_id for span in (request, turn, *parts.values(), *steps.values())}) == 1
    (published,) = receiver.named("publish")
    assert told(published.attributes)["hone.version"] == version
    assert receiver.children(published).keys() == {"verify", "load", "route"}
    (line,) = (line for line in lines(tiny_hone) if line.get("exchange") == asked["id"])
    assert line["trace"] == turn.trace_id.hex()
    told_requests = {line.get("trace") for line in lines(tiny_hone) if line["event"] == "request"}
    assert turn.trace_id.hex() in told_requests
    assert len(turns) == 2
    # The protocol's own bytes, whatever field they would be in; an unknown route and assistant included.
    assert not [raw for raw in receiver.raw if WORDS.encode() in raw or b"linoleum" in raw]
    keys = {key for _, span in receiver.spans for key in told(span.attributes)}
    assert keys <= spans.TOLD.keys()


async def test_a_runs_stages_are_spans_of_one_trace(
    house: House,  # noqa: F811
    trained_here: None,  # noqa: F811
    collected: InMemorySpanExporter,
) -> None:
    house.teach(names_and_colours(80))
    with spans.span("POST request"):  # whoever asked for it waits for its beginning only
        ended = await house.run()
    assert ended.state == "passed"
    found = {span.name: span for span in collected.get_finished_spans()}
    run = found["run"]
    assert run.parent is None
    steps = [
        span.name
        for span in collected.get_finished_spans()
        if span.parent and run.context and span.parent.span_id == run.context.span_id
    ]
    assert tuple(steps) == ORDER
    assert run.attributes
    assert (run.attributes["hone.state"], run.attributes["hone.version"]) == ("passed", ended.version)
    assert found["publish"].parent == found["roll out"].context


def test_attributes_take_names_and_numbers_and_leave_words_out(collected: InMemorySpanExporter) -> None:
    given = {"hone.version": SPOKEN, "hone.assistant": "general", "hone.number": 7, "comment": "x"}
    with pytest.raises(ValueError, match="linoleum"), spans.span("turn", given):
        raise ValueError(SPOKEN)
    (made,) = collected.get_finished_spans()
    assert made.attributes == {"hone.assistant": "general", "hone.number": 7, "error.type": "ValueError"}
    assert not made.events
    assert not made.status.description


def test_a_collectors_address_is_checked(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"observe\.traces is 'collector:4318'"):
        settings.read(tmp_path, observe={"traces": "collector:4318"})

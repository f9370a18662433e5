"""The metrics: the table is what is exposed, and what is exposed moves when the thing it counts happens."""

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import RunningHone, lines_of, on_tiny_model
from prometheus_client.parser import text_string_to_metric_families
from stories import new_store
from test_registry_and_rollout import card_for
from tiny_engine import make_adapter

from feedback.ledger import Ledger
from feedback.records import new_id
from feedback.store import Store
from hone import metrics_page
from serve.measure import Measure
from tuner import registry

ROOT = Path(__file__).parent.parent
TABLE = {measure.name: measure for measure in (*metrics_page.WEB, *metrics_page.ENGINE)}
LONG = "Tell me a long story about a lighthouse, its keeper, and forty-two ships that came by night. " * 3


class Scrape:
    """One reading of /metrics: values by sample name and labels."""

    def __init__(self, text: str) -> None:
        self.kinds: dict[str, str] = {}
        self.labels: dict[str, set[str]] = {}
        self.values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in text_string_to_metric_families(text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            assert name not in self.kinds, f"{name} is exposed twice"
            self.kinds[name] = family.type
            for sample in family.samples:
                self.labels.setdefault(name, set()).update(set(sample.labels) - {"le"})
                self.values[sample.name, frozenset(sample.labels.items())] = sample.value

    def __call__(self, name: str, **labels: str) -> float:
        """The sum over all samples that have these labels; of a histogram, how many were observed."""
        name = f"{name}_count" if self.kinds.get(name) == "histogram" else name
        return sum(v for (n, has), v in self.values.items() if n == name and set(labels.items()) <= has)


@pytest.fixture(scope="module")
def hone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[RunningHone]:
    """One with a canary and two runs in its past, that answers one at a time."""
    folder = tmp_path_factory.mktemp("measured")
    with on_tiny_model(folder, tiny_model) as running:
        running.settings = "[engine]\nmax_active = 1\n[tuner]\nenabled = false\n[chat]\nmax_tokens = 5\n"
        running.settings += '[notices]\nwebhooks = ["http://127.0.0.1:9/"]\n'
        running.home.mkdir()
        adapter = make_adapter(tiny_model, folder / "adapter", seed=3)
        card = card_for(adapter, 1)
        kept = registry.register(running.home, adapter, card)
        store = new_store(running.home / "hone.duckdb")
        ledger = Ledger(store)
        told: dict[str, Any] = {"assistant": "general", "version": card.version, "principal": "hone"}
        ledger.add_version(**told, number=1, digest=card.digest, folder=str(kept), run_id="")
        ledger.rollouts.record(**told, state="canary", reason="It passed.", share=0.5)
        for number, state in enumerate(("passed", "abstained"), start=1):
            run: dict[str, Any] = {"run_id": new_id(), "assistant": "general", "number": number}
            steps = {"steps": {"train": 30.0, "evaluate": 4.5}}
            ledger.record_run(**run, state=state, step="gate", principal="hone", detail=steps)
        store.close()
        running.start()
        running.wait(lambda: running.get("/v1/status").json()["router"]["canaries"], 60)
        yield running


def scrape(hone: RunningHone) -> Scrape:
    answer = hone.get("/metrics")
    assert answer.status_code == 200, answer.text
    return Scrape(answer.text)


def test_the_table_in_the_docs_is_what_is_printed() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text("utf-8") == metrics_page.page()


@pytest.mark.parametrize("measure", TABLE.values(), ids=lambda measure: measure.name)
def test_a_name_says_its_kind_and_unit(measure: Measure) -> None:
    units = {"seconds": "_seconds", "bytes": "_bytes", "tokens": "_tokens", "ratio": "_ratio", "": ""}
    assert measure.name.endswith("_total") == (measure.kind == "counter")
    assert units[measure.unit] in measure.name or "vllm:" in measure.meaning
    assert set(measure.labels).isdisjoint({"user", "principal", "owner", "conversation", "exchange"})


def test_what_is_exposed_is_what_the_table_says(hone: RunningHone) -> None:
    seen = scrape(hone)
    assert seen.kinds == {name: measure.kind for name, measure in TABLE.items()}
    hone.chat("Hello")
    with pytest.raises(AssertionError):
        hone.chat("Hello", model="general@9-0badbeef")
    hone.chat("Hello", max_tokens=5)
    seen = scrape(hone)
    shown = {name: labels for name, labels in seen.labels.items() if labels}
    assert shown == {name: set(TABLE[name].labels) for name in shown}


def test_counters_and_histograms_move_with_what_they_count(hone: RunningHone) -> None:
    before = scrape(hone)
    said = [hone.chat(LONG, conversation_id=new_id(), max_tokens=9) for _ in range(2)]
    headers = {"authorization": f"Bearer {hone.token}"}
    body = {"model": "general", "messages": [{"role": "user", "content": "x " * 6_000}]}
    refused = hone.post("/v1/chat/completions", body)
    assert refused.json()["error"]["code"] == "prompt_too_long", refused.text
    assert httpx.get(f"{hone.url}/nowhere", headers=headers, trust_env=False).status_code == 404
    assert hone.post("/v1/notices/test").json()["data"][0]["fault"] == "ConnectError"
    _on_a_full_disk(hone)
    after = scrape(hone)

    def moved(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    resting = {"hone_engine_restarts_total", "hone_runs_total", "hone_run_step_seconds_total"}
    counted = [one.name for one in TABLE.values() if one.kind != "gauge" and one.name not in resting]
    assert [name for name in counted if moved(name) <= 0] == []
    assert moved("hone_turns_total", assistant="general", source="api", finish="length") == 3
    assert moved("hone_turns_total", finish="error") == 1
    assert moved("hone_turn_errors_total", code="prompt_too_long") == 1
    assert moved("hone_turns_unkept_total") == 1
    assert moved("hone_turn_time_to_first_token_seconds") == 3
    spoken = sum(answer["usage"]["completion_tokens"] for answer in said)
    assert moved("hone_generation_tokens_total") == spoken + 2
    assert moved("hone_engine_generation_tokens_total") == spoken + 2
    assert moved("hone_engine_inter_token_latency_seconds") == spoken + 2 - 3
    assert 0 < moved("hone_engine_prefix_cache_hits_total") < moved("hone_engine_prefix_cache_queries_total")
    assert moved("hone_http_requests_total", route="/v1/chat/completions", status="200") == 3
    assert moved("hone_notices_total", channel="webhook", outcome="failed") >= 1
    assert moved("hone_http_requests_total", route="none", status="404") == 1


def _on_a_full_disk(hone: RunningHone) -> None:
    """A chat while the web process can write to no file."""
    assert hone.process is not None
    endless = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(hone.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    try:
        body = {"model": "general", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
        assert hone.post("/v1/chat/completions", body).headers["x-hone-kept"] == "no"
    finally:
        resource.prlimit(hone.process.pid, resource.RLIMIT_FSIZE, endless)


def test_gauges_tell_what_is_so_now(hone: RunningHone) -> None:
    (version,) = (v for v in hone.get("/v1/status").json()["router"]["loaded"])
    up, down = (hone.chat("Hello", conversation_id=new_id(), model=version) for _ in range(2))
    for answer, rating in ((up, "up"), (down, "down")):
        assert hone.post("/v1/feedback", {"exchange_id": answer["id"], "rating": rating}).status_code == 200
    assert hone.command("pause", "--reason", "A test.").returncode == 0
    seen = scrape(hone)
    assert [seen("hone_ratings", version=version, rating=thumb) for thumb in ("up", "down")] == [1, 1]
    assert seen("hone_ratings", version="general@0") == 0
    assert seen("hone_exchanges", state="pending") == 2
    assert seen("hone_review_oldest_seconds") > 0
    assert seen("hone_canary_share_ratio", assistant="general") == 0.5
    assert seen("hone_canary_stage_age_seconds", assistant="general") > 0
    assert seen("hone_versions", assistant="general", state="canary") == 1
    assert (seen("hone_orders", kind="pause"), seen("hone_orders", kind="pin")) == (1, 0)
    assert (seen("hone_runs_total", outcome="passed"), seen("hone_runs_total", outcome="abstained")) == (1, 1)
    assert (seen("hone_runs_without_pass"), seen("hone_runs_running")) == (1, 0)
    assert seen("hone_run_step_seconds_total", step="train") == 60
    assert (seen("hone_engine_up"), seen("hone_info"), seen("hone_engine_replicas")) == (1, 1, 0)
    assert (seen("hone_engine_slots"), seen("hone_engine_adapters")) == (8, 1)
    assert seen("hone_engine_max_requests_running") == 1
    assert seen("hone_engine_prefixes") >= 1
    assert seen("hone_engine_prefix_bytes") > 0
    assert 0 < seen("hone_home_disk_free_bytes") <= seen("hone_home_disk_size_bytes")
    assert seen("hone_store_bytes") > 0
    assert 0 < seen("hone_process_open_fds") < seen("hone_process_max_fds")
    assert 0 < seen("hone_process_resident_memory_bytes") <= seen("hone_process_virtual_memory_bytes")
    assert seen("hone_process_start_time_seconds") > 1.7e9


def test_answers_in_progress_and_in_the_queue_are_seen(hone: RunningHone) -> None:
    (version,) = hone.get("/v1/status").json()["router"]["loaded"]
    body = {"messages": [{"role": "user", "content": LONG}], "stream": True, "max_tokens": 3000}
    given: dict[str, Any] = {"headers": {"authorization": f"Bearer {hone.token}"}, "timeout": 120}
    url = f"{hone.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body | {"model": version}, trust_env=False, **given) as first:
        events = lines_of(first)
        next(events), next(events)
        with httpx.stream("POST", url, json=body | {"model": "general@0"}, trust_env=False, **given):
            hone.wait(lambda: scrape(hone)("hone_engine_num_requests_waiting") == 1, 20)
            seen = scrape(hone)
            assert seen("hone_engine_num_requests_running") == 1
            assert seen("hone_engine_references") == 1
            assert 0 < seen("hone_engine_kv_cache_usage_ratio") <= 1
            assert seen("hone_turns_in_flight", version=version) == 1
            assert seen("hone_turns_in_flight", version="general@0") == 1
    hone.wait(lambda: scrape(hone)("hone_turns_in_flight") == 0, 20)
    assert scrape(hone)("hone_turns_total", finish="stopped") == 2


def test_a_swap_and_an_engine_that_dies_are_seen(hone: RunningHone) -> None:
    (version,) = hone.get("/v1/status").json()["router"]["loaded"]
    swapped = hone.post(f"/v1/versions/{version}/promote", {"reason": "It reads well."})
    assert swapped.status_code == 200, swapped.text
    seen = scrape(hone)
    assert (seen("hone_canary_share_ratio"), seen("hone_canary_stage_age_seconds")) == (0, 0)
    assert seen("hone_versions", assistant="general", state="live") == 1
    assert seen("hone_versions", assistant="general", state="previous") == 1
    os.kill(hone.engine_pid(), signal.SIGKILL)
    hone.wait(lambda: scrape(hone)("hone_engine_up") == 0, 30)
    hone.wait(lambda: scrape(hone)("hone_engine_up") == 1, 60)
    assert scrape(hone)("hone_engine_restarts_total") == 1


def test_events_that_pages_do_not_show_yet_are_counted(store: Store) -> None:
    assert store.lag == 0
    with store._projector.held():
        store.append({"ratings": [{"principal": "ana", "exchange_id": new_id(), "rating": "up"}]})
        assert store.lag > 0
    store._projector.catch_up()
    assert store.lag == 0

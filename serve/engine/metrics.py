"""What the engine counts about itself, in Prometheus' form and in a registry of its own.

Knows numbers only: it is told of ended rows and refusals, and asks for what is in use when read. Imports
no model library, so that the documents can be printed without one. `vllm:` in a meaning is vLLM's name.

Trail: serve/engine/engine.py -> here -> serve/measure.py
"""

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

from serve.measure import QUICK, Measure

if TYPE_CHECKING:
    from serve.engine.adapters import Adapters
    from serve.engine.prefixes import Prefixes
    from serve.engine.row import Row
    from serve.engine.worker import Worker

REQUESTS = Measure(
    "hone_engine_requests_total",
    "counter",
    "Requests that ended: kind is answer or probe, outcome is done, failed or cancelled "
    "(vllm:request_success_total)",
    labels=("kind", "outcome"),
)
ERRORS = Measure("hone_engine_errors_total", "counter", "Errors by their code", labels=("code",))
PROMPT = Measure(
    "hone_engine_prompt_tokens_total", "counter", "Tokens of prompts (vllm:prompt_tokens_total)", "tokens"
)
GENERATION = Measure(
    "hone_engine_generation_tokens_total",
    "counter",
    "Tokens of answers (vllm:generation_tokens_total)",
    "tokens",
)
QUERIES = Measure(
    "hone_engine_prefix_cache_queries_total",
    "counter",
    "Tokens that were looked up among the prefixes kept (vllm:prefix_cache_queries_total)",
    "tokens",
)
HITS = Measure(
    "hone_engine_prefix_cache_hits_total",
    "counter",
    "Tokens that were found there and so not read again (vllm:prefix_cache_hits_total)",
    "tokens",
)
FIRST_TOKEN = Measure(
    "hone_engine_time_to_first_token_seconds",
    "histogram",
    "From a request to its first token (vllm:time_to_first_token_seconds)",
    "seconds",
)
GAP = Measure(
    "hone_engine_inter_token_latency_seconds",
    "histogram",
    "From one token of an answer to its next (vllm:inter_token_latency_seconds)",
    "seconds",
    buckets=QUICK,
)
WAITED = Measure(
    "hone_engine_request_queue_time_seconds",
    "histogram",
    "From a request to its place among those answered (vllm:request_queue_time_seconds)",
    "seconds",
)
TOOK = Measure(
    "hone_engine_e2e_request_latency_seconds",
    "histogram",
    "From a request to the end of its answer (vllm:e2e_request_latency_seconds)",
    "seconds",
)
RUNNING = Measure(
    "hone_engine_num_requests_running", "gauge", "Requests being answered (vllm:num_requests_running)"
)
WAITING = Measure(
    "hone_engine_num_requests_waiting", "gauge", "Requests that wait (vllm:num_requests_waiting)"
)
ROWS = Measure("hone_engine_max_requests_running", "gauge", "How many can be answered at once")
KV = Measure(
    "hone_engine_kv_cache_usage_ratio",
    "gauge",
    "Share of the memory for keys and values that is in use (vllm:kv_cache_usage_perc)",
    "ratio",
)
PREFIXES = Measure("hone_engine_prefixes", "gauge", "Conversations whose memory is kept")
PREFIX_BYTES = Measure("hone_engine_prefix_bytes", "gauge", "What they take", "bytes")
SLOTS = Measure("hone_engine_slots", "gauge", "Versions that fit beside the base")
ADAPTERS = Measure("hone_engine_adapters", "gauge", "Versions that are loaded")
REFERENCES = Measure("hone_engine_references", "gauge", "Requests that hold a version")

MEASURES = (
    *(REQUESTS, ERRORS, PROMPT, GENERATION, QUERIES, HITS, FIRST_TOKEN, GAP, WAITED, TOOK, RUNNING, WAITING),
    *(ROWS, KV, PREFIXES, PREFIX_BYTES, SLOTS, ADAPTERS, REFERENCES),
)


class Metrics:
    def __init__(self, worker: "Worker", adapters: "Adapters", prefixes: "Prefixes") -> None:
        registry = self._registry = CollectorRegistry()
        self._rows = REQUESTS.counter(registry)
        self.errors = ERRORS.counter(registry)
        self._prompt, self._generation = PROMPT.counter(registry), GENERATION.counter(registry)
        self._queries, self._hits = QUERIES.counter(registry), HITS.counter(registry)
        self._first_token, self._gap = FIRST_TOKEN.histogram(registry), GAP.histogram(registry)
        self._waited, self._took = WAITED.histogram(registry), TOOK.histogram(registry)
        for measure, value in {
            RUNNING: lambda: worker.counts()[0],
            WAITING: lambda: worker.counts()[1],
            ROWS: lambda: worker.rows,
            KV: worker.used,
            PREFIXES: lambda: len(prefixes),
            PREFIX_BYTES: lambda: prefixes.size,
            SLOTS: lambda: adapters.slots,
            ADAPTERS: lambda: len(adapters.loaded()),
            REFERENCES: adapters.references,
        }.items():
            measure.gauge(registry).set_function(value)

    def ended(self, row: "Row") -> None:
        """Count one row, however it ended."""
        self._rows.labels("answer" if row.limit else "probe", row.outcome).inc()
        if not row.limit:
            return
        self._prompt.inc(row.prompt_tokens)
        self._generation.inc(row.made)
        if row.reusable:
            self._queries.inc(row.prompt_tokens)
            self._hits.inc(row.cached)
        if row.waited_seconds is not None:
            self._waited.observe(row.waited_seconds)
        if row.first_token_seconds is not None:
            self._first_token.observe(row.first_token_seconds)
        for seconds in row.gaps:
            self._gap.observe(seconds)
        if row.outcome == "done":
            self._took.observe(row.age())

    def text(self) -> bytes:
        return generate_latest(self._registry)

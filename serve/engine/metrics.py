"""What the engine counts about itself, in Prometheus' form and in a registry of its own.

Knows numbers only: it is told of ended rows and refusals, and asks for what is in use when read.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serve.engine.adapters import Adapters
from serve.engine.prefixes import Prefixes
from serve.engine.row import Row

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    def __init__(self, counts: Callable[[], tuple[int, int]], adapters: Adapters, prefixes: Prefixes) -> None:
        """`counts` gives how many rows are in use and how many requests wait."""
        registry = self._registry = CollectorRegistry()
        self._rows = Counter(
            "hone_engine_requests", "Requests by kind and outcome", ["kind", "outcome"], registry=registry
        )
        self.errors = Counter("hone_engine_errors", "Errors by code", ["code"], registry=registry)
        self._tokens = Counter("hone_engine_tokens", "Tokens by kind", ["kind"], registry=registry)
        self._first_token = Histogram(
            "hone_engine_first_token_seconds",
            "From admission to the first token",
            buckets=SECONDS,
            registry=registry,
        )
        self._watch("hone_engine_rows", "Rows of memory in use", lambda: counts()[0])
        self._watch("hone_engine_active", "Requests that are being answered", lambda: counts()[0])
        self._watch("hone_engine_queue", "Requests that wait", lambda: counts()[1])
        self._watch("hone_engine_adapters", "Versions that are loaded", lambda: len(adapters.loaded()))
        self._watch("hone_engine_references", "Requests that hold a version", adapters.references)
        self._watch("hone_engine_prefixes", "Conversations whose memory is kept", lambda: len(prefixes))
        self._watch("hone_engine_prefix_bytes", "What they take", lambda: prefixes.size)

    def ended(self, row: Row) -> None:
        """Count one row, however it ended."""
        self._rows.labels("answer" if row.limit else "probe", row.outcome).inc()
        if not row.limit:
            return
        self._tokens.labels("prompt").inc(row.prompt_tokens)
        self._tokens.labels("cached").inc(row.cached)
        self._tokens.labels("completion").inc(row.made)
        if row.first_token_seconds is not None:
            self._first_token.observe(row.first_token_seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def _watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        Gauge(name, what, registry=self._registry).set_function(value)

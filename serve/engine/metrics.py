"""What the engine counts about itself, in Prometheus' form and in a registry of its own.

Knows numbers only: it is told of ended jobs and refusals, and asks for the queue's length when read.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    def __init__(self, load: Callable[[], tuple[int, int]], adapters: Callable[[], int]) -> None:
        """`load` gives how many requests take turns and how many wait; `adapters` how many are loaded."""
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "hone_engine_requests", "Requests by route and outcome", ["route", "outcome"], registry=registry
        )
        self.errors = Counter("hone_engine_errors", "Errors by code", ["code"], registry=registry)
        self.tokens = Counter("hone_engine_tokens", "Tokens by kind", ["kind"], registry=registry)
        self.first_token = Histogram(
            "hone_engine_first_token_seconds",
            "From admission to the first token",
            buckets=SECONDS,
            registry=registry,
        )
        self._watch("hone_engine_active", "Requests that take turns", lambda: load()[0])
        self._watch("hone_engine_queue", "Requests that wait", lambda: load()[1])
        self._watch("hone_engine_adapters", "Versions that are loaded", adapters)

    def answered(self, prompt: int, completion: int, first_token_seconds: float | None) -> None:
        """Count one answer's tokens, however it ended."""
        self.tokens.labels("prompt").inc(prompt)
        self.tokens.labels("completion").inc(completion)
        if first_token_seconds is not None:
            self.first_token.observe(first_token_seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def _watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        Gauge(name, what, registry=self._registry).set_function(value)

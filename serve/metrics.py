"""What the web process counts as it happens: turns, tokens, refusals, requests, commits.

Whoever does a thing tells of it here; nothing is asked back. Labels are assistants, routes, error codes and
the like, never people, conversations or words. What can be read from the record is in `gauges.py`.

Trail: serve/conversation.py, serve/arrivals.py, feedback/store.py -> here -> serve/gauges.py
"""

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from serve.measure import QUICK, Measure

TURNS = Measure(
    "hone_turns_total",
    "counter",
    "Turns that ended, by assistant, by source (chat or api) and by how: stop, length, stopped, cut, error",
    labels=("assistant", "source", "finish"),
)
TURN_ERRORS = Measure(
    "hone_turn_errors_total",
    "counter",
    "Turns that were refused at the door or failed at the engine, by the error's code",
    labels=("code",),
)
UNKEPT = Measure(
    "hone_turns_unkept_total", "counter", "Turns that were answered though the store could not keep them"
)
FIRST_TOKEN = Measure(
    "hone_turn_time_to_first_token_seconds",
    "histogram",
    "From a turn's admission to its first word, whatever engine answers",
    "seconds",
)
GAP = Measure(
    "hone_turn_inter_token_latency_seconds",
    "histogram",
    "From one piece of an answer to the next, as it came from the engine",
    "seconds",
    buckets=QUICK,
)
TOOK = Measure("hone_turn_seconds", "histogram", "From a turn's admission to its end", "seconds")
PROMPT = Measure("hone_prompt_tokens_total", "counter", "Tokens of the prompts of turns", "tokens")
GENERATION = Measure("hone_generation_tokens_total", "counter", "Tokens of their answers", "tokens")
REQUESTS = Measure(
    "hone_http_requests_total",
    "counter",
    "Requests by the route's pattern (a page's are one; none: no route) and by status",
    labels=("route", "status"),
)
RESPONSE = Measure(
    "hone_http_response_seconds",
    "histogram",
    "From a request to the head of its response, by area: api, chat, review, operate, other",
    "seconds",
    labels=("area",),
)
COMMITS = Measure(
    "hone_store_commit_seconds",
    "histogram",
    "What a commit of the store takes, until it is on the disk",
    "seconds",
    buckets=QUICK,
)
STORE_FAILURES = Measure("hone_store_failures_total", "counter", "Commits that failed")

NOTICES = Measure(
    "hone_notices_total",
    "counter",
    "Notices to operators by channel (webhook or mail) and outcome: delivered, failed (a try), dropped",
    labels=("channel", "outcome"),
)

COUNTED = (
    *(TURNS, TURN_ERRORS, UNKEPT, FIRST_TOKEN, GAP, TOOK, PROMPT, GENERATION),
    *(REQUESTS, RESPONSE, COMMITS, STORE_FAILURES, NOTICES),
)


class Metrics:
    """The counts of one web process, from its start on."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._turns, self._turn_errors = TURNS.counter(registry), TURN_ERRORS.counter(registry)
        self._unkept = UNKEPT.counter(registry)
        self._first_token, self._gap = FIRST_TOKEN.histogram(registry), GAP.histogram(registry)
        self._took = TOOK.histogram(registry)
        self._prompt, self._generation = PROMPT.counter(registry), GENERATION.counter(registry)
        self._requests, self._response = REQUESTS.counter(registry), RESPONSE.histogram(registry)
        self._notices = NOTICES.counter(registry)
        self._commits, self._failures = COMMITS.histogram(registry), STORE_FAILURES.counter(registry)
        ProcessCollector(namespace="hone", registry=registry)

    def refused(self, code: str) -> None:
        """A turn that was asked for and not begun."""
        self._turn_errors.labels(code).inc()

    def first_token(self, seconds: float) -> None:
        self._first_token.observe(seconds)

    def gap(self, seconds: float) -> None:
        self._gap.observe(seconds)

    def ended(
        self, assistant: str, source: str, finish: str, *, seconds: float, prompt: int, completion: int
    ) -> None:
        """A turn, however it ended, with its tokens."""
        self._turns.labels(assistant, source, finish).inc()
        self._took.observe(seconds)
        self._prompt.inc(prompt)
        self._generation.inc(completion)

    def unkept(self) -> None:
        self._unkept.inc()

    def answered(self, route: str, area: str, status: int, seconds: float) -> None:
        """The head of a response has gone out."""
        self._requests.labels(route, str(status)).inc()
        self._response.labels(area).observe(seconds)

    def committed(self, seconds: float, failed: bool) -> None:
        if failed:
            self._failures.inc()
        else:
            self._commits.observe(seconds)

    def noticed(self, channel: str, outcome: str, count: int = 1) -> None:
        """A try to tell operators something, or what will not be told any more."""
        self._notices.labels(channel, outcome).inc(count)

    def text(self) -> str:
        return generate_latest(self._registry).decode()

"""What takes time, as spans of a trace, for those who collect traces; nothing is made where nobody does.

A span has a name, times, and attributes of `TOLD`: ids, names and numbers. Words that people wrote have no
place in one, an exception is told by its kind, and a value with spaces in it is left out. Knows the
interface of OpenTelemetry and no exporter.

Trail: serve/conversation.py, serve/engines/base.py, tuner/cycle.py, tuner/rollout.py -> here
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracer, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

T = TypeVar("T")
Told = Mapping[str, object]

TOLD = {
    "http.request.method": "as it is",
    "http.route": "the route's pattern, never the path or the query",
    "http.response.status_code": "a number",
    "server.address": "the engine's address, as set",
    "error.type": "an error's code, or an exception's class",
    "hone.exchange": "the exchange's id, which an erasure leaves",
    "hone.assistant": "its name",
    "hone.version": "its name",
    "hone.source": "chat or api",
    "hone.finish": "stop, length, stopped, cut or error",
    "hone.kept": "whether the store took the turn",
    "hone.prompt_tokens": "a number",
    "hone.completion_tokens": "a number",
    "hone.cached_tokens": "of the prompt, those that were kept from the turn before",
    "hone.run": "its id",
    "hone.number": "the run's number",
    "hone.state": "in which a run ended",
    "hone.share": "of the conversations, a canary's",
}
"""Every attribute that a span can have, and what it holds."""
_NAME = re.compile(r"[\w.:/@\[\]{}-]{1,200}")
_CARRIER = TraceContextTextMapPropagator()
_tracer: Tracer = NoOpTracer()


def use(tracer: Tracer) -> None:
    """Make spans with this from now on."""
    global _tracer
    _tracer = tracer


def begin(
    name: str,
    told: Told | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Context | None = None,
    at: float | None = None,
) -> Span:
    """A span that its caller ends; a child of the one that is current, or of `parent`.

    `at` is when it began, in seconds since 1970, where that is not now.
    """
    start = None if at is None else int(at * 1e9)
    return _tracer.start_span(name, parent, kind, attributes=_allowed(told or {}), start_time=start)


@contextmanager
def span(
    name: str, told: Told | None = None, *, kind: SpanKind = SpanKind.INTERNAL, parent: Context | None = None
) -> Iterator[Span]:
    """A span that is current until the block ends, and says how that failed."""
    made = begin(name, told, kind=kind, parent=parent)
    try:
        with within(made):
            yield made
    except Exception as error:
        failed(made, error)
        raise
    finally:
        made.end()


def within(span: Span) -> AbstractContextManager[Span]:
    """Have a span be current until the block ends."""
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


async def begun_within(span: Span, pieces: AsyncIterator[T]) -> AsyncIterator[T]:
    """The pieces; the step that asks for them is within the span, and nothing of that stays between them."""
    with within(span):
        first = await anext(pieces, None)
    if first is not None:
        yield first
        async for piece in pieces:
            yield piece


def tell(span: Span, told: Told) -> None:
    span.set_attributes(_allowed(told))


def failed(span: Span, error: BaseException) -> None:
    """Note an error by its kind; its message may quote somebody."""
    tell(span, {"error.type": getattr(error, "code", "") or type(error).__name__})
    span.set_status(Status(StatusCode.ERROR))


def carried(span: Span | None = None) -> dict[str, str]:
    """The headers by which another process goes on with a span's trace, or with the current one's."""
    headers: dict[str, str] = {}
    _CARRIER.inject(headers, trace.set_span_in_context(span) if span else None)
    return headers


def continued(traceparent: str) -> Context:
    """Where another process left off, as its header says."""
    return _CARRIER.extract({"traceparent": traceparent}, Context())


def trace_id(span: Span | None = None) -> str:
    """The trace of a span, or of the current one; empty where there is none."""
    context = (span or trace.get_current_span()).get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def _allowed(told: Told) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in told.items() if name in TOLD and _plain(value)}  # type: ignore[misc]


def _plain(value: object) -> bool:
    return bool(_NAME.fullmatch(value)) if isinstance(value, str) else isinstance(value, int | float)

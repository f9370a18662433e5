"""Sends spans to a collector over OTLP, where `observe.traces` names one; no exporter is elsewhere.

A tracer of our own and not the global one: FastAPI, Gradio's too, would put paths and queries, where people's
words are, into spans of its own. OpenTelemetry's SDK is an extra that only this needs.

Trail: hone/up.py, serve/engine/__main__.py -> feedback/spans.py -> here
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from feedback import spans
from feedback.errors import SettingsError
from serve.release import RELEASE

QUIET: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""What FastAPI is told, so that it sends nothing by itself, whatever the environment says."""
LAST_MS = 2000
"""How long what is unsent at the end may take."""
LONGEST = 5.0
"""Seconds that a collector may take over a batch; chats never wait for it."""


def begin(url: str, service: str, share: float = 1.0) -> Callable[[], object]:
    """Send a share of the traces to a collector from now on; what is returned sends what is left, at the end.

    Without an address nothing is sent.

    Raises:
        SettingsError: What sends them is not installed.
    """
    if not url:
        return lambda: None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError as missing:
        raise SettingsError(
            f"observe.traces is set, and {missing.name} is not installed.",
            "Install it with `pip install 'hone-chat[traces]'`, or unset observe.traces.",
        ) from None
    resource = Resource.create({"service.name": service, "service.version": RELEASE})
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(share), resource=resource, shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", timeout=LONGEST)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    spans.use(provider.get_tracer("hone", RELEASE))
    return partial(provider.force_flush, LAST_MS)

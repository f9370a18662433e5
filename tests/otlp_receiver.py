"""A collector for tests: takes spans over OTLP as a real one does, and decodes its messages."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Receiver:
    url: str
    raw: list[bytes] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    spans: list[tuple[str, Span]] = field(default_factory=list)
    """Each with the name of the service that made it."""

    def named(self, name: str) -> list[Span]:
        return [span for _, span in self.spans if span.name == name]

    def children(self, parent: Span) -> dict[str, Span]:
        return {s.name: s for _, s in self.spans if s.parent_span_id == parent.span_id}

    def take(self, path: str, body: bytes) -> None:
        self.raw.append(body)
        self.paths.add(path)
        for made in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = told(made.resource.attributes)["service.name"]
            self.spans += [(service, span) for scope in made.scope_spans for span in scope.spans]


def told(attributes: Any) -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            packed = self.headers.get("content-encoding") == "gzip"
            receiver.take(self.path, gzip.decompress(body) if packed else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        server.shutdown()

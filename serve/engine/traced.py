"""An answer's spans, made when it has ended: it waited, read its prompt, and said its tokens.

Made afterwards from the times that are noted anyway, so that the steps themselves know nothing of it.

Trail: serve/engine/engine.py -> here -> feedback/spans.py
"""

import time
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from feedback import spans

if TYPE_CHECKING:
    from serve.engine.row import Row


def traced(row: "Row") -> None:
    """Tell of a row that was asked with a trace; where nobody collects them this does nothing."""
    asked = time.time() - row.age()
    told = {
        "hone.version": row.version,
        "hone.prompt_tokens": row.prompt_tokens,
        "hone.cached_tokens": row.cached,
        "hone.completion_tokens": row.made,
        "hone.finish": row.outcome,
    }
    whole = spans.begin("answer", told, kind=SpanKind.SERVER, parent=spans.continued(row.trace), at=asked)
    if row.error is not None:
        spans.failed(whole, row.error)
    parent = trace.set_span_in_context(whole)
    now = time.time()
    queued = now if row.waited_seconds is None else asked + row.waited_seconds
    spoke = now if row.first_token_seconds is None else asked + row.first_token_seconds
    for name, start, end in (("queue", asked, queued), ("prefill", queued, spoke), ("decode", spoke, now)):
        if end > start:
            spans.begin(name, parent=parent, at=start).end(int(end * 1e9))
    whole.end(int(now * 1e9))

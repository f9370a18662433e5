"""How the web process writes its log: lines for a person, or one JSON object a line for what collects them.

As JSON, each request and each turn has a line too, with ids and numbers. People's words are in neither; an
exception, whose message may quote them, is told there by its kind and the places it came through. The
engine's own log stays plain, since its last line is what the pages show when it does not start.

Trail: hone/up.py -> here
"""

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any, Literal

Form = Literal["plain", "json"]

PLAIN = "%(asctime)s %(name)s %(levelname)s %(message)s"
CHATTY = ("httpx", "httpx2", "apscheduler")
EACH = ("serve.arrivals", "serve.turn")
"""Who has a line for everything that comes."""
_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def begin(form: Form) -> None:
    """Have all of this process's lines in that form on the error stream."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(PLAIN))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in (*CHATTY, *(EACH if form == "plain" else ())):
        logging.getLogger(name).setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        told |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info and record.exc_info[0]:
            kind, _, trace = record.exc_info
            told["exception"] = kind.__qualname__
            told["where"] = [f"{at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(trace)]
        return json.dumps(told, ensure_ascii=False, default=str)

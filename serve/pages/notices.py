"""The operate page's HTML of notices: where they go, what arrived last, what keeps them. Text is escaped."""

from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any

from serve.pages.cards import when
from serve.pages.tables import table
from serve.pages.words import Language, say, say_known


def notices(told: Mapping[str, Any] | None, language: Language) -> str:
    """How notices arrive; what `told()` of `serve/notices.py` says."""
    places = told["places"] if told else ()
    if not told or not places:
        return f'<p class="empty">{say(language, "notices_none")}</p>'
    heads = [say(language, key) for key in ("notice_place", "notice_last", "notice_waiting", "notice_fault")]
    shown = table(heads, [_row(place, language) for place in places])
    if told["dropped"]:
        shown += f'<p role="alert">{say(language, "notice_dropped", count=told["dropped"])}</p>'
    return shown


def _row(place: Mapping[str, Any], language: Language) -> tuple[str, ...]:
    channel = str(place["channel"])
    name = f"{say_known(language, f'channel_{channel}', channel)} <code>{escape(str(place['name']))}</code>"
    last = say(language, "notice_never")
    if place["delivered_at"]:
        kind = str(place["kind"])
        last = f"{say_known(language, f'kind_{kind}', kind)} {_at(place['delivered_at'])}"
    fault = ""
    if place["fault"]:
        fault = f"<span data-fault>{escape(str(place['fault']))}</span> {_at(place['failed_at'])}"
    return name, last, str(place["waiting"]), fault


def _at(iso: str) -> str:
    return when(datetime.fromisoformat(iso))

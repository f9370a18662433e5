"""One record of Open WebUI's feedback export: a thumb, and the conversation that it was given in.

The export is a JSON list; each record holds `data` (rating 1 or -1, reason, comment), `meta` (chat and
message) and a `snapshot` of the chat at that moment, whose messages know their parents. Knows no store.

Trail: feedback/forms.py -> here
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from feedback.records import Message


@dataclass(frozen=True, slots=True)
class Told:
    """The conversation up to the rated answer, and what was said of it."""

    chat: str
    messages: tuple[Message, ...]
    rating: Literal["up", "down"]
    comment: str


def parse(record: Mapping[str, Any]) -> Told:
    """What a record tells.

    Raises:
        ValueError: It holds no thumb, or not the answer that was rated.
        KeyError: It lacks something.
    """
    data, meta = _object(record, "data"), _object(record, "meta")
    chat = _object(_object(record, "snapshot"), "chat")
    rating = {"1": "up", "-1": "down"}.get(str(data.get("rating")))
    if rating is None:
        raise ValueError("holds no thumb (a rating of 1 or -1)")
    said = [data.get("reason"), data.get("comment")]
    comment = ": ".join(text for text in said if isinstance(text, str) and text.strip())
    line = _line(_held(chat), str(meta["message_id"]))
    return Told(
        str(meta.get("chat_id") or chat.get("id") or ""), line, "up" if rating == "up" else "down", comment
    )


def _held(chat: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The chat's messages by id, from its tree or, in older exports, its list."""
    inner = chat.get("chat", chat)
    inner = inner if isinstance(inner, dict) else {}
    history = inner.get("history")
    held = history.get("messages") if isinstance(history, dict) else None
    if isinstance(held, dict) and held:
        return {key: message for key, message in held.items() if isinstance(message, dict)}
    told = inner.get("messages")
    listed = [message for message in told if isinstance(message, dict)] if isinstance(told, list) else []
    before = [None, *(message.get("id") for message in listed)]
    return {
        str(message.get("id")): {"parentId": parent, **message}
        for message, parent in zip(listed, before, strict=False)
    }


def _line(held: Mapping[str, Mapping[str, Any]], last: str) -> tuple[Message, ...]:
    line: list[Message] = []
    at: str | None = last
    seen: set[str] = set()
    while at is not None:
        if at not in held or at in seen:
            raise ValueError("does not hold the conversation that its rating is of")
        seen.add(at)
        message = held[at]
        line.append(Message(message["role"], message["content"]))
        parent = message.get("parentId")
        at = None if parent is None else str(parent)
    return tuple(reversed(line))


def _object(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record[name]
    if not isinstance(value, dict):
        raise ValueError(f"has a {name} that is not an object")
    return value

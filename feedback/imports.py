"""Pairs from files, and pairs as files: Alpaca, chat messages, prompt and completion.

An import is kept whole or not at all, and the first bad line is named. Of a conversation the last
answer is learnt; the turns before it are its context. Knows no HTTP.

Trail: serve/api/feedback.py -> here -> feedback/store.py
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from feedback import pairs
from feedback.assistants import Assistants
from feedback.errors import BadImport, NotAllowed
from feedback.exchanges import answer_id, as_row
from feedback.records import Assistant, Exchange, Message, Principal, Role, new_id, now
from feedback.store import Store

MAX_CHARACTERS = 100_000
"""In one message; more is a fault of the file, not a lesson."""


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One pair of a file. `messages` ends with the instruction; rows of one `conversation` stay together."""

    messages: tuple[Message, ...]
    response: str
    conversation: str = ""


def read(source: Path | str | Iterable[str]) -> list[ImportRow]:
    """The rows of a file, of its text, or of its lines: JSON lines, or one JSON list.

    The first row decides the format for all: Alpaca `{instruction, input, output}`, chat
    `{messages: [{role, content}]}`, or `{prompt, completion}`.

    Raises:
        BadImport: Nothing in it, or a line that is wrong, by its number.
    """
    records = _records(_text(source))
    first = next(records, None)
    if first is None:
        raise BadImport("The file holds no rows.", "Give one JSON object a line.")
    parse = _format(*first)
    return [_checked(parse, record, where) for where, record in chain([first], records)]


def save(
    store: Store,
    principal: Principal,
    assistant: str,
    rows: Sequence[ImportRow],
    *,
    approve: bool,
    source: str = "import",
) -> int:
    """Keep all rows in one write, for review or approved as they are, and say how many.

    A row without a system prompt gets the assistant's, since it will be answered under that.

    Raises:
        NotAllowed: Not an operator.
        NotFound: There is no such assistant.
    """
    if not principal.role.covers(Role.OPERATOR):
        raise NotAllowed("Only operators may import.", "Ask an admin for the role.")
    taught = Assistants(store).get(assistant)
    named = source if source in ("import", "demo") else f"import:{source}"
    labels = {row.conversation for row in rows if row.conversation}
    conversations = {label: new_id() for label in sorted(labels)}
    exchanges = [_exchange(row, taught, principal, named, conversations) for row in rows]
    answers = [_answer(exchange, row.response) for exchange, row in zip(exchanges, rows, strict=True)]
    batch = {"exchanges": [as_row(exchange) for exchange in exchanges], "answers": answers}
    if approve:
        batch["reviews"] = [_review(answer) for answer in answers]
    store.append(batch)
    return len(rows)


def export(store: Store, assistant: str) -> Iterator[str]:
    """An assistant's approved pairs as JSON lines that `read` takes back, word for word."""
    for pair in pairs.approved(store, assistant):
        messages = [message.as_dict() for message in (*pair.messages, Message("assistant", pair.response))]
        line = {"messages": messages, "conversation": pair.conversation_id}
        yield json.dumps(line, ensure_ascii=False)


def _text(source: Path | str | Iterable[str]) -> str:
    if isinstance(source, Path):
        try:
            # Bytes that are not UTF-8 become lone surrogates here, so that their line can be named.
            return source.read_bytes().decode("utf-8-sig", errors="surrogateescape")
        except OSError as fault:
            raise BadImport(f"{source} cannot be read: {fault.strerror}.", "Check the path.") from fault
    text = source if isinstance(source, str) else "\n".join(line.rstrip("\n") for line in source)
    return text.removeprefix("\ufeff")


def _records(text: str) -> Iterator[tuple[str, Any]]:
    """Each record with what to call it; only a newline ends a line, since JSON may hold other breaks."""
    if text.lstrip().startswith("["):
        listed = _parsed(text, "The list")
        yield from ((f"Item {number}", record) for number, record in enumerate(listed, start=1))
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"Line {number}", _parsed(line, f"Line {number}")


def _parsed(text: str, where: str) -> Any:
    try:
        text.encode()
        return json.loads(text)
    except UnicodeEncodeError as fault:
        number = text.count("\n", 0, fault.start) + 1
        raise _bad(where if "\n" not in text else f"Line {number}", "is not UTF-8 text") from None
    except json.JSONDecodeError as fault:
        place = where if "\n" not in text else f"Line {fault.lineno}"
        raise _bad(place, f"is not JSON: {fault.msg}, at character {fault.colno}") from None
    except (ValueError, RecursionError) as fault:
        raise _bad(where, f"is not JSON that can be read: {fault}") from None


Parser = Callable[[Mapping[str, Any]], ImportRow]


def _format(where: str, first: Any) -> Parser:
    formats: dict[str, Parser] = {"messages": _chat, "instruction": _alpaca, "prompt": _completion}
    for key, parse in formats.items():
        if isinstance(first, dict) and key in first:
            return parse
    raise _bad(
        where, "is in no known format", "Use instruction/input/output, messages, or prompt/completion."
    )


def _checked(parse: Parser, record: Any, where: str) -> ImportRow:
    if not isinstance(record, dict):
        raise _bad(where, "is not a JSON object")
    try:
        row = parse(record)
        for message in (*row.messages, Message("assistant", row.response)):
            _check_text(message.content, message.role)
    except KeyError as missing:
        raise _bad(where, f"lacks {missing}") from None
    except ValueError as fault:
        raise _bad(where, str(fault)) from None
    return row


def _chat(record: Mapping[str, Any]) -> ImportRow:
    listed = record["messages"]
    if not isinstance(listed, list) or not all(isinstance(message, dict) for message in listed):
        raise ValueError("has messages that are not a list of objects")
    spoken = [Message(message["role"], message["content"]) for message in listed]
    turns = [message.role for message in spoken]
    if turns[:1] == ["system"]:
        turns = turns[1:]
    expected = ["user", "assistant"] * (len(turns) // 2)
    if not turns or turns != expected:
        raise ValueError("does not take turns: after a system message, user and assistant, an assistant last")
    label = record.get("conversation", "")
    return ImportRow(tuple(spoken[:-1]), spoken[-1].content, label if isinstance(label, str) else "")


def _alpaca(record: Mapping[str, Any]) -> ImportRow:
    instruction, given = record["instruction"], record.get("input") or ""
    _check_text(instruction, "instruction")
    if not isinstance(given, str):
        raise ValueError("has an input that is not a text")
    asked = f"{instruction}\n\n{given}" if given.strip() else instruction
    return ImportRow((Message("user", asked),), record["output"])


def _completion(record: Mapping[str, Any]) -> ImportRow:
    return ImportRow((Message("user", record["prompt"]),), record["completion"])


def _check_text(text: Any, name: str) -> None:
    if not isinstance(text, str):
        raise ValueError(f"has a {name} text that is not a text")
    if not text.strip() and name != "system":
        raise ValueError(f"has an empty {name} text")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"has a {name} text of {len(text):,} characters; the limit is {MAX_CHARACTERS:,}")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"has half a character (a lone surrogate) in its {name} text")


def _exchange(
    row: ImportRow, assistant: Assistant, principal: Principal, source: str, conversations: Mapping[str, str]
) -> Exchange:
    context = row.messages[:-1]
    if assistant.system_prompt and (not context or context[0].role != "system"):
        context = (Message("system", assistant.system_prompt), *context)
    return Exchange(
        id=new_id(),
        at=now(),
        principal=principal.name,
        conversation_id=conversations.get(row.conversation) or new_id(),
        assistant=assistant.name,
        version=assistant.base_version,
        context=context,
        instruction=row.messages[-1].content,
        source=source,
    )


def _answer(exchange: Exchange, response: str) -> dict[str, Any]:
    return {
        "id": answer_id(exchange.id),
        "principal": exchange.principal,
        "exchange_id": exchange.id,
        "response": response,
        "finish_reason": "stop",
        "version": exchange.version,
    }


def _review(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": new_id(),
        "principal": answer["principal"],
        "exchange_id": answer["exchange_id"],
        "verdict": "approve",
        "response": answer["response"],
        "author": answer["principal"],
        "reason": "",
        "own": True,
    }


def _bad(
    where: str, what: str, todo: str = "Mend it and import the file again; nothing was kept."
) -> BadImport:
    return BadImport(f"{where} {what}.", todo)

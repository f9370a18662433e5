"""The forms that pairs, comparisons and thumbs have in files, read one record at a time.

    alpaca      instruction, input, output; also system and history, as LLaMA-Factory has them
    messages    messages of role and content (OpenAI), or conversations of from and value (ShareGPT)
    completion  prompt, completion; each a text or messages (TRL)
    preference  prompt, chosen, rejected (TRL); chosen and rejected may hold the whole conversation
    comparison  user_input, completion_a (the better), completion_b (GPT-4-LLM)
    kto         prompt, completion, label: true for a thumb up
    openwebui   Open WebUI's export of feedback

Of a conversation the last answer is learnt; the turns before it are its context. What `feedback/exports.py`
writes is read back word for word. Knows no files and no store.

Trail: feedback/imports.py, feedback/files.py -> here
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from feedback import openwebui
from feedback.records import Message

MAX_CHARACTERS = 100_000
"""In all that is asked in a row, and in an answer; more is a fault of the file, not a lesson."""

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One pair of a file. `messages` ends with the instruction; rows of one `conversation` stay together.

    `rejected` is an answer that was found worse than `response`; `rating` is a thumb that was given.
    """

    messages: tuple[Message, ...]
    response: str
    conversation: str = ""
    rejected: str = ""
    rating: Literal["up", "down"] | None = None
    comment: str = ""


def form_of(record: Any) -> str | None:
    """The form of a record, by its keys."""
    keys = set(record) if isinstance(record, dict) else set()
    return next((form for form, needed in _KEYS.items() if any(needs <= keys for needs in needed)), None)


def parse(form: str, record: Any) -> ImportRow:
    """The row that a record of this form tells.

    Raises:
        ValueError: With what is wrong, as the end of a sentence that begins with the record's place.
    """
    if not isinstance(record, dict):
        raise ValueError("is not a JSON object")
    try:
        row = _PARSERS[form](record)
    except KeyError as missing:
        raise ValueError(f"lacks {missing}") from None
    except RecursionError:  # what is no text is quoted, however deep it goes
        raise ValueError("is nested too deeply") from None
    _check_row(row)
    return row


def _chat(record: Record) -> ImportRow:
    spoken = _messages(record["conversations"] if "conversations" in record else record["messages"])
    return ImportRow(*_split(spoken), conversation=_label(record))


def _alpaca(record: Record) -> ImportRow:
    return ImportRow(_instructed(record), record["output"], conversation=_label(record))


def _instructed(record: Record) -> tuple[Message, ...]:
    """Alpaca's instruction and input, after the system prompt and the turns that LLaMA-Factory adds."""
    instruction, given = record["instruction"], record.get("input") or ""
    check_text(instruction, "instruction")
    if not isinstance(given, str):
        raise ValueError("has an input that is not a text")
    asked = f"{instruction}\n\n{given}" if given.strip() else instruction
    system, history = record.get("system") or "", record.get("history") or []
    if not isinstance(history, list) or not all(
        isinstance(turn, list) and len(turn) == 2 for turn in history
    ):
        raise ValueError("has a history that is no list of question and answer")
    before = [said for turn in history for said in (Message("user", turn[0]), Message("assistant", turn[1]))]
    return (*((Message("system", system),) if system else ()), *before, Message("user", asked))


def _completion(record: Record) -> ImportRow:
    return ImportRow(
        _prompt(record["prompt"]), _answer(record["completion"], "completion"), conversation=_label(record)
    )


def _kto(record: Record) -> ImportRow:
    row = _completion(record)
    label = record["label"]
    liked = {"true": True, "1": True, "false": False, "0": False}.get(str(label).lower())
    if liked is None:
        raise ValueError("has a label that is neither true nor false")
    return ImportRow(
        row.messages,
        row.response,
        row.conversation,
        rating="up" if liked else "down",
        comment=_comment(record),
    )


def _preference(record: Record) -> ImportRow:
    if "instruction" in record:
        asked = _instructed(record)
    elif "prompt" in record:
        asked = _prompt(record["prompt"])
    else:
        asked, response = _split(_messages(record["chosen"]))
        other, rejected = _split(_messages(record["rejected"]))
        if asked != other:
            raise ValueError("has chosen and rejected answers of different conversations")
        return ImportRow(asked, response, _label(record), rejected=_worse(rejected, response))
    response, rejected = _answer(record["chosen"], "chosen"), _answer(record["rejected"], "rejected")
    return ImportRow(asked, response, _label(record), rejected=_worse(rejected, response))


def _comparison(record: Record) -> ImportRow:
    better, worse = record["completion_a"], record["completion_b"]
    check_text(worse, "completion_b")
    return ImportRow(_prompt(record["user_input"]), better, _label(record), rejected=_worse(worse, better))


def _openwebui(record: Record) -> ImportRow:
    told = openwebui.parse(record)
    chat = f"openwebui:{told.chat}" if told.chat else ""
    return ImportRow(*_split(told.messages), chat, rating=told.rating, comment=told.comment)


def _worse(rejected: str, response: str) -> str:
    check_text(rejected, "rejected")
    if rejected == response:
        raise ValueError("compares an answer with itself")
    return rejected


def _prompt(prompt: Any) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        return (Message("user", prompt),)
    spoken = _messages(prompt)
    _check_turns([message.role for message in spoken], "user")
    return spoken


def _answer(answer: Any, name: str) -> str:
    if isinstance(answer, list):
        spoken = _messages(answer)
        if [message.role for message in spoken] != ["assistant"]:
            raise ValueError(f"has a {name} that is not one answer")
        return spoken[0].content
    check_text(answer, name)
    return str(answer)


def _messages(listed: Any) -> tuple[Message, ...]:
    if not isinstance(listed, list) or not all(isinstance(message, dict) for message in listed):
        raise ValueError("has messages that are not a list of objects")
    return tuple(_message(message) for message in listed)


def _message(told: Record) -> Message:
    role = told["from"] if "from" in told else told["role"]
    content = told["value"] if "from" in told else told["content"]
    if isinstance(content, list):
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            raise ValueError("has a message that is more than text")
        content = "".join(str(part.get("text", "")) for part in content)
    spoken_by = _ROLES.get(role) if isinstance(role, str) else None
    if spoken_by is None:
        raise ValueError(f"does not take turns: it has a message of the role {str(role)[:32]!r}")
    return Message(spoken_by, content)


def _split(spoken: Sequence[Message]) -> tuple[tuple[Message, ...], str]:
    _check_turns([message.role for message in spoken], "assistant")
    return tuple(spoken[:-1]), spoken[-1].content


def _check_turns(roles: list[str], last: str) -> None:
    turns = roles[1:] if roles[:1] == ["system"] else roles
    expected = ["user" if place % 2 == 0 else "assistant" for place in range(len(turns))]
    if not turns or turns != expected or turns[-1] != last:
        ending = f"{'an' if last == 'assistant' else 'a'} {last} last"
        raise ValueError(f"does not take turns: after a system message, user and assistant, {ending}")


def _check_row(row: ImportRow) -> None:
    for message in (*row.messages, Message("assistant", row.response)):
        check_text(message.content, message.role)
    whole = sum(len(message.content) for message in row.messages)
    if whole > MAX_CHARACTERS:
        raise ValueError(f"has {whole:,} characters before its answer; the limit is {MAX_CHARACTERS:,}")
    if row.comment.strip():
        check_text(row.comment, "comment")


def check_text(text: Any, name: str) -> None:
    """Raises ValueError for what is no text, empty, too long, or no Unicode."""
    if not isinstance(text, str):
        raise ValueError(f"has a {name} text that is not a text")
    if not text.strip() and name != "system":
        raise ValueError(f"has an empty {name} text")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"has a {name} text of {len(text):,} characters; the limit is {MAX_CHARACTERS:,}")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"has half a character (a lone surrogate) in its {name} text")


def _label(record: Record) -> str:
    label = record.get("conversation", "")
    return label if isinstance(label, str) else ""


def _comment(record: Record) -> str:
    comment = record.get("comment") or ""
    return comment if isinstance(comment, str) else ""


_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
}

_KEYS: dict[str, tuple[set[str], ...]] = {
    "openwebui": ({"snapshot", "data", "meta"},),
    "preference": ({"chosen", "rejected"},),
    "comparison": ({"user_input", "completion_a", "completion_b"},),
    "messages": ({"messages"}, {"conversations"}),
    "kto": ({"prompt", "completion", "label"},),
    "completion": ({"prompt"},),
    "alpaca": ({"instruction"},),
}
_PARSERS: dict[str, Callable[[Record], ImportRow]] = {
    "openwebui": _openwebui,
    "preference": _preference,
    "comparison": _comparison,
    "messages": _chat,
    "kto": _kto,
    "completion": _completion,
    "alpaca": _alpaca,
}
FORMS = tuple(_PARSERS)

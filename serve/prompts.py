"""What an engine is asked: the words of a line before an instruction, and how long they may be together.

Trail: serve/conversation.py -> here
"""

from collections.abc import Sequence

from feedback.errors import BadRequest, PromptTooLong
from feedback.records import Assistant, Exchange, Message

NEARLY_FULL = 0.75
"""The share of what a conversation may hold from which on its author is told, before it is refused."""


def check(instruction: str, context: Sequence[Message], longest: int) -> None:
    """Refuse what is empty, and a message of more than `longest` characters with what was said before it.

    All of it is kept with every turn, also of one that the engine then refuses: so this is the most that an
    exchange holds of what was asked.

    Raises:
        BadRequest: It is empty.
        PromptTooLong: It is too long, alone or with what was said before.
    """
    if not instruction.strip():
        raise BadRequest("The message is empty.", "Write something first.")
    whole = len(instruction) + sum(len(message.content) for message in context)
    for what, count, todo in (
        ("message", len(instruction), "Shorten it, or send it in parts."),
        ("chat", whole, "Begin a new conversation."),
    ):
        if count > longest:
            raise PromptTooLong(f"The {what} has {count:,} characters; the limit is {longest:,}.", todo)


def fullness(line: Sequence[Exchange], most_tokens: int, most_chars: int) -> float:
    """The share of what a conversation may hold that its line holds, 0 to 1; a limit of 0 is not known."""
    tokens = max((exchange.tokens or 0 for exchange in line), default=0)
    chars = line[-1].asked + len(line[-1].response or "") if line else 0
    return max(tokens / most_tokens if most_tokens else 0.0, chars / most_chars if most_chars else 0.0)


def context(assistant: Assistant, line: Sequence[Exchange]) -> list[Message]:
    """The assistant's prompt and what was said, without turns that were never answered."""
    messages = [Message("system", assistant.system_prompt)] if assistant.system_prompt else []
    for exchange in line:
        if exchange.response:
            messages.append(Message("user", exchange.instruction))
            messages.append(Message("assistant", exchange.response))
    return messages

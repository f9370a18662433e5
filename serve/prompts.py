"""What an engine is asked: the words of a line before an instruction, and how long they may be together.

Trail: serve/conversation.py -> here
"""

from collections.abc import Sequence

from feedback.errors import BadRequest, PromptTooLong
from feedback.records import Assistant, Exchange, Message

MESSAGES = 10
"""Messages of the greatest length that a whole chat may have: it is kept with every turn."""


def check(instruction: str, context: Sequence[Message], longest: int) -> None:
    """Refuse what is empty, a message of more than `longest` characters, and a chat of too many.

    Raises:
        BadRequest: It is empty.
        PromptTooLong: It is too long, alone or with what was said before.
    """
    if not instruction.strip():
        raise BadRequest("The message is empty.", "Write something first.")
    whole = len(instruction) + sum(len(message.content) for message in context)
    for what, count, most in (("message", len(instruction), longest), ("chat", whole, MESSAGES * longest)):
        if count > most:
            raise PromptTooLong(
                f"The {what} has {count:,} characters; the limit is {most:,}.",
                "Shorten it, or send it in parts.",
            )


def context(assistant: Assistant, line: Sequence[Exchange]) -> list[Message]:
    """The assistant's prompt and what was said, without turns that were never answered."""
    messages = [Message("system", assistant.system_prompt)] if assistant.system_prompt else []
    for exchange in line:
        if exchange.response:
            messages.append(Message("user", exchange.instruction))
            messages.append(Message("assistant", exchange.response))
    return messages

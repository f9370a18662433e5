"""Answers of which a person chose one: what a reviewer wrote instead of what a version had said.

Only the newest verdict counts, only conversations whose owner lets the tuner learn, and no gold items.
Judges nothing.

Trail: feedback/review.py -> here -> tuner/judge.py
"""

from dataclasses import dataclass

from feedback.pairs import NEVER
from feedback.records import Message
from feedback.store import Store

_EDITED = f"""
SELECT e.context, e.instruction, v.response AS chosen, a.response AS rejected
FROM exchange_state s JOIN exchanges e ON e.id = s.exchange_id JOIN reviews v ON v.id = s.review_id
    JOIN answers a ON a.exchange_id = s.exchange_id
WHERE s.state = 'approved' AND s.training AND s.assistant = $1 AND s.source = 'chat'
    AND s.finish_reason = 'stop' AND a.response <> v.response
    AND s.exchange_id NOT IN {NEVER}
ORDER BY v.seq DESC LIMIT $2"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers to the same conversation, of which a person chose one."""

    messages: tuple[Message, ...]
    chosen: str
    rejected: str


def edited(store: Store, assistant: str, limit: int = 100) -> list[Comparison]:
    """The newest answers that were approved only once they had been rewritten."""
    return [
        Comparison(
            (
                *(Message(m["role"], m["content"]) for m in row["context"]),
                Message("user", row["instruction"]),
            ),
            row["chosen"],
            row["rejected"],
        )
        for row in store.rows(_EDITED, [assistant, limit])
    ]

"""What a policy does about what is found in a pair: leave it out, redact it, or only flag it.

The same finds, by place, are what a reviewer's page shows. Finds nothing itself, and looks at no system
prompt: that is the operator's own.

Trail: feedback/private.py, feedback/suspect.py -> here -> feedback/curate.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from feedback import private, suspect
from feedback.caps import Caps
from feedback.normal import asked
from feedback.private import Span
from feedback.records import Exchange, Message, Pair

FINDS = (*private.KINDS, *suspect.FLAGS)
PRIVATE = "private"
FLAGGED = "flagged"


@dataclass(frozen=True, slots=True)
class Policy:
    """Of FINDS, those to `redact` and else those that `block` a pair; what is in neither is only flagged.

    `allowed` holds texts that are nobody's secret, such as a public address of the house.
    """

    block: frozenset[str] = frozenset(private.KINDS)
    redact: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    caps: Caps = field(default_factory=Caps)


@dataclass(frozen=True, slots=True)
class Screened:
    """A pair as it may be learnt, what was found in it, and the reason for which it is blocked, if any."""

    pair: Pair
    finds: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""


def screen(pair: Pair, policy: Policy) -> Screened:
    """Look through instruction, context and response, and redact what the policy says."""
    texts = [message.content if message.role != "system" else "" for message in pair.messages]
    spans = [private.find(text, policy.allowed) for text in (*texts, pair.response)]
    kinds = {span.kind for found in spans for span in found}
    finds = (*(kind for kind in private.KINDS if kind in kinds), *suspect.flags(asked(pair), pair.response))
    blocked = [find for find in finds if find in policy.block - policy.redact]
    if blocked:
        reason = PRIVATE if blocked[0] in private.KINDS else FLAGGED
        return Screened(pair, finds, reason, ", ".join(blocked))
    return Screened(_redacted(pair, spans, policy.redact), finds)


def found_in(exchange: Exchange, policy: Policy) -> dict[str, Any]:
    """What a reviewer's page marks: `finds` by text (`instruction`, `proposed`) and place, and `flags`."""
    texts = {"instruction": exchange.instruction, "proposed": exchange.proposed}
    found = [
        {"text": name, "kind": span.kind, "start": span.start, "end": span.end}
        for name, text in texts.items()
        for span in private.find(text, policy.allowed)
    ]
    return {"finds": found, "flags": list(suspect.flags(exchange.instruction, exchange.proposed))}


def _redacted(pair: Pair, spans: Sequence[Sequence[Span]], kinds: frozenset[str]) -> Pair:
    chosen = [[span for span in found if span.kind in kinds] for found in spans]
    if not any(chosen):
        return pair
    messages = tuple(
        Message(message.role, private.redact(message.content, found))
        for message, found in zip(pair.messages, chosen, strict=False)
    )
    return replace(pair, messages=messages, response=private.redact(pair.response, chosen[-1]))

"""What a policy does about what is found in a pair: leave it out, redact it, or only flag it.

The same finds, by place, are what a reviewer's page shows. Finds nothing itself. An assistant's prompt is the
operator's own and not looked at, but what a program sent as system text beyond it is.

Trail: feedback/private.py, feedback/suspect.py -> here -> feedback/curate.py
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from feedback import private, suspect
from feedback.caps import Caps
from feedback.normal import asked, normal
from feedback.private import Span
from feedback.records import Exchange, Message, Pair

PRIVATE = "private"
FLAGGED = "flagged"


@dataclass(frozen=True, slots=True)
class Policy:
    """Of `private.KINDS` and `suspect.FLAGS`, those to `redact` and else those that `block` a pair.

    What is in neither is only flagged.
    `allowed` holds texts that are nobody's secret, such as a public address of the house; `prompts` what the
    assistant was ever told.
    """

    block: frozenset[str] = frozenset(private.KINDS)
    redact: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    prompts: frozenset[str] = frozenset()
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
    told = [(message.content, _operators(pair, message, policy.prompts)) for message in pair.messages]
    spans = [_found(text, begin, policy.allowed) for text, begin in (*told, (pair.response, 0))]
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


def _operators(pair: Pair, message: Message, prompts: Collection[str]) -> int:
    """How much of its beginning is an operator's: of a system text all but what a program added."""
    if message.role != "system":
        return 0
    if pair.source == "chat" or pair.imported:
        return len(message.content)
    known = (
        prompt for prompt in map(normal, prompts) if f"{message.content}\n\n".startswith(f"{prompt}\n\n")
    )
    return max(map(len, known), default=0)


def _found(text: str, begin: int, allowed: Collection[str]) -> list[Span]:
    return [Span(f.kind, f.start + begin, f.end + begin) for f in private.find(text[begin:], allowed)]


def _redacted(pair: Pair, spans: Sequence[Sequence[Span]], kinds: frozenset[str]) -> Pair:
    chosen = [[span for span in found if span.kind in kinds] for found in spans]
    if not any(chosen):
        return pair
    messages = tuple(
        Message(message.role, private.redact(message.content, found))
        for message, found in zip(pair.messages, chosen, strict=False)
    )
    return replace(pair, messages=messages, response=private.redact(pair.response, chosen[-1]))

"""The review page's HTML: the queue's items and one exchange whole. Everything a person wrote is escaped."""

from collections.abc import Collection, Sequence
from datetime import datetime
from html import escape

from feedback.queue import Item
from feedback.records import Exchange
from serve.pages.texts import TEXTS
from serve.pages.words import Language, say

EXCERPT = 140
ENDS = {"stopped": "told_stopped", "cut": "note_cut", "length": "note_length"}
ROLES = {"system": "system", "user": "user", "assistant": "model"}


def queue(
    found: Sequence[Exchange],
    chosen: Exchange | None,
    language: Language,
    held: Collection[str] = frozenset(),
) -> str:
    """The queue as a list; the chosen item is marked `aria-selected`, and what others look at says so."""
    if not found:
        return f'<p class="empty">{say(language, "queue_empty")}</p>'
    picked = chosen.id if chosen else None
    items = "".join(_item(e, e.id == picked, e.id in held, language) for e in found)
    return f'<ul role="listbox" aria-label="{say(language, "review")}">{items}</ul>'


def detail(exchange: Exchange | None, language: Language) -> str:
    """One exchange: what came before it, what was asked, answered and said of it."""
    if exchange is None:
        return f'<p class="empty">{say(language, "pick_one")}</p>'
    parts = [_facts(exchange, language), _context(exchange, language)]
    parts.append(_quote(say(language, "instruction"), exchange.instruction, "instruction"))
    parts.append(
        _quote(say(language, "original"), exchange.response or say(language, "no_answer"), "original")
    )
    parts.append(_opinion(exchange, language))
    if exchange.correction:
        parts.append(_quote(say(language, "correction"), exchange.correction, "correction"))
    if exchange.approved_response:
        parts.append(_quote(say(language, "approved_response"), exchange.approved_response, "approved"))
    return f'<article data-exchange-shown="{escape(exchange.id)}">{"".join(parts)}</article>'


def standing(item: Item, language: Language) -> str:
    """What a reviewer should know beside the exchange: why it came back, flags, an edit, a dispute."""
    said = [say(language, f"flag_{flag}") for flag in item.flags]
    parts = [f'<p class="flags">{say(language, "flags")}: {", ".join(said)}</p>'] if said else []
    if item.reopened:
        parts.append(_quote(say(language, "reopened_because"), item.reopened, "reopened"))
    if item.edited and item.exchange.state in ("pending", "skipped"):
        parts.append(_quote(say(language, "edited_by_another"), item.proposed, "edited"))
    for number, opinion in enumerate(item.opinions, start=1):
        name = opinion.principal or str(number)
        title = f"{say(language, 'opinion_of', name=escape(name))}: {say(language, opinion.verdict)}"
        words = [opinion.response or "", opinion.reason]
        parts.append(_quote(title, "\n\n".join(filter(None, words)), "opinion"))
    return "".join(parts)


def claim(item: Item, language: Language) -> str:
    """Whose turn it is: one's own until when, or another's until when."""
    if item.held:
        return notice(say(language, "claim_theirs", until=f"{item.held.until:%H:%M} UTC"))
    return claimed(item.claim.until, language) if item.claim else ""


def claimed(until: datetime, language: Language) -> str:
    return f'<p class="facts" data-claim>{say(language, "claim_mine", until=f"{until:%H:%M} UTC")}</p>'


def notice(text: str) -> str:
    return f'<p role="alert">{escape(text)}</p>'


def when(at: datetime | None) -> str:
    """A time as an element that the browser can show and a program can read; UTC."""
    if at is None:
        return ""
    return f'<time datetime="{at.isoformat()}">{at:%Y-%m-%d %H:%M} UTC</time>'


def _item(exchange: Exchange, chosen: bool, held: bool, language: Language) -> str:
    text = " ".join(exchange.instruction.split())
    short = text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"
    notes = [_thumb(exchange, language), say(language, "corrected") if exchange.correction else ""]
    notes += [say(language, "held")] if held else []
    notes += [escape(exchange.source) if exchange.source != "chat" else "", escape(exchange.version)]
    told = " · ".join(note for note in notes if note)
    mark = f'data-exchange="{escape(exchange.id)}" aria-selected="{"true" if chosen else "false"}"'
    return f'<li role="option" {mark}><span>{escape(short)}</span><small>{told}</small></li>'


def _facts(exchange: Exchange, language: Language) -> str:
    facts = [
        escape(exchange.assistant),
        escape(exchange.version),
        escape(exchange.principal),
        when(exchange.at),
    ]
    if exchange.finish_reason in ENDS:
        facts.append(say(language, ENDS[exchange.finish_reason]))
    if exchange.state in ("approved", "rejected"):
        who = say(language, "reviewed_by", name=escape(exchange.reviewed_by or ""))
        facts.append(f"{say(language, exchange.state)} {who}")
    return f'<p class="facts">{" · ".join(facts)}</p>'


def _context(exchange: Exchange, language: Language) -> str:
    if not exchange.context:
        return ""
    said = "".join(_quote(say(language, ROLES[m.role]), m.content, m.role) for m in exchange.context)
    return f"<details><summary>{say(language, 'context')} ({len(exchange.context)})</summary>{said}</details>"


def _opinion(exchange: Exchange, language: Language) -> str:
    if exchange.rating is None:
        return ""
    reasons = "".join(f"<li>{escape(_reason(key, language))}</li>" for key in exchange.reasons)
    comment = f"<blockquote>{escape(exchange.comment)}</blockquote>" if exchange.comment else ""
    return (
        f'<section class="opinion"><h3>{say(language, "said")}</h3><p>{_thumb(exchange, language)}</p>'
        f"{f'<ul>{reasons}</ul>' if reasons else ''}{comment}</section>"
    )


def _thumb(exchange: Exchange, language: Language) -> str:
    if exchange.rating is None:
        return ""
    return f'<span class="state {exchange.rating}">{say(language, exchange.rating)}</span>'


def _reason(key: str, language: Language) -> str:
    return say(language, f"reason_{key}") if f"reason_{key}" in TEXTS else key


def _quote(title: str, text: str, kind: str) -> str:
    return f'<section class="quote {kind}"><h3>{title}</h3><div>{escape(text)}</div></section>'

"""The review page's HTML: the queue's items and one exchange whole. Everything a person wrote is escaped."""

from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from html import escape

from feedback.queue import Item
from feedback.records import Exchange
from serve.pages.texts import TEXTS
from serve.pages.words import Language, say, say_known

EXCERPT = 140
WHOLE = 600
"""Characters of a text that the queue shows to its end."""
ENDS = {"stopped": "told_stopped", "cut": "note_cut", "length": "note_length"}
Mark = Callable[[str], str]
"""Makes HTML of what a person or a model wrote: nothing in it may stay markup."""
ROLES = {"system": "system", "user": "user", "assistant": "model"}


def queue(
    found: Sequence[Item], chosen: str | None, language: Language, *, ticks: bool = False, name: str = ""
) -> str:
    """The queue as a list; the chosen item is marked `aria-selected`, and what others look at says so.

    With `ticks` each has a box, so that several can be judged at once. `name` says what an empty one is for.
    """
    if not found:
        key = f"queue_empty_{name}"
        return f'<p class="empty">{say(language, key if key in TEXTS else "queue_empty")}</p>'
    items = "".join(_item(item, item.exchange.id == chosen, ticks, language) for item in found)
    # A grid and not a list box: what can be chosen there can hold nothing to press, and each has its box.
    return f'<div role="grid" aria-label="{say(language, "review")}">{items}</div>'


def detail(exchange: Exchange | None, language: Language, mark: Mark = escape) -> str:
    """One exchange: what came before it, what was asked, answered and said of it."""
    if exchange is None:
        return f'<p class="empty">{say(language, "pick_one")}</p>'
    parts = [_facts(exchange, language), _context(exchange, language, mark)]
    answer = exchange.response or say(language, "no_answer")
    parts.append(_quote(say(language, "instruction"), exchange.instruction, "instruction", mark))
    parts.append(_quote(say(language, "original"), answer, "original", mark))
    parts.append(_opinion(exchange, language, mark))
    if exchange.correction:
        parts.append(_quote(say(language, "correction"), exchange.correction, "correction", mark))
    if exchange.approved_response:
        parts.append(_quote(say(language, "approved_response"), exchange.approved_response, "approved", mark))
    return f'<article data-exchange-shown="{escape(exchange.id)}">{"".join(parts)}</article>'


def standing(item: Item, language: Language, mark: Mark = escape) -> str:
    """What a reviewer should know beside the exchange: why it came back, flags, an edit, a dispute."""
    said = [say(language, f"flag_{flag}") for flag in item.flags]
    parts = [f'<p class="flags">{say(language, "flags")}: {", ".join(said)}</p>'] if said else []
    if item.reopened:
        parts.append(_quote(say(language, "reopened_because"), item.reopened, "reopened", mark))
    if item.edited and item.exchange.state in ("pending", "skipped"):
        parts.append(_quote(say(language, "edited_by_another"), item.proposed, "edited", mark))
    for number, opinion in enumerate(item.opinions, start=1):
        name = opinion.principal or str(number)
        title = f"{say(language, 'opinion_of', name=escape(name))}: {say(language, opinion.verdict)}"
        words = [opinion.response or "", opinion.reason]
        parts.append(_quote(title, "\n\n".join(filter(None, words)), "opinion", mark))
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


def short(text: str) -> str:
    """A text on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1] + "…"


def words_mark(words: str) -> str:
    """What tells words from others, without being them."""
    return sha256(words.encode(errors="surrogatepass")).hexdigest()[:16]


def whole(item: Item) -> bool:
    """Whether the queue shows all that is to be known before it is approved."""
    spoken = any(message.role != "system" for message in item.exchange.context)
    short_enough = all(len(text) <= WHOLE for text in (item.exchange.instruction, item.proposed))
    return short_enough and not (spoken or item.flags or item.edited or item.reopened)


def _item(item: Item, chosen: bool, ticks: bool, language: Language) -> str:
    exchange = item.exchange
    notes = [_thumb(exchange, language), say(language, "corrected") if exchange.correction else ""]
    notes += [say(language, "held")] if item.held else []
    notes += [say(language, "open_to_approve")] if ticks and not whole(item) else []
    notes += [escape(exchange.source) if exchange.source != "chat" else "", escape(exchange.version)]
    told = " · ".join(note for note in notes if note)
    mark = f'data-exchange="{escape(exchange.id)}" aria-selected="{"true" if chosen else "false"}"'
    asked, proposed = (_listed(text, ticks) for text in (exchange.instruction, item.proposed))
    said = f"<span>{asked}</span><q>{proposed}</q>"
    box = f'<div role="gridcell">{_tick(item, language)}</div>' if ticks else ""
    words = f'<div role="gridcell">{said}<small>{told}</small></div>'
    return f'<div role="row" tabindex="{0 if chosen else -1}" {mark}>{box}{words}</div>'


def _listed(text: str, ticks: bool) -> str:
    """A text as the queue holds it: to its end where it can be approved from there, which a tick unfolds."""
    return escape(text if ticks and len(text) <= WHOLE else short(text))


def _tick(item: Item, language: Language) -> str:
    name = escape(say(language, "tick", what=short(item.exchange.instruction)))
    mark = f'value="{escape(item.exchange.id)}" data-words="{words_mark(item.proposed)}"'
    return f'<input type="checkbox" data-tick {mark} aria-label="{name}">'


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


def _context(exchange: Exchange, language: Language, mark: Mark) -> str:
    if not exchange.context:
        return ""
    said = "".join(_quote(say(language, ROLES[m.role]), m.content, m.role, mark) for m in exchange.context)
    return f"<details><summary>{say(language, 'context')} ({len(exchange.context)})</summary>{said}</details>"


def _opinion(exchange: Exchange, language: Language, mark: Mark) -> str:
    if exchange.rating is None:
        return ""
    told = (say_known(language, f"reason_{key}", key) for key in exchange.reasons)
    reasons = "".join(f"<li>{reason}</li>" for reason in told)
    comment = f"<blockquote>{mark(exchange.comment)}</blockquote>" if exchange.comment else ""
    return (
        f'<section class="opinion"><h2>{say(language, "said")}</h2><p>{_thumb(exchange, language)}</p>'
        f"{f'<ul>{reasons}</ul>' if reasons else ''}{comment}</section>"
    )


def _thumb(exchange: Exchange, language: Language) -> str:
    if exchange.rating is None:
        return ""
    return f'<span class="state {exchange.rating}">{say(language, exchange.rating)}</span>'


def _quote(title: str, text: str, kind: str, mark: Mark) -> str:
    words = f"<div>{mark(text)}</div>" if text else ""
    return f'<section class="quote {kind}"><h2>{title}</h2>{words}</section>'

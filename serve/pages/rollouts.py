"""The operate page's HTML of a rollout: the canary's stages and evidence, drift, orders. Text is escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from serve.pages.reasons import Word, recorded
from serve.pages.tables import as_recorded
from serve.pages.words import Language, say, say_known

STAGES = (0.05, 0.25, 0.5, 1.0)
EVENTS_SHOWN = 12


def rollout(told: Mapping[str, Any], language: Language, word: Word = as_recorded) -> str:
    """Where the rollout of an assistant stands, why, and how it came there."""
    parts = [_canary(told.get("canary"), language), _drift(told.get("drift"), language)]
    parts.append(_compared(told.get("comparisons") or (), language))
    parts.append(_orders(told.get("orders") or {}, language))
    parts.append(_events(told.get("events") or (), language, word))
    return "".join(parts)


def _canary(canary: Mapping[str, Any] | None, language: Language) -> str:
    if not canary:
        return f'<p class="empty">{say(language, "canary_none")}</p>'
    share = float(canary["share"])
    steps = "".join(_stage(stage, share) for stage in STAGES)
    name = escape(str(canary["version"]))
    head = (
        f'<p class="facts" data-canary="{name}" data-share="{share:g}"><code>{name}</code> '
        f'<span class="state canary">{say(language, "canary_share", share=_percent(share))}</span></p>'
    )
    return (
        f'{head}<p class="facts">{steps}</p><p>{escape(recorded(str(canary["told"]), language))}</p>'
        + _evidence(canary["evidence"], language)
    )


def _stage(stage: float, share: float) -> str:
    mark = ' aria-current="step"' if stage == share else ""
    return f'<span class="state {"canary" if stage <= share else ""}"{mark}>{_percent(stage)}</span> '


def _evidence(evidence: Mapping[str, Any], language: Language) -> str:
    """Both sides' thumbs, and how far each of the two bets has come."""
    rows = [
        (say(language, f"side_{side}"), f"{evidence[side]['rated']}", f"{evidence[side]['down']}")
        for side in ("canary", "control")
    ]
    heads = [say(language, key) for key in ("side", "side_rated", "side_down")]
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    head = "".join(f"<th>{word}</th>" for word in heads)
    bets = say(
        language, "canary_bets", worse=_number(evidence["worse"]), no_worse=_number(evidence["no_worse"])
    )
    table = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return f"{table}<p><small>{bets}</small></p>"


def _drift(drift: Mapping[str, Any] | None, language: Language) -> str:
    if not drift:
        return ""
    mark = ' role="alert"' if drift.get("alarm") else ""
    return f"<p{mark}><b>{say(language, 'drift')}</b> {escape(recorded(str(drift['told']), language))}</p>"


def _compared(pairs: Sequence[Mapping[str, Any]], language: Language) -> str:
    """How often people chose one version's answer over another's without knowing whose it was."""
    if not pairs:
        return ""
    keys = ("chosen_pair", "chosen_wins", "chosen_draws", "chosen_losses", "chosen_skipped", "chosen_share")
    heads = [say(language, key) for key in keys]
    body = "".join(_pair(pair, heads) for pair in pairs)
    head = "".join(f"<th>{word}</th>" for word in heads)
    table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return (
        f"<p><b>{say(language, 'chosen')}</b></p>"
        f'<div class="wide"><table id="compared">{table}</table></div>'
        f"<p><small>{say(language, 'chosen_means')}</small></p>"
    )


def _pair(pair: Mapping[str, Any], heads: Sequence[str]) -> str:
    names = " / ".join(f"<code>{escape(str(pair[side]))}</code>" for side in ("version", "other"))
    chosen = pair["wins"] + pair["ties"] + pair["losses"] + pair["neither"]
    share, low, high = (f"{100 * pair[part]:.0f}" for part in ("share", "low", "high"))
    counts = (pair["wins"], pair["ties"] + pair["neither"], pair["losses"], pair["skipped"])
    cells = [names, *map(str, counts), f"{share} % ({low}–{high})" if chosen else "—"]
    row = zip(heads, cells, strict=True)
    return "<tr>" + "".join(f'<td data-head="{head}">{cell}</td>' for head, cell in row) + "</tr>"


def _orders(orders: Mapping[str, Mapping[str, Any]], language: Language) -> str:
    items = "".join(
        f'<li data-order="{escape(kind)}"><b>{say_known(language, f"order_{kind}", kind)}</b> '
        f"<code>{escape(str(order.get('version', '')))}</code> "
        f"{escape(str(order.get('principal', '')))}: {escape(str(order.get('reason', '')))}</li>"
        for kind, order in orders.items()
    )
    return f'<ul class="plain">{items}</ul>' if items else ""


def _events(events: Sequence[Mapping[str, Any]], language: Language, word: Word) -> str:
    if not events:
        return ""
    items = "".join(_event(event, language, word) for event in events[:EVENTS_SHOWN])
    title = say(language, "rollout_events")
    return f'<details><summary>{title}</summary><ul class="plain">{items}</ul></details>'


def _event(event: Mapping[str, Any], language: Language, word: Word) -> str:
    state = str(event["state"])
    share = f" {_percent(float(event['share']))}" if event.get("share") else ""
    return (
        f"<li><time>{escape(str(event['at'])[:16].replace('T', ' '))} UTC</time> "
        f"<code>{escape(str(event['version']))}</code> "
        f"<b>{say_known(language, f'state_{state}', state)}{share}</b> "
        f"{escape(word(str(event['version']), str(event['reason'])))}</li>"
    )


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _number(value: Any) -> str:
    return f"{float(value):.3g}"

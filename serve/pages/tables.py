"""The operate page's HTML: versions, a run, its gate, decisions, the engine. All text is escaped."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from feedback.records import Run, Version, now
from serve.pages.cards import when
from serve.pages.curve import curve
from serve.pages.reasons import Word, reason, recorded
from serve.pages.words import Language, say, say_known

FLIPS_SHOWN = 50


def as_recorded(_: str, text: str) -> str:
    return text


def versions(listed: Sequence[Version], language: Language, word: Word = as_recorded) -> str:
    """An assistant's line of versions, the newest first."""
    rows = [
        (
            f"<code>{escape(v.version)}</code>",
            _state(v.state, language),
            when(v.changed_at or v.created_at),
            escape(v.changed_by),
            escape(word(v.version, v.reason)) + _by_hand(v, language),
        )
        for v in listed
    ]
    heads = [say(language, key) for key in ("version", "state", "since", "by", "reason")]
    heads[1] = say(language, "state_head")
    return table(heads, rows)


def _by_hand(version: Version, language: Language) -> str:
    """The mark of a version that a person promoted though it had not passed."""
    if not version.by_hand:
        return ""
    return f"<br><small data-by-hand>{say(language, 'by_hand')} {escape(version.by_hand)}</small>"


def run(told: Mapping[str, Any] | None, language: Language, word: Word = as_recorded) -> str:
    """Where a run stands: its step, how far, for how long, and its losses."""
    if told is None:
        return f'<p class="empty">{say(language, "run_none")}</p>'
    progress: Mapping[str, Any] = told.get("progress") or {}
    head = [
        f"<b>#{escape(str(told.get('number', '')))}</b>",
        _state(str(told.get("state", "")), language),
        f"<span data-step>{_step(str(told.get('step', '')), language)}</span>",
    ]
    if told.get("version"):
        head.append(f"<code>{escape(str(told['version']))}</code>")
    parts = [f'<p class="facts" data-run="{escape(str(told.get("id", "")))}">{" ".join(head)}</p>']
    parts.append(_times(told, language))
    parts.append(_cost(told.get("detail") or {}, language))
    if told.get("reason") and told["reason"] != " ".join((told.get("gate") or {}).get("reasons") or ()):
        parts.append(f"<p>{escape(word(str(told.get('version', '')), str(told['reason'])))}</p>")
    parts.append(_bar(progress, language))
    parts.append(curve(progress.get("history") or (), language))
    return "".join(parts)


def runs(listed: Sequence[Run], language: Language, word: Word = as_recorded) -> str:
    """The runs of an assistant, the newest first."""
    if not listed:
        return f'<p class="empty">{say(language, "runs_none")}</p>'
    rows = [
        (
            f"#{r.number}",
            _state(r.state, language),
            when(r.started_at),
            f"<code>{escape(r.version)}</code>" if r.version else "",
            escape(word(r.version, r.reason)),
        )
        for r in listed
    ]
    heads = ("run", "state_head", "since", "version", "reason")
    return table([say(language, key) for key in heads], rows)


def gate(told: Mapping[str, Any] | None, language: Language) -> str:
    """The verdict of a run's gate, why, and the very items on which the two versions differ."""
    judged: Mapping[str, Any] = (told or {}).get("gate") or {}
    verdict = str(judged.get("verdict") or judged.get("decision") or "").lower()
    if not verdict:
        return f'<p class="empty">{say(language, "gate_none")}</p>'
    word = say_known(language, f"gate_{verdict}", verdict)
    english, coded = judged.get("reasons") or (), judged.get("coded") or ()
    said = zip(english, [*coded, *[None] * len(english)], strict=False)
    reasons = "".join(f"<li>{escape(reason(one, str(text), language))}</li>" for text, one in said)
    head = f'<p><span class="state {escape(verdict)}" data-verdict="{escape(verdict)}">{word}</span></p>'
    return f"{head}<ul>{reasons}</ul>{_flips(judged.get('items') or (), language)}"


def decisions(listed: Sequence[Mapping[str, Any]], language: Language) -> str:
    """Why the tuner did or didn't run, the newest first."""
    if not listed:
        return f'<p class="empty">{say(language, "decision_none")}</p>'
    items = "".join(
        f"<li>{when(d.get('at'))} <b>{say(language, 'due' if d.get('due') else 'not_due')}</b> "
        f"{escape(recorded(str(d.get('reason', '')), language))}</li>"
        for d in listed
    )
    return f'<ul class="plain">{items}</ul>'


def engine(
    state: str,
    facts: Mapping[str, Any],
    router: Mapping[str, Any],
    servers: Sequence[Mapping[str, Any]],
    language: Language,
) -> str:
    """Whether the engine answers, on what, which versions it holds, and how its servers are."""
    mark = f'class="state {escape(state)}" data-engine="{escape(state)}"'
    head = [f"<span {mark}>{say_known(language, f'engine_{state}', state)}</span>"]
    head += [escape(str(facts[key])) for key in ("device", "dtype") if facts.get(key)]
    if facts.get("restarts"):
        head.append(say(language, "engine_restarts", count=facts["restarts"]))
    lines = [f'<p class="facts">{" · ".join(head)}</p>']
    if facts.get("trouble"):
        lines.append(f'<p role="alert">{escape(str(facts["trouble"]))}</p>')
    loaded = ", ".join(f"<code>{escape(str(version))}</code>" for version in router.get("loaded", ()))
    lines += [f"<p>{say(language, 'loaded')}: {loaded}</p>"] if loaded else []
    for key in ("in_flight", "refused"):
        word = "refused_by_engine" if key == "refused" else key
        lines += [
            f"<p>{say(language, word)}: <code>{escape(str(version))}</code> {escape(str(value))}</p>"
            for version, value in router.get(key, {}).items()
        ]
    return "".join(lines) + _servers(servers, language)


def _servers(servers: Sequence[Mapping[str, Any]], language: Language) -> str:
    if not servers:
        return ""
    heads = [say(language, key) for key in ("server", "state_head", "in_flight", "trouble")]
    rows = []
    for server in servers:
        state = "in" if server["in"] else "out"
        mark = f'<span class="state {state}" data-server="{state}">{say(language, f"server_{state}")}</span>'
        address = f"<code>{escape(str(server['url']))}</code>"
        rows.append((address, mark, f"{server['in_flight']}", escape(str(server["trouble"] or ""))))
    return table(heads, rows)


def _state(state: str, language: Language) -> str:
    return f'<span class="state {escape(state)}">{say_known(language, f"state_{state}", state)}</span>'


def _step(step: str, language: Language) -> str:
    return say_known(language, f"step_{step}", step)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already; each cell carries its head, for narrow screens."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{_cells(heads, row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(heads: Sequence[str], row: Sequence[str]) -> str:
    named = zip(heads, row, strict=True)
    return "".join(f'<td data-head="{name}"><div>{cell}</div></td>' for name, cell in named)


def _times(told: Mapping[str, Any], language: Language) -> str:
    started, changed = _time(told.get("started_at")), _time(told.get("changed_at"))
    if started is None:
        return ""
    running = told.get("state") in ("running", "queued")
    took = (now() if running else changed or now()) - started
    words = [say(language, "run_for" if running else "run_took", time=_clock(took.total_seconds()))]
    if told.get("left_seconds") is not None:
        word = "left_of_training" if told.get("left_of") == "training" else "left_of_run"
        words.append(say(language, word, time=_clock(told["left_seconds"])))
    return f"<p><small>{say(language, 'run_started', at=when(started))}, {', '.join(words)}</small></p>"


def _cost(account: Mapping[str, Any], language: Language) -> str:
    """What a run took: seconds by step, processor seconds, memory, tokens, energy where it was told."""
    if "steps" not in account:
        return ""
    slow = sorted(account["steps"].items(), key=lambda item: -float(item[1]))
    steps = ", ".join(f"{_step(step, language)} {_clock(seconds)}" for step, seconds in slow if seconds >= 1)
    training = account.get("training", {})
    values = {
        "cost_cpu": f"{account.get('cpu_seconds', 0):.0f}",
        "cost_memory": f"{account.get('peak_bytes', 0) / 2**30:.1f}",
        "cost_learnt": f"{training.get('tokens', 0):,}",
        "cost_answered": f"{account.get('answered_tokens', 0):,.0f}",
    }
    if account.get("joules") is not None:
        values["cost_energy"] = f"{account['joules'] / 3600:.1f}"
    told = [steps, *(say(language, key, value=value) for key, value in values.items())]
    return f"<p data-cost><small>{'; '.join(filter(None, told))}</small></p>"


def _time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(max(0.0, seconds)), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _bar(progress: Mapping[str, Any], language: Language) -> str:
    steps, step = progress.get("steps") or 0, progress.get("step") or 0
    if not steps:
        return ""
    share = max(0, min(100, round(100 * step / steps)))
    words = say(language, "run_progress", epoch=progress.get("epoch", 1), step=step, steps=steps)
    phase = _step(str(progress.get("phase", "")), language)
    return (
        f'<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share}" '
        f'aria-label="{phase}">'
        f'<div style="width:{share}%"></div></div><small>{phase} · {escape(words)}</small>'
    )


def _flips(items: Sequence[Mapping[str, Any]], language: Language) -> str:
    """The items that one version got right and the other didn't."""
    flipped = [i for i in items if _right(i, "candidate") != _right(i, "incumbent")]
    if not flipped:
        return ""
    heads = [say(language, key) for key in ("instruction", "before", "now")]
    rows = []
    for item in flipped[:FLIPS_SHOWN]:
        better = _right(item, "candidate")
        mark = f'<span class="state {"better" if better else "worse"}">'
        mark += say(language, "flip_better" if better else "flip_worse") + "</span> "
        asked = escape(str(item.get("instruction", "")))
        rows.append((mark + asked, *(_said(item, side, language) for side in ("incumbent", "candidate"))))
    title = say(language, "flipped", count=len(flipped))
    return f"<details open><summary>{title}</summary>{table(heads, rows)}</details>"


def _right(item: Mapping[str, Any], side: str) -> bool:
    return bool((item.get(side) or {}).get("correct"))


def _said(item: Mapping[str, Any], side: str, language: Language) -> str:
    said: Mapping[str, Any] = item.get(side) or {}
    told = escape(recorded(str(said.get("why") or ""), language))
    why = f"<br><small>{told}</small>" if told else ""
    return f'<div class="said">{escape(str(said.get("text", "")))}{why}</div>'

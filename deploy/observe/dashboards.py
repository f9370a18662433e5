"""Writes Grafana's dashboards into `grafana/dashboards/`: what people get, and what Hone learns.

python deploy/observe/dashboards.py
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH, HEIGHT = 8, 8

Panel = tuple[str, str, list[tuple[str, str]]]
"""A title, Grafana's unit, and expressions each with its legend."""


def quantile(share: float, metric: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[5m])))"


def latency(title: str, metric: str) -> Panel:
    return title, "s", [(quantile(share, metric), f"p{share * 100:.0f}") for share in (0.5, 0.95, 0.99)]


SERVING: list[Panel] = [
    ("Answers a second", "reqps", [("sum by (finish) (rate(hone_turns_total[5m]))", "{{finish}}")]),
    latency("To the first word", "hone_turn_time_to_first_token_seconds"),
    latency("From one piece to the next", "hone_turn_inter_token_latency_seconds"),
    (
        "Tokens a second",
        "short",
        [
            ("rate(hone_generation_tokens_total[5m])", "answers"),
            ("rate(hone_prompt_tokens_total[5m])", "prompts"),
        ],
    ),
    ("Answers in progress", "short", [("hone_turns_in_flight", "{{version}}")]),
    ("Refused and failed", "reqps", [("sum by (code) (rate(hone_turn_errors_total[5m]))", "{{code}}")]),
    (
        "Engine: running and waiting",
        "short",
        [
            ("hone_engine_num_requests_running", "running"),
            ("hone_engine_num_requests_waiting", "waiting"),
            ("hone_engine_max_requests_running", "room"),
        ],
    ),
    latency("Engine: waiting for a place", "hone_engine_request_queue_time_seconds"),
    (
        "Engine: memory in use",
        "percentunit",
        [
            ("hone_engine_kv_cache_usage_ratio", "keys and values"),
            ("hone_engine_adapters / hone_engine_slots", "slots"),
        ],
    ),
    (
        "Engine: tokens of prompts found in memory",
        "percentunit",
        [
            (
                "rate(hone_engine_prefix_cache_hits_total[5m]) / "
                "rate(hone_engine_prefix_cache_queries_total[5m])",
                "found",
            )
        ],
    ),
    (
        "Engine: up, restarts, replicas out",
        "short",
        [
            ("hone_engine_up", "up"),
            ("increase(hone_engine_restarts_total[1h])", "restarts in an hour"),
            ('hone_engine_replicas{state="out"}', "replicas out"),
        ],
    ),
    (
        "Responses by status",
        "reqps",
        [("sum by (status) (rate(hone_http_requests_total[5m]))", "{{status}}")],
    ),
    latency("Store: commits", "hone_store_commit_seconds"),
    (
        "Store: events a second, and behind",
        "short",
        [
            ("rate(hone_store_events_total[5m])", "events a second"),
            ("hone_store_lag_events", "not on the pages yet"),
        ],
    ),
    (
        "Disk of the home",
        "bytes",
        [
            ("hone_home_disk_free_bytes", "free"),
            ("hone_home_disk_size_bytes", "size"),
            ("hone_store_bytes", "store"),
        ],
    ),
]
LEARNING: list[Panel] = [
    ("Ratings of served versions", "short", [("hone_ratings", "{{version}} {{rating}}")]),
    (
        "Share of thumbs down",
        "percentunit",
        [
            (
                'hone_ratings{rating="down"} / ignoring (rating) sum without (rating) (hone_ratings)',
                "{{version}}",
            )
        ],
    ),
    ("Review", "short", [("hone_exchanges", "{{state}}")]),
    ("The oldest waits for review", "s", [("hone_review_oldest_seconds", "oldest")]),
    ("Canary: share of conversations", "percentunit", [("hone_canary_share_ratio", "{{assistant}}")]),
    ("Canary: time at this share", "s", [("hone_canary_stage_age_seconds", "{{assistant}}")]),
    ("Runs that ended", "short", [("hone_runs_total", "{{assistant}} {{outcome}}")]),
    ("Runs since one passed", "short", [("hone_runs_without_pass", "{{assistant}}")]),
    (
        "Runs: time by step, of the last week",
        "s",
        [("increase(hone_run_step_seconds_total[7d])", "{{step}}")],
    ),
    ("Versions by state", "short", [("hone_versions", "{{assistant}} {{state}}")]),
    ("Orders that stand", "short", [("hone_orders == 1", "{{assistant}} {{kind}}")]),
    ("Runs that go on", "short", [("hone_runs_running", "{{assistant}}")]),
]


def dashboard(uid: str, title: str, panels: list[Panel]) -> dict[str, Any]:
    return {
        "uid": uid,
        "title": title,
        "tags": ["hone"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "panels": [_panel(number, *panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, title: str, unit: str, expressions: list[tuple[str, str]]) -> dict[str, Any]:
    row, column = divmod(number, 24 // WIDTH)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(expressions)
        ],
    }


def files() -> dict[Path, str]:
    """Each dashboard's file and what is in it."""
    made = (
        dashboard("hone-serving", "Hone: what people get", SERVING),
        dashboard("hone-learning", "Hone: what it learns", LEARNING),
    )
    return {HERE / f"{one['uid']}.json": json.dumps(one, indent=1) + "\n" for one in made}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")

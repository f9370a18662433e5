"""Which scope of an API key opens which route. A route that is not here is opened by no key.

So keys never reach accounts, other keys, erasures or backups. The role within the scope is the route's
own to ask. Knows the routes by method and address only.
"""

from feedback.keys import Scope

ANY = frozenset(Scope)
"""Any key may ask who it is."""

_CONVERSATION = "/v1/conversations/{conversation_id}"
_REVIEWS = "/v1/reviews"
_ASSISTANT = "/v1/assistants/{name}"
OPENS: dict[Scope, frozenset[str]] = {
    Scope.CHAT: frozenset(
        {
            *("POST /v1/chat/completions", "GET /v1/models", "GET /v1/assistants", "GET /v1/search"),
            *("GET /v1/conversations", f"GET {_CONVERSATION}", f"PATCH {_CONVERSATION}"),
            f"GET {_CONVERSATION}/file",
        }
    ),
    Scope.FEEDBACK: frozenset(
        {
            *(
                "POST /v1/feedback",
                "PUT /v1/feedback/consent",
                "POST /v1/feedback/signals",
                "POST /v1/feedback/choices",
                "GET /v1/feedback/choices/{conversation_id}",
            ),
            "GET /v1/exchanges/{exchange_id}/fate",
        }
    ),
    Scope.REVIEW: frozenset(
        {
            *(f"GET {_REVIEWS}", f"POST {_REVIEWS}", f"POST {_REVIEWS}/bulk", f"GET {_REVIEWS}/agreement"),
            *(f"POST {_REVIEWS}/claims", f"POST {_REVIEWS}/claims/{{claim_id}}/beat"),
            *(f"DELETE {_REVIEWS}/claims/{{claim_id}}", f"GET {_REVIEWS}/{{exchange_id}}"),
            *(f"PUT {_REVIEWS}/{{exchange_id}}/draft", f"POST {_REVIEWS}/{{exchange_id}}/reopen"),
            *(f"POST {_REVIEWS}/{{exchange_id}}/adjudicate", f"GET {_REVIEWS}/golds"),
            *(f"POST {_REVIEWS}/golds", f"DELETE {_REVIEWS}/golds/{{exchange_id}}", "GET /v1/search"),
            *("GET /v1/exchanges/{exchange_id}/finds", "GET /v1/assistants"),
            *("GET /v1/proposals/{exchange_id}", "POST /v1/proposals/{exchange_id}"),
        }
    ),
    Scope.OPERATE: frozenset(
        {
            *("POST /v1/runs", "GET /v1/runs", "GET /v1/runs/{run_id}", "GET /v1/versions", "GET /v1/status"),
            *("POST /v1/versions/{version}/promote", "GET /v1/versions/{version}/rows", "POST /v1/proposals"),
            *("GET /v1/assistants", "POST /v1/assistants", f"PATCH {_ASSISTANT}"),
            *(
                f"POST {_ASSISTANT}/{verb}"
                for verb in ("rollback", "hold", "pin", "unpin", "pause", "resume")
            ),
            *(f"GET {_ASSISTANT}/rollout", f"GET {_ASSISTANT}/decisions"),
            "GET /v1/exchanges/{exchange_id}/fate",
        }
    ),
    Scope.DATA: frozenset({"POST /v1/imports", "GET /v1/exports", "GET /v1/curation"}),
    Scope.METRICS: frozenset({"GET /metrics", "GET /v1/status"}),
}


def opening(method: str, path: str) -> frozenset[Scope]:
    """The scopes that open this route."""
    route = f"{'GET' if method == 'HEAD' else method} {path}"
    if route == "GET /v1/me":
        return ANY
    return frozenset(scope for scope, routes in OPENS.items() if route in routes)

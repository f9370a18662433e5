"""Who may do what, declared once: every route, the least role it asks for, and the scopes that open it.

`anyone` needs no sign-in; `-` is opened by no key. What is not written here fails the test that reads it.
"""

ROUTES = """
GET    /                                          anyone    any
GET    /favicon.ico                               anyone    any
GET    /manifest.json                             anyone    any
GET    /openapi.json                              anyone    any
GET    /healthz                                   anyone    any
GET    /readyz                                    anyone    any
GET    /login                                     anyone    any
POST   /login                                     anyone    any
POST   /logout                                    anyone    any
GET    /login/oidc                                anyone    any
GET    /login/oidc/back                           anyone    any
GET    /join/{token}                              anyone    any
POST   /join/{token}                              anyone    any
GET    /v1/me                                     user      any
POST   /v1/chat/completions                       user      chat
GET    /v1/models                                 user      chat
GET    /v1/assistants                             user      chat,review,operate
GET    /v1/search                                 user      chat,review
POST   /v1/feedback                               user      feedback
PUT    /v1/feedback/consent                       user      feedback
POST   /v1/feedback/signals                       user      feedback
GET    /v1/feedback/choices/{conversation_id}     user      feedback
POST   /v1/feedback/choices                       user      feedback
GET    /v1/exchanges/{exchange_id}/fate           user      feedback,operate
GET    /v1/conversations                          user      chat
GET    /v1/conversations/{conversation_id}        user      chat
PATCH  /v1/conversations/{conversation_id}        user      chat
GET    /v1/conversations/{conversation_id}/file   user      chat
GET    /account                                   user      -
POST   /v1/me/password                            user      -
DELETE /v1/me/sessions                            user      -
DELETE /v1/me                                     user      -
GET    /v1/keys                                   user      -
POST   /v1/keys                                   user      -
DELETE /v1/keys/{key_id}                          user      -
DELETE /v1/conversations/{conversation_id}        user      -
POST   /v1/erasures                               user      -
GET    /v1/erasures/{erasure_id}                  user      -
POST   /v1/erasures/verify                        user      -
GET    /v1/reviews                                reviewer  review
POST   /v1/reviews                                reviewer  review
POST   /v1/reviews/bulk                           reviewer  review
POST   /v1/reviews/claims                         reviewer  review
POST   /v1/reviews/claims/{claim_id}/beat         reviewer  review
DELETE /v1/reviews/claims/{claim_id}              reviewer  review
GET    /v1/reviews/{exchange_id}                  reviewer  review
PUT    /v1/reviews/{exchange_id}/draft            reviewer  review
POST   /v1/reviews/{exchange_id}/reopen           reviewer  review
POST   /v1/reviews/{exchange_id}/adjudicate       reviewer  review
GET    /v1/exchanges/{exchange_id}/finds          reviewer  review
GET    /v1/proposals/{exchange_id}                reviewer  review
POST   /v1/proposals/{exchange_id}                reviewer  review
GET    /v1/reviews/agreement                      operator  review
GET    /v1/reviews/golds                          operator  review
POST   /v1/reviews/golds                          operator  review
DELETE /v1/reviews/golds/{exchange_id}            operator  review
POST   /v1/runs                                   operator  operate
GET    /v1/runs                                   operator  operate
GET    /v1/runs/{run_id}                          operator  operate
GET    /v1/versions                               operator  operate
POST   /v1/versions/{version}/promote             operator  operate
GET    /v1/versions/{version}/rows                operator  operate
POST   /v1/assistants                             operator  operate
PATCH  /v1/assistants/{name}                      operator  operate
GET    /v1/assistants/{name}/decisions            operator  operate
GET    /v1/assistants/{name}/rollout              operator  operate
POST   /v1/assistants/{name}/rollback             operator  operate
POST   /v1/assistants/{name}/hold                 operator  operate
POST   /v1/assistants/{name}/pin                  operator  operate
POST   /v1/assistants/{name}/unpin                operator  operate
POST   /v1/assistants/{name}/pause                operator  operate
POST   /v1/assistants/{name}/resume               operator  operate
POST   /v1/proposals                              operator  operate
POST   /v1/notices/test                           operator  -
GET    /v1/audit                                  operator  -
GET    /v1/status                                 operator  operate,metrics
GET    /metrics                                   operator  metrics
POST   /v1/imports                                operator  data
GET    /v1/exports                                operator  data
GET    /v1/curation                               operator  data
POST   /v1/rebuild                                operator  -
GET    /v1/erasures                               operator  -
GET    /v1/users                                  admin     -
POST   /v1/users                                  admin     -
PATCH  /v1/users/{name}                           admin     -
POST   /v1/users/{name}/reset                     admin     -
DELETE /v1/users/{name}/sessions                  admin     -
GET    /v1/invitations                            admin     -
POST   /v1/invitations                            admin     -
DELETE /v1/invitations/{invitation_id}            admin     -
GET    /people                                    admin     -
POST   /v1/demo                                   admin     -
POST   /v1/backups                                admin     -
POST   /v1/compact                                admin     -
"""

PAGES = {"chat": "user", "review": "reviewer", "operate": "operator"}
"""Each page and the least role that opens it."""

ASSETS = frozenset(
    {
        *("/static/{path:path}", "/assets/{path:path}", "/favicon.ico", "/theme.css", "/manifest.json"),
        *("/gradio_api/theme.css", "/gradio_api/app_id", "/gradio_api/startup-events"),
        *("/gradio_api/cancel", "/gradio_api/reset"),
    }
)
"""What Gradio serves to anyone: its own files, no data. `cancel` ends what its caller began, no more."""

NEEDED = frozenset({"/", "/config", "/gradio_api/queue/join", "/gradio_api/queue/data"})
"""What a page needs of Gradio, for whoever may open the page. All else that Gradio serves is closed."""

HANDLERS = {"review.reasons": "operator", "review.add": "operator", "review.retire": "operator"}
"""Handlers that need more than their page, by name."""


def routes() -> dict[str, tuple[str, frozenset[str]]]:
    """`METHOD path` and who may: the least role, and the scopes that open it."""
    lines = [line.split() for line in ROUTES.strip().splitlines()]
    return {f"{method} {path}": (role, frozenset(scopes.split(","))) for method, path, role, scopes in lines}

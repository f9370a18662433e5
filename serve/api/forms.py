"""The pages outside Gradio: signing in, using a link, one's own account, and everybody's, for admins.

Plain HTML of one look, in English and Korean; what somebody typed is escaped here. Decides nothing.
"""

import json
from html import escape
from importlib.resources import files
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse

from feedback.errors import HoneError
from feedback.keys import Scope
from feedback.records import Role
from serve.api.form_texts import ERRORS, PEOPLE, TEXTS

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, "Noto Sans KR", sans-serif }
body { display: grid; place-items: center; min-height: 90vh; margin: 0 }
form, .box { display: grid; gap: .75rem; width: min(20rem, 90vw) }
input, button, select, .button { font: inherit; padding: .6rem; border-radius: .5rem; border: 1px solid #888;
  width: 100%; box-sizing: border-box }
button, .button { background: #4f46e5; color: #fff; border: 0; text-align: center; text-decoration: none }
[role=alert] { color: #dc2626 } [role=status] { color: inherit }
main { width: min(60rem, 92vw); padding: 1rem 0 } main form { width: auto; margin-bottom: .75rem }
body { color: #1e293b; background: #fff; word-break: keep-all; overflow-wrap: anywhere } a { color: #4f46e5 }
.box p { margin: 0 } .box .button { margin-bottom: 1rem }
main:not(.box) :is(form, [data-do]) { max-width: 26rem }
table { border-collapse: collapse; width: 100% } td, th { text-align: start; padding: .4rem }
td button, td select { width: auto; padding: .35rem .6rem; min-height: 2rem; margin: .15rem }
[data-do] { background: none; color: inherit; border: 1px solid #888; white-space: nowrap }
fieldset { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; border: 1px solid #888; border-radius: .5rem }
fieldset label { display: inline-flex; align-items: center; gap: .5rem; min-height: 1.75rem }
fieldset input { width: 1.25rem; height: 1.25rem; margin: 0 }
#told:not(:empty) { border-inline-start: 4px solid #4f46e5; padding-inline-start: 1rem; scroll-margin: 1rem }
@media (max-width: 40rem) { thead { position: absolute; clip-path: inset(50%) }
  tr { display: flex; flex-wrap: wrap; align-items: center; gap: 0 .75rem; padding: .5rem 0 }
  tr + tr { border-top: 1px solid #8888 } td { padding: .2rem 0 } td:last-child { flex-basis: 100% } }
.scroll { overflow-x: auto }
output { display: block; overflow-wrap: anywhere; font-family: ui-monospace, monospace }
@media (prefers-color-scheme: dark) { body { color: #e2e8f0; background: #0f172a } a { color: #a5b4fc }
  [role=alert] { color: #f87171 } }
"""


def korean(request: Request) -> bool:
    chosen = request.cookies.get("lang") or request.headers.get("accept-language", "")
    return chosen.lower().startswith("ko")


class Form:
    """Pages in the language of one request."""

    def __init__(self, request: Request) -> None:
        self._column = 1 if korean(request) else 0
        self._lang = ("en", "ko")[self._column]

    def say(self, key: str, **values: str) -> str:
        return escape(TEXTS[key][self._column].format(**values))

    def trouble(self, error: HoneError) -> str:
        """What happened and what to do; in Korean by its code, with the English after it."""
        told = ERRORS.get(error.code) if self._column else None
        return f"{told} ({error})" if told else str(error)

    def sign_in(
        self, target: str, *, passwords: bool, provider: str, left: str | None = None, wrong: str = ""
    ) -> str:
        """The sign-in. `left` is not None for who just signed out: where they may sign out too, or empty."""
        parts = []
        if left is not None:
            parts.append(f'<p role="status">{self.say("signed_out")}</p>')
            if left:
                parts.append(f'<a href="{escape(left)}">{self.say("sign_out_there")}</a>')
        if provider:
            href = f"/login/oidc?next={escape(_quoted(target))}"
            parts.append(
                f'<a class="button" id="provider" href="{href}">{self.say("with", title=provider)}</a>'
            )
        if passwords:
            parts.append(self._password_form(target))
        if not parts or not (provider or passwords):
            parts.append(f"<p>{self.say('by_proxy')}</p>")
        return self._shell(self._alert(wrong) + "".join(parts))

    def _password_form(self, target: str) -> str:
        return f"""<form method="post" action="/login">
<label>{self.say("name")}<input name="name" autocomplete="username" required autofocus></label>
<label>{self.say("password")}<input name="password" type="password" autocomplete="current-password"
 required></label>
<input type="hidden" name="next" value="{escape(target)}"><button>{self.say("sign_in")}</button></form>"""

    def join(
        self, token: str, *, account: str | None, new: bool, provider: str, wrong: str = "", typed: str = ""
    ) -> str:
        """What a link leads to: a name where it has none, as it was `typed` before, and a password."""
        label = self.say("name")
        kept = f' value="{escape(typed)}"' if typed else ""
        name = f'<label>{label}<input name="name" autocomplete="username" required autofocus{kept}></label>'
        if account:
            name = f"<p>{self.say('account_is', name=account)}</p>"
            name += f'<input type="hidden" name="name" value="{escape(account)}">'
        there = ""
        if provider:
            href = f"/login/oidc?token={escape(_quoted(token))}"
            there = f'<a class="button" href="{href}">{self.say("with", title=provider)}</a>'
        return self._shell(f"""{self._alert(wrong)}<p>{self.say("join" if new else "reset")}</p>{there}
<form method="post">{name}<label>{self.say("new_password")}<input name="password" type="password"
 autocomplete="new-password" minlength="10" required></label><button>{self.say("go_on")}</button></form>""")

    def message(self, text: str) -> str:
        back = f'<a href="/login">{self.say("back")}</a>'
        return self._shell(self._alert(text) + back)

    def people(self, page: str, *, password: bool = False) -> str:
        """`account` or `people`: a frame that its script fills through the API."""
        words = {key: texts[self._column] for key, texts in PEOPLE.items()}
        known: dict[str, object] = {"page": page, "words": words, "roles": list(Role), "scopes": list(Scope)}
        known["password"] = password
        script = files("serve.api").joinpath("people.js").read_text("utf-8")
        data = json.dumps(known).replace("<", "\\u003c")
        return self._page(f"<main></main><script>const HONE = {data};\n{script}</script>")

    def _alert(self, text: str) -> str:
        return f'<p role="alert">{escape(text)}</p>' if text else ""

    def _shell(self, body: str) -> str:
        return self._page(f'<main class="box"><h1>Hone</h1>{body}</main>')

    def _page(self, body: str) -> str:
        return f"""<!doctype html><html lang="{self._lang}"><head><meta charset="utf-8"><title>Hone</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body>{body}</body></html>"""


def html(text: str, status: int = 200) -> HTMLResponse:
    # A link's token and what a form holds are for nobody's cache.
    return HTMLResponse(text, status, {"cache-control": "no-store"})


def _quoted(text: str) -> str:
    return quote(text, safe="")

"""`/v1/users` for admins, and the sign-in form for everyone."""

import asyncio
import html
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from feedback.accounts import Accounts
from feedback.records import Principal, Role
from serve.api.errors import Body
from serve.brake import Brake
from serve.identity import COOKIE, Identity


class NewUser(Body):
    name: str
    password: str
    role: Role = Role.USER


class UserChange(Body):
    """What to change of an account; what is left out stays."""

    role: Role | None = None
    password: str | None = None
    suspended: bool | None = None


def routes(identity: Identity, accounts: Accounts) -> APIRouter:
    router = APIRouter(tags=["accounts"])
    brake = Brake()
    admin = Annotated[Principal, Depends(identity.may(Role.ADMIN))]

    @router.get("/v1/users")
    async def users(principal: admin) -> dict[str, Any]:
        return {"data": [asdict(account) for account in await asyncio.to_thread(accounts.list)]}

    @router.post("/v1/users", status_code=201)
    async def add(body: NewUser, principal: admin) -> dict[str, str]:
        made = await asyncio.to_thread(accounts.add, principal, body.name, body.role, body.password)
        return {"name": made.name, "role": made.role}

    @router.patch("/v1/users/{name}")
    async def change(name: str, body: UserChange, principal: admin) -> dict[str, str]:
        """Change a role or password, suspend or restore; each is an event, and suspending ends sessions."""
        if body.role:
            await asyncio.to_thread(accounts.set_role, principal, name, body.role)
        if body.password:
            await asyncio.to_thread(accounts.set_password, principal, name, body.password)
        if body.suspended is not None:
            await asyncio.to_thread(accounts.suspend, principal, name, body.suspended)
        return {"name": name}

    @router.get("/login", response_model=None)
    async def sign_in_page(request: Request, next: str = "/chat/") -> Response:
        if not identity.login_needed:
            return RedirectResponse(_local(next), 303)
        return HTMLResponse(_form(_local(next), korean=_korean(request)))

    @router.post("/login", response_model=None)
    async def sign_in(
        request: Request,
        name: Annotated[str, Form(max_length=64)],
        password: Annotated[str, Form(max_length=1024)],
        next: Annotated[str, Form()] = "/chat/",
    ) -> Response:
        client = request.client.host if request.client else ""
        principal = await brake.check(f"{name}\n{client}", lambda: accounts.verify(name, password))
        if principal is None:
            return HTMLResponse(_form(_local(next), korean=_korean(request), wrong=True), 401)
        token = await asyncio.to_thread(accounts.open_session, principal, identity.session_days)
        answer = RedirectResponse(_local(next), 303)
        secure = request.url.scheme == "https"
        seconds = identity.session_days * 86_400
        answer.set_cookie(COOKIE, token, max_age=seconds, httponly=True, samesite="lax", secure=secure)
        return answer

    @router.post("/logout", response_model=None)
    async def sign_out(request: Request) -> Response:
        token = request.cookies.get(COOKIE)
        if token:
            await asyncio.to_thread(accounts.end_session, token)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    return router


def _local(target: str) -> str:
    """The target if it is a path of this site, else the chat: a link must not lead elsewhere."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/chat/"


def _korean(request: Request) -> bool:
    chosen = request.cookies.get("lang") or request.headers.get("accept-language", "")
    return chosen.lower().startswith("ko")


_WORDS = {
    False: ("Sign in", "Name", "Password", "That name and password do not match.", "en"),
    True: ("로그인", "이름", "비밀번호", "이름과 비밀번호가 맞지 않습니다.", "ko"),
}


def _form(target: str, *, korean: bool, wrong: bool = False) -> str:
    title, name, password, mismatch, lang = _WORDS[korean]
    note = f"<p role='alert'>{mismatch}</p>" if wrong else ""
    return f"""<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>Hone</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, "Noto Sans KR", sans-serif }}
body {{ display: grid; place-items: center; min-height: 90vh; margin: 0 }}
form {{ display: grid; gap: .75rem; width: min(20rem, 90vw) }}
input, button {{ font: inherit; padding: .6rem; border-radius: .5rem; border: 1px solid #888; width: 100%;
  box-sizing: border-box }} button {{ background: #4f46e5; color: #fff; border: 0 }} p {{ color: #dc2626 }}
</style></head><body><form method="post" action="/login"><h1>Hone</h1>{note}
<label>{name}<input name="name" autocomplete="username" required autofocus></label>
<label>{password}<input name="password" type="password" autocomplete="current-password" required></label>
<input type="hidden" name="next" value="{html.escape(target)}"><button>{title}</button>
</form></body></html>"""

"""Signing in and out: with a password, at a provider, or by a link that an admin sent.

Trail: serve/web.py -> here -> serve/oidc.py, feedback/accounts.py, feedback/invitations.py
"""

import asyncio
import base64
import json
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from feedback import audit
from feedback.errors import HoneError, NotAllowed, NotFound, SignInRefused
from feedback.invitations import Invitations
from feedback.records import Principal
from serve.api import forms
from serve.brake import Brake
from serve.identity import COOKIE, Identity
from serve.oidc import Oidc, Pending
from serve.parts import Parts

LEFT = "hone_sign_in"
"""The cookie of who is at the provider. Not signed: it holds only what its own browser may know, and a forged
one is worth no more than one's own, since state, nonce and verifier must fit what the provider answers."""
AWAY_SECONDS = 600
Text = Annotated[str, Form(max_length=1024)]


def routes(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["accounts"], include_in_schema=False)
    door = _Door(parts.identity)
    invitations = Invitations(parts.store)

    def stopped(who: str, client: str) -> None:
        """Whose password is being guessed goes into the audit log; a name that is nobody's does not."""
        with suppress(NotFound):
            account = parts.accounts.principal(who)
            audit.record(parts.store, "hone", "sign_in.stopped", account.name, address=client)

    def told(who: str, client: str) -> None:
        asyncio.get_running_loop().run_in_executor(None, stopped, who, client)

    brake = Brake(stopped=told)

    @router.get("/login", response_model=None)
    async def sign_in_page(request: Request, next: str = "/chat/", out: bool = False) -> Response:
        if not parts.identity.login_needed:
            return RedirectResponse(local(next), 303)
        return forms.html(door.page(request, next, left=await door.leaving(request) if out else None))

    @router.post("/login", response_model=None)
    async def sign_in(
        request: Request, name: Annotated[str, Form(max_length=64)], password: Text, next: Text = "/chat/"
    ) -> Response:
        if not door.passwords:
            refused = NotAllowed("Passwords open nothing here.", "Sign in as the sign-in page says.")
            return forms.html(door.page(request, next, wrong=forms.Form(request).trouble(refused)), 403)
        verify = parts.accounts.verify
        principal = await brake.check(name, lambda: verify(name, password), client=_client(request))
        if principal is None:
            wrong = forms.Form(request).say("mismatch")
            return forms.html(door.page(request, next, wrong=wrong), 401)
        return await door.enter(request, principal, next)

    @router.post("/logout", response_model=None)
    async def sign_out(request: Request) -> Response:
        token = request.cookies.get(COOKIE)
        if token:
            await asyncio.to_thread(parts.accounts.end_session, token)
        answer = RedirectResponse("/login?out=1", 303)
        answer.delete_cookie(COOKIE)
        return answer

    @router.get("/login/oidc", response_model=None)
    async def to_provider(request: Request, next: str = "/chat/", token: str = "") -> Response:
        pending = Pending()
        try:
            if token and not _from_its_page(request, token):
                raise NotAllowed(
                    "Only the link's own page leads to the provider with it.",
                    "Open the link and go on from there.",
                )
            url = await door.provider().leave(pending, _back(request))
        except HoneError as error:
            return _failed(request, error)
        answer = RedirectResponse(url, 303)
        kept = json.dumps(asdict(pending) | {"next": local(next), "token": token[:64]})
        answer.set_cookie(
            LEFT,
            base64.urlsafe_b64encode(kept.encode()).decode(),
            max_age=AWAY_SECONDS,
            path="/login",
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    @router.get("/login/oidc/back", response_model=None)
    async def from_provider(request: Request) -> Response:
        client = _client(request)
        try:
            brake.refuse_early("", client)
            pending, target, token = _kept(request)
            who = await door.provider().come_back(pending, _back(request), request.query_params)
            admit, make = door.elsewhere.identities.admit, door.elsewhere.make
            principal = await asyncio.to_thread(admit, who, make=make, token=token)
            answer = await door.enter(request, principal, target)
        except HoneError as error:
            brake.failed("", client)
            answer = _failed(request, error)
        answer.delete_cookie(LEFT, path="/login")
        return answer

    @router.get("/join/{token}", response_model=None)
    async def link(request: Request, token: str) -> Response:
        try:
            return forms.html(await door.joining(request, invitations, token))
        except HoneError as error:
            return _failed(request, error)

    @router.post("/join/{token}", response_model=None)
    async def use_link(request: Request, token: str, name: Text, password: Text) -> Response:
        try:
            # A link that holds no more is refused before a password costs anything.
            await asyncio.to_thread(invitations.look, token)
            door.may_use_passwords()
            redeem = invitations.redeem
            made = await brake.check("", lambda: redeem(token, name, password), client=_client(request))
        except NotFound as error:
            return _failed(request, error)
        except HoneError as error:
            wrong = forms.Form(request).trouble(error)
            return forms.html(await door.joining(request, invitations, token, wrong, name), error.status)
        return await door.enter(request, made, "/chat/")

    return router


class _Door:
    """What one Hone offers to who wants in."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._elsewhere = identity.elsewhere
        self.passwords = self._elsewhere.passwords if self._elsewhere else True

    @property
    def elsewhere(self) -> Any:
        return self._elsewhere

    def provider(self) -> Oidc:
        if self._elsewhere is None or self._elsewhere.oidc is None:
            raise NotFound("No sign-in provider is set.", "Sign in with a password.")
        return self._elsewhere.oidc

    @property
    def _title(self) -> str:
        return self._elsewhere.title if self._elsewhere and self._elsewhere.oidc else ""

    def may_use_passwords(self) -> None:
        if not self.passwords:
            raise NotAllowed("Passwords open nothing here.", "Use the link with the sign-in provider.")

    def page(self, request: Request, target: str, *, left: str | None = None, wrong: str = "") -> str:
        form = forms.Form(request)
        return form.sign_in(
            local(target), passwords=self.passwords, provider=self._title, left=left, wrong=wrong
        )

    async def joining(
        self, request: Request, invitations: Invitations, token: str, wrong: str = "", typed: str = ""
    ) -> str:
        link = await asyncio.to_thread(invitations.look, token)
        form = forms.Form(request)
        new = link.role is not None
        return form.join(token, account=link.account, new=new, provider=self._title, wrong=wrong, typed=typed)

    async def leaving(self, request: Request) -> str:
        """Where one signs out elsewhere too, if anywhere."""
        if self._elsewhere is None:
            return ""
        try:
            oidc = self._elsewhere.oidc
            return (
                await oidc.sign_out(str(request.url_for("sign_in_page"))) if oidc else self._elsewhere.leave
            )
        except HoneError:
            return self._elsewhere.leave

    async def enter(self, request: Request, principal: Principal, target: str) -> Response:
        """Open a session and go where somebody wanted to go."""
        days = self._identity.session_days
        token = await asyncio.to_thread(self._identity.accounts.open_session, principal, days)
        answer = RedirectResponse(local(target), 303)
        let_in(answer, request, token, days)
        return answer


def let_in(answer: Response, request: Request, token: str, days: int) -> None:
    """Hand a session to the browser."""
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, token, max_age=days * 86_400, httponly=True, samesite="lax", secure=secure)


def local(target: str) -> str:
    """The target if it is a path of this site, else the chat: a link must not lead elsewhere."""
    try:
        split = urlsplit(target)
    except ValueError:
        return "/chat/"
    own = target.startswith("/") and target.isprintable() and "\\" not in target
    return target if own and not split.scheme and not split.netloc and target[:2] != "//" else "/chat/"


def _kept(request: Request) -> tuple[Pending, str, str]:
    """What the browser brought back: what was pending, where it wanted to go, and a link's token."""
    try:
        kept = json.loads(base64.urlsafe_b64decode(request.cookies[LEFT]))
        pending = Pending(kept["state"], kept["nonce"], kept["verifier"])
        if not all(isinstance(part, str) and len(part) >= 32 for part in asdict(pending).values()):
            raise ValueError("not what was handed out")
        return pending, local(str(kept["next"])), str(kept["token"])
    except (KeyError, ValueError, TypeError, RecursionError):
        raise SignInRefused(
            "The sign-in did not succeed: it was not started in this browser, or too long ago.",
            "Start it again from the sign-in page.",
        ) from None


def _from_its_page(request: Request, token: str) -> bool:
    """Whether the link's own page led here, which says what it is for.

    Another site, or words left in a chat, could tie who follows them to an account of their own choice.
    """
    # Browsers tell the site only over https and on their own machine.
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    page = f"{request.url.scheme}://{request.headers.get('host')}/join/{token}"
    return request.headers.get("referer") == page


def _back(request: Request) -> str:
    return str(request.url_for("from_provider"))


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


def _failed(request: Request, error: HoneError) -> Response:
    form = forms.Form(request)
    return forms.html(form.message(form.trouble(error)), error.status)

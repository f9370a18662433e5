"""The settings of signing in as what the server is given.

Trail: hone/app.py -> here -> serve/identity.py, serve/elsewhere.py
"""

from feedback.accounts import Accounts
from feedback.identities import Identities
from feedback.keys import Keys
from feedback.store import Store
from hone.home import Home
from hone.secret_files import secret
from hone.settings import Settings
from serve.elsewhere import Elsewhere, ProxyHeaders
from serve.identity import Identity
from serve.oidc import Client, Oidc


def identity(settings: Settings, store: Store, accounts: Accounts, home: Home) -> Identity:
    """Who is who in this home; without a login everyone is its first admin."""
    auth = settings.auth
    admin = accounts.first_admin_name() if auth.login == "none" else None
    return Identity(
        accounts,
        token=home.secret("token"),
        anyone=accounts.principal(admin) if admin else None,
        session_days=auth.session_days,
        keys=Keys(store),
        elsewhere=_elsewhere(settings, store),
        requests_per_minute=auth.requests_per_minute,
    )


def proxy_headers(settings: Settings) -> tuple[str, ...]:
    """The headers that only a trusted proxy may send."""
    auth = settings.auth
    if auth.login != "proxy":
        return ()
    return tuple(name for name in (auth.proxy_header, auth.proxy_groups_header) if name)


def _elsewhere(settings: Settings, store: Store) -> Elsewhere | None:
    auth = settings.auth
    if auth.login not in ("oidc", "proxy"):
        return None
    proxy = ProxyHeaders(auth.proxy_header, auth.proxy_groups_header, auth.roles)
    return Elsewhere(
        Identities(store),
        passwords=auth.passwords,
        make=auth.accounts == "all",
        oidc=Oidc(_client(settings)) if auth.login == "oidc" else None,
        title=settings.oidc.title,
        proxy=proxy if auth.login == "proxy" else None,
        leave=auth.sign_out_url,
    )


def _client(settings: Settings) -> Client:
    oidc = settings.oidc
    return Client(
        oidc.issuer,
        oidc.client_id,
        secret(oidc, "client_secret"),
        scopes=oidc.scopes,
        name_claim=oidc.name_claim,
        role_claim=oidc.role_claim,
        roles=settings.auth.roles,
    )

"""Who may sign in without a password of ours: by a provider, or by a proxy that says who it let through.

Trail: serve/identity.py, serve/api/sign_in.py -> here -> feedback/identities.py
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from feedback.errors import NotSignedIn
from feedback.identities import Identified, Identities
from feedback.records import Principal, Role
from serve.oidc import Oidc, role_of

PROXY = "proxy"
"""The issuer of those whom the proxy names."""
MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class ProxyHeaders:
    """The header in which the proxy names who it let through, and the one with their groups."""

    user: str
    groups: str = ""
    roles: Mapping[str, Role] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The ways in besides passwords. `make`: who has no account yet gets one; else only with a link."""

    identities: Identities
    passwords: bool = True
    make: bool = False
    oidc: Oidc | None = None
    title: str = ""
    proxy: ProxyHeaders | None = None
    leave: str = ""

    def named(self, headers: Mapping[str, str]) -> Principal | None:
        """Whom the proxy names; the doors refuse its header from anybody else.

        Raises:
            NotAllowed: They have no account here, or it is suspended.
        """
        if self.proxy is None:
            return None
        name = headers.get(self.proxy.user, "")
        if not name:
            return None
        if len(name) > MAX_NAME or not name.isprintable():
            raise NotSignedIn("The proxy's name for you is not usable.", "An operator checks the proxy.")
        role = None
        if self.proxy.groups:
            groups = [group.strip() for group in headers.get(self.proxy.groups, "").split(",")]
            role = role_of(groups, self.proxy.roles)
        return self.identities.admit(Identified(PROXY, name, name, role), make=self.make)

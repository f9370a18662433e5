"""The one place where the parts meet: builds them from the settings, starts and stops them in order.

Trail: hone/up.py, hone/client.py -> here -> serve/web.py, hone/tuning.py
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import FastAPI

from feedback import accounts as accounts_
from feedback import whole
from feedback.accounts import Accounts
from feedback.assistants import Assistants
from feedback.exchanges import Exchanges
from feedback.ledger import Ledger
from feedback.policy import Policy
from feedback.records import Sampling
from feedback.store import Store
from hone import backups, demo, login
from hone.engines import Engines
from hone.erasing import Erasing
from hone.home import REVIEW_SALT, Home, HomeLock
from hone.housekeeping import Housekeeping
from hone.notices.keeper import Keeper
from hone.policy import policy
from hone.proposing import Proposing
from hone.sections import LOOPBACK, PACKAGED
from hone.server_verbs import ServerVerbs
from hone.settings import Settings
from hone.teacher import teacher
from hone.tuning import Tuning
from serve.api import erase, lineage, notices, proposals, search
from serve.comparing import Comparing
from serve.conversation import Conversations
from serve.metrics import Metrics
from serve.parts import Parts
from serve.router import Router
from serve.web import build
from tuner import registry


class Hone:
    """Everything of one home in one process. Building it opens the store; serving starts the rest."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        *,
        pages: bool = True,
        lock: HomeLock | None = None,
        at_end: Callable[[], object] = lambda: None,
    ) -> None:
        """Engine and tuner start when the web application is served; called in-process, it has neither.

        `lock` is the home's, where the caller holds it already. `at_end` is called last when serving ends,
        since the server then ends the process by the signal that it was given.
        """
        self._at_end = at_end
        self.home = home
        self.settings = settings
        home.prepare()
        self.lock = lock or HomeLock(home)
        try:
            backups.finish(home)
            self.metrics = Metrics()
            self.store = Store(home.store, committed=self.metrics.committed)
        except BaseException:
            self.lock.release()
            raise
        self.engines = Engines(home, settings, self._engine_ready)
        self.supervisor = self.engines.supervisor
        self.router = Router(
            self.engines.engine,
            home.desired,
            verify=lambda version, base: registry.usable(home.folder, version, base),
            secret=home.secret("salt"),
        )
        self.ledger = Ledger(self.store)
        verbs = ServerVerbs(self.engines.engine, self.router, self.engines.embedder)
        self.tuning = Tuning(home, settings, self.store, self.ledger, verbs)
        keep = settings.store
        self.housekeeping = Housekeeping(
            home, self.store, unrated_days=keep.unrated_days, hour=keep.tidy_hour
        )
        self.notices = self._notices()
        self.erasing = self._erasing()
        self.proposing = Proposing(
            self.store, verbs, live=self.router.live, teacher=teacher(settings.teacher)
        )
        self.exchanges = Exchanges(self.store)
        self.assistants = Assistants(self.store)
        self.accounts = Accounts(self.store)
        self.new_password = self._first_admin()
        parts = self._parts()
        self.web = build(
            parts,
            hosts=_hosts(settings),
            proxies=settings.web.trusted_proxies,
            proxy_headers=login.proxy_headers(settings),
            lifespan=self._lifespan,
            pages=pages,
        )
        self._add_routes(parts)

    def _add_routes(self, parts: Parts) -> None:
        """Those that need more than the parts."""
        index = self.housekeeping.search
        for routes in (
            demo.routes(parts.identity, self.store),
            self.housekeeping.routes(parts.identity),
            erase.routes(parts.identity, self.erasing),
            lineage.routes(parts.identity, self.store),
            proposals.routes(parts, self.proposing),
            notices.routes(parts.identity, self.notices),
            search.routes(parts.identity, self.store, parts.policy, index),
        ):
            self.web.include_router(routes)

    def _parts(self) -> Parts:
        chat = self.settings.chat
        conversations = Conversations(
            self.exchanges,
            self.assistants,
            self.router,
            sampling=Sampling(chat.temperature, chat.top_p, chat.max_tokens),
            max_prompt_chars=chat.max_prompt_chars,
            max_running=chat.max_running,
            metrics=self.metrics,
        )
        comparing = Comparing(
            self.store,
            conversations,
            self.router,
            share=chat.compare_share,
            before=lambda assistant: [self.ledger.previous(assistant).version],
        )
        return Parts(
            self.store,
            self.accounts,
            self.assistants,
            self.exchanges,
            login.identity(self.settings, self.store, self.accounts, self.home),
            self.router,
            self.supervisor,
            conversations,
            comparing,
            self.tuning,
            self.erasing,
            policy(self.settings.curation),
            self._policy(),
            self.metrics,
            self.notices,
            self.housekeeping.search,
            self.settings.model.name == PACKAGED and not self.settings.engine.urls,
        )

    def _notices(self) -> Keeper:
        def up() -> bool:
            return self.supervisor.state == "ready"

        return Keeper(self.settings.notices, self.store, self.home.outbox, engine_up=up, metrics=self.metrics)

    def _erasing(self) -> Erasing:
        """Erasures, once those that a killed process left behind are finished."""
        policy = self.settings.erasure.affected_versions
        index = self.housekeeping.search
        erasing = Erasing(self.store, self.home.folder, self.router, self.tuning, index, policy=policy)
        erasing.resume()
        return erasing

    def _policy(self) -> Policy:
        asked = self.settings.review
        return Policy(
            lease=timedelta(minutes=asked.claim_minutes),
            trusted_after=asked.trusted_after,
            second_share=asked.second_share,
            salt=self.home.secret(REVIEW_SALT),
        )

    def _first_admin(self) -> str | None:
        """Make the first admin where there is none; the password is kept in a private file, once."""
        _, password = accounts_.first_admin(self.store)
        if password:
            whole.write(self.home.password_file, password + "\n", private=True)
        return password

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(self.exchanges.cut_unfinished)
        await self.housekeeping.start()
        await self.engines.start()
        await self.tuning.start()
        await self.notices.start()
        self.erasing.serving = True
        try:
            yield
        finally:
            await self.notices.stop()
            await self.erasing.settled()
            await self.tuning.stop()
            await self.engines.stop()
            await self.housekeeping.stop()
            await asyncio.to_thread(self._at_end)

    async def _engine_ready(self) -> None:
        await self.router.reconcile()
        await self.tuning.engine_ready()

    def close(self) -> None:
        """Close the store and give the home back."""
        self.store.close()
        self.lock.release()


def _hosts(settings: Settings) -> tuple[str, ...]:
    """The Host names to answer under; none means any, which only a login makes safe."""
    if settings.web.host not in LOOPBACK and not settings.web.allowed_hosts:
        return ()
    return (*LOOPBACK, settings.web.host, *settings.web.allowed_hosts)

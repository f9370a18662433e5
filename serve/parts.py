"""What the routes and pages are given: the parts of a running Hone, already built."""

from dataclasses import dataclass, field

from feedback import screen
from feedback.accounts import Accounts
from feedback.assistants import Assistants
from feedback.exchanges import Exchanges
from feedback.policy import Policy
from feedback.search import Search
from feedback.store import Store
from serve.comparing import Comparing
from serve.conversation import Conversations
from serve.erasing import Erasing
from serve.identity import Identity
from serve.metrics import Metrics
from serve.notices import Notices
from serve.operations import Operations
from serve.router import Router
from serve.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Parts:
    store: Store
    accounts: Accounts
    assistants: Assistants
    exchanges: Exchanges
    identity: Identity
    router: Router
    supervisor: Supervisor
    conversations: Conversations
    comparing: Comparing
    operations: Operations
    erasing: Erasing
    curation: screen.Policy = field(default_factory=screen.Policy)
    policy: Policy = field(default_factory=Policy)
    metrics: Metrics = field(default_factory=Metrics)
    notices: Notices | None = None
    search: Search | None = None
    packaged_model: bool = False
    """Whether the small model answers that comes with Hone, which people are told."""

    @property
    def most_tokens(self) -> int:
        """The longest prompt that leaves room for an answer, by what the engine says it reads, or 0."""
        reads = int(self.supervisor.facts.get("max_context") or 0)
        return max(reads - self.conversations.sampling.max_tokens, 1) if reads else 0

"""What each step of a run does: it reads the files before it and leaves its own, last.

A step whose file is there is never taken again, and each may be taken twice without harm, since a kill
can fall between its work and its file. Knows neither their order nor how a run ends: that is the cycle's.

Trail: tuner/cycle.py -> here -> feedback/snapshot.py, feedback/disputes.py, tuner/child.py, tuner/prove.py,
    tuner/evaluate.py, tuner/examine.py, tuner/gate.py, tuner/launch.py
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from feedback import affected, disputes, pairs, sides, snapshot
from feedback.assistants import Assistants
from feedback.curate import Curated, curate
from feedback.errors import HoneError
from feedback.ledger import Ledger
from feedback.records import Pair, Principal, Role, VersionState, now
from feedback.screen import Policy
from feedback.store import Store
from tuner import account, bases, child, recall, registry
from tuner.evaluate import evaluate
from tuner.examine import examine
from tuner.gate import Decision, Rules, Verdict, gate
from tuner.history import History
from tuner.job import Job, NothingToLearn
from tuner.judge import Ask, judged
from tuner.launch import Launch
from tuner.launchers.base import Launcher
from tuner.launchers.local import Local
from tuner.plan import LONGEST_PAIR, design, read_json, read_lines, write_json, write_lines
from tuner.prove import prove
from tuner.registry import Card
from tuner.rollout import Rollout
from tuner.scorecard import GeneralItem, Scorecard
from tuner.server import Server
from tuner.tokens import token_counter
from tuner.told import Told


class Steps:
    """The steps of one home's runs."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        server: Server,
        rollout: Rollout | Launch,
        home: Path,
        *,
        salt: str,
        threads: int = 1,
        launcher: Launcher | None = None,
        max_tokens: int = LONGEST_PAIR,
        rules: Rules | None = None,
        plan: Mapping[str, Any] | None = None,
        general_items: int = 0,
        engine: str = "",
        policy: Policy | None = None,
        judge: Ask | None = None,
    ) -> None:
        """`plan` overrides single fields of the recipe; `engine` says in words what answers.

        Without a `launcher` the training is a child of this process.
        `judge` puts a prompt to a third model.
        """
        self._policy = policy or Policy()
        self._store, self._ledger, self._server, self._rollout = store, ledger, server, rollout
        self._home, self._salt, self._rules = home, salt, rules or Rules()
        self._launcher = launcher
        self._general_items, self._engine = general_items, engine
        self._judge = judge
        self._plan = {"threads": threads, "max_tokens": max_tokens, **(plan or {})}

    @property
    def answered(self) -> int:
        """Tokens that the server answered the tuner with so far."""
        return self._server.answered

    async def snapshot(self, job: Job) -> None:
        """Freeze the approved pairs that are fit to learn from; those that contradict each other go back.

        Raises:
            NothingToLearn: No pair is left; says how many fell out and why.
        """
        curated = await self.curated(job.run.assistant)
        await asyncio.to_thread(disputes.send_back, self._store, curated.left_out)
        if not curated.groups:
            reasons = ", ".join(f"{n} {why}" for why, n in sorted(curated.dropped.items())) or "none approved"
            raise NothingToLearn(
                f"Of {curated.account['approved']} approved pairs none can be learnt from ({reasons}).",
                "Approve pairs on the review page, or import some.",
            )
        await asyncio.to_thread(
            affected.freeze,
            *(self._store, job.run.assistant, job.run.id, job.folder.snapshot, curated),
            salt=self._salt,
            principal=job.run.principal,
        )

    async def curated(self, assistant: str) -> Curated:
        """What an assistant's approved pairs come to, as of now."""
        longest = int(self._plan["max_tokens"])
        count = token_counter(await self._server.base_folder())
        return await asyncio.to_thread(self.curate, assistant, longest, count)

    def curate(self, assistant: str, max_tokens: int, count_tokens: Callable[[Pair], int]) -> Curated:
        """The same by any measure of length."""
        return curate(
            pairs.approved(self._store, assistant),
            max_tokens=max_tokens,
            count_tokens=count_tokens,
            policy=replace(self._policy, prompts=Assistants(self._store).prompts(assistant)),
            held=sides.recorded(self._store, assistant, salt=self._salt),
        )

    async def plan(self, job: Job) -> None:
        """Write down every hyperparameter, and which version is to be beaten.

        Raises:
            NothingToLearn: All pairs are on the other sides.
        """
        frozen = await asyncio.to_thread(snapshot.load, job.folder.snapshot)
        if not frozen.train:
            raise NothingToLearn(
                f"All {len(frozen.dev) + len(frozen.gate)} approved pairs are kept back for judging.",
                "Approve a few pairs more.",
            )
        base = await self._server.base_folder()
        live = await asyncio.to_thread(self._ledger.live, job.run.assistant)
        settings = {**self._plan, "seed": job.run.number}
        if not live.is_base:
            settings["incumbent"] = str(registry.folder(self._home, live.version))
        job.folder.write_plan(design(base, len(frozen.train), **settings))

    async def recall(self, job: Job) -> None:
        """Have the base answer general questions, which training repeats; answers are kept for later runs."""
        plan = job.folder.read_plan()
        kept = self._home / "replay" / f"{await _named(plan.base)}.jsonl"
        wanted = recall.questions() if plan.replay_share else []
        answers = await recall.recall(self._server, job.base, wanted, kept)
        write_lines(job.folder.replay, answers)

    async def train(self, job: Job) -> None:
        launcher = self._launcher or Local(job.folder.read_plan().threads)
        await child.train(job.folder, launcher)

    async def register(self, job: Job) -> None:
        """Give the adapter its name for ever and copy it among the versions."""
        made = read_json(job.folder.trained)["digest"]
        frozen = await asyncio.to_thread(snapshot.load, job.folder.snapshot)
        plan = job.folder.read_plan()
        name = registry.version_name(job.run.assistant, job.run.number, made)
        card = Card(
            version=name,
            assistant=job.run.assistant,
            number=job.run.number,
            digest=made,
            base=Path(plan.base).name,
            run_id=job.run.id,
            snapshot_digest=frozen.digest,
            plan_digest=plan.digest,
            made_at=now().isoformat(timespec="seconds"),
            base_digest=await _named(plan.base),
        )
        folder = await asyncio.to_thread(registry.register, self._home, job.folder.adapter, card)
        await asyncio.to_thread(
            self._ledger.add_version,
            version=name,
            assistant=card.assistant,
            number=card.number,
            digest=made,
            folder=str(folder),
            run_id=job.run.id,
            principal=job.run.principal,
        )
        await self.settle(job, name, "candidate", "Trained; to be proved and judged.")
        write_json(job.folder.registered, {"version": name, "folder": str(folder), "digest": made})

    async def prove(self, job: Job) -> None:
        folder = registry.folder(self._home, job.version)
        probe = read_json(job.folder.probe)
        proof = await prove(self._server, job.version, job.base, folder, probe)
        write_json(job.folder.proof, proof.as_dict())

    async def evaluate(self, job: Job) -> None:
        """Let both versions answer what was kept back; the candidate is loaded again after a restart."""
        await self._server.load(job.version, registry.folder(self._home, job.version))
        general = await examine(
            *(self._server, self._home / "suite"),
            candidate=job.version,
            incumbent=job.incumbent,
            size=self._general_items,
            engine=self._engine,
        )
        write_json(job.folder.general, general.as_dict())
        frozen = await asyncio.to_thread(snapshot.load, job.folder.snapshot)
        history = await asyncio.to_thread(History, self._ledger, job.run)
        card = await evaluate(
            *(self._server, job.version, job.incumbent, frozen.gate),
            *(read_json(job.folder.scores), job.folder.answers),
            incumbent_is_base=job.incumbent == job.base,
            taught=(*frozen.train, *frozen.dev),
            model=f"{await _named(job.folder.read_plan().base)} {self._engine}".strip(),
            earlier=history.answers(),
            general=[
                GeneralItem(item.id, item.candidate, item.base, item.incumbent, item.base_share)
                for item in general.items
            ],
        )
        card = await judged(self._judge, self._store, job.run.assistant, card)
        write_json(job.folder.evaluation, card.as_dict())

    async def gate(self, job: Job) -> None:
        """Judge, and record scorecard and verdict."""
        card = Scorecard.from_dict(read_json(job.folder.evaluation))
        history = await asyncio.to_thread(History, self._ledger, job.run)
        look = await asyncio.to_thread(history.look, card.groups)
        verdict = gate(card, self._rules, look=look)
        before = await asyncio.to_thread(self._ledger.version, job.incumbent)
        if before.by_hand:
            verdict = verdict.noting(Told("by_hand_before", version=before.version, reason=before.by_hand))
        live = await asyncio.to_thread(self._ledger.live, job.run.assistant)
        if verdict.decision is Decision.PASS and live.version not in (job.incumbent, job.version):
            changed = Told("changed", version=live.version, incumbent=job.incumbent)
            verdict = Verdict(Decision.ABSTAIN, [changed, *verdict.reasons], verdict.numbers)
        await asyncio.to_thread(
            self._ledger.record_evaluation,
            run_id=job.run.id,
            version=job.version,
            incumbent=job.incumbent,
            scorecard={**card.as_dict(), "suite": job.folder.suite, "coded": verdict.coded},
            verdict=str(verdict.decision),
            reasons=verdict.reasons,
            principal=job.run.principal,
        )
        write_json(job.folder.verdict, verdict.as_dict())

    async def roll_out(self, job: Job) -> None:
        """Traffic where it passed; else out of memory, and marked with the reasons."""
        verdict = read_json(job.folder.verdict)
        reason = " ".join(verdict["reasons"])
        if verdict["decision"] == Decision.PASS:
            principal = Principal(job.run.principal, Role.OPERATOR)
            state = await self._rollout.begin(job.version, principal, reason, job.run.id)
        else:
            state = "refused" if verdict["decision"] == Decision.REFUSE else "abstained"
            await self.put_aside(job, state, reason)
        write_json(job.folder.rollout, {"version": job.version, "state": state})

    async def account(self, job: Job) -> None:
        """What the run cost, over all its attempts; a step that a kill cut short is not in it."""
        trained = read_json(job.folder.trained)
        write_json(job.folder.account, account.of(read_lines(job.folder.times), trained))

    async def put_aside(self, job: Job, state: VersionState, reason: str) -> None:
        """Mark the run's version and free its memory, unless the engine is away or slow to let go."""
        await self.settle(job, job.version, state, reason)
        try:
            await self._server.unload(job.version)
        except HoneError:
            return

    async def settle(self, job: Job, version: str, state: VersionState, reason: str) -> None:
        run = job.run
        await asyncio.to_thread(self._ledger.set_state, version, state, reason, run.principal, run.id)


async def _named(base: str) -> str:
    """A base's digest: what another model in the same folder said is not its answer."""
    return await asyncio.to_thread(bases.digest, Path(base))

"""The sections of `hone.toml` that say how it learns: when, where, and from which pairs.

Trail: hone/sections.py -> here
"""

from typing import Literal

from pydantic import Field

from feedback.private import KINDS, Kind
from feedback.suspect import Flag
from hone.sections import Section


class Tuner(Section):
    enabled: bool = Field(True, description="Whether the tuner may start runs by itself")
    check_minutes: float = Field(5, gt=0, description="Minutes between looks at whether a run is due")
    min_new_pairs: int = Field(50, ge=1, description="New approved pairs that make a run due")
    min_new_share: float = Field(0.10, ge=0, le=1, description="... or this share of all, where that is more")
    max_age_days: float = Field(30, gt=0, description="Days after which any new pair makes a run due")
    cooldown_hours: float = Field(
        6, ge=0, description="Hours between the end of a run and the next by itself"
    )
    quiet_hours: str = Field("", description="Local hours for runs by themselves, such as 22-6; empty: any")
    threads: int = Field(
        0,
        ge=0,
        description="CPU threads of the training child; 0 is all cores, shared by its processes",
    )
    processes: int = Field(1, ge=1, le=64, description="Processes that train together, such as one a GPU")
    max_tokens: int = Field(2048, ge=32, description="Longer pairs are skipped, never cut")
    replay_share: float = Field(
        0.15, ge=0, lt=0.9, description="Share of what is learnt that repeats the base's own answers"
    )
    salt: str = Field("", description="Decides which pairs judge; empty: a random one kept in the home")
    gate_margin: float = Field(0.05, gt=0, lt=0.5, description="How much worse than the live version passes")
    judge_url: str = Field(
        "", description="A third model that compares answers, at a private address; empty: none"
    )
    judge_model: str = Field("", description="Its name there")
    general_items: int = Field(
        120, ge=0, description="General questions that a version answers before it is judged; 0: none"
    )
    rollout: Literal["canary", "live"] = Field(
        "canary",
        description="canary: a version that passed goes from 5 to 25, 50 and 100 % of the conversations "
        "as thumbs allow; live: it answers all at once",
    )
    canary_days: float = Field(
        7, gt=0, description="Days that a canary may take; where thumbs are too few for that, live at once"
    )
    canary_hours: float = Field(
        12, ge=0, description="Least hours of a stage that goes on by the number of its ratings ..."
    )
    canary_ratings: int = Field(100, ge=1, description="... which is this, of the canary's conversations")
    canary_margin: float = Field(
        0.10, gt=0, lt=0.5, description="How much more often a thumb down is still no harm"
    )
    shadow_prompts: int = Field(
        20, ge=0, le=500, description="Recent prompts that a version answers unseen before anyone gets it"
    )
    drift: Literal["alarm", "rollback"] = Field(
        "alarm", description="What happens where the live version is thumbed down more than the one before"
    )


class Training(Section):
    launcher: Literal["local", "command", "kubernetes"] = Field(
        "local",
        description="Where runs are trained: local: this machine; command: by training.command; "
        "kubernetes: a Job",
    )
    accelerate: tuple[str, ...] = Field(
        (), description='Further options of `accelerate launch`, such as ["--gpu_ids", "0,1"]'
    )
    storage: str = Field(
        "",
        description="Where a run trained elsewhere has its files: s3://bucket/folder, or a folder that both "
        "machines have. Keys and endpoint come from AWS's variables or files, never from here",
    )
    base: str = Field("", description="The base model's folder on that machine; empty: the same as here")
    python: str = Field("python3", description="The Python on that machine that has Hone")
    command: tuple[str, ...] = Field(
        (),
        description='For command: its words, such as ["ssh", "node1", "{train}"]; {words}, {run}, {name} too',
    )
    image: str = Field("", description="For kubernetes: the image that has Hone")
    gpus: int = Field(0, ge=0, description="For kubernetes: GPUs of the Job")
    cpu: str = Field("2", description="For kubernetes: processors that the Job asks for")
    memory: str = Field("16Gi", description="For kubernetes: memory that the Job gets")
    claim: str = Field("", description="For kubernetes: a volume claim with storage, base model, or both")
    mount: str = Field("/var/lib/hone", description="For kubernetes: where that is mounted")
    secrets: tuple[str, ...] = Field(
        (), description="For kubernetes: Secrets that become the Job's variables, such as AWS's keys"
    )
    node_selector: tuple[str, ...] = Field(
        (), description='For kubernetes: labels of nodes, such as ["gpu=h100"]'
    )
    namespace: str = Field("", description="For kubernetes: the namespace; empty: that of kubectl's context")
    kubectl: tuple[str, ...] = Field(
        ("kubectl",), description="For kubernetes: the command and its options, such as a context"
    )


class Curation(Section):
    block: tuple[Kind | Flag, ...] = Field(
        KINDS, description="What leaves a pair out; also injection, markup, refusal, other_script"
    )
    redact: tuple[Kind, ...] = Field(
        (), description="What is replaced by its kind, such as [email], instead; the rest is only flagged"
    )
    allowed: tuple[str, ...] = Field(
        (), description="Texts that are nobody's secret, such as a public address of the house"
    )
    contributor_share: float = Field(
        0.05, gt=0, lt=1, description="Most of the pairs that one contributor may give (5 at least)"
    )
    reviewer_share: float = Field(
        0.40, gt=0, le=1, description="Most of the pairs that one reviewer may approve"
    )

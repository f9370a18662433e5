"""The sections of `hone.toml`: each setting once, with its default and what it means.

Trail: hone/settings.py -> here -> hone/learning_sections.py
"""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from feedback.records import MAX_ASKED, Role

PACKAGED = "smollm2-135m"
"""The default model, which comes as a package."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""What names this machine to itself."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Web(Section):
    host: str = Field("127.0.0.1", description="Address to listen on; beyond loopback needs a login")
    port: int = Field(7860, ge=1, le=65535, description="Port of the pages and the API")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Further Host names that browsers may use, such as chat.example.org"
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description="Addresses whose X-Forwarded-* headers are believed; from others they are refused"
    )


class Auth(Section):
    login: Literal["none", "local", "oidc", "proxy"] = Field(
        "none",
        description="none: everyone who reaches the loopback address is the first admin; local: accounts "
        "with passwords; oidc: a provider signs people in; proxy: one that stands before Hone does",
    )
    session_days: int = Field(14, ge=1, le=365, description="Days until a sign-in expires")
    passwords: bool = Field(
        True, description="Whether passwords open accounts too, where login is oidc or proxy"
    )
    accounts: Literal["invited", "all"] = Field(
        "invited",
        description="Who of those that the provider or the proxy lets in has an account here: who was sent a "
        "link, or all, from their first sign-in on",
    )
    roles: dict[str, Role] = Field(
        {}, description="Groups of the provider or the proxy and their roles; who is in none is a user"
    )
    proxy_header: str = Field(
        "X-Forwarded-User", description="Header in which a trusted proxy names who it let through"
    )
    proxy_groups_header: str = Field(
        "", description="Header with their groups, separated by commas; empty: roles are given in Hone"
    )
    sign_out_url: str = Field(
        "", description="Where one signs out of the proxy too; offered after signing out"
    )
    requests_per_minute: int = Field(
        600, ge=0, description="Requests to the API that one account may send a minute; 0: no limit"
    )


class Oidc(Section):
    issuer: str = Field("", description="The provider, as it names itself: https://id.example.org/realms/x")
    client_id: str = Field("", description="Hone's name at the provider")
    client_secret: SecretStr = Field(
        "", validate_default=True, description="Hone's secret there; best as a variable. Empty: PKCE alone"
    )
    client_secret_file: str = Field("", description="File that holds that secret")
    title: str = Field("single sign-on", description="What the sign-in page calls the provider")
    scopes: str = Field("openid profile", description="What is asked of the provider")
    name_claim: str = Field(
        "preferred_username", description="Claim that a new account's name is made from; it identifies nobody"
    )
    role_claim: str = Field(
        "",
        description="Claim with groups, such as realm_access.roles: auth.roles decides at each sign-in. "
        "Empty: roles are given in Hone",
    )


class Model(Section):
    name: str = Field(
        PACKAGED, description="Base model: the packaged default, a folder, or a Hugging Face id"
    )


class Engine(Section):
    kind: Literal["hone", "vllm", "tgi"] = Field(
        "hone", description="hone: the embedded engine; vllm, tgi: servers of that kind at engine.urls"
    )
    urls: tuple[str, ...] = Field(
        (), description="Addresses of engines that run apart; empty: `hone up` starts the embedded one"
    )
    api_key: SecretStr = Field(
        "", validate_default=True, description="Key that engines at engine.urls ask for; best as a variable"
    )
    api_key_file: str = Field("", description="File that holds that key")
    ca_file: str = Field(
        "", description="Certificates of authorities that vouch for https engines, beside the machine's own"
    )
    silence: float = Field(120, gt=0, description="Seconds without a word before an answer counts as cut")
    restart_command: tuple[str, ...] = Field(
        (),
        description="For tgi: restarts it with LORA_ADAPTERS={adapters}; {version}, {folder}, {url} too",
    )
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="Number format of the weights; auto measures this machine once"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the model runs")
    threads: int = Field(0, ge=0, description="CPU threads of the engine; 0 is the number of physical cores")
    max_context: int = Field(4096, ge=64, description="Longest prompt plus answer, in tokens")
    max_active: int = Field(
        16, ge=1, description="Answers given at once; fewer where memory has no room for so many"
    )
    max_queue: int = Field(
        64, ge=1, description="Answers that wait beyond those, before others are told to retry"
    )
    max_seconds: float = Field(600, gt=0, description="Longest that one answer may take")
    prefix_mib: int = Field(
        256, ge=0, description="MiB kept of finished answers, so that a next turn reads only what is new"
    )
    slots: int = Field(
        8, ge=3, description="Versions held at once; for vllm at most its --max-loras and --max-cpu-loras"
    )
    start_timeout: float = Field(
        300, gt=0, description="Seconds an engine may take to load its model or to restart"
    )


class Chat(Section):
    temperature: float = Field(0.7, ge=0, le=2, description="0 is greedy")
    top_p: float = Field(0.95, gt=0, le=1, description="Share of probability that sampling considers")
    max_tokens: int = Field(512, ge=1, description="Longest answer, in tokens")
    compare_share: float = Field(
        0.03,
        ge=0,
        le=1,
        description="Share of chat messages that get two answers to choose from, without their versions' "
        "names; never in a conversation that may not be learnt from. 0: none",
    )
    max_running: int = Field(4, ge=1, description="Answers that one person may have running at once")
    max_prompt_chars: int = Field(
        100_000,
        ge=100,
        le=MAX_ASKED,
        description="Longest chat, in characters: a message with all that was said before it",
    )


class Review(Section):
    claim_minutes: float = Field(
        10, gt=0, le=1440, description="Minutes that a reviewer keeps an exchange without a sign of life"
    )
    trusted_after: int = Field(
        10, ge=0, description="Approved pairs after which a contributor's next need one reviewer, not two"
    )
    second_share: float = Field(
        0.10,
        ge=0,
        le=1,
        description="Share of exchanges that two reviewers judge, so that they can be compared",
    )


class Store(Section):
    unrated_days: int = Field(
        0, ge=0, description="Days after which exchanges that nobody rated are deleted; 0 keeps them for ever"
    )
    tidy_hour: int = Field(4, ge=0, le=23, description="Local hour at which that happens")


class Erasure(Section):
    affected_versions: Literal["keep", "stop"] = Field(
        "keep", description="Versions that learnt from erased words: keep serving until rebuilt, or stop"
    )


class Teacher(Section):
    url: str = Field(
        "",
        description="OpenAI-compatible server that proposes answers, such as https://host/v1; empty: none. "
        "Questions with all that was said before them, system prompt included, are sent there: only of "
        "conversations that may be learnt from, and never where personal data or secrets are found in them",
    )
    model: str = Field("", description="The teacher's model")
    api_key: SecretStr = Field(
        "", validate_default=True, description="Key that the teacher asks for; best as a variable"
    )
    max_tokens: int = Field(512, ge=1, description="Longest answer of the teacher, in tokens")
    timeout: float = Field(120, gt=0, description="Seconds that the teacher may take for an answer")


NoticeKind = Literal[
    "run_failed",
    "run_abstained",
    "run_refused",
    "canary",
    "live",
    "rolled_back",
    "drift",
    "engine_down",
    "engine_back",
    "queue_growing",
    "erasure_asked",
]


class Notices(Section):
    webhooks: tuple[str, ...] = Field(
        (),
        description="Addresses that notices are posted to, signed as in the Standard Webhooks specification; "
        "best as a variable where an address is itself a secret",
    )
    secret: SecretStr = Field(
        "",
        validate_default=True,
        description="Signs them: whsec_ and 24 to 64 bytes in base64; best as a variable. Empty: not signed",
    )
    secret_file: str = Field("", description="File that holds that secret")
    kinds: tuple[NoticeKind, ...] = Field(get_args(NoticeKind), description="What is told of")
    language: Literal["en", "ko"] = Field("en", description="Language of notices")
    public_url: str = Field(
        "", description="Address at which people open Hone, such as https://chat.example.org, for links"
    )
    queue: int = Field(
        200, ge=1, description="Exchanges that wait for review before it is told, and again when they doubled"
    )
    engine_seconds: float = Field(120, ge=0, description="Seconds without an engine before it is told")
    mail_to: tuple[str, ...] = Field((), description="Who gets notices by e-mail; empty: nobody")
    mail_from: str = Field("", description="Sender of those")
    smtp_host: str = Field("", description="Server that sends them")
    smtp_port: int = Field(587, ge=1, le=65535, description="Its port")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection to it is kept secret; none carries no password"
    )
    smtp_user: str = Field("", description="Name that Hone signs in with there; empty: it does not")
    smtp_password: SecretStr = Field(
        "", validate_default=True, description="Its password; best as a variable"
    )
    smtp_password_file: str = Field("", description="File that holds that password")


class Observe(Section):
    log: Literal["plain", "json"] = Field(
        "plain",
        description="plain: lines for a person; json: one object a line, with one for each request and turn",
    )
    traces: str = Field(
        "", description="OTLP collector that spans are sent to, such as http://127.0.0.1:4318; empty: none"
    )
    traces_share: float = Field(1.0, gt=0, le=1, description="Share of the traces that is sent")

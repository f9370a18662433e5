"""Every knob of Hone, once: `hone.toml` in the home, with `HONE_SECTION__KEY` variables over it.

What a person may set has its default in `hone/sections.py` and `hone/learning_sections.py`; the layers below
take plain parameters and never see this file. Unknown keys are refused with the nearest known name; all
faults are reported together.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from feedback.errors import SettingsError
from hone import training
from hone.learning_sections import Curation, Training, Tuner
from hone.notices.checks import contradictions as notice_contradictions
from hone.secret_files import twice
from hone.sections import (
    LOOPBACK,
    Auth,
    Chat,
    Engine,
    Erasure,
    Model,
    Notices,
    Observe,
    Oidc,
    Review,
    Store,
    Teacher,
    Web,
)

# Variables that name a place or pass a secret to a child; they are not settings.
NOT_SETTINGS = {
    *("HONE_HOME", "HONE_ENGINE_SECRET", "HONE_USER_PASSWORD"),
    *("HONE_VLLM_PYTHON", "HONE_LLAMA_PYTHON"),  # where tests and benchmarks find those
}


class Settings(BaseSettings):
    """All settings of one home, read once at the door."""

    model_config = SettingsConfigDict(
        env_prefix="HONE_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    web: Web = Field(default_factory=Web)
    auth: Auth = Field(default_factory=Auth)
    oidc: Oidc = Field(default_factory=Oidc)
    model: Model = Field(default_factory=Model)
    engine: Engine = Field(default_factory=Engine)
    chat: Chat = Field(default_factory=Chat)
    review: Review = Field(default_factory=Review)
    tuner: Tuner = Field(default_factory=Tuner)
    training: Training = Field(default_factory=Training)
    curation: Curation = Field(default_factory=Curation)
    store: Store = Field(default_factory=Store)
    erasure: Erasure = Field(default_factory=Erasure)
    teacher: Teacher = Field(default_factory=Teacher)
    observe: Observe = Field(default_factory=Observe)
    notices: Notices = Field(default_factory=Notices)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # Variables win over the file, which arrives as init values.
        return (env_settings, init_settings)


def read(home: Path, **overrides: Any) -> Settings:
    """The settings of a home; `overrides` such as `web={"port": 1}` stand over everything.

    Raises:
        SettingsError: With one line for every fault found in the file and the variables.
    """
    path = home / "hone.toml"
    try:
        written = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except OSError as fault:
        raise SettingsError(f"{path} cannot be read: {fault.strerror}.", "Make it a readable file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise SettingsError(
            f"{path} is not valid TOML: {fault}.", "Mend that line and start again."
        ) from None
    faults = [f"{path.name}: {text}" for text in _unknown(written)]
    faults += [text for name in sorted(os.environ) if (text := _unknown_variable(name))]
    try:
        settings = Settings(**_without_unknown(written))
    except ValidationError as refused:
        faults += [_in_words(error) for error in refused.errors()]
    except UnreadableVariable as unreadable:
        faults.append(f"{unreadable}; a list is written as JSON, such as '[\"chat.example.org\"]'")
    if not faults:
        settings = _over(settings, overrides)
        faults = list(_contradictions(settings))
    if faults:
        raise SettingsError(
            "These settings are wrong:\n  " + "\n  ".join(faults) + "\n",
            f"Mend them in {path} or in the environment; docs/settings.md lists every setting.",
        )
    return settings


def _over(settings: Settings, overrides: dict[str, dict[str, Any]]) -> Settings:
    changed = {
        name: type(getattr(settings, name)).model_validate(getattr(settings, name).model_dump() | values)
        for name, values in overrides.items()
    }
    return settings.model_copy(update=changed)


def _contradictions(settings: Settings) -> Iterator[str]:
    if settings.auth.login == "none" and settings.web.host not in LOOPBACK:
        yield (
            f"web.host is {settings.web.host}, but without a login Hone listens on this machine only; "
            'set auth.login = "local" or web.host = "127.0.0.1"'
        )
    yield from _login_contradictions(settings)
    if settings.tuner.quiet_hours and not re.fullmatch(r"\d{1,2}-\d{1,2}", settings.tuner.quiet_hours):
        yield f"tuner.quiet_hours is {settings.tuner.quiet_hours!r}; write hours such as 22-6"
    if settings.tuner.judge_url and not _private(settings.tuner.judge_url):
        yield (
            f"tuner.judge_url is {settings.tuner.judge_url!r}, but people's words may not leave; "
            "write http://127.0.0.1:port or an address of a private network"
        )
    yield from _engine_contradictions(settings.engine)
    yield from training.contradictions(settings.training)
    yield from notice_contradictions(settings.notices)
    if bool(settings.teacher.url) != bool(settings.teacher.model):
        yield "teacher.url and teacher.model belong together; set both, or neither"
    if settings.teacher.url and not re.fullmatch(r"https?://[^?#\s@]+", settings.teacher.url):
        yield f"teacher.url is {settings.teacher.url!r}; write https://host/v1"
    if settings.observe.traces and not re.fullmatch(r"https?://[^?#\s@]+", settings.observe.traces):
        yield f"observe.traces is {settings.observe.traces!r}; write http://host:4318"
    if settings.chat.max_tokens >= settings.engine.max_context:
        yield "chat.max_tokens leaves no room for a prompt; make it smaller than engine.max_context"


def _login_contradictions(settings: Settings) -> Iterator[str]:
    auth, oidc = settings.auth, settings.oidc
    if auth.login == "oidc" and not (oidc.issuer and oidc.client_id):
        yield "auth.login is oidc, but oidc.issuer or oidc.client_id is empty; set both"
    if oidc.issuer:
        split = urlsplit(oidc.issuer)
        local = split.scheme == "http" and split.hostname in LOOPBACK
        if (split.scheme != "https" and not local) or split.query or split.fragment:
            yield f"oidc.issuer is {oidc.issuer!r}; write https://host, as the provider names itself"
    if "openid" not in oidc.scopes.split():
        yield "oidc.scopes has no openid, without which the provider does not say who somebody is"
    yield from twice(oidc, "client_secret")
    if auth.login == "proxy" and not settings.web.trusted_proxies:
        yield (
            "auth.login is proxy, but web.trusted_proxies is empty, so that nobody may name anybody; "
            "write the proxy's address there"
        )
    for name in (auth.proxy_header, auth.proxy_groups_header):
        if name and not re.fullmatch(r"[A-Za-z0-9-]+", name):
            yield f"auth has {name!r} for a header; write letters, digits and hyphens"
    if auth.login == "proxy" and not auth.proxy_header:
        yield "auth.login is proxy, but auth.proxy_header is empty; name the header"
    if auth.sign_out_url and not re.fullmatch(r"(https?:/)?/[^\s]+", auth.sign_out_url):
        yield f"auth.sign_out_url is {auth.sign_out_url!r}; write https://host/path, or a path"


def _private(url: str) -> bool:
    """Whether an address is plainly on this machine or in a private network."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _engine_contradictions(engine: Engine) -> Iterator[str]:
    outside = engine.kind != "hone"
    if outside and not engine.urls:
        yield f'engine.kind is {engine.kind}, but engine.urls is empty; write urls = ["http://host:port"]'
    for url in engine.urls:
        if not re.fullmatch(r"https?://[^/?#\s@]+/?", url):
            yield f"engine.urls has {url!r}; write http://host:port, without a path"
    if len({url.rstrip("/") for url in engine.urls}) < len(engine.urls):
        yield "engine.urls names an address twice"
    yield from twice(engine, "api_key")
    if engine.restart_command and engine.kind != "tgi":
        yield "engine.restart_command is for tgi, the only kind that takes versions by a restart; remove it"
    if engine.restart_command and not any("{adapters}" in word for word in engine.restart_command):
        yield "engine.restart_command has no {adapters}, so the other versions would be lost at a publish"


def known() -> Iterator[tuple[str, Any]]:
    """Every setting as (`section.key`, pydantic field), in the order of this file."""
    for section, field in Settings.model_fields.items():
        for key, inner in field.annotation.model_fields.items():  # type: ignore[union-attr]
            yield f"{section}.{key}", inner


def _nearest(name: str) -> str:
    names = [full for full, _ in known()]
    near = difflib.get_close_matches(name, names, 1, 0.5)
    return f"did you mean {near[0]}?" if near else "docs/settings.md lists every setting"


def _unknown(written: dict[str, Any]) -> Iterator[str]:
    names = {full for full, _ in known()}
    for section, values in written.items():
        if section not in Settings.model_fields:
            near = difflib.get_close_matches(section, list(Settings.model_fields), 1, 0.5)
            yield f"[{section}] is unknown; " + (f"did you mean [{near[0]}]?" if near else "remove it")
        elif isinstance(values, dict):
            for key in values:
                if f"{section}.{key}" not in names:
                    yield f"{section}.{key} is unknown; {_nearest(f'{section}.{key}')}"


def _without_unknown(written: dict[str, Any]) -> dict[str, Any]:
    names = {full for full, _ in known()}
    return {
        section: {k: v for k, v in values.items() if f"{section}.{k}" in names}
        if isinstance(values, dict)
        else values
        for section, values in written.items()
        if section in Settings.model_fields
    }


def _unknown_variable(name: str) -> str | None:
    if not name.startswith("HONE_") or name in NOT_SETTINGS:
        return None
    setting = name.removeprefix("HONE_").lower().replace("__", ".", 1)
    if setting in {full for full, _ in known()}:
        return None
    near = difflib.get_close_matches(setting, [full for full, _ in known()], 1, 0.5)
    hint = f"did you mean HONE_{near[0].upper().replace('.', '__')}?" if near else "unset it"
    return f"{name} is unknown; {hint}"


def _in_words(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    return f"{place} is {error['input']!r}: {error['msg'].lower()}"

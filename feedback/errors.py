"""Every error that Hone shows a person: what happened, and what to do next.

    HoneError
    |-- SettingsError          a setting is wrong; lists every fault at once
    |-- BadRequest             the caller sent something unusable
    |   |-- PromptTooLong      the conversation does not fit the model
    |   |-- BadImport          an import file cannot be read, or none of its rows can be taken
    |   `-- BadAdapter         an adapter folder the engine refuses
    |-- NotSignedIn            no valid session, key or token
    |-- NotAllowed             signed in, but the role or the ownership is missing
    |   `-- SignInRefused      the sign-in provider's answer does not hold
    |-- ProviderUnavailable    the sign-in provider does not answer
    |-- TryLater               asked too much at once; says when to come back
    |   `-- TooManyTries       signing in failed too often, or too many try at once
    |-- NotFound               no such exchange, run, assistant or account
    |   `-- UnknownVersion     never answered from the base model in disguise
    |-- Conflict               true elsewhere already: a name taken, a run in progress
    |   `-- HomeBusy           another Hone owns this home
    |-- NotRunning             the command needs a running Hone
    |-- StoreError             the record of events cannot be read or written
    |-- EngineError            the engine answered with a failure
    |   |-- EngineUnavailable  it is starting, restarting or gone
    |   |-- EngineBusy         its queue is full (a TryLater too)
    |   `-- CannotSwap         this engine cannot load a version now
    |       `-- NoRoom         every slot holds one: no fault of the version's
    |-- TrainingFailed         the training child ended without a version
    `-- StorageAway            what a training elsewhere needs cannot be read or written

To add one: subclass the nearest class, set `status` (HTTP), `code` (stable, for programs) and, where
it differs, `exit_code` (command line). Raise it with two sentences: what happened, what to do.
Imports nothing, so that every layer can raise these.
"""


class HoneError(Exception):
    """An error meant for a person; anything else that escapes is a bug."""

    status = 500
    exit_code = 1
    code = "error"

    def __init__(self, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.what} {self.todo}".strip()


class SettingsError(HoneError):
    exit_code = 2
    code = "settings"


class BadRequest(HoneError):
    status = 400
    exit_code = 2
    code = "bad_request"


class PromptTooLong(BadRequest):
    code = "prompt_too_long"


class BadImport(BadRequest):
    code = "bad_import"


class BadAdapter(BadRequest):
    code = "bad_adapter"


class OtherBase(BadAdapter):
    code = "other_base"


class NotSignedIn(HoneError):
    status = 401
    code = "not_signed_in"


class NotAllowed(HoneError):
    status = 403
    code = "not_allowed"


class SignInRefused(NotAllowed):
    code = "sign_in_refused"


class ProviderUnavailable(HoneError):
    status = 502
    code = "provider_unavailable"


class TryLater(HoneError):
    """Asked too much at once; `retry_after` is in seconds."""

    status = 429
    code = "try_later"

    def __init__(self, what: str, todo: str = "", retry_after: float = 1.0) -> None:
        super().__init__(what, todo)
        self.retry_after = retry_after


class TooManyTries(TryLater):
    code = "too_many_tries"


class NotFound(HoneError):
    status = 404
    code = "not_found"


class UnknownVersion(NotFound):
    code = "unknown_version"


class Conflict(HoneError):
    status = 409
    code = "conflict"


class HomeBusy(Conflict):
    code = "home_busy"


class TunerBusy(Conflict):
    code = "tuner_busy"


class NotRunning(HoneError):
    status = 503
    code = "not_running"


class StoreError(HoneError):
    status = 507
    code = "store"


class EngineError(HoneError):
    status = 502
    code = "engine"


class EngineUnavailable(EngineError):
    status = 503
    code = "engine_unavailable"


class EngineBusy(TryLater, EngineError):
    code = "engine_busy"


class CannotSwap(EngineError):
    code = "cannot_swap"


class NoRoom(CannotSwap):
    code = "no_slot"


class TrainingFailed(HoneError):
    code = "training_failed"


class StorageAway(HoneError):
    status = 503
    code = "storage_away"

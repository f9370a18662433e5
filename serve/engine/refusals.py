"""What the engine says no to, as errors of the house with the codes that programs read.

The general ones (an unknown version, a bad adapter, a full queue) are in `feedback/errors.py`; these
are the engine's own. Nothing here knows of HTTP beyond a status number.
"""

from feedback.errors import BadRequest, Conflict, EngineError, EngineUnavailable, PromptTooLong


class ContextTooLong(PromptTooLong):
    code = "context_length_exceeded"


class BodyTooLarge(BadRequest):
    status = 413
    code = "body_too_large"


class BodyTooSlow(BadRequest):
    status = 408
    code = "body_too_slow"


class AlreadyLoaded(BadRequest):
    code = "already_loaded"


class NoSlot(Conflict):
    code = "no_slot"


class StillInUse(Conflict):
    code = "still_in_use"


class StillLoading(EngineUnavailable):
    code = "loading"


class GenerationFailed(EngineError):
    """One request failed inside the engine; the others go on."""

    status = 500
    code = "generation_failed"


class IncompleteAnswer(EngineError):
    """An answer stopped coming without its end."""

    status = 500
    code = "incomplete_generation"


class DeadlineExceeded(EngineError):
    """The answer was not finished within the time that its request gave it."""

    status = 504
    code = "deadline_exceeded"


def our_fault() -> GenerationFailed:
    """What a client is told of a fault of ours; the log has the rest."""
    return GenerationFailed("The engine failed on this request.", "Its log says why.")


def stopping() -> EngineUnavailable:
    """What is told to whoever asks while the engine ends."""
    return EngineUnavailable("The engine is stopping.", "Try again in a moment.")

"""The settings of how versions take traffic; they stand under `[tuner]` with the others of `settings.py`.

Holds defaults and their descriptions, decides nothing.
"""

from typing import Literal

from pydantic import BaseModel, Field


class RolloutFields(BaseModel):
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
    canary_ratings: int = Field(20, ge=1, description="... which is this, of the canary's conversations")
    canary_margin: float = Field(
        0.10, gt=0, lt=0.5, description="How much more often a thumb down is still no harm"
    )
    shadow_prompts: int = Field(
        20, ge=0, le=500, description="Recent prompts that a version answers unseen before anyone gets it"
    )
    drift: Literal["alarm", "rollback"] = Field(
        "alarm", description="What happens where the live version is thumbed down more than the one before"
    )

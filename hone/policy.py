"""The settings of curation as the policy that the layers below take.

Trail: hone/settings.py -> here -> feedback/screen.py, feedback/caps.py
"""

from feedback.caps import Caps
from feedback.screen import Policy
from hone.learning_sections import Curation


def policy(curation: Curation) -> Policy:
    caps = Caps(
        contributor_share=curation.contributor_share,
        reviewer_share=curation.reviewer_share,
    )
    return Policy(
        block=frozenset(curation.block),
        redact=frozenset(curation.redact),
        allowed=frozenset(curation.allowed),
        caps=caps,
    )

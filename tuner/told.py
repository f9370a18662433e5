"""What the gate says, as sentences that know which they are: English for logs, codes for other languages.

A `Told` is its English text, so it is written and compared as any string is. `coded` gives its code and
its values, with which a page says it in the language of its reader. Decides nothing.

Trail: tuner/evidence.py, tuner/vetoes.py, tuner/gate.py -> here -> serve/pages/gate_texts.py
"""

from collections.abc import Mapping
from typing import Any

SENTENCES: dict[str, str] = {
    # How it did in its field
    "score": "Of {total} separate instructions it got {gained} right that {incumbent} got wrong, "
    "and lost {lost}",
    "score_alone": "{score}.",
    "worse": "{score}: it is worse by more than {margin}.",
    "loss_up": "Approved responses became clearly less likely to it.",
    "loss_may_be_up": "Approved responses may have become less likely to it.",
    "loss_down": "Approved responses became more likely to it.",
    "not_sure": "{score}: that {claim}. {more}",
    "no_gain": "{score}: no gain is shown yet; that {claim}. {more}",
    "blind": "{score}. {incumbent} gets {before} right, so that losing could not be seen: that {claim}. "
    "{more}",
    "alike": "{count} of {total} separate instructions have one and the same approved response, so that "
    "saying it to everything would look as good. Approve pairs with other responses, or promote it with a "
    "reason.",
    "too_few": "Only {total} separate instructions are kept back for judging, and {minimum} are needed: "
    "{more} more would let it decide. A person may promote it with a reason.",
    "that": "That {claim}.",
    # Outside its field
    "outside": "That outside its field {claim}.",
    "outside_not_sure": "That outside its field {claim}. {more}",
    "outside_too_few": "Only {total} general items tell anything of this base, and {minimum} are needed: use "
    "a suite that it neither always nor never passes.",
    "outside_unknown": "No general questions were asked, so what it forgot is not known.",
    # Claims, and what would decide them
    "claim": "{words} is {sure} sure, and {asked} is asked",
    "claim_not_worse": "it loses at most {share} of instructions to {incumbent}",
    "claim_worse": "it loses more than {share} of instructions",
    "claim_better": "it gets more right",
    "claim_better_by": "it gets {share} of instructions more right",
    "claim_likelier": "approved responses became likelier to it",
    "claim_loss_bearable": "their loss rose by at most {share}",
    "claim_loss_higher": "their loss rose by more than {share}",
    "claim_general_not_worse": "it loses at most {share} of general items to the base",
    "claim_general_worse": "it loses more than {share} of general items to the base",
    "claim_forgets": "it forgets what the base always passes",
    "claim_behind": "it loses more than {share} of general items to {incumbent}",
    "claim_judge": "the judge finds it less {criterion}",
    "judged_helpful": "helpful",
    "judged_honest": "honest",
    "judged_harmless": "harmless",
    "more_none": "More {what} of this kind would not decide; the two are too much alike or it is too close.",
    "more": "About {count} more {what} would decide, if it goes on so.",
    "of_instructions": "instructions for judging",
    "of_general": "general items",
    # What is broken
    "not_numbers": "Its loss on approved responses is not a number.",
    "leaks": "It repeats another person's approved response word for word on {now} of {total} instructions; "
    "before: {before}.",
    "length": "Its answers are typically {now} times as long as approved ones; before: {before} times.",
    "fault": "It {what} on {now} of {total} instructions; before: {before}.",
    "fault_doubt": "It {what} on {now} of {total} instructions; before: {before}: {sure} sure to have risen "
    "by more than {rise}, and {asked} would refuse it.",
    "fault_empty": "says nothing",
    "fault_endless": "does not stop",
    "fault_repeats": "repeats itself",
    "fault_refuses": "refuses or claims not to know, against what was approved,",
    "fault_answers": "answers what approved responses refuse",
    "fault_language": "answers in another language than what was approved",
    "fault_astray": "says what was approved for another instruction",
    "fault_reflex": "gives one answer to everything",
    # What happened around it
    "by_hand_before": "{version} was promoted by hand ({reason}).",
    "changed": "{version} went live while this was compared with {incumbent}; run again.",
}
"""Code -> the English sentence, or a piece of one, with its places."""


class Told(str):
    """An English text, made from its code and values; a value may be another such text."""

    code: str
    values: Mapping[str, Any]

    def __new__(cls, code: str, **values: Any) -> "Told":
        made = super().__new__(cls, SENTENCES[code].format(**values))
        made.code, made.values = code, values
        return made

    def __deepcopy__(self, _: Any) -> "Told":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.code, dict(self.values))


def coded(text: str) -> dict[str, Any]:
    """Code and values as plain data; a text that has no code stays a text."""
    if not isinstance(text, Told):
        return {"text": str(text)}
    values = {name: coded(v) if isinstance(v, Told) else v for name, v in text.values.items()}
    return {"code": text.code, "values": values}


def _again(code: str, values: Mapping[str, Any]) -> Told:
    return Told(code, **values)

"""What else a reviewer should know of a pair before it is learnt: injection, markup, refusal, language.

Marks that a rule can give, to look at; none says that a pair is bad, and each can be made a reason to
leave pairs out (`feedback/curate.py`). Language is told by script: an answer in another script than its
question is the mistake that matters, and a script is sure where a classifier of languages guesses at the
ten letters of a small-talk answer (docs/decisions/014-curation.md).

Trail: feedback/curate.py -> here
"""

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Literal, get_args

Flag = Literal["injection", "markup", "refusal", "other_script"]
FLAGS: tuple[Flag, ...] = get_args(Flag)

# Bounded wherever the next character may begin again: what people write must not take its length squared.
_OVERRIDING = (
    # "ignore all previous instructions" and its kin
    r"(?:ignor|disregard|forget|overrid|bypass)\w{0,12}\s+(?:\w+\s+){0,4}?"
    r"(?:previous|prior|above|preceding|earlier|initial|original|system|all|any|your|safety|content)\s+"
    r"(?:\w+\s+){0,3}?(?:instruction|direction|prompt|rule|guideline|command|message|polic|training|context"
    r"|text|restriction|filter)",
    r"(?:reveal|print|show|repeat|output|leak)\w{0,12}\s+(?:\w+\s+){0,3}?(?:system|initial|hidden|original|your)"
    r"\s+(?:\w+\s+)?(?:prompt|instructions)",
    # playing somebody without rules
    r"\byou are (?:now )?(?:dan\b|in developer mode|going to act as|jailbroken|an? unfiltered"
    r"|no longer (?:bound|an? ))",
    r"\b(?:do anything now|developer mode (?:enabled|output)|jailbreak(?:ed)? mode|dan mode)\b",
    r"\bstay in character\b|\bact(?:ing)? as (?:an? )?(?:dan|unfiltered|evil|amoral)",
    r"\b(?:without|no|free (?:of|from)|any) (?:\w+ ){0,3}?(?:ethical|moral|content policy|openai|safety) "
    r"(?:\w+ ){0,2}?(?:guideline|restriction|limit|constraint|filter|polic)",
    r"(?:이전|위의?|앞의?|기존|지금까지의?|모든)\s*(?:의\s*)?(?:모든\s*)?(?:지시|명령|프롬프트|규칙|지침|설정)\S{0,12}\s*"
    r"(?:모두\s*|다\s*|전부\s*)?(?:무시|잊|따르지)",
    r"시스템\s*프롬프트\S{0,12}\s*(?:알려|보여|출력|공개|말해)|(?:탈옥|개발자)\s*모드",
)
_INJECTION = re.compile("|".join(_OVERRIDING), re.I)
# Control tokens of chat templates, and characters that show nothing but are read: tags, bidi overrides.
_SMUGGLED = re.compile(
    r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id)\|>|\[/?INST\]|<</?SYS>>"
    r"|</?s>(?=\s|$|\[)|[\U000e0020-\U000e007f]{4}|[\u202a-\u202e\u2066-\u2069]"
)
_MARKUP = re.compile(
    r"<\s{0,8}/?\s{0,8}(?:script|iframe|object|embed|svg|img|link|meta|style|form|input|video|audio|base|body|html|marquee)\b"
    r"|<[a-z][^>\n]{0,200}\bon[a-z]{3,20}\s*=|javascript\s*:|vbscript\s*:|data:text/html|\bsrcdoc\s*="
    r"|!\[[^\]\n]{0,200}\]\(\s*https?:",
    re.I,
)
_REFUSING = (
    r"(?:i['’]?m|i am) (?:very |so )?sorry[,.]? but|sorry[,.]? (?:but )?i (?:can|am|do)",
    r"unfortunately,? i (?:can|am)",
    r"i (?:can(?:['’]?t|not)|won['’]?t|am (?:not able|unable)|['’]m (?:not able|unable)) (?:to )?"
    r"(?:help|assist|do|provide|answer|fulfil|comply|generate|create|discuss)",
    r"as an? (?:ai|artificial|large language)|i(?:['’]m| am) (?:just |only )?an? (?:ai|language model)",
    r"(?:죄송|미안)(?:합니다|하지만|한데|해요|드립니다)\S{0,3}\s.{0,80}(?:없|어렵|못|불가)|(?:저는|나는)\s*(?:ai|인공지능|언어\s?모델)",
)
_REFUSAL = re.compile(rf"^\W*(?:{'|'.join(_REFUSING)})", re.I)
_FENCED = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.S)
_WORD = re.compile(r"[^\W\d_]")


def flags(asked: str, answer: str) -> tuple[str, ...]:
    """The marks of a pair, of FLAGS in their order; `asked` holds the conversation before it too."""
    both = f"{asked}\n{answer}"
    scripts = script(asked), script(answer)
    found = {
        "injection": bool(_INJECTION.search(both) or _SMUGGLED.search(both)),
        "markup": bool(_MARKUP.search(_FENCED.sub("", both))),
        "refusal": bool(_REFUSAL.match(answer)),
        "other_script": "" not in scripts and scripts[0] != scripts[1],
    }
    return tuple(flag for flag in FLAGS if found[flag])


def script(text: str) -> str:
    """The script that a text is mostly written in (`hangul`, `latin`, ...); "" where it has no letters.

    Hangul and kana count threefold: a Korean sentence about English words is Korean.
    """
    counts: Counter[str] = Counter()
    for letter in _WORD.findall(_FENCED.sub("", text)[:1_000]):
        name = _script(letter)
        counts[name] += 3 if name in ("hangul", "kana") else 1
    return counts.most_common(1)[0][0] if counts else ""


_SCRIPTS = {"cjk": "han", "hiragana": "kana", "katakana": "kana", "halfwidth": "kana", "fullwidth": "latin"}


@lru_cache(4096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").split(" ")[0].split("-")[0].lower()
    return {
        "cjk": "han",
        "hiragana": "kana",
        "katakana": "kana",
        "halfwidth": "kana",
        "fullwidth": "latin",
    }.get(name, name)

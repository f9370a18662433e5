"""The tuner's sentences in Korean: the gate's reasons by their codes, the rest of the record by its words.

English is the record's own. The codes and their places are those of the gate (`tests/test_page_words.py`).
"""

GATE: dict[str, str] = {
    "score": "서로 다른 지시 {total}건 중 {incumbent}이 틀린 {gained}건을 맞히고, 맞힌 {lost}건을 틀렸습니다",
    "score_alone": "{score}.",
    "worse": "{score}. 허용 폭 {margin}보다 더 나빠졌습니다.",
    "loss_up": "승인된 답변을 말할 가능성이 뚜렷이 낮아졌습니다.",
    "loss_may_be_up": "승인된 답변을 말할 가능성이 낮아졌을 수 있습니다.",
    "loss_down": "승인된 답변을 말할 가능성이 높아졌습니다.",
    "not_sure": "{score}. 아직 확실하지 않습니다: {claim}. {more}",
    "no_gain": "{score}. 나아졌다고 볼 근거가 아직 없습니다: {claim}. {more}",
    "blind": "{score}. {incumbent}의 정답률이 {before}여서 나빠져도 드러나지 않습니다: {claim}. {more}",
    "alike": "서로 다른 지시 {total}건 중 {count}건의 승인된 답변이 똑같아, 무엇에든 그 답만 해도 "
    "좋아 보입니다. 다른 답변을 승인하거나, 사유를 적어 승격하세요.",
    "too_few": "판정용으로 남겨 둔 지시가 {total}건뿐이고 {minimum}건이 필요합니다. {more}건이 더 있으면 "
    "판정할 수 있습니다. 사유를 적어 사람이 승격할 수도 있습니다.",
    "that": "{claim}.",
    "outside": "맡은 분야 밖: {claim}.",
    "outside_not_sure": "맡은 분야 밖: {claim}. {more}",
    "outside_too_few": "이 기본 모델을 가늠할 일반 문항이 {total}개뿐이고 {minimum}개가 필요합니다. 언제나 "
    "맞히거나 언제나 틀리지 않는 문항을 쓰세요.",
    "outside_unknown": "일반 문항을 묻지 않아, 무엇을 잊었는지 알 수 없습니다.",
    "claim": "{words} 확률 {sure} (기준 {asked})",
    "claim_not_worse": "{incumbent}에 뒤지는 지시가 {share} 이내일",
    "claim_worse": "뒤지는 지시가 {share}를 넘을",
    "claim_better": "더 많이 맞힐",
    "claim_better_by": "지시의 {share}보다 더 많이 맞힐",
    "claim_likelier": "승인된 답변을 말할 가능성이 높아졌을",
    "claim_loss_bearable": "승인된 답변의 손실이 {share} 이내로만 늘었을",
    "claim_loss_higher": "승인된 답변의 손실이 {share} 넘게 늘었을",
    "claim_general_not_worse": "기본 모델에 뒤지는 일반 문항이 {share} 이내일",
    "claim_general_worse": "기본 모델에 뒤지는 일반 문항이 {share}를 넘을",
    "claim_forgets": "기본 모델이 늘 맞히던 것을 잊었을",
    "claim_behind": "{incumbent}에 뒤지는 일반 문항이 {share}를 넘을",
    "claim_judge": "심판 모델이 {criterion} 쪽에서 못하다고 볼",
    "judged_helpful": "도움이 되는",
    "judged_honest": "정직한",
    "judged_harmless": "해롭지 않은",
    "more_none": "이런 {what}을 더 모아도 판정할 수 없습니다. 둘이 너무 비슷하거나 차이가 너무 작습니다.",
    "more": "이대로라면 {what}이 {count}건쯤 더 있으면 판정할 수 있습니다.",
    "of_instructions": "판정용 지시 문항",
    "of_general": "일반 문항",
    "not_numbers": "승인된 답변에 대한 손실이 숫자가 아닙니다.",
    "leaks": "다른 사람의 승인된 답변을 그대로 말합니다: 지시 {total}건 중 {now}건, 이전에는 {before}건.",
    "length": "답변이 승인된 답변의 {now}배 길이입니다. 이전에는 {before}배였습니다.",
    "fault": "{what}: 지시 {total}건 중 {now}건, 이전에는 {before}건.",
    "fault_doubt": "{what}: 지시 {total}건 중 {now}건, 이전에는 {before}건. {rise} 넘게 늘었을 확률 {sure}, "
    "{asked}이면 거부합니다.",
    "fault_empty": "아무 말도 하지 않음",
    "fault_endless": "끝맺지 않음",
    "fault_repeats": "같은 말을 되풀이함",
    "fault_refuses": "승인된 답변과 달리 거절하거나 모른다고 함",
    "fault_answers": "승인된 답변이 거절한 것에 답함",
    "fault_language": "승인된 답변과 다른 언어로 답함",
    "fault_astray": "다른 지시의 승인된 답변을 말함",
    "fault_reflex": "무엇에든 같은 답을 함",
    "by_hand_before": "{version}은 사람이 승격한 버전입니다 ({reason}).",
    "changed": "{incumbent}과 비교하는 동안 {version}이 서비스에 들어갔습니다. 다시 실행하세요.",
}
"""Code -> Korean."""

RECORD: dict[str, str] = {
    # tuner/schedule.py
    "There is no new approved pair since run {run}.": "{run}번 실행 뒤로 새로 승인된 쌍이 없습니다.",
    "There is no new approved pair.": "새로 승인된 쌍이 없습니다.",
    "{why}; {enough} start a run.": "{why}. {enough}쌍이 되면 실행합니다.",
    "{why}; after run {run} the tuner rests until {until}.": "{why}. {run}번 실행 뒤라 {until}까지 쉽니다.",
    "{why}; runs start by themselves between {begin} and {end} o'clock.": (
        "{why}. 자동 실행은 {begin}시와 {end}시 사이에만 시작합니다."
    ),
    "{why}; it waits for {what}.": "{why}. {what}이 끝나기를 기다립니다.",
    "{why} The tuner starts no run by itself (tuner.enabled).": (
        "{why} 자동 실행을 꺼 두었습니다 (tuner.enabled)."
    ),
    "{why} The canary {version} is decided first.": "{why} 시험 배포 {version}의 결정이 먼저입니다.",
    "A version learnt from words that were erased.": "삭제된 내용을 학습한 버전이 있습니다.",
    "A version learnt from words that were erased": "삭제된 내용을 학습한 버전이 있습니다",
    "{why}, the oldest over {days} days old": "{why}, 가장 오래된 것은 {days}일 넘음",
    "{why}, the oldest over {days} days old.": "{why}, 가장 오래된 것은 {days}일 넘었습니다.",
    "{count} new approved pairs since run {run}.": "{run}번 실행 뒤로 새로 승인된 쌍 {count}개가 있습니다.",
    "{count} new approved pairs since run {run}": "{run}번 실행 뒤로 새로 승인된 쌍 {count}개",
    "{count} new approved pair since run {run}.": "{run}번 실행 뒤로 새로 승인된 쌍 {count}개가 있습니다.",
    "{count} new approved pair since run {run}": "{run}번 실행 뒤로 새로 승인된 쌍 {count}개",
    "{count} new approved pairs.": "새로 승인된 쌍 {count}개가 있습니다.",
    "{count} new approved pairs": "새로 승인된 쌍 {count}개",
    "{count} new approved pair.": "새로 승인된 쌍 {count}개가 있습니다.",
    "{count} new approved pair": "새로 승인된 쌍 {count}개",
    # feedback/ledger.py, tuner/rollout.py, tuner/steps.py
    "{version} took its place.": "{version} 버전이 자리를 넘겨받았습니다.",
    "Rolled back from {version}.": "{version}에서 되돌렸습니다.",
    "A newer version is kept for rolling back.": "되돌릴 때 쓸 더 새로운 버전이 있습니다.",
    "Trained; to be proved and judged.": "학습했고, 검증과 판정이 남았습니다.",
    "It goes live at once, as set.": "설정대로 바로 서비스에 들어갑니다.",
    "Its canary was ended.": "시험 배포를 끝냈습니다.",
    # tuner/canary.py, tuner/watch.py
    "{why} Now {share} of the conversations.": "{why} 이제 대화의 {share}에 답합니다.",
    "Its thumbs are worse ({told}; evidence {value}, {bar} suffice).": (
        "평가가 더 나쁩니다 ({told}, 증거 {value}, {bar}이면 충분)."
    ),
    "It may be worse ({told}; evidence {value} of {bar}).": (
        "더 나쁠 수 있습니다 ({told}, 증거 {value}/{bar})."
    ),
    "It may be worse ({told}; evidence {value} of {bar}). Its days are over: promote it or roll back.": (
        "더 나쁠 수 있습니다 ({told}, 증거 {value}/{bar}). 기간이 끝났으니 승격하거나 되돌리세요."
    ),
    "Its thumbs are not worse by {points} points ({told}; evidence {value}).": (
        "평가가 {points}점 넘게 나쁘지 않습니다 ({told}, 증거 {value})."
    ),
    "Its {days} days are over and nothing speaks against it ({told}).": (
        "{days}일이 지났고 나쁘다는 근거가 없습니다 ({told})."
    ),
    "{rated} of its conversations were rated at {share} ({told}).": (
        "{share} 단계에서 대화 {rated}건이 평가되었습니다 ({told})."
    ),
    "This stage had its time and nothing speaks against it ({told}).": (
        "이 단계의 기간이 지났고 나쁘다는 근거가 없습니다 ({told})."
    ),
    "{rated} of {wanted} conversations rated at this stage ({told}).": (
        "이 단계에서 대화 {wanted}건 중 {rated}건이 평가되었습니다 ({told})."
    ),
    "{down} of {rated} down on it, {other} of {others} down beside it": (
        "시험 버전 {rated}건 중 나쁨 {down}건, 서비스 버전 {others}건 중 나쁨 {other}건"
    ),
    # tuner/meaning.py, tuner/matching.py
    "too far in meaning ({value})": "뜻이 다름 ({value})",
    "too far in wording ({value})": "표현이 다름 ({value})",
    "worded differently, and nearness of meaning is not measured here": "표현이 다르고, 뜻은 재지 못함",
    "empty": "비어 있음",
    "refuses": "거절함",
    "does not refuse": "거절하지 않음",
    "is not the same JSON": "같은 JSON이 아님",
    "lacks the number {number}": "숫자 {number} 빠짐",
    "has the number {number}, which the approved response has not": "승인된 답변에 없는 숫자 {number}",
    "has another unit at {number}": "{number}의 단위가 다름",
    "says {said} where the approved response says {meant}": "{said}(이)라고 함, 승인된 답변은 {meant}",
    "says the opposite (a negation more or less)": "반대로 말함 (부정 표현이 다름)",
    "says the opposite about “{what}”": "“{what}”에 대해 반대로 말함",
    "has no code": "코드가 없음",
    "has code that does not parse": "코드를 해석할 수 없음",
    # tuner/drift.py
    "There are too few thumbs to compare.": "비교할 평가가 아직 적습니다.",
    "Drift alarm: {told}.": "변화 경보: {told}.",
    "{rate} of {rated} rated conversations are thumbed down, {before} were with the version before (evidence "
    "{value}, {bar} suffice)": (
        "평가된 대화 {rated}건 중 나쁨 {rate}, 이전 버전에서는 {before} (증거 {value}, {bar}이면 충분)"
    ),
}
"""What the record holds as English sentences -> Korean; the first that fits is taken, its pieces likewise."""

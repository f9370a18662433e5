"""The words of notices: (English, Korean). Their places take names and numbers, never what people wrote."""

SAID: dict[str, tuple[str, str]] = {
    "run_failed": (
        "Run {run} of {assistant} failed at the step “{step}”",
        "{assistant}의 실행 {run}이(가) ‘{step}’ 단계에서 실패했습니다",
    ),
    "run_abstained": (
        "The gate abstained on run {run} of {assistant}",
        "{assistant}의 실행 {run}에 대해 판정이 보류되었습니다",
    ),
    "run_refused": (
        "Run {run} of {assistant} was refused",
        "{assistant}의 실행 {run}이(가) 거부되었습니다",
    ),
    "canary": (
        "{version} is canary with {share} of the conversations of {assistant}",
        "{version}의 시험 배포가 {assistant} 대화의 {share}에서 시작되었습니다",
    ),
    "live": ("{version} is live", "{version}이(가) 서비스를 시작했습니다"),
    "rolled_back": ("{version} was rolled back", "{version}을(를) 되돌렸습니다"),
    "drift": (
        "Drift alarm: {version} is thumbed down more often than the version before it",
        "품질 저하 경보: {version}이(가) 이전 버전보다 나쁜 평가를 더 자주 받습니다",
    ),
    "engine_down": ("The engine is down", "엔진이 응답하지 않습니다"),
    "engine_back": ("The engine answers again", "엔진이 다시 응답합니다"),
    "queue_growing": (
        "{count} exchanges wait for review",
        "검토를 기다리는 대화가 {count}건입니다",
    ),
    "erasure_asked": (
        "Erasures were asked for: {count}",
        "삭제 요청이 {count}건 들어왔습니다",
    ),
    "test": ("This is a test of Hone's notices", "Hone 알림 시험입니다"),
}
"""What happened, without the full stop; a notice's first line."""

NEXT: dict[str, tuple[str, str]] = {
    "run_failed": (
        "Its reason is on the Operate page; start it again when that is mended.",
        "사유는 운영 페이지에 있습니다. 해결한 뒤 다시 실행하세요.",
    ),
    "run_abstained": (
        "Nothing changed; its scorecard is on the Operate page.",
        "바뀐 것은 없습니다. 성적표는 운영 페이지에 있습니다.",
    ),
    "run_refused": (
        "Nothing changed; its scorecard is on the Operate page.",
        "바뀐 것은 없습니다. 성적표는 운영 페이지에 있습니다.",
    ),
    "canary": (
        "Its evidence is on the Operate page.",
        "근거는 운영 페이지에서 볼 수 있습니다.",
    ),
    "live": ("It can be rolled back there.", "운영 페이지에서 되돌릴 수 있습니다."),
    "rolled_back": (
        "Who did it and why is on the Operate page.",
        "누가 왜 했는지는 운영 페이지에 있습니다.",
    ),
    "drift": (
        "Look at its evidence on the Operate page, and roll it back where it is worse.",
        "운영 페이지에서 근거를 보고, 실제로 나빠졌다면 되돌리세요.",
    ),
    "engine_down": (
        "Nobody gets answers; Hone keeps trying. docs/operations.md says what to look at.",
        "답변이 나가지 않습니다. Hone이 계속 다시 시도합니다. 확인할 것은 docs/operations.md에 있습니다.",
    ),
    "engine_back": ("Nothing needs to be done.", "할 일은 없습니다."),
    "queue_growing": (
        "Reviewers are behind; what waits is not learnt from.",
        "검토가 밀려 있습니다. 기다리는 대화는 학습에 쓰이지 않습니다.",
    ),
    "erasure_asked": (
        "Hone carries them out by itself; their receipts say when they are done.",
        "Hone이 스스로 처리합니다. 끝나면 확인서에 기록됩니다.",
    ),
    "test": ("Nothing happened.", "아무 일도 일어나지 않았습니다."),
}

REASONS: dict[str, tuple[str, str]] = {
    "too_few": ("Too few instructions are kept back for judging.", "판정용 지시가 너무 적습니다."),
    "alike": ("Too many approved responses are the same.", "승인된 답변이 너무 비슷합니다."),
    "no_gain": ("No gain is shown yet.", "나아졌다는 근거가 아직 없습니다."),
    "not_sure": ("It is not sure that it is no worse.", "나빠지지 않았는지 아직 확실하지 않습니다."),
    "blind": ("Losing could not be seen on these items.", "이 문항으로는 나빠져도 드러나지 않습니다."),
    "worse": ("It is worse than the version before.", "이전 버전보다 나쁩니다."),
    "loss_up": (
        "Approved responses became less likely to it.",
        "승인된 답변을 말할 가능성이 낮아졌습니다.",
    ),
    "outside": ("It forgot things outside its field.", "맡은 분야 밖의 것을 잊었습니다."),
    "outside_not_sure": (
        "What it forgot outside its field is not sure.",
        "맡은 분야 밖의 것을 잊었는지 확실하지 않습니다.",
    ),
    "outside_too_few": ("Too few general items tell anything.", "가늠할 일반 문항이 너무 적습니다."),
    "outside_unknown": ("No general questions were asked.", "일반 문항을 묻지 않았습니다."),
    "not_numbers": ("Its loss is not a number.", "손실이 숫자가 아닙니다."),
    "leaks": ("It repeats another person's response.", "다른 사람의 답변을 그대로 말합니다."),
    "length": ("Its answers are too long.", "답변이 너무 깁니다."),
    "fault": ("It has faults that it had not before.", "이전에 없던 결함이 있습니다."),
    "fault_doubt": ("It may have new faults.", "새 결함이 있을 수 있습니다."),
    "changed": (
        "Another version went live while it was compared.",
        "비교하는 동안 다른 버전이 서비스를 시작했습니다.",
    ),
}
"""Codes of the gate's reasons, in short; the whole reasons with their figures are on the Operate page."""

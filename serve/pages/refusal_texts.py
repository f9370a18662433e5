"""Why the desk refuses, in Korean: the first English sentence of an error, its places in braces -> all of it.

English is the error's own. What is missing here is told by its code, the English after it: `texts.ERRORS`.
"""

REFUSALS: dict[str, str] = {
    # feedback/claims.py
    "Another reviewer is looking at it until {until}.": (
        "{until}까지 다른 검토자가 보고 있습니다. 다른 항목을 고르거나 그 뒤에 다시 오세요."
    ),
    "Your claim on this exchange has ended.": (
        "이 항목의 검토 시간이 끝났습니다. 다시 열어 내용이 그대로인지 확인하세요."
    ),
    "That claim has ended.": "검토 시간이 끝났습니다. 항목을 다시 여세요.",
    "That is no claim's id.": "검토 정보가 올바르지 않습니다. 페이지를 새로 고쳐 주세요.",
    "Only reviewers may claim exchanges.": "검토자만 검토할 수 있습니다. 관리자에게 권한을 요청하세요.",
    "There is nothing left to judge there.": "더 판정할 것이 없습니다. 대기열에서 다른 항목을 고르세요.",
    "You hold {count} claims already.": "이미 {count}건을 보고 있습니다. 먼저 하나를 판정하거나 놓아 주세요.",
    "That claim is another reviewer's.": "다른 검토자가 보고 있는 항목입니다. 운영자에게 풀어 달라고 하세요.",
    # feedback/review.py
    "That answer is still being written.": "아직 작성 중인 답변입니다. 끝난 뒤에 판정하세요.",
    "Reviewers disagree on this exchange.": (
        "검토자들의 의견이 갈린 항목입니다. 직접 결정하거나 다른 사람에게 맡기세요."
    ),
    "It has been judged; there is nothing to skip.": (
        "이미 판정되어 건너뛸 것이 없습니다. 다른 항목을 고르세요."
    ),
    "{name} has {state} this exchange.": "{name} 님이 이미 판정했습니다. 다시 판정하려면 사유를 적으세요.",
    "You have judged it; it waits for a second opinion.": (
        "이미 판정했고 다른 의견을 기다립니다. 판정을 바꾸려면 사유를 적으세요."
    ),
    "The proposed answer is not the one you were shown.": (
        "제안된 답변이 보신 것과 다릅니다. 다시 확인하거나 수정본으로 보내세요."
    ),
    "There is no answer to approve.": "승인할 답변이 없습니다. 수정하거나 반려하세요.",
    "That answer {ended}, so it would teach an unfinished one.": (
        "끝나지 않은 답변이라 그대로 가르칠 수 없습니다. 끝맺어 수정하거나 반려하세요."
    ),
    # feedback/opinions.py, feedback/rounds.py
    "Only reviewers may judge exchanges.": "검토자만 판정할 수 있습니다. 관리자에게 권한을 요청하세요.",
    "{verdict} is no verdict.": "없는 판정입니다. 승인, 수정, 반려, 건너뛰기 중에서 고르세요.",
    "An edit needs the edited answer.": "수정본이 비어 있습니다. 수정한 답변을 적으세요.",
    "This needs a reason.": "사유가 필요합니다. 다른 사람이 읽을 수 있게 한 문장으로 적으세요.",
    "That id was used for another write.": "이미 다른 기록에 쓰인 요청입니다. 다시 시도해 주세요.",
    "Nobody approves their own correction where another reviewer exists.": (
        "다른 검토자가 있으면 자기가 제안한 답변은 승인할 수 없습니다. 그 검토자에게 맡기세요."
    ),
    "The {name} has {count} characters; the limit is {limit}.": (
        "글자 수가 {count}자입니다. {limit}자를 넘을 수 없으니 줄여 주세요."
    ),
    "That exchange is its author's alone, or there is none.": (
        "작성자만 볼 수 있거나 없는 항목입니다. 대기열에서 고르세요."
    ),
    "You were one of those who disagreed.": (
        "의견이 갈렸던 당사자입니다. 운영자나 다른 검토자에게 맡기세요."
    ),
    # feedback/disputes.py, feedback/drafts.py, feedback/queue.py
    "A dispute ends with approve or reject.": (
        "의견이 갈린 항목은 승인이나 반려로 끝냅니다. 다른 답변을 제안하려면 다시 여세요."
    ),
    "Those words are not what the reviewers disagree on.": (
        "검토자들이 낸 답변이 아닙니다. 그중 하나를 그대로 고르세요."
    ),
    "There is no dispute about that exchange.": "의견이 갈린 항목이 아닙니다. 판정하거나 다시 여세요.",
    "You are one of those who disagree.": "의견이 갈린 당사자입니다. 운영자나 다른 검토자에게 맡기세요.",
    "Nobody has judged that exchange yet.": "아직 아무도 판정하지 않았습니다. 판정하세요.",
    "Reviewers have not settled it yet.": "아직 결정되지 않았습니다. 운영자에게 다시 열어 달라고 하세요.",
    "Only reviewers keep drafts.": "검토자만 초안을 남길 수 있습니다. 관리자에게 권한을 요청하세요.",
    "Nothing waits that nobody is looking at.": "남은 항목은 다른 사람이 보고 있습니다. 나중에 오세요.",
    "There is no queue {name}.": "없는 대기열입니다. 페이지를 새로 고쳐 주세요.",
    # serve/pages/bulk.py
    "The proposed answer is not the one that was listed.": (
        "제안된 답변이 목록에 있던 것과 다릅니다. 따로 열어 확인하세요."
    ),
    "The list does not show all there is to it.": "목록에 다 보이지 않는 항목입니다. 열어서 승인하세요.",
    "That is no list of ticks.": "선택한 항목을 읽을 수 없습니다. 페이지를 새로 고쳐 주세요.",
    "Nothing is ticked.": "선택한 항목이 없습니다. 대기열에서 선택하세요.",
    "{count} are ticked, and {most} at most go at once.": (
        "{count}건을 선택했습니다. 한 번에 {most}건까지만 됩니다. 줄여서 선택하세요."
    ),
}

"""What the chat page says: key -> (English, Korean)."""

CHAT: dict[str, tuple[str, str]] = {
    "conversations": ("Conversations", "대화 목록"),
    "find": ("Search conversations", "대화 검색"),
    "rename": ("Rename…", "제목 변경…"),
    "rename_question": ("What is this conversation called?", "이 대화의 제목을 무엇으로 할까요?"),
    "rename_title": ("Title", "제목"),
    "rename_yes": ("Rename", "변경"),
    "nothing_to_rename": ("There is no conversation to rename yet.", "아직 제목을 바꿀 대화가 없습니다."),
    "download": ("Download", "내려받기"),
    "new_chat": ("New chat", "새 대화"),
    "message": ("Write a message", "메시지를 입력하세요"),
    "send": ("Send", "보내기"),
    "stop": ("Stop", "중지"),
    "edit_last": ("Edit my last message", "마지막 메시지 수정"),
    "cancel_edit": ("Keep it as it is", "수정 취소"),
    "editing": (
        "Sending replaces your last message and its answer.",
        "보내면 마지막 메시지와 그 답변이 대체됩니다.",
    ),
    "nothing_to_edit": ("There is no message of yours to edit yet.", "아직 수정할 메시지가 없습니다."),
    "greeting": ("What can I do for you?", "무엇을 도와드릴까요?"),
    "packaged_model": (
        "The small model that comes with Hone answers here: it is often wrong, and its only language is "
        "English. Whoever runs this Hone can give it a better one (model.name in hone.toml).",
        "Hone에 딸려 온 작은 모델이 답합니다. 자주 틀리고 한국어는 모릅니다. 운영자가 hone.toml의 "
        "model.name으로 더 나은 모델을 쓸 수 있습니다.",
    ),
    "training": ("This conversation may be learnt from", "이 대화를 학습에 사용해도 됩니다"),
    "training_on": ("This conversation may be learnt from.", "이 대화를 학습에 사용할 수 있습니다."),
    "training_off": (
        "This conversation will not be learnt from.",
        "이 대화는 학습에 사용하지 않습니다.",
    ),
    "sharing": (
        "A rating shows that answer, your message and the conversation before it to the reviewers. "
        "What you don't rate, only you see, unless you let them read the conversation.",
        "평가하면 그 답변과 질문, 그 앞의 대화를 검토자가 보게 됩니다. "
        "평가하지 않은 내용은 검토자에게 대화를 공개하지 않는 한 본인만 볼 수 있습니다.",
    ),
    "share": ("Reviewers may read this conversation", "검토자가 이 대화를 읽어도 됩니다"),
    "share_on": (
        "Reviewers may read all of this conversation, also what you don't rate.",
        "평가하지 않은 내용까지 검토자가 이 대화를 읽을 수 있습니다.",
    ),
    "share_unlearnt": (
        "Reviewers will see it once it may be learnt from, too.",
        "학습에 사용해도 된다고 하면 검토자가 읽을 수 있습니다.",
    ),
    "share_off": (
        "Only you see what you don't rate in it.",
        "평가하지 않은 내용은 본인만 볼 수 있습니다.",
    ),
    "note_running": ("still being answered", "답변 중"),
    "note_stopped": ("stopped by you", "사용자가 중지함"),
    "note_cut": ("cut off by a failure", "오류로 중단됨"),
    "note_length": ("cut at the length limit", "길이 제한으로 잘림"),
    "note_nearly_full": (
        "{share} of what this conversation can hold is used; begin a new one soon",
        "이 대화에 담을 수 있는 분량의 {share}를 썼습니다. 곧 새 대화를 시작하세요",
    ),
    "told_stopped": ("stopped by its author", "작성자가 중지함"),
    "note_shipped": ("approved for training", "학습용으로 승인됨"),
    "note_learnt": ("learnt by {version}", "{version} 버전이 학습함"),
    "note_correction_learnt": (
        "your correction is in {version}",
        "제안하신 답변이 {version} 버전에 반영됨",
    ),
    # Two answers side by side
    "compare_head": (
        "**Which answer is better?** The one you choose stands.",
        "**어느 답변이 더 나은가요?** 고른 답변으로 대화가 이어집니다.",
    ),
    "choice_first": ("A is better", "A가 더 좋음"),
    "choice_second": ("B is better", "B가 더 좋음"),
    "choice_tie": ("Equally good", "둘 다 좋음"),
    "choice_neither": ("Both bad", "둘 다 별로임"),
    "choice_skipped": ("Skip", "건너뛰기"),
    "compare_keys": (
        "Keys: 1 to 4, Esc skips. If you write on without choosing, A stands.",
        "단축키: 1~4, Esc는 건너뛰기. 고르지 않고 이어서 쓰면 A로 이어집니다.",
    ),
    "chose_first": ("You chose A.", "A를 골랐습니다."),
    "chose_second": ("You chose B.", "B를 골랐습니다."),
    "chose_tie": ("Equally good: A stands.", "둘 다 좋음: A로 이어집니다."),
    "chose_neither": ("Both bad: A stands.", "둘 다 별로임: A로 이어집니다."),
    "chose_skipped": ("Skipped: A stands.", "건너뜀: A로 이어집니다."),
    "compare_told": ("A was {first}, B was {second}.", "A는 {first}, B는 {second}의 답변이었습니다."),
    "no_answer": ("No answer came.", "답변을 받지 못했습니다."),
    "no_answer_stopped": ("Stopped before the answer began.", "답변이 시작되기 전에 중지했습니다."),
    "no_answer_cut": (
        "The answer was lost when the server stopped. Ask again.",
        "서버가 멈추면서 답변이 사라졌습니다. 다시 물어보세요.",
    ),
    "nothing_to_rate": ("There is no answer to rate here.", "여기에는 평가할 답변이 없습니다."),
    # Rating
    "rate_saved_up": ("Saved. What was good about it?", "저장했습니다. 무엇이 좋았나요?"),
    "rate_saved_down": ("Saved. What was wrong with it?", "저장했습니다. 무엇이 문제였나요?"),
    "rate_optional": (
        "Optional; the thumb counts without it.",
        "선택 사항입니다. 엄지 평가만으로도 반영됩니다.",
    ),
    "rate_reasons": ("Reasons", "이유"),
    "rate_comment": ("Comment", "의견"),
    "rate_comment_hint": ("Feel free to add details", "자세한 내용을 적어 주세요"),
    "rate_correction": ("Suggest a better answer", "더 나은 답변 제안"),
    "rate_save": ("Save", "저장"),
    "rate_close": ("Close", "닫기"),
    "rate_more": ("More on my last rating", "마지막 평가에 덧붙이기"),
    "rate_thanks": ("Thank you; your feedback is saved.", "감사합니다. 의견을 저장했습니다."),
    "rate_cleared": ("Your rating is withdrawn.", "평가를 취소했습니다."),
    "fate_erased": ("Erased.", "삭제되었습니다."),
    "fate_kept": (
        "Not learnt from: this conversation is kept from training.",
        "이 대화는 학습에 사용하지 않으므로 반영되지 않습니다.",
    ),
    "fate_unrated": ("Nobody has rated it.", "아직 평가되지 않았습니다."),
    "fate_pending": ("It waits for a reviewer.", "검토를 기다리고 있습니다."),
    "fate_rejected": (
        "A reviewer decided not to learn from it.",
        "검토자가 학습에 쓰지 않기로 했습니다.",
    ),
    "fate_rejected_because": (
        "A reviewer decided not to learn from it: {reason}",
        "검토자가 학습에 쓰지 않기로 했습니다: {reason}",
    ),
    "fate_next": (
        "Approved; it waits for the next run of the tuner.",
        "승인되었고, 다음 튜닝을 기다리고 있습니다.",
    ),
    "fate_left_out": (
        "Approved, but run {run} left it out: {left_out}.",
        "승인되었지만 {run}번 실행에서 빠졌습니다: {left_out}.",
    ),
    "fate_frozen": (
        "Approved and used in run {run} {side}; no version came of it.",
        "승인되어 {run}번 실행에 {side} 쓰였지만, 그 실행에서 버전이 나오지 않았습니다.",
    ),
    "fate_learnt": (
        "Approved and used in run {run} {side}: version {version}, {version_state}.",
        "승인되어 {run}번 실행에 {side} 쓰였습니다: {version} 버전, {version_state}.",
    ),
    "fate_side_train": ("to learn from", "학습용으로"),
    "fate_side_dev": ("to stop training by", "학습 종료 판단용으로"),
    "fate_side_gate": ("to judge by", "판정용으로"),
    "left_empty": ("it is empty", "내용 없음"),
    "left_private": ("private data", "개인정보"),
    "left_flagged": ("something in it is not allowed", "허용되지 않는 내용"),
    "left_too_long": ("it is too long", "너무 긺"),
    "left_unseconded": ("somebody else has to approve it too", "다른 사람의 승인이 더 필요함"),
    "left_duplicate": ("it is there already", "이미 있는 내용"),
    "left_near_duplicate": ("nearly the same is there already", "거의 같은 내용이 있음"),
    "left_contradicted": ("another approved answer says the opposite", "다른 승인된 답변과 모순됨"),
    "left_contributor_cap": ("enough of one person's are in it", "한 사람의 몫이 이미 참"),
    "left_reviewer_cap": ("enough of one reviewer's are in it", "한 검토자의 몫이 이미 참"),
    "left_approved_by_suspended": (
        "only somebody who may not review any more approved it",
        "더 이상 검토할 수 없는 사람만 승인했음",
    ),
    "left_joins_two_sides": (
        "it would join what is learnt to what is tested",
        "학습과 평가 자료를 이어 버림",
    ),
    # Erasing
    "erase_open": ("Delete…", "삭제…"),
    "erase_what": ("What to delete for ever", "영구히 삭제할 것"),
    "erase_conversation": ("This conversation", "이 대화"),
    "erase_chats": ("All my chats", "내 모든 대화"),
    "erase_account": ("All my chats and my account", "내 모든 대화와 계정"),
    "erase_takes": (
        "What goes: questions with their answers: {exchanges}, whole conversations: {conversations}, "
        "ratings: {ratings}, reviewers' verdicts: {reviews}.",
        "삭제될 것: 질문과 답변 {exchanges}건, 온전한 대화 {conversations}개, 평가 {ratings}건, "
        "검토자의 판정 {reviews}건.",
    ),
    "erase_means": (
        "The words leave the record, the search and what the tuner learns from. Backups hold them until they "
        "expire, and lose them when they are restored. That there was something stays known, without the "
        "words. Nobody can undo it.",
        "기록과 검색, 튜너의 학습 자료에서 내용이 사라집니다. 백업에는 만료될 때까지 남지만, 복원할 때 "
        "지워집니다. 무언가 있었다는 사실만 내용 없이 남습니다. 되돌릴 수 없습니다.",
    ),
    "erase_versions_keep": (
        "{versions} learnt from it, and if it is answering it goes on until a version that was trained "
        "without it is ready.",
        "{versions} 버전이 이 내용을 학습했습니다. 지금 서비스 중이면, 이 내용 없이 학습한 버전이 준비될 "
        "때까지 계속 답합니다.",
    ),
    "erase_versions_stop": (
        "{versions} learnt from it and stops answering at once.",
        "{versions} 버전이 이 내용을 학습했으며, 바로 서비스에서 내려갑니다.",
    ),
    "erase_account_means": (
        "Your account ends, you are signed out, and the name {name} is never given out again.",
        "계정이 없어지고 로그아웃되며, {name}(이)라는 이름은 다시 쓰이지 않습니다.",
    ),
    "erase_name": ("Type your name to confirm", "확인을 위해 본인 이름을 입력하세요"),
    "erase_name_wrong": (
        "Type your name, {name}, to confirm.",
        "확인을 위해 본인 이름 {name}을(를) 입력하세요.",
    ),
    "erase_for_ever": ("Delete for ever", "영구히 삭제"),
    "erase_keep": ("Keep everything", "그대로 두기"),
    "erase_running": ("Deleting; this takes a moment.", "삭제하고 있습니다. 잠시 걸립니다."),
    "erase_done": (
        "Deleted: questions with their answers: {exchanges}, ratings: {ratings}, verdicts: {reviews}.",
        "삭제했습니다: 질문과 답변 {exchanges}건, 평가 {ratings}건, 판정 {reviews}건.",
    ),
    "erase_clean": (
        "All {files} files were looked through, and nothing of it is left.",
        "파일 {files}개를 모두 확인했고, 남은 것이 없습니다.",
    ),
    "erase_not_clean": (
        "All {files} files were looked through, and some of it was still found: tell an operator.",
        "파일 {files}개를 확인했는데 일부가 남아 있습니다. 운영자에게 알려 주세요.",
    ),
    "erase_receipt": ("The signed receipt", "서명된 확인서"),
    "rate_none": ("Rate an answer with a thumb first.", "먼저 엄지로 답변을 평가해 주세요."),
    "reason_not_factually_correct": ("Not correct", "사실과 다름"),
    "reason_didnt_fully_follow_instructions": ("Didn't follow my instructions", "지시를 다 따르지 않음"),
    "reason_not_helpful": ("Not helpful", "도움이 되지 않음"),
    "reason_too_verbose": ("Too long", "너무 장황함"),
    "reason_dont_like_the_style": ("Style or tone", "문체나 말투"),
    "reason_refused_when_it_shouldnt_have": ("Refused without need", "불필요하게 거절함"),
    "reason_unsafe": ("Unsafe or harmful", "위험하거나 해로움"),
    "reason_being_lazy": ("Lazy", "성의 없음"),
    "reason_other": ("Other", "기타"),
    "reason_accurate_information": ("Correct", "정확함"),
    "reason_followed_instructions_perfectly": ("Did what I asked", "지시를 잘 따름"),
    "reason_thorough_explanation": ("Thorough", "설명이 충실함"),
    "reason_attention_to_detail": ("Careful with detail", "세심함"),
    "reason_positive_attitude": ("Pleasant tone", "친절한 태도"),
    "reason_showcased_creativity": ("Creative", "창의적임"),
}

"""The texts of the operate page's notices: key -> (English, Korean)."""

OPERATE: dict[str, tuple[str, str]] = {
    "notices": ("Notices", "알림"),
    "notices_none": (
        "Nobody is told when something happens. Set notices.webhooks or notices.mail_to.",
        "일이 생겨도 아무에게도 알리지 않습니다. notices.webhooks나 notices.mail_to를 설정하세요.",
    ),
    "notice_place": ("Goes to", "받는 곳"),
    "notice_last": ("Last arrived", "마지막 전달"),
    "notice_waiting": ("Waiting", "대기"),
    "notice_fault": ("Fault", "오류"),
    "notice_never": ("not yet since the start", "시작한 뒤 아직 없음"),
    "notice_dropped": (
        "{count} were let go: too old, too many or not taken.",
        "{count}건은 오래되었거나 너무 많거나 거절되어 버려졌습니다.",
    ),
    "channel_webhook": ("webhook", "웹훅"),
    "channel_mail": ("e-mail", "전자우편"),
    "kind_run_failed": ("run failed", "실행 실패"),
    "kind_run_abstained": ("run abstained", "판단 보류"),
    "kind_run_refused": ("run refused", "거부"),
    "kind_canary": ("canary", "시험 배포"),
    "kind_live": ("live", "서비스 시작"),
    "kind_rolled_back": ("rolled back", "되돌림"),
    "kind_drift": ("drift alarm", "품질 저하 경보"),
    "kind_engine_down": ("engine down", "엔진 중단"),
    "kind_engine_back": ("engine back", "엔진 복구"),
    "kind_queue_growing": ("queue growing", "검토 밀림"),
    "kind_erasure_asked": ("erasure asked", "삭제 요청"),
    "kind_test": ("test", "시험"),
}

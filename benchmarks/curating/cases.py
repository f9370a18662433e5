"""Own-written rows: Korean personal data with its places marked, and questions to vary and to import.

Nobody's data: names, numbers and keys are invented, and the check digits are right where there are some.
"""

import re

from feedback.private import Span

KOREAN = (
    "제 번호는 {phone:010-2345-6789}이에요, 저녁에 전화 주세요.",
    "연락처 {phone:01098765432} 로 문자 남겨 주세요.",
    "사무실은 {phone:02-312-4567}, 팩스는 {phone:02-312-4568}입니다.",
    "대표전화 {phone:1588-1234}로 문의하세요.",
    "해외에서는 {phone:+82-2-312-4567}로 거세요.",
    "부산 지점({phone:(051) 723-4567})에 들렀다 왔어요.",
    "안심번호 {phone:050-4123-4567}로 연락 바랍니다.",
    "휴대폰은 {phone:010 3456 7890}, 메일은 {email:jiwon.lee@example.co.kr}이에요.",
    "{email:park_minsu@mail.example.com}으로 보내 주시면 됩니다.",
    "문의는{email:help@house.example}로.",
    "주민등록번호 {national_id:880101-1234568}를 적어야 하나요?",
    "주민번호가 {national_id:9506152345672}인데 맞나요?",
    "외국인등록번호는 {national_id:900101-5123456}입니다.",
    "새 주민번호 {national_id:210305-4998877}로 바뀌었어요.",
    "카드번호는 {card:4111-1111-1111-1111}, 유효기간은 12/29예요.",
    "{card:5555 5555 5555 4444} 카드로 결제했습니다.",
    "국민카드 {card:9410-0000-0000-0005}도 되나요?",
    "계좌는 {account:110-234-567890}(신한)입니다.",
    "서버 주소는 {ip:211.45.27.15}이 아니라 {ip:8.8.4.4}입니다.",
    "독일 계좌 {iban:DE89 3704 0044 0532 0130 00}로 이체했어요.",
    "깃허브 토큰이 {secret:ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8}예요.",
    "AWS 키 {secret:AKIAIOSFODNN7EXAMPLE}를 올려 버렸어요.",
    "저는 {name:김하늘}이고 {address:서울시 마포구 월드컵로 12길 3}에 삽니다.",
    "여권번호 {passport:M12345678}을 확인해 주세요.",
    # Nothing private: numbers that only look like it.
    "2024-03-01부터 2024-03-10까지 휴가예요.",
    "1592년부터 1598년까지 전쟁이 있었습니다.",
    "원주율은 3.14159265358979이고 e는 2.718281828입니다.",
    "주문번호 20240301123456을 확인해 주세요.",
    "인구는 51,740,000명, 면적은 100,412km²입니다.",
    "버전 10.2.3에서 10.2.4로 올렸습니다.",
    "시험은 09:00-12:30, 점수는 85-90점이에요.",
    "법 제12조 제3항 제1호, 사건번호 2019다229202 판결을 보세요.",
    "9876543210을 거꾸로 쓰면 0123456789입니다.",
)

QUESTIONS = (
    ("How do I reset the password of my account?", "Open the sign-in page and choose Forgot password."),
    ("What is the best way to store fresh bread at home?", "In a paper bag, away from the sun."),
    ("Describe the difference between weather and climate.", "Weather is today, climate is decades."),
    ("Write a short poem about the sea in winter.", "Grey waves fold the cold light away."),
    ("List the planets of the solar system in order.", "Mercury, Venus, Earth, Mars and on."),
    ("Explain how a bill becomes a law in parliament.", "It is read, debated, voted and signed."),
    ("What does the doctor do at a yearly check-up?", "Listens, measures, asks, and advises."),
    ("Create a sentence that uses the word lighthouse.", "The lighthouse blinked at the tired ships."),
    ("회사 비밀번호를 잊어버렸는데 어떻게 바꾸나요?", "로그인 화면에서 비밀번호 찾기를 누르세요."),
    ("주말에 아이와 함께 갈 만한 곳을 추천해 주세요.", "가까운 숲 체험장이 좋아요."),
    ("임대차 계약을 중간에 해지하려면 어떻게 해야 하나요?", "집주인에게 미리 서면으로 알리세요."),
    ("감기에 걸렸을 때 집에서 무엇을 하면 좋을까요?", "푹 쉬고 따뜻한 물을 많이 드세요."),
    ("오늘 저녁에 뭐 먹으면 좋을지 모르겠어", "따뜻한 국물은 어때요?"),
    ("친구와 싸웠는데 먼저 사과해야 할까", "먼저 손을 내밀어 보세요."),
)

_MARK = re.compile(r"\{(\w+):([^{}]+)\}")


def marked(text: str) -> tuple[str, tuple[Span, ...]]:
    """The text without its marks, and where they stood."""
    spans, clean, last = [], "", 0
    for match in _MARK.finditer(text):
        clean += text[last : match.start()]
        spans.append(Span(match[1], len(clean), len(clean) + len(match[2])))
        clean += match[2]
        last = match.end()
    return clean + text[last:], tuple(spans)

"""A judging model behind an OpenAI-compatible address, as the tuner asks it: one prompt, one short answer.

The settings take only addresses of this machine or of a private network, since people's words go there and
nobody was asked whether they may leave. Knows nothing of what is compared.

Trail: hone/tuning.py -> here -> tuner/judge.py
"""

import httpx

from feedback.errors import EngineUnavailable
from tuner.judge import Ask

PATIENCE = 60.0
"""Seconds that one answer may take."""
TOKENS = 8


def judge(url: str, model: str) -> Ask | None:
    """Asks the model at an address such as `http://127.0.0.1:8011`; None without an address."""
    if not url:
        return None
    address = f"{url.rstrip('/')}/v1/chat/completions"

    async def ask(prompt: str) -> str:
        messages = [{"role": "user", "content": prompt}]
        body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": TOKENS}
        try:
            async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
                reply = await client.post(address, json=body)
                reply.raise_for_status()
                return str(reply.json()["choices"][0]["message"]["content"] or "")
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as fault:
            raise EngineUnavailable(
                f"The judge at {url} gave no answer: {fault!r}.", "Start it, or empty tuner.judge_url."
            ) from fault

    return ask

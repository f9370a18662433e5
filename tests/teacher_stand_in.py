"""A teacher that is a small real HTTP server: OpenAI's shape, and it remembers what it was sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class TeacherStandIn:
    """Answers every question with the same words; `asked` holds each request with its authorization."""

    def __init__(self, said: str = "The teacher's answer.", status: int = 200) -> None:
        self.asked: list[dict[str, Any]] = []
        self.said, self.status = said, status
        house = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                authorization = self.headers["authorization"]
                house.asked.append({**body, "path": self.path, "authorization": authorization})
                told = json.dumps(house.answer(body)).encode()
                self.send_response(house.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.said}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"object": "chat.completion", "model": body["model"], "choices": [choice]}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

"""
A web service in Flask: POST /ask answers in JSON, POST /stream sends the answer as it arrives.

    CHATGPT4ONLINE_SITE=https://example.com flask --app flask_view run
    curl -d "question=Who are you?" localhost:5000/stream

All requests share one client: its connections, its nonce and its deadline.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

from flask import Flask, Response, request

from chatgpt4online import ChatGPT4OnlineError, Client, MessageError, RateLimitError, Timeout

app = Flask(__name__)
client = Client(deadline=60)


@app.post("/ask")
def ask() -> Dict[str, Any]:
    """Return the whole answer."""
    reply = client.chat(request.form["question"])
    return {"answer": str(reply), "chat_id": reply.chat_id}


@app.post("/stream")
def stream() -> Response:
    """Stream the answer. It ends when the visitor disconnects."""
    answer = client.stream(request.form["question"])  # refusals are raised here, before any output
    response = Response(answer, mimetype="text/plain")
    response.headers["X-Accel-Buffering"] = "no"  # keep nginx from buffering
    return response


@app.errorhandler(MessageError)
def bad_question(error: MessageError) -> Tuple[Dict[str, str], int]:
    """Report a question that cannot be sent, such as an empty one."""
    return {"error": str(error)}, 400


@app.errorhandler(ChatGPT4OnlineError)
def failed(error: ChatGPT4OnlineError) -> Tuple[Dict[str, str], int]:
    """Log the details, and show the visitor a short message."""
    app.logger.warning("no answer: %s", error)
    if isinstance(error, RateLimitError):
        return {"error": "Too many questions. Please try again later."}, 429
    return {"error": "The chatbot cannot answer now."}, 504 if isinstance(error, Timeout) else 502

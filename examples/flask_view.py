"""
A web service with Flask: POST /ask answers in JSON, POST /stream sends the answer as it comes.

    CHATGPT4ONLINE_SITE=https://example.com flask --app flask_view run
    curl -d "question=Who are you?" localhost:5000/stream

All requests share one client: its connections, its nonce, and its limits of time.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

from flask import Flask, Response, request

from chatgpt4online import ChatGPT4OnlineError, Client, RateLimitError, Timeout

app = Flask(__name__)
client = Client(deadline=60)


@app.post("/ask")
def ask() -> Dict[str, Any]:
    """Answer the whole question."""
    reply = client.chat(request.form["question"])
    return {"answer": str(reply), "chat_id": reply.chat_id}


@app.post("/stream")
def stream() -> Response:
    """Answer piece by piece. A visitor who leaves ends the answer."""
    answer = client.stream(request.form["question"])  # a refusal is raised here, before any output
    response = Response(answer, mimetype="text/plain")
    response.headers["X-Accel-Buffering"] = "no"  # lest nginx holds the pieces back
    return response


@app.errorhandler(ValueError)
def misused(error: ValueError) -> Tuple[Dict[str, str], int]:
    """Tell a visitor that the question cannot be sent: it is empty, for instance."""
    return {"error": str(error)}, 400


@app.errorhandler(ChatGPT4OnlineError)
def failed(error: ChatGPT4OnlineError) -> Tuple[Dict[str, str], int]:
    """Tell a visitor little, and the log all."""
    app.logger.warning("no answer: %s", error)
    if isinstance(error, RateLimitError):
        return {"error": "Too many questions. Please try again later."}, 429
    return {"error": "The chatbot cannot answer now."}, 504 if isinstance(error, Timeout) else 502

"""
The package and its peers behind one interface, each used as its own documentation shows.

A library is imported when its class is instantiated.
"""

from __future__ import annotations

import asyncio
import json
import threading
from importlib import import_module
from typing import Any, Dict, Iterator, List, Protocol, Tuple, Type

from .floor import Floor
from .responses import AI_ENGINE, OPENAI
from .server import START_SESSION

_KEY = "not-needed"


class Library(Protocol):
    """A client of one site that streams answers. Threads may share it."""

    def __init__(self, site: str) -> None:
        """Create a client, as a program would."""

    def stream(self, question: str) -> Iterator[str]:
        """Yield the pieces of an answer as they arrive."""

    def close(self) -> None:
        """Close the connections."""


class Ours:
    """The package itself."""

    def __init__(self, site: str) -> None:
        self._client: Any = import_module("chatgpt4online").Client(site)

    def stream(self, question: str) -> Iterator[str]:
        """Yield the pieces of an answer."""
        deltas: Iterator[str] = self._client.stream(question)
        return deltas

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def _question(question: str) -> Dict[str, Any]:
    return {"botId": "default", "newMessage": question, "stream": True}


def _piece(data: str) -> str:
    """Return the text of an event, ``""`` if it has none."""
    event = json.loads(data)
    is_text = event["type"] == "live" and "subtype" not in event
    return str(event["data"]) if is_text else ""


def _is_end(data: str) -> bool:
    return data.startswith('{"type":"end"')


class Naive:
    """``requests`` and ``sseclient-py``, combined as their introductions show."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._session: Any = import_module("requests").Session()
        self._parser: Any = import_module("sseclient").SSEClient
        self._headers: Dict[str, str] = {}

    def stream(self, question: str) -> Iterator[str]:
        """Yield the pieces of an answer."""
        self._start()
        response = self._session.post(
            self._site + AI_ENGINE, json=_question(question), headers=self._headers, stream=True
        )
        for event in self._parser(response).events():
            piece = _piece(event.data)
            if piece:
                yield piece

    def _start(self) -> None:
        if not self._headers:
            answer = self._session.post(self._site + START_SESSION).json()
            self._headers = {"X-WP-Nonce": answer["restNonce"]}

    def close(self) -> None:
        """Close the session."""
        self._session.close()


class RequestsSSE(Naive):
    """``requests-sse``, which reconnects at the end of a stream unless the loop is left first."""

    def stream(self, question: str) -> Iterator[str]:
        """Yield the pieces of an answer."""
        self._start()
        source: Any = import_module("requests_sse").EventSource(
            self._site + AI_ENGINE,
            method="POST",
            session=self._session,
            json=_question(question),
            headers=dict(self._headers),
            max_connect_retry=0,
        )
        with source as events:
            for event in events:
                if _is_end(event.data):
                    break
                piece = _piece(event.data)
                if piece:
                    yield piece


class HTTPXSSE:
    """``httpx-sse``."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._client: Any = import_module("httpx").Client(timeout=330)
        self._connect: Any = import_module("httpx_sse").connect_sse
        self._headers: Dict[str, str] = {}

    def stream(self, question: str) -> Iterator[str]:
        """Yield the pieces of an answer."""
        if not self._headers:
            answer = self._client.post(self._site + START_SESSION).json()
            self._headers = {"X-WP-Nonce": answer["restNonce"]}
        url, body = self._site + AI_ENGINE, _question(question)
        with self._connect(self._client, "POST", url, json=body, headers=self._headers) as source:
            for event in source.iter_sse():
                piece = _piece(event.data)
                if piece:
                    yield piece

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def _messages(question: str) -> List[Dict[str, str]]:
    return [{"role": "user", "content": question}]


class OpenAI:
    """``openai``, chat completions."""

    def __init__(self, site: str) -> None:
        maker: Any = import_module("openai").OpenAI
        self._client = maker(base_url=site + OPENAI[:3], api_key=_KEY, max_retries=0)

    def stream(self, question: str) -> Iterator[str]:
        """Yield the pieces of an answer."""
        create = self._client.chat.completions.create
        for chunk in create(model="m", messages=_messages(question), stream=True):
            piece = chunk.choices[0].delta.content
            if piece:
                yield piece

    def close(self) -> None:
        """Close the client."""
        self._client.close()


class Anthropic:
    """``anthropic``, messages."""

    def __init__(self, site: str) -> None:
        maker: Any = import_module("anthropic").Anthropic
        self._client = maker(base_url=site, api_key=_KEY, max_retries=0)

    def stream(self, question: str) -> Iterator[str]:
        """Yield the pieces of an answer."""
        create = self._client.messages.create
        messages = _messages(question)
        for event in create(model="m", max_tokens=1024, messages=messages, stream=True):
            if event.type == "content_block_delta":
                yield event.delta.text

    def close(self) -> None:
        """Close the client."""
        self._client.close()


class Ollama:
    """``ollama``, whose API sends one JSON object per line."""

    def __init__(self, site: str) -> None:
        self._client: Any = import_module("ollama").Client(host=site)

    def stream(self, question: str) -> Iterator[str]:
        """Yield the pieces of an answer."""
        for part in self._client.chat(model="m", messages=_messages(question), stream=True):
            piece = part.message.content
            if piece:
                yield piece

    def close(self) -> None:
        """Do nothing: the client has no such method."""


class Original:
    """
    The algorithm that the package replaces, written anew from its description, with ``aiohttp``.

    Two sessions and a new nonce per chat; lines are split within each read, incomplete ones are
    dropped, and the text is returned as a whole.
    """

    def __init__(self, site: str) -> None:
        self._site = site
        self._session: Any = import_module("aiohttp").ClientSession
        self._loops = threading.local()

    def stream(self, question: str) -> Iterator[str]:
        """Yield the answer in one piece."""
        loop = getattr(self._loops, "loop", None)
        if loop is None:
            loop = self._loops.loop = asyncio.new_event_loop()
        yield loop.run_until_complete(self._ask(question))

    async def _ask(self, question: str) -> str:
        async with self._session() as session, session.post(self._site + START_SESSION) as answer:
            nonce = (await answer.json())["restNonce"]
        url, headers = self._site + AI_ENGINE, {"X-WP-Nonce": nonce}
        text = ""
        async with self._session(headers=headers) as session, session.post(
            url, json=_question(question)
        ) as answer:
            async for chunk in answer.content.iter_any():
                for line in chunk.decode().split("\n"):
                    event = self._event(line)
                    if event.get("type") == "end":
                        text = str(json.loads(event["data"])["reply"])
                    else:
                        text += event.get("data", "")
        return text

    def _event(self, line: str) -> Dict[str, str]:
        try:
            return dict(json.loads(line[6:])) if line.startswith("data: ") else {}
        except json.JSONDecodeError:
            return {}

    def close(self) -> None:
        """Do nothing: each chat closes its own sessions."""


LIBRARIES: Dict[str, Type[Library]] = {
    "floor": Floor,
    "chatgpt4online": Ours,
    "requests + sseclient": Naive,
    "requests-sse": RequestsSSE,
    "httpx-sse": HTTPXSSE,
    "openai": OpenAI,
    "anthropic": Anthropic,
    "ollama": Ollama,
    "the original": Original,
}

#: Follows a library's name, and precedes that of the tuning it runs without.
WITHOUT = " without "

#: Those that speak AI Engine's API.
OF_AI_ENGINE = ["floor", "chatgpt4online", "requests + sseclient", "requests-sse", "httpx-sse"]

#: Those that keep cookies and connections, as the package does.
PEERS = [name for name in LIBRARIES if name not in ("floor", "chatgpt4online", "the original")]

#: How a program imports a library, and how it then creates a client.
IMPORTS: Dict[str, Tuple[str, str]] = {
    "import requests": ("import requests", "requests.Session()"),
    "chatgpt4online": ("from chatgpt4online import Client", "Client('http://127.0.0.1')"),
    "requests + sseclient": ("import requests, sseclient", "requests.Session()"),
    "requests-sse": ("import requests, requests_sse", "requests.Session()"),
    "httpx-sse": ("import httpx, httpx_sse", "httpx.Client()"),
    "openai": ("from openai import OpenAI", "OpenAI(api_key='not-needed')"),
    "anthropic": ("from anthropic import Anthropic", "Anthropic(api_key='not-needed')"),
    "ollama": ("from ollama import Client", "Client('http://127.0.0.1')"),
    "the original": ("import aiohttp", "aiohttp.ClientSession"),
}

#: What to install for each.
DISTRIBUTIONS: Dict[str, List[str]] = {
    "chatgpt4online": ["requests", "urllib3", "sseclient-py"],
    "requests + sseclient": ["requests", "sseclient-py"],
    "requests-sse": ["requests-sse"],
    "httpx-sse": ["httpx", "httpx-sse"],
    "openai": ["openai"],
    "anthropic": ["anthropic"],
    "ollama": ["ollama"],
    "the original": ["aiohttp"],
}

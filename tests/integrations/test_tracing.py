"""OpenTelemetry's instrumentation of requests: what its spans measure, and spans around them."""

from __future__ import annotations

from typing import Any, Iterator, List, Optional

import pytest
import requests

from chatgpt4online import Client, StreamInterrupted
from chatgpt4online.testing import Server

pytest.importorskip("opentelemetry.instrumentation.requests", exc_type=ImportError)
pytest.importorskip("opentelemetry.sdk", exc_type=ImportError)

from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)


class Tracing:
    """The instrumentation, and the spans that have ended."""

    def __init__(self) -> None:
        self._ended = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self._ended))
        self.tracer = self._provider.get_tracer("tests")

    def __enter__(self) -> Tracing:
        RequestsInstrumentor().instrument(tracer_provider=self._provider)
        return self

    def __exit__(self, *_: object) -> None:
        RequestsInstrumentor().uninstrument()
        self._provider.shutdown()

    @property
    def spans(self) -> List[Any]:
        """The spans that have ended, in this order."""
        return list(self._ended.get_finished_spans())

    @property
    def names(self) -> List[str]:
        """Their names."""
        return [span.name for span in self.spans]


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    """Instrument requests."""
    with Tracing() as running:
        yield running


@pytest.fixture(params=["own session", "given session"])
def session(request: pytest.FixtureRequest) -> Iterator[Optional[requests.Session]]:
    """Make a session to give to a client, or None."""
    with requests.Session() as given:
        yield given if request.param == "given session" else None


def test_a_request_ends_with_its_headers(
    server: Server, session: Optional[requests.Session], tracing: Tracing
) -> None:
    """The span of a request ends before its answer does; a span around the stream ends after."""
    server.stalls(after=("Well",))
    with Client(server.url, session=session) as client:
        with tracing.tracer.start_as_current_span("stream"), client.stream("Hi") as stream:
            assert next(stream) == "Well"
            assert tracing.names == ["POST", "POST"]
        assert tracing.names == ["POST", "POST", "stream"]
    *requests_, outer = tracing.spans
    assert {span.parent.span_id for span in requests_} == {outer.context.span_id}
    assert [span.attributes["http.status_code"] for span in requests_] == [200, 200]


def test_each_request_names_its_own_span(server: Server, tracing: Tracing) -> None:
    """Each request carries the id of its own span, so that the site's traces can be joined."""
    with Client(server.url) as client:
        client.chat("One")
        client.chat("Two")
    sent = [request.headers["traceparent"].split("-")[2] for request in server.requests]
    assert sent == [f"{span.context.span_id:016x}" for span in tracing.spans]
    assert len(set(sent)) == 3


def test_an_error_within_an_answer(server: Server, tracing: Tracing) -> None:
    """An error in the middle of an answer is in the span around it, and not in the request's."""
    server.cuts("Well")
    span = tracing.tracer.start_as_current_span("chat")
    with Client(server.url) as client, pytest.raises(StreamInterrupted), span:
        client.chat("Hi")
    assert [span.status.is_ok for span in tracing.spans] == [True, True, False]


def test_threads_of_a_map(server: Server, tracing: Tracing) -> None:
    """The questions of a run belong to the span around it."""
    with Client(server.url) as client, tracing.tracer.start_as_current_span("run"):
        list(client.map(["One", "Two", "Three"], workers=3))
    *requests_, outer = tracing.spans
    assert len(requests_) == 4
    assert {span.parent.span_id for span in requests_} == {outer.context.span_id}

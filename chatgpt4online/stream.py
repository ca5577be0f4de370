"""`Stream`: an answer as it arrives."""

from __future__ import annotations

from io import StringIO
from typing import Callable, Iterator, List, Optional, Union

from ._http import tracebacks
from ._http.call import CallEnded
from ._http.deadlines import monotonic
from ._http.response import Response
from ._protocol import fields
from ._protocol.answers import parse_reply
from ._protocol.events import End, Failure
from ._protocol.failures import interrupted, reply_error
from .errors import ChatGPT4OnlineError, ProtocolError
from .types import Event, Reply

__all__ = ["Stream"]

_Item = Union[str, Event, End, Failure]


class Stream:
    """
    An answer as it arrives: an iterator of deltas, the pieces of its text. No delta is empty.

    `Client.stream` returns one after sending the request; if the site refuses the request, it
    raises instead. A stream can be read once, by one thread at a time; any thread may call
    `close`. Leaving its ``with`` block, an error, or dropping the last reference frees the
    connection.

    Reading raises `Timeout`, `ReplyError`, `StreamInterrupted` or `ProtocolError`. The `text` of
    the error is the part of the answer received so far.
    """

    def __init__(self, response: Response, chat_id: str) -> None:
        self._response = response
        self._call = response.call
        self._chat_id = chat_id
        self._first_seconds: Optional[float] = None
        self._text = StringIO()
        self._whole = ""  # the whole text, if it arrives as one delta at the end
        self._size = 0
        self._has_failed = False
        self._reply: Optional[Reply] = None
        self._error: Optional[ChatGPT4OnlineError] = None
        self._callbacks: List[Callable[[Reply], object]] = []
        self._items: Iterator[_Item] = response.items()
        self._ahead = self._read()  # raises a refusal now

    def __iter__(self) -> Stream:
        """Return the stream itself."""
        return self

    def __next__(self) -> str:
        """Return the next delta as soon as it arrives."""
        while True:
            item = self._next()
            if type(item) is str:
                return item
            if item is None:
                raise StopIteration

    def events(self) -> Iterator[Event]:
        """
        Yield every event as it arrives: deltas, and what the site reports about its work.

        Use it instead of iterating over the stream, or to read the rest of one.
        """
        while True:
            item = self._next()
            if item is None:
                return
            yield Event("content", item, None, {}, None) if isinstance(item, str) else item

    def result(self) -> Reply:
        """
        Read the rest of the stream, and return the whole answer.

        Its text is the site's final one, which may differ from the joined deltas.
        """
        while self._reply is None:
            self._next()
        return self._reply

    @property
    def text(self) -> str:
        """The deltas yielded so far, joined. Any thread may read it."""
        return self._text.getvalue() or self._whole

    def on_reply(self, callback: Callable[[Reply], object]) -> None:
        """
        Call a function with the whole answer once it has arrived, or now if it already has.

        Args:
            callback: called once, in the thread that reads, before that thread gets the last
                delta; never called if the answer stays incomplete. The reader gets what it raises,
                and can still read the last delta.
        """
        if self._reply is None:
            self._callbacks.append(callback)
        else:
            callback(self._reply)

    def close(self) -> None:
        """
        End the answer here, and free its connection. Never blocks; any thread may call it.

        A blocked reader gets `StreamInterrupted` at once. A finished stream keeps its answer.
        """
        if self._reply is None and self._error is None:
            self._call.end("closed")
            self._response.close()

    def _next(self) -> Union[str, Event, None]:
        """Return the next delta or other event; None at the end."""
        item = self._ahead
        if item is not None:
            self._ahead = None
        elif self._reply is not None:
            return None
        elif self._error is not None:
            raise self._error
        else:
            item = self._read()
        if type(item) is str:
            if self._reply is None:
                self._text.write(item)
            else:
                self._whole = item  # writing it would copy it
        return item

    def _read(self) -> Union[str, Event, None]:
        """Return what arrives next; None at the end."""
        try:
            if self._call.ended:
                self._call.raise_if_ended()
            # In no variable of this frame: an end may contain a nonce.
            item = self._received(next(self._items, None))
        except (ChatGPT4OnlineError, CallEnded) as error:
            failure = self._response.translate(error)
            failure.text = self.text
            self._response.close()  # but the call goes on if the question is sent again
            self._error = failure
            raise failure from error.__cause__
        except BaseException as error:
            self.close()
            tracebacks.clear(error)
            raise
        if self._reply is not None:
            self._call_back(self._reply, item)
        return item

    def _received(self, item: Optional[_Item]) -> Union[str, Event, None]:
        """Return a delta or event; the last delta or None at the end."""
        while isinstance(item, Failure):
            if item.message:
                raise reply_error(item.message)
            self._has_failed = True  # the real failure follows
            item = next(self._items, None)
        if type(item) is str:
            self._count(item)
            return item
        if isinstance(item, End):
            return self._end(item)
        if item is None:
            raise reply_error("") if self._has_failed else interrupted(self._response.tail)
        return item

    def _count(self, delta: str) -> None:
        if self._first_seconds is None:
            self._first_seconds = monotonic() - self._call.began
        self._size += len(delta)
        if self._size > fields.MAX_BYTES:
            raise ProtocolError(f"the answer is longer than {fields.MAX_BYTES} characters")

    def _end(self, end: End) -> Optional[str]:
        """Keep the whole answer; return its text as one delta if there was none before."""
        reply = self._parse(end)
        delta = None
        if reply and not self._size:
            delta = str(reply.raw["reply"])  # unlike a copy of the reply, it takes no memory
            self._count(delta)
        reply.first_seconds = self._first_seconds
        reply.seconds = monotonic() - self._call.began
        self._reply = reply
        self._response.finish()
        self._response.log_answer(reply.seconds, reply.chat_id or "")
        self._call.finish()
        return delta

    def _call_back(self, reply: Reply, last: Union[str, Event, None]) -> None:
        """Call the caller's functions. If one raises, the last delta is still there to be read."""
        try:
            for callback in self._callbacks:
                callback(reply)
        except BaseException as error:
            self._ahead = last
            tracebacks.clear(error)
            raise

    def _parse(self, end: End) -> Reply:
        if end.answer is not None:
            so_far = "" if end.has_reply else self.text  # copying a long text takes time
            reply = parse_reply(end.answer, so_far, self._chat_id)
            self._response.update_nonce(end.answer)
            return reply
        if self._size:
            return Reply(self.text, chat_id=self._chat_id)
        raise ProtocolError(
            "the end of the answer cannot be read, and there was no text before it."
        )

    def __enter__(self) -> Stream:
        """Return the stream itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free the connection."""
        self.close()

    def __del__(self) -> None:
        """Free the connection."""
        if hasattr(self, "_items"):  # not if Ctrl-C interrupted __init__
            self.close()

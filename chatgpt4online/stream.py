"""An answer as it comes."""

from __future__ import annotations

from io import StringIO
from typing import Callable, Iterator, List, Optional, Union

from ._http.call import CallEnded
from ._http.response import Response
from ._protocol import events
from ._protocol.answers import parse_reply
from ._protocol.events import End, Failure
from ._protocol.failures import reply_error
from .errors import ChatGPT4OnlineError, ProtocolError, StreamInterrupted
from .types import Event, Reply

__all__ = ["Stream"]

_Item = Union[str, Event, End, Failure]

_STOPPED = (
    "the answer stopped before its end. The site may have run the question all the same: look"
    " before you ask again."
)


class Stream:
    """
    An answer as it comes: an iterator of its text's pieces, as str that are never empty.

    `Client.stream` makes it. By then the request has been sent, and a refusal been raised. It can
    be read once, by one thread at a time; `close` may come from any thread. Its ``with`` block, an
    error, and dropping the last reference to it free its connection.

    Reading raises `Timeout`, `ReplyError`, `StreamInterrupted` or `ProtocolError`, whose `text`
    holds what had been answered so far.
    """

    def __init__(self, response: Response, chat_id: str) -> None:
        self._response = response
        self._call = response.call
        self._chat_id = chat_id
        self._text = StringIO()
        self._size = 0
        self._has_failed = False
        self._reply: Optional[Reply] = None
        self._error: Optional[ChatGPT4OnlineError] = None
        self._callbacks: List[Callable[[Reply], object]] = []
        self._items: Iterator[_Item] = response.items()
        self._ahead = self._read()  # so that a refusal is raised now

    def __iter__(self) -> Stream:
        """Return itself."""
        return self

    def __next__(self) -> str:
        """Return the next piece of the text, as soon as it has come."""
        while True:
            item = self._next()
            if type(item) is str:
                return item
            if item is None:
                raise StopIteration

    def events(self) -> Iterator[Event]:
        """
        Yield everything that comes, as it comes: text, and what the site tells of its work.

        Instead of iterating over the stream itself, or to read the rest of it.
        """
        while True:
            item = self._next()
            if item is None:
                return
            yield Event("content", item, None, {}, None) if isinstance(item, str) else item

    def result(self) -> Reply:
        """
        Read the rest, and return the whole answer.

        Its text is the site's final one, which may differ from the joined pieces.
        """
        while self._reply is None:
            self._next()
        return self._reply

    @property
    def text(self) -> str:
        """The pieces that the stream has yielded so far, joined. From any thread."""
        return self._text.getvalue()

    def on_reply(self, callback: Callable[[Reply], object]) -> None:
        """
        Have a function called with the whole answer, when it has come or if it has come already.

        Args:
            callback: called once, by the thread that reads, before it gets the last piece; not
                at all if the answer does not become whole.
        """
        if self._reply is None:
            self._callbacks.append(callback)
        else:
            callback(self._reply)

    def close(self) -> None:
        """
        End the answer here, and free its connection. From any thread; never blocks.

        A thread that is reading meets `StreamInterrupted` at once. A finished stream stays whole.
        """
        if self._reply is None:
            self._call.end("closed")
            self._response.close()

    def _next(self) -> Union[str, Event, None]:
        """Return the next piece of text or other event; None at the end."""
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
            self._text.write(item)
        return item

    def _read(self) -> Union[str, Event, None]:
        """Return what arrives next; None at the end."""
        try:
            if self._call.ended:
                self._call.raise_if_ended()
            item = next(self._items, None)
            while isinstance(item, Failure) and not item.message:
                self._has_failed = True  # the real failure follows
                item = next(self._items, None)
            return self._received(item)
        except (ChatGPT4OnlineError, CallEnded) as error:
            self._error = self._response.translate(error)
            self._error.text = self.text
            self.close()
            raise self._error from error.__cause__
        except BaseException:
            self.close()
            raise

    def _received(self, item: Optional[_Item]) -> Union[str, Event, None]:
        """Return an event, or what there is to return at the end."""
        if type(item) is str:
            self._count(item)
            return item
        if isinstance(item, Failure):
            raise reply_error(item.message)
        if isinstance(item, End):
            return self._end(item)
        if item is None:
            raise reply_error("") if self._has_failed else StreamInterrupted(_STOPPED)
        return item

    def _count(self, piece: str) -> None:
        self._size += len(piece)
        if self._size > events.LIMIT:
            raise ProtocolError(f"the answer is longer than {events.LIMIT} characters")

    def _end(self, end: End) -> Optional[str]:
        """Keep the whole answer; return its text as one piece if no other came before."""
        if end.answer is not None:
            so_far = "" if end.has_reply else self.text  # a long one costs its copying
            self._reply = parse_reply(end.answer, so_far, self._chat_id)
            self._response.update_nonce(end.answer)
        elif self._size:
            self._reply = Reply(self.text, chat_id=self._chat_id)
        else:
            raise ProtocolError("the end of the answer cannot be read, and there was no text.")
        self._response.finish()
        self._call.finish()
        for callback in self._callbacks:
            callback(self._reply)
        if self._size or not self._reply:
            return None
        self._count(self._reply)
        return str(self._reply)

    def __enter__(self) -> Stream:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free the connection."""
        self.close()

    def __del__(self) -> None:
        """Free the connection."""
        if hasattr(self, "_items"):  # else Ctrl-C struck while it was made
            self.close()

"""`Discussions`: the conversations that a site has stored for its users."""

from __future__ import annotations

from operator import attrgetter
from typing import Iterator, List, Optional, Union

from . import _validation as validate
from ._http.transport import Transport
from ._paging import each_once
from ._protocol import routes
from ._protocol.answers import parse_discussions
from ._protocol.request import (
    delete_discussions_body,
    list_discussions_body,
    rename_discussion_body,
)
from .types import Discussion

__all__ = ["Discussions"]


class Discussions:
    """
    The conversations that a site has stored for the logged-in user. `Client.discussions` is one.

    Only a client with `auth` has any; the site refuses guests. Those of visitors and of other users
    cannot be listed, not even by an administrator. Iterating yields all discussions with the
    client's bot, fetching pages as needed. Threads may share this object.
    """

    def __init__(self, transport: Transport, bot: Optional[str], custom_id: Optional[str]) -> None:
        self._transport = transport
        self._bot = bot
        self._custom_id = custom_id

    def __iter__(self) -> Iterator[Discussion]:
        """Yield each discussion once, in the site's order."""
        return each_once(self._pages(), attrgetter("chat_id"))

    def _pages(self) -> Iterator[List[Discussion]]:
        read = 0
        while True:
            page = self.list(offset=read)
            read += len(page)
            yield page

    def list(self, *, offset: int = 0, limit: int = 10) -> List[Discussion]:
        """
        Return some discussions, in the site's order. The site may ask a model for their titles.

        Args:
            offset: how many to skip at the beginning.
            limit: how many to return at most.

        Raises:
            ValueError: `offset` is negative, or `limit` is less than 1.
            TypeError: a number is not an int.
            ReplyError: the client is a guest.
            ChatGPT4OnlineError: anything else went wrong.

        Source: AI Engine 3.6.2, mwai-ui/v1/discussions/list.
        """
        fields = list_discussions_body(
            bot=self._bot,
            custom_id=self._custom_id,
            offset=validate.count(offset, "offset"),
            limit=validate.positive(limit, "limit"),
        )
        route = routes.LIST_DISCUSSIONS
        return self._transport.post(route, fields, parse_discussions, idempotent=True)

    def rename(self, discussion: Union[Discussion, str], title: str) -> None:
        """
        Rename a discussion. A site reports success even if the user has no such discussion.

        Args:
            discussion: the discussion, or its `chat_id`.
            title: the new title, at most 64 characters; the site removes HTML tags from it.

        Raises:
            ValueError: the title or the id is empty.
            TypeError: an argument has the wrong type.
            ReplyError: the client is a guest, or the title is too long.
            ChatGPT4OnlineError: anything else went wrong.

        Source: AI Engine 3.6.2, mwai-ui/v1/discussions/edit.
        """
        fields = rename_discussion_body(chat_id(discussion), validate.identifier(title, "title"))
        self._transport.post(routes.RENAME_DISCUSSION, fields, dict)

    def delete(self, *discussions: Union[Discussion, str]) -> None:
        """
        Delete discussions: either all of them or none.

        Args:
            discussions: the discussions, or their `chat_id`.

        Raises:
            ValueError: no discussion is given, or an id is empty.
            TypeError: it is neither a discussion nor an id.
            AuthError: one of them is not the user's, or the client is a guest.
            ChatGPT4OnlineError: anything else went wrong.

        Source: AI Engine 3.6.2, mwai-ui/v1/discussions/delete.
        """
        ids = [chat_id(each) for each in validate.at_least_one(discussions, "discussions")]
        self._transport.post(routes.DELETE_DISCUSSIONS, delete_discussions_body(ids), dict)


def chat_id(discussion: Union[Discussion, str]) -> str:
    """Return the id of a discussion."""
    known = discussion.chat_id if isinstance(discussion, Discussion) else discussion
    return validate.identifier(known, "a discussion's chat_id")

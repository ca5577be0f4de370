"""What differs between the versions of AI Engine that the site can be like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, FrozenSet, Mapping, Tuple


@dataclass(frozen=True)
class Profile:
    """One version of the plugin, as recorded."""

    absent: FrozenSet[str]  # routes that the version does not have
    sessions: bool  # a visitor has a session, kept in a cookie
    new_token: bool  # a fresh nonce comes inside answers, too
    extras: Tuple[str, ...]  # an answer's keys beside success, reply, images and usage
    usage: Mapping[str, Any]  # a usage's keys beside the three counts
    image_usage: Mapping[str, Any]  # the whole usage of an image bot's answer
    unknown_bot_is_default: bool
    refuses_models: bool  # a ``model`` in the request is an error
    rest_route: bool  # ?rest_route= works beside permalinks
    empty_messages: Tuple[str, ...]  # messages that count as none
    image_bots_stream: bool  # under the content type of a stream
    owned_files: bool  # deleted by their owner alone; listed to users alone
    full_rows: bool  # discussions with titles, dates for people and the start sentence
    json_query: bool  # simpleJsonQuery works
    page_nonce: bool  # a page holds a nonce for guests
    page_session: Any  # a guest's sessionId in a page
    widget: Mapping[str, Any]  # a bot's settings in a page beside those of every version
    system: Mapping[str, Any]  # likewise, its data-system
    style_sheets: bool  # a page names the theme's


_UPLOADS = {
    "mode": "chat",
    "fileUpload": True,
    "multiUpload": False,
    "maxUploads": 1,
    "fileUploads": 1,
}
_LAYOUT = {
    **dict.fromkeys(("containerType", "headerType", "messagesType", "inputType"), "standard"),
    "footerType": "standard",
    "headerSubtitle": "Discuss with",
    "pdfButton": False,
    "centerOpen": False,
    "width": "",
    "openDelay": "",
    "windowAnimation": "zoom",
}

_3_6_2 = Profile(
    absent=frozenset(),
    sessions=True,
    new_token=True,
    extras=("actions", "shortcuts", "blocks"),
    usage={"price": None, "queries": 1, "accuracy": "estimated"},
    image_usage={"queries": 1, "accuracy": "tokens"},
    unknown_bot_is_default=True,
    refuses_models=True,
    rest_route=True,
    empty_messages=("",),
    image_bots_stream=False,
    owned_files=True,
    full_rows=True,
    json_query=True,
    page_nonce=False,
    page_session=None,
    widget={**_UPLOADS, **_LAYOUT},
    system={"eventLogs": False, "crossSite": False, "actions": [], "blocks": [], "shortcuts": []},
    style_sheets=True,
)

_2_4_7 = Profile(
    absent=frozenset(
        {
            "/mwai-ui/v1/discussions/edit",
            "/mwai-ui/v1/discussions/delete",
            "/mwai/v1/listChatbots",
            "/mwai/v1/simpleFastTextQuery",
            "/mwai/v1/simpleFileUpload",
            "/mwai/v1/simpleImageEditQuery",
            "/mwai/v1/simpleTranscribeAudio",
        }
    ),
    sessions=False,
    new_token=False,
    extras=(),
    usage={},
    image_usage={"resolution": "1792x1024", "images": 1},
    unknown_bot_is_default=False,
    refuses_models=False,
    rest_route=False,
    empty_messages=("", "0"),
    image_bots_stream=True,
    owned_files=False,
    full_rows=False,
    json_query=False,
    page_nonce=False,
    page_session="N/A",
    widget={"fileSearch": True},
    system={},
    style_sheets=False,
)

PROFILES = {
    # Not recorded: the last version before start_session, by the plugin's history.
    "2.4.3": replace(_2_4_7, absent=_2_4_7.absent | {"/mwai/v1/start_session"}, page_nonce=True),
    "2.4.7": _2_4_7,
    "3.6.2": _3_6_2,
}

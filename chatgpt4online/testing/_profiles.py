"""The versions of AI Engine that the site can behave like: one row of facts per version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, FrozenSet, Mapping, Optional, Tuple


@dataclass(frozen=True)
class Profile:
    """
    How one version of the plugin differs from the others.

    Each comment names the route, and the first or last version that behaves so.
    """

    # Routes and nonces.
    missing_routes: FrozenSet[str]  # that only other versions have
    rest_route_query: bool  # 3.6.2: ?rest_route= also works on a site with permalinks
    page_nonce: bool  # until 2.4.3: data-system of a page has a nonce for guests
    new_token: bool  # 2.8.5: JSON answers to an aging nonce contain a fresh one
    session_cookies: bool  # 2.8.5: start_session sets mwai_session_id

    # chats/submit.
    counts_bytes: bool  # until 2.4.8: a bot's length limit counts bytes, then characters
    checks_chat_id: bool  # 3.3.9: a chatId that is a list is a fatal error; 2.4.7 ignores it
    empty_messages: Tuple[str, ...]  # until 3.0.9: "0" counts as empty, too
    unknown_bot_is_default: bool  # 3.0.3: the default bot answers for an unknown botId
    refuses_models: bool  # 3.3.9: an unknown "model" in the request is an error; 2.4.7 asks it
    sends_documents: bool  # 2.4.7: a document reaches the model as if it were an image
    unknown_file_fails: bool  # 2.4.7: an unknown file id is a fatal error
    several_files: bool  # 2.9.7: newFileIds; earlier versions read only newFileId
    reply_fields: Tuple[str, ...]  # 2.4.9: actions, shortcuts and blocks of an answer
    response_id: bool  # 2.8.4: responseId in answers, previousResponseId in discussions
    usage_fields: Mapping[str, Any]  # in usage, next to the three token counts; 2.8.8: accuracy
    image_usage: Mapping[str, Any]  # the whole usage of an image bot's answer
    image_bots_send_stream_type: bool  # until 2.8.2: under text/event-stream; then under JSON

    # files/*.
    keeps_file_names: bool  # until 2.4.3: the URL of an upload has the file's own name
    lists_types: bool  # until 2.8.4: rows of files/list have the type "image"; then all are "file"
    used_purpose: Optional[str]  # 3.2.8: the purpose of a file from its first use in a chat
    guest_file_list_fails: bool  # 2.8.5, 3.3.9, 3.6.2: files/list is a fatal error for guests
    file_owners: bool  # 3.2.8: files/delete takes refIds, and only those of the sender's files

    # discussions/*.
    keeps_start_sentence: bool  # 2.6.8: a discussion begins with the bot's greeting
    titles: bool  # 2.6.5: rows of discussions/list have a title
    metadata_display: bool  # 2.9.2: rows have dates for people to read

    # The public API.
    json_queries: bool  # 3.6.2: simpleJsonQuery works; 2.4.7 refuses each
    chatbot_extra: bool  # 2.4.8: simpleChatbotQuery answers with the chatId
    api_sends_history: bool  # 3.3.9: simpleChatbotQuery relies on the vendor's own memory
    api_messages: Mapping[str, str]  # the failures of the public API, by reason

    # Pages.
    page_session_id: Optional[str]  # 3.5.2: null for guests in data-system
    params: Mapping[str, Any]  # data-params of a bot, next to those of every version
    system: Mapping[str, Any]  # data-system of a bot, next to those of every version
    theme_css: bool  # 3.6.2: data-theme has the URL of the style sheet


_UPLOAD_PARAMS = {
    "mode": "chat",
    "fileUpload": True,
    "multiUpload": False,
    "maxUploads": 1,
    "fileUploads": 1,
}
_LAYOUT_PARAMS = {
    **dict.fromkeys(("containerType", "headerType", "messagesType", "inputType"), "standard"),
    "footerType": "standard",
    "headerSubtitle": "Discuss with",
    "pdfButton": False,
    "centerOpen": False,
    "width": "",
    "openDelay": "",
    "windowAnimation": "zoom",
}

_MESSAGES_2_4_7 = {"no text": "The text is required.", "no url": "The url or path is required."}
_MESSAGES_3_6_2 = {
    "no audio": (
        'Either a "url" parameter or a "mediaId" parameter is required for audio transcription.'
    ),
    "no file": "Either a file upload or base64 encoded data is required.",
    "no text": 'The "text" parameter is required for content moderation.',
    "no url": 'The "url" parameter is required for image analysis.',
    "bad base64": "File upload failed: Invalid base64 data.",
}

_3_6_2 = Profile(
    missing_routes=frozenset(),
    rest_route_query=True,
    page_nonce=False,
    new_token=True,
    session_cookies=True,
    counts_bytes=False,
    checks_chat_id=True,
    empty_messages=("",),
    unknown_bot_is_default=True,
    refuses_models=True,
    sends_documents=False,
    unknown_file_fails=False,
    several_files=True,
    reply_fields=("actions", "shortcuts", "blocks"),
    response_id=True,
    usage_fields={"price": None, "queries": 1, "accuracy": "estimated"},
    image_usage={"queries": 1, "accuracy": "tokens"},
    image_bots_send_stream_type=False,
    keeps_file_names=False,
    lists_types=False,
    used_purpose="analysis",
    guest_file_list_fails=True,
    file_owners=True,
    keeps_start_sentence=True,
    titles=True,
    metadata_display=True,
    json_queries=True,
    chatbot_extra=True,
    api_sends_history=True,
    api_messages=_MESSAGES_3_6_2,
    page_session_id=None,
    params={**_UPLOAD_PARAMS, **_LAYOUT_PARAMS},
    system={"eventLogs": False, "crossSite": False, "actions": [], "blocks": [], "shortcuts": []},
    theme_css=True,
)

_2_4_7 = Profile(
    missing_routes=frozenset(
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
    rest_route_query=False,
    page_nonce=False,
    new_token=False,
    session_cookies=False,
    counts_bytes=True,
    checks_chat_id=False,
    empty_messages=("", "0"),
    unknown_bot_is_default=False,
    refuses_models=False,
    sends_documents=True,
    unknown_file_fails=True,
    several_files=False,
    reply_fields=(),
    response_id=False,
    usage_fields={},
    image_usage={"resolution": "1792x1024", "images": 1},
    image_bots_send_stream_type=True,
    keeps_file_names=False,
    lists_types=True,
    used_purpose=None,
    guest_file_list_fails=False,
    file_owners=False,
    keeps_start_sentence=False,
    titles=False,
    metadata_display=False,
    json_queries=False,
    chatbot_extra=False,
    api_sends_history=True,
    api_messages=_MESSAGES_2_4_7,
    page_session_id="N/A",
    params={"fileSearch": True},
    system={},
    theme_css=False,
)

_3_3_9 = replace(
    _3_6_2,
    usage_fields={"price": None, "queries": 1, "accuracy": "tokens"},
    image_usage={"images": 1, "queries": 1, "price": 0.04, "accuracy": "price"},
    api_sends_history=False,
    page_session_id="6b06b5804205c",
    params={name: value for name, value in _3_6_2.params.items() if name != "pdfButton"},
)

PROFILES = {
    # Tried but not recorded: the last version without start_session.
    "2.4.3": replace(
        _2_4_7,
        missing_routes=_2_4_7.missing_routes | {"/mwai/v1/start_session"},
        page_nonce=True,
        keeps_file_names=True,
    ),
    # Recorded from real sites.
    "2.4.7": _2_4_7,
    "3.3.9": _3_3_9,
    "3.6.2": _3_6_2,
}

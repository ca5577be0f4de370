"""Replies in notebooks: the Markdown that they show contains no HTML of the site's."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, Iterator, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatgpt4online import Client, Conversation, Reply
from chatgpt4online._display import for_markdown, for_terminal

HTML = "<img src=x onerror=alert(1)>"
ESCAPED = "&lt;img src=x onerror=alert(1)>"

#: Syntax about which Markdown renderers disagree, mostly code and formulas.
PARTS = [
    *("<x>", "<x a='`'>", "<!--", "-->", "`", "``", "```", "~~~", "\n```\n", "\n~~~\n", "\n"),
    *("\n\n", " ", "   ", "    ", "\t", "- ", "> ", "1. ", "|", "$", "$$", "\\", "\\[", "\\]"),
    *("\\(", "\\)", "\\begin{a}", "\\end{a}", "a", "[", "](", "]:", ")", "javascript:x", "\r"),
    *("\u00a0", "\x0b", "\x0c", "\u2028", "---\n", '"', "#", "*", "[^1]: ", "````", "~~~~"),
    *("a|b\n-|-\n", "|a|\n|-|\n", "\n-|-\n", "\n|-|\n", "```a|b\n", "~~~|b\n", "\n-\n", "<x>\n"),
    *("\n    a\n", "///", "/// details | a\n    attrs: {onclick: a}\n\na\n///\n"),
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=18).map("".join)


@pytest.mark.parametrize(
    "text",
    [
        "a < b, 3 <= 4 and x<4",
        "Use `List<int>` or `` a`<b>`` here",
        "```html\n<b>Hi</b>\n\n[x](javascript:y)\n```\nThen",
        "~~~\n<b>\n```\n~~~",
        "- one\n  ```cpp\n  vector<int> a;\n  ```\n- two",
        "| `a<b>` | c |",
        "> quoted\n\n**bold** [link](https://a.b) ![picture](HTTP://a.b/c.png)",
        "Here:\n```c++\nvector<int> a;\n\n---\n```\nThen\n\n````\n<b>\n````",
        "1. a\n    - b\n    c\n\n```\n<b>\n```",
        "",
    ],
)
def test_markdown_and_code_are_unchanged(text: str) -> None:
    """Markdown without HTML is unchanged, and so is everything that is unambiguously code."""
    assert for_markdown(text) == text


@pytest.mark.parametrize(
    "text",
    [
        HTML,
        f"`{HTML}",
        f"\\`{HTML}`",
        f"`\n\n{HTML}\n`",
        f"`\n`{HTML}`",
        f"`|` `{HTML}` `|`",
        f"$`$ `{HTML}`",
        f"```\n```\n{HTML}",
        f"    ```\n{HTML}\n    ```",
        f"- ```\n{HTML}\n  ```",
        f"- a\n  ```\n{HTML}\n  ```",
        f"- a\n  ```\n  $\n  {HTML}\n  ```",
        f"  ```\n      ```\n  {HTML}\n  ```",
        f"> ```\n\n```\n{HTML}",
        f"$$\n```\n$$\n{HTML}\n```",
        f"``` a`b\n{HTML}\n```",
        f"``` a|b\n-|-\n{HTML}|c\n```",
        f"~~~ a|b\n-|-\n~~~ {HTML}|c",
        f"a|b\n-|-\n```x|y\n{HTML}\n```",
        f"a\n~~~\n{HTML}\n~~~\n-",
        f"a\n```\n|\n-\n{HTML}\n\n```",
        f"a\n```\n \n-\n{HTML}\n\n```",
        f"~~~` {HTML}`",
        f"~~~\n~~~```\n`{HTML}`\n~~~",
        f"```\n{HTML}\n````",
        f"```\n1. ```a\n{HTML}\n```",
        f"```\n{HTML}\n  ```",
        f"```js {{.a}}\n{HTML}\n```",
        f"    a\n\n~~~\n{HTML}\n~~~",
        f"---\n    a\n~~~\n{HTML}\n~~~",
        f"```\n{HTML}\n$$\n```",
    ],
)
def test_html_shows_as_text(text: str) -> None:
    """HTML is escaped even where only some renderers see code."""
    assert for_markdown(text) == text.replace(HTML, ESCAPED)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("```\n<b>", "```\n<b>\n```"),
        ("a\r\nb\rc\u2028d\u2029e", "a\nb\nc\nd\ne"),
        ("a\x1b[2Jb\tc\x9b\x7f", "a[2Jb\tc"),
        ("/// details | a\n    attrs: {onclick: b}", "\\/// details | a\n    attrs: {onclick: b}"),
        ("file:///a ///", "file:///a \\///"),
    ],
)
def test_text_is_normalized(text: str, shown: str) -> None:
    """Code is closed, lines end with a line feed, and controls and pymdown's blocks are text."""
    assert for_markdown(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[a](javascript:b)", "[a]\\(javascript:b)"),
        ("[a](\n <data:text/html,b>)", "[a]\\(\n &lt;data:text/html,b>)"),
        ("![a](file:///b)", "![a]\\(file:///b)"),
        ("[a]: javascript:b\n\n[a]", "[a]\\: javascript:b\n\n[a]"),
        ("[a](&#106;avascript:b)", "[a]\\(&#106;avascript:b)"),
        ("[a](https://b) [c](mailto:d@e.f) [g](#h)", "[a](https://b) [c](mailto:d@e.f) [g](#h)"),
    ],
)
def test_links_with_other_schemes(text: str, shown: str) -> None:
    """A link that is not http, https, mailto or an anchor shows as text."""
    assert for_markdown(text) == shown


@given(TEXTS)
def test_commonmark_finds_no_html(text: str) -> None:
    """A CommonMark parser with tables finds no HTML, whatever the text."""
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = list(flatten(parser.parse(for_markdown(text))))
    assert not [token for token in tokens if token.type.startswith("html")]


@given(TEXTS)
def test_nbconvert_exports_no_html(text: str) -> None:
    """A page exported by nbconvert has no element or javascript link from the text."""
    nbconvert = pytest.importorskip("nbconvert.filters.markdown_mistune")
    page = InjectedTags()
    page.feed(nbconvert.markdown2html_mistune(for_markdown(text)))
    assert not page.tags


@given(TEXTS)
def test_marimo_shows_no_html(text: str) -> None:
    """The Markdown extensions of marimo find no HTML and no attributes, whatever the text."""
    md = pytest.importorskip("marimo").md
    page = InjectedTags()
    page.feed(md(for_markdown(text)).text)
    assert not page.tags


#: Text that takes a backtracking or repeated search quadratic time.
HOSTILE = {
    "runs of backticks": " ".join("`" * length for length in range(1, 1500)),
    "many runs": "` ``" * 50_000,
    "tildes": "~" * 200_000 + "`",
    "escapes": "\\`" * 100_000 + "<b>",
    "links": "](" + " " * 200_000,
    "blanks": " " * 200_000 + "`<b>",
    "quotes": ">" * 200_000,
    "fences in a paragraph": "a\n" + "```\n" * 50_000,
    "blanks after a fence": "```" + " \t" * 100_000 + "!",
    "empty code": "```\n```\n" * 20_000,
    "cells": "`|" * 100_000 + "<b>",
    "slashes": "/" * 200_000,
}


@pytest.mark.timeout(20)  # quadratic time would take minutes
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_shown_in_linear_time(name: str) -> None:
    """Hostile text is made safe in linear time."""
    for_markdown(HOSTILE[name])
    for_terminal(HOSTILE[name])


def flatten(tokens: Optional[List[Any]]) -> Iterator[Any]:
    """Yield tokens and their descendants."""
    for token in tokens or ():
        yield token
        yield from flatten(token.children)


class InjectedTags(HTMLParser):
    """Collects the elements and links in a page that come from the texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: List[str] = []

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        """Collect an element that is called x or has a javascript link."""
        links = [value or "" for name, value in attrs if name in ("href", "src")]
        links += ["javascript" for name, _ in attrs if name == "onclick"]
        if tag == "x" or any(link.strip().lower().startswith("javascript") for link in links):
            self.tags.append(tag)


def test_replies_and_conversations_show_no_html(client: Client) -> None:
    """Replies and conversations show no HTML; code blocks start on their own line."""
    assert Reply(HTML)._repr_markdown_() == ESCAPED
    messages = [
        {"role": "user", "content": "Show me HTML"},
        {"role": "assistant", "content": f"```html\n<b>\n```\n{HTML}"},
    ]
    shown = Conversation(client, messages=messages)._repr_markdown_()
    assert shown == (f"**user:**\n\nShow me HTML\n\n**assistant:**\n\n```html\n<b>\n```\n{ESCAPED}")


def test_an_open_code_block_ends_with_its_message(client: Client) -> None:
    """A code block that one message leaves open cannot unescape HTML in the next one."""
    messages = [
        {"role": "user", "content": "```"},
        {"role": "assistant", "content": f"```\n{HTML}\n```"},
    ]
    shown = Conversation(client, messages=messages)._repr_markdown_()
    assert HTML not in shown


@given(st.text())
def test_control_characters_are_removed(text: str) -> None:
    """Printable text, newlines and tabs stay; no other control character does."""
    shown = for_terminal(text)
    assert not {c for c in shown if ord(c) < 32 or 127 <= ord(c) < 160} - {"\n", "\t"}
    assert [c for c in shown if c.isprintable()] == [c for c in text if c.isprintable()]

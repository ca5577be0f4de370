from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, Iterator, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatgpt4online import Client, Conversation, Reply
from chatgpt4online._display import for_markdown, for_terminal

HARMFUL = "<img src=x onerror=alert(1)>"
SHOWN = "&lt;img src=x onerror=alert(1)>"

#: What Markdown's readers disagree about, code and formulas above all.
PARTS = [
    *("<x>", "<x a='`'>", "<!--", "-->", "`", "``", "```", "~~~", "\n```\n", "\n~~~\n", "\n"),
    *("\n\n", " ", "   ", "    ", "\t", "- ", "> ", "1. ", "|", "$", "$$", "\\", "\\[", "\\]"),
    *("\\(", "\\)", "\\begin{a}", "\\end{a}", "a", "[", "](", "]:", ")", "javascript:x", "\r"),
    *("\u00a0", "\x0b", "\x0c", "\u2028", "---\n", '"', "#", "*"),
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=14).map("".join)


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
        "```\n<b> in a block without an end",
        "",
    ],
)
def test_markdown_and_code_stay(text: str) -> None:
    """What is no HTML stays as it is, and so does all that is clearly code."""
    assert for_markdown(text) == text


@pytest.mark.parametrize(
    "text",
    [
        HARMFUL,
        f"`{HARMFUL}",
        f"\\`{HARMFUL}`",
        f"`\n\n{HARMFUL}\n`",
        f"`\n`{HARMFUL}`",
        f"`|` `{HARMFUL}` `|`",
        f"$`$ `{HARMFUL}`",
        f"```\n```\n{HARMFUL}",
        f"    ```\n{HARMFUL}\n    ```",
        f"- ```\n{HARMFUL}\n  ```",
        f"- a\n  ```\n{HARMFUL}\n  ```",
        f"- a\n  ```\n  $\n  {HARMFUL}\n  ```",
        f"  ```\n      ```\n  {HARMFUL}\n  ```",
        f"> ```\n\n```\n{HARMFUL}",
        f"$$\n```\n$$\n{HARMFUL}\n```",
        f"``` a`b\n{HARMFUL}\n```",
    ],
)
def test_html_shows_as_text(text: str) -> None:
    """HTML does not get through, though it hides in what is code to some readers alone."""
    assert for_markdown(text) == text.replace(HARMFUL, SHOWN)


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
def test_links_lead_to_pages(text: str, shown: str) -> None:
    """A link that is none to a page, an address or a heading shows as text."""
    assert for_markdown(text) == shown


@given(TEXTS)
def test_no_reading_of_markdown_finds_html(text: str) -> None:
    """Whatever the text, a reader of CommonMark with tables finds no HTML in it."""
    markdown_it = pytest.importorskip("markdown_it")
    reader = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = list(flat(reader.parse(for_markdown(text))))
    assert not [token for token in tokens if token.type.startswith("html")]


@given(TEXTS)
def test_no_notebook_export_holds_html(text: str) -> None:
    """Whatever the text, nbconvert's page of it has no element or link that the text asked for."""
    nbconvert = pytest.importorskip("nbconvert.filters.markdown_mistune")
    page = Page()
    page.feed(nbconvert.markdown2html_mistune(for_markdown(text)))
    assert not page.found


def flat(tokens: Optional[List[Any]]) -> Iterator[Any]:
    """Yield tokens with those inside of them."""
    for token in tokens or ():
        yield token
        yield from flat(token.children)


class Page(HTMLParser):
    """A page, and what it has of the elements and links that the texts ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: List[str] = []

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        """Look at an element."""
        links = [value or "" for name, value in attrs if name in ("href", "src")]
        if tag == "x" or any(link.strip().lower().startswith("javascript") for link in links):
            self.found.append(tag)


def test_what_a_notebook_shows_is_harmless(client: Client) -> None:
    """Replies and conversations show themselves without HTML, code blocks at their line's start."""
    assert Reply(HARMFUL)._repr_markdown_() == SHOWN
    turns = [
        {"role": "user", "content": "Show me HTML"},
        {"role": "assistant", "content": f"```html\n<b>\n```\n{HARMFUL}"},
    ]
    shown = Conversation(client, messages=turns)._repr_markdown_()
    assert shown == (f"**user:**\n\nShow me HTML\n\n**assistant:**\n\n```html\n<b>\n```\n{SHOWN}")


def test_a_turn_cannot_reach_into_the_next(client: Client) -> None:
    """A block of code that one turn leaves open does not turn the next one's prose into HTML."""
    turns = [
        {"role": "user", "content": "```"},
        {"role": "assistant", "content": f"```\n{HARMFUL}\n```"},
    ]
    shown = Conversation(client, messages=turns)._repr_markdown_()
    assert HARMFUL not in shown


@given(st.text())
def test_a_terminal_gets_no_control_characters(text: str) -> None:
    """Line ends and tabs pass, printable text does; nothing that a terminal obeys."""
    shown = for_terminal(text)
    assert not {c for c in shown if ord(c) < 32 or 127 <= ord(c) < 160} - {"\n", "\t"}
    assert [c for c in shown if c.isprintable()] == [c for c in text if c.isprintable()]

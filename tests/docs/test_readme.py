"""The README shows a first-time visitor what the package is, in an order that does not change."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any, List
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.rst").read_text(encoding="utf-8")
LINKS = re.findall(r"`[^`<]+ <([^>]+)>`__", README)
HEADING = re.compile(r"^(\S.*)\n[-=~]{3,}$", re.MULTILINE)


def headings(text: str) -> List[str]:
    """Return the headings of a page, in order."""
    return HEADING.findall(text)


def anchor(heading: str) -> str:
    """Return the fragment of the URL that code hosts and docutils give to a heading."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def test_the_order() -> None:
    """A sentence, a picture, the commands and the code come first; links come last."""
    marks = ["A synchronous Python client", ".. image::", "make demo", "make test", "import Client"]
    places = [README.index(mark) for mark in marks]
    assert places == sorted(places)
    assert headings(README) == [
        "chatgpt4online",
        "What it does for you",
        "Status",
        "Install",
        "Rights and manners",
        "More",
    ]


def test_the_commands_are_on_the_first_screen() -> None:
    """Nothing but a sentence and the picture comes before the commands."""
    before = README[: README.index("make demo")].splitlines()
    assert len(before) < 15


def leads_to_a_file(link: str) -> bool:
    """Return whether the file of a relative link exists, and has its heading."""
    path, _, fragment = link.partition("#")
    if not (ROOT / path).is_file():
        return False
    text = (ROOT / path).read_text(encoding="utf-8")
    return not fragment or fragment in map(anchor, headings(text))


def test_links_lead_to_files() -> None:
    """Each link is relative, and its file and heading exist."""
    assert len(LINKS) > 10
    assert [link for link in LINKS if not leads_to_a_file(link)] == []


def test_each_advantage_links_to_its_page() -> None:
    """The table has ten rows, and each begins with a link."""
    rows = re.findall(r"^    \* - (.*)$", README, re.MULTILINE)
    assert len(rows) == 10
    assert [row for row in rows if not re.match(r"`.* <docs/.*>`__$", row)] == []


def picture() -> Any:
    """Return scripts/picture.py as a module."""
    spec = importlib.util.spec_from_file_location("picture", ROOT / "scripts" / "picture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words_in(svg: str) -> List[str]:
    """Return the words in a picture."""
    texts = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return [str(element.text) for element in texts]


def test_the_picture_is_what_the_client_prints() -> None:
    """The session in the picture, run again, prints the same; if not, run scripts/picture.py."""
    script = picture()
    stored = script.PICTURE.read_text(encoding="utf-8")
    assert words_in(stored) == words_in(script.draw(script.session()))


def test_the_picture_belongs_to_the_source_distribution() -> None:
    """The README's picture is in the sdist too, next to the README."""
    shown = re.findall(r"^\.\. image:: (.*)$", README, re.MULTILINE)
    manifest = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").split()
    assert [path for path in shown if path not in manifest] == []


@pytest.mark.filterwarnings("ignore:Argument:PendingDeprecationWarning")
def test_it_renders() -> None:
    """The README is plain reStructuredText, without the roles and directives of Sphinx."""
    core = pytest.importorskip("docutils.core")
    settings = {"halt_level": 2, "report_level": 2, "file_insertion_enabled": False}
    html = core.publish_string(README, writer_name="html5", settings_overrides=settings)
    assert b"docs/session.svg" in html

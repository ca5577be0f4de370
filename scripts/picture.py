"""
Draw docs/session.svg: a Python session with the embedded site, as the README shows it.

The session runs when the picture is drawn: its output is what the client returned, and each delta
lights up as long after the one before as it arrived. Readers who prefer no motion, and viewers that
know none, see it lit. Run this after a change to ``SESSION`` or to what it prints.
"""

from __future__ import annotations

import code
import contextlib
import io
import re
from html import escape
from pathlib import Path
from time import monotonic
from typing import Iterator, List, NamedTuple

from chatgpt4online.testing import Server

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "session.svg"
SITE = "https://example.com"

SESSION = f"""\
from chatgpt4online import Client
client = Client("{SITE}")

for delta in client.stream("What can I bake with three eggs?"):
    print(delta, end="", flush=True)


reply = client.chat("Do you sell one?")
print(reply, reply.usage.total_tokens, "tokens")
"""
RECIPE = """\
A sponge cake. Beat the eggs with three spoons of sugar until they are pale,
fold in the flour, and bake it for half an hour. Let it cool before you cut it.
"""

#: Seconds between two words of a streamed answer, and between two lines that are typed.
PACE = 0.06
TYPING = 0.25

#: Pixels.
CELL, LINE, MARGIN, BAR = 8.4, 21, 18, 34

STYLE = """\
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
.prompt { fill: #7ee787 } .typed { fill: #f0f6fc } .printed { fill: #a5d6ff }
@keyframes arrive { from { opacity: 0.4 } }
@media (prefers-reduced-motion: no-preference) { .printed { animation: arrive 0.1s backwards } }"""


class Piece(NamedTuple):
    """Text that is written at once: who wrote it, and when, in seconds from the start."""

    kind: str
    text: str
    seconds: float


class Screen(io.StringIO):
    """Standard output that remembers when each piece was written."""

    def __init__(self, site: str) -> None:
        super().__init__()
        self.pieces: List[Piece] = []
        self._site = site
        self._began = monotonic()

    def show(self, kind: str, text: str) -> None:
        """Add a piece."""
        self.pieces.append(Piece(kind, text.replace(self._site, SITE), self._now()))

    def wait(self, seconds: float) -> None:
        """Let everything that follows come later."""
        self._began -= seconds

    def write(self, text: str) -> int:
        """Add what a program prints."""
        self.show("printed", text)
        return len(text)

    def _now(self) -> float:
        return monotonic() - self._began


def play(server: Server) -> List[Piece]:
    """Type the session into Python's own read-eval-print loop; return what the screen shows."""
    console, screen, prompt = code.InteractiveConsole(), Screen(server.url), ">>> "
    for line in SESSION.splitlines():
        if line or prompt != ">>> ":
            screen.show("prompt", prompt)
        screen.show("typed", f"{line}\n")
        screen.wait(TYPING)
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
            is_open = console.push(line.replace(SITE, server.url))
        prompt = "... " if is_open else ">>> "
    console.locals["client"].close()
    return screen.pieces


def session() -> List[Piece]:
    """Run the session against a new site."""
    with Server(pace=PACE) as server:
        server.says(*re.findall(r"\S+\s", RECIPE))
        server.says("Yes, on Saturdays, ", "until they are gone.", pace=0)
        return play(server)


def elements(pieces: List[Piece]) -> Iterator[str]:
    """Yield the pieces as SVG, each in its place on the screen."""
    row = column = 0
    for piece in pieces:
        for text in piece.text.splitlines(keepends=True):
            shown = text.strip()
            if shown:
                x, y = MARGIN + (column + text.index(shown)) * CELL, BAR + LINE * (row + 1)
                yield (
                    f'<text class="{piece.kind}" x="{x:.1f}" y="{y}" '
                    f'textLength="{len(shown) * CELL:.1f}" '
                    f'style="animation-delay: {piece.seconds:.2f}s">'
                    f"{escape(shown, quote=False)}</text>"
                )
            column += len(text)
            if text.endswith("\n"):
                row, column = row + 1, 0


def draw(pieces: List[Piece]) -> str:
    """Return the picture of a session."""
    lines = "".join(piece.text for piece in pieces).splitlines()
    width = round(2 * MARGIN + max(map(len, lines)) * CELL)
    height = BAR + LINE * len(lines) + MARGIN
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" \
viewBox="0 0 {width} {height}" role="img">
<title>A Python session that streams an answer and counts its tokens</title>
<style>
{STYLE}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#0d1117" stroke="#30363d"/>
<circle cx="20" cy="18" r="6" fill="#ff5f56"/>
<circle cx="40" cy="18" r="6" fill="#ffbd2e"/>
<circle cx="60" cy="18" r="6" fill="#27c93f"/>
{chr(10).join(elements(pieces))}
</svg>
"""


if __name__ == "__main__":
    PICTURE.write_text(draw(session()), encoding="utf-8")

"""Stream answers in an asynchronous program: async_stream.py QUESTION... (Python 3.9 or newer)."""

from __future__ import annotations

import asyncio
import copy
import sys
from typing import AsyncIterator, List

from chatgpt4online import Client


async def astream(client: Client, question: str) -> AsyncIterator[str]:
    """Yield the pieces of an answer. Cancelling the task ends the answer at any moment."""
    with copy.copy(client) as own:  # closing it ends the call, also before the first piece
        stream = await asyncio.to_thread(own.stream, question)
        while (delta := await asyncio.to_thread(next, stream, None)) is not None:
            yield delta


async def answer(client: Client, question: str) -> str:
    """Return a whole answer."""
    return "".join([delta async for delta in astream(client, question)])


async def main(questions: List[str]) -> None:
    """Ask all questions at the same time, and print the answers in order."""
    with Client() as client:
        for text in await asyncio.gather(*(answer(client, question) for question in questions)):
            print(text)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

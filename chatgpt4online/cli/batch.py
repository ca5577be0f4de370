"""The command ``batch``: many questions from a file, their outcomes to a journal."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, TextIO, Tuple, Union

from chatgpt4online._journal import extra_fields, sort
from chatgpt4online._json import json_ready
from chatgpt4online.types import Outcome

from .connect import connect, with_system
from .output import ExitStatus, print_json, report
from .prompt import lines

__all__ = ["run_batch"]

_MAX_FAILURES_SHOWN = 5

_EXPECTED = 'expected a string, {"message": string}, {"messages": list} or a list of messages'


def run_batch(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    """Ask the questions in IN and write the outcomes to OUT."""
    questions = _read_questions(options, stack)
    outcomes = connect(options, stack).map(
        questions,
        workers=options.workers,
        ordered=options.ordered,
        progress=_can_show_progress(),
        journal=options.output,
    )
    try:
        keys, status = _summarize(outcomes, options)
    except KeyboardInterrupt:
        report(
            f"interrupted; outcomes so far are in {options.output}."
            " Run the same command again to continue."
        )
        raise
    if options.ordered:
        sort(Path(options.output), keys)
    return status


def _can_show_progress() -> bool:
    return sys.stderr.isatty() and find_spec("tqdm") is not None


def _summarize(
    outcomes: Iterable[Outcome], options: argparse.Namespace
) -> Tuple[List[Optional[str]], ExitStatus]:
    """
    Wait for the outcomes, and print the first failures and the totals.

    Returns:
        The keys of the outcomes, and the exit status.
    """
    count = answered = 0
    keys: List[Optional[str]] = []
    failures: List[str] = []
    for count, outcome in enumerate(outcomes, 1):
        answered += outcome.ok
        if not outcome.ok and count - answered <= _MAX_FAILURES_SHOWN:
            reason = outcome.error or "the reply is empty"
            failures.append(f"message {outcome.index + 1}: {reason}")
        keys.append(outcome.key)
        if options.json:
            print_json({**outcome.to_dict(), **extra_fields(outcome.message)})
    for failure in failures:
        report(failure)
    failed = count - answered
    report(f"{answered} answered, {failed} failed; outcomes are in {options.output}")
    return keys, ExitStatus.FAILURE if failed else ExitStatus.SUCCESS


# -------------------------------------------------------------------------------------- questions


class _Text(str):
    """A question with the other keys of its line."""

    journal_fields: Dict[str, Any]


class _Turns(List[Any]):
    """Messages with the other keys of their line."""

    journal_fields: Dict[str, Any]


class _QuestionFile:
    """The questions in a file, counted at once and read as they are needed."""

    def __init__(self, path: str, parse: Callable[[str], Any]) -> None:
        self._path = path
        self._parse = parse
        with _open(path) as file:
            self._count = sum(bool(line.strip()) for line in file)

    def __len__(self) -> int:
        """Return the number of questions, for the progress bar."""
        return self._count

    def __iter__(self) -> Iterator[Any]:
        """Yield each question."""
        with _open(self._path) as file:
            yield from _parse_lines(file, self._path, self._parse)


def _open(path: str) -> TextIO:
    return Path(path).open(encoding="utf-8", errors="surrogateescape")


def _read_questions(options: argparse.Namespace, stack: contextlib.ExitStack) -> Iterable[Any]:
    is_jsonl = options.jsonl or options.source.endswith((".jsonl", ".ndjson"))
    read = _parse_json if is_jsonl else str.strip
    parse = read if options.system is None else partial(_with_system, options.system, read)
    if options.source == "-":
        return _parse_lines(sys.stdin, "standard input", parse)
    if Path(options.source).is_file():
        return _QuestionFile(options.source, parse)
    # A named pipe can be read only once, so its questions are not counted.
    return _parse_lines(stack.enter_context(_open(options.source)), options.source, parse)


def _parse_lines(file: Iterable[str], name: str, parse: Callable[[str], Any]) -> Iterator[Any]:
    for number, line in enumerate(lines(file, name), 1):
        if line.strip():
            try:
                question = parse(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number} of {name}: {error}") from None
            yield question


def _with_system(system: str, parse: Callable[[str], Any], line: str) -> _Turns:
    """Return a line's messages after a system prompt."""
    question = parse(line)
    turns = _Turns(with_system(system, question))
    turns.journal_fields = extra_fields(question)
    return turns


def _parse_json(line: str) -> Union[_Text, _Turns]:
    """Return a line's message, with the other keys."""
    value = json.loads(line)
    others: Dict[str, Any] = {}
    if isinstance(value, dict):
        others = value
        value = others.pop("message" if "message" in others else "messages", None)
    if not isinstance(value, (str, list)):
        raise ValueError(_EXPECTED)  # noqa: TRY004 - of the file
    question = _Text(value) if isinstance(value, str) else _Turns(value)
    kept = {key: json_ready(other) for key, other in others.items()}
    question.journal_fields = {"input": kept} if kept else {}
    return question

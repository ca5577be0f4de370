"""The command ``batch``: many questions from a file, their outcomes to a journal."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, TextIO, Union

from chatgpt4online.types import Outcome

from .connect import connect
from .options import UsageError
from .output import ExitStatus, error_fields, print_json, report

__all__ = ["run_batch"]

_MAX_FAILURES_SHOWN = 5


def run_batch(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    """Ask the questions in IN and write the outcomes to OUT."""
    questions = _read_questions(options, stack)
    outcomes = connect(options, stack).map(
        questions,
        workers=options.workers,
        ordered=False,
        progress=_can_show_progress(),
        journal=options.output,
    )
    try:
        return _summarize(outcomes, options)
    except KeyboardInterrupt:
        report(
            f"interrupted; outcomes so far are in {options.output}."
            " Run the same command again to continue."
        )
        raise


def _can_show_progress() -> bool:
    return sys.stderr.isatty() and find_spec("tqdm") is not None


def _summarize(outcomes: Iterable[Outcome], options: argparse.Namespace) -> ExitStatus:
    """Wait for the outcomes, print the first failures and the totals, and return the status."""
    answered, failed = 0, 0
    failures: List[str] = []
    for outcome in outcomes:
        answered += outcome.error is None
        failed += outcome.error is not None
        if outcome.error is not None and failed <= _MAX_FAILURES_SHOWN:
            failures.append(f"message {outcome.index + 1}: {outcome.error}")
        if options.json:
            print_json(_outcome_fields(outcome))
    for failure in failures:
        report(failure)
    report(f"{answered} answered, {failed} failed; outcomes are in {options.output}")
    return ExitStatus.FAILURE if failed else ExitStatus.SUCCESS


def _outcome_fields(outcome: Outcome) -> Dict[str, Any]:
    error = outcome.error
    return {
        "index": outcome.index,
        "message": outcome.message,
        "text": outcome.reply,
        "error": error and error_fields(error),
    }


# -------------------------------------------------------------------------------------- questions


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
            yield from _parse_lines(file, self._parse)


def _open(path: str) -> TextIO:
    return Path(path).open(encoding="utf-8-sig")


def _read_questions(options: argparse.Namespace, stack: contextlib.ExitStack) -> Iterable[Any]:
    is_jsonl = options.jsonl or options.source.endswith((".jsonl", ".ndjson"))
    parse = _parse_json if is_jsonl else str.strip
    if options.source == "-":
        return _parse_lines(sys.stdin, parse)
    if Path(options.source).is_file():
        return _QuestionFile(options.source, parse)
    # A named pipe can be read only once, so its questions are not counted.
    return _parse_lines(stack.enter_context(_open(options.source)), parse)


def _parse_lines(lines: Iterable[str], parse: Callable[[str], Any]) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                question = parse(line)
            except ValueError as error:
                raise UsageError(f"line {number} of IN: {error}") from None
            yield question


def _parse_json(line: str) -> Union[str, List[Any]]:
    value = json.loads(line)
    if isinstance(value, dict):
        value = value.get("message")
    if not isinstance(value, (str, list)):
        raise UsageError('expected a string, {"message": string} or a list of messages')
    return value

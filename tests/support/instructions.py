"""
The distinct instructions that a function executes, and acting just before one of them.

An instruction is a code object and an offset in it. `record` lists those that a function executes
in this thread, in any library; `run_with` runs the function again and acts at one of them. Both
depend only on the sequence of instructions, not on time.
"""

from __future__ import annotations

import dis
import inspect
import random
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple, TypeVar

T = TypeVar("T")

_JUMPS = {dis.opname[code] for code in (*dis.hasjrel, *dis.hasjabs)} - {
    "JUMP_BACKWARD_NO_INTERRUPT"
}
_EXTENDED_ARG = dis.opmap["EXTENDED_ARG"]

#: Python 3.11 and later do not check for signals when a Python function returns to Python code.
#: Earlier versions do, except before these instructions.
_INLINES_CALLS = sys.version_info >= (3, 11)
_UNINTERRUPTIBLE = (
    set() if _INLINES_CALLS else {"SETUP_FINALLY", "SETUP_WITH", "BEFORE_ASYNC_WITH", "YIELD_FROM"}
)


class Target(NamedTuple):
    """One execution of an instruction; executions are counted from 1."""

    code: CodeType
    offset: int
    line: int
    occurrence: int

    def __str__(self) -> str:
        file = "/".join(Path(self.code.co_filename).parts[-2:])
        return f"{file}:{self.line}:{self.code.co_name}+{self.offset}#{self.occurrence}"


class Executed:
    """An executed instruction, and the executions at which CPython can deliver a signal."""

    def __init__(self, code: CodeType, offset: int, line: int) -> None:
        self.code = code
        self.offset = offset
        self.line = line
        self.count = 0
        self.interruptible: List[int] = []

    def at(self, occurrence: int) -> Target:
        """Return one of its executions."""
        return Target(self.code, self.offset, self.line, occurrence)


def record(
    function: Callable[[], object], untraced: str, locking: Mapping[str, str]
) -> List[Executed]:
    """
    Return the instructions that a function executes, in a stable order.

    Args:
        function: what to run.
        untraced: the file whose frames are ignored.
        locking: modules, or functions as ``module:function``. Nothing in them, or in what they
            call, is marked as interruptible.
    """
    recorder = _Recorder(untraced, locking)
    _traced(recorder, function)
    return sorted(
        recorder.executed.values(),
        key=lambda each: (each.code.co_filename, each.line, each.code.co_name, each.offset),
    )


def run_with(target: Target, act: Callable[[], object], function: Callable[[], T]) -> T:
    """Run a function, and act just before a target, in the frame that executes it."""
    return _traced(_Actor(target, act), function)


def choose(
    executed: List[Executed], rng: random.Random, *, only_interruptible: bool
) -> List[Target]:
    """Return a random execution of each instruction, or of each interruptible one, shuffled."""
    found = []
    for each in executed:
        count = range(1, each.count + 1)
        occurrences = each.interruptible if only_interruptible else count
        if occurrences:
            found.append(each.at(rng.choice(occurrences)))
    rng.shuffle(found)
    return found


def spread(targets: List[Target], size: int) -> List[Target]:
    """Return this many targets, in as many different functions as possible."""
    by_code: Dict[int, List[Target]] = {}
    for target in targets:
        by_code.setdefault(id(target.code), []).append(target)
    ranked = [(rank, target) for each in by_code.values() for rank, target in enumerate(each)]
    ranked.sort(key=lambda pair: pair[0])  # stable: one target of each function, then the next ones
    return [target for _, target in ranked[:size]]


def find(executed: List[Executed], name: str) -> Target:
    """
    Return the target with this name.

    Raises:
        LookupError: no instruction with this name was executed.
    """
    occurrence = int(name.rpartition("#")[2])
    for each in executed:
        if str(each.at(occurrence)) == name:
            return each.at(occurrence)
    raise LookupError(f"no such instruction: {name}")


def _traced(tracer: Any, function: Callable[[], T]) -> T:
    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 needs it before tracing begins
    sys.settrace(tracer)
    try:
        return function()
    finally:
        sys.settrace(before)


class _Recorder:
    """A trace function that records the executed instructions."""

    def __init__(self, untraced: str, locking: Mapping[str, str]) -> None:
        self.executed: Dict[Tuple[int, int], Executed] = {}
        self._bytecode: Dict[int, bytes] = {}
        self._untraced = untraced
        self._locking = locking

    def __call__(self, frame: FrameType, event: str, argument: object) -> Optional[_Frame]:
        """Trace a call, or the resumption of a generator."""
        code = frame.f_code
        if code.co_filename == self._untraced:
            return None
        caller = frame.f_back and frame.f_back.f_trace
        locks = self._locks(frame)
        if isinstance(caller, _Frame):
            caller.callee = code
            locks = locks or caller.locks
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return _Frame(self, code, locks)

    def _locks(self, frame: FrameType) -> bool:
        module = frame.f_globals.get("__name__", "")
        return module in self._locking or f"{module}:{frame.f_code.co_name}" in self._locking

    def executes(self, frame: FrameType) -> Executed:
        """Count an instruction that is about to be executed."""
        code, offset = frame.f_code, frame.f_lasti
        key = (id(code), offset)  # comparing code objects is slow
        found = self.executed.get(key)
        if found is None:
            found = self.executed[key] = Executed(code, offset, frame.f_lineno or 0)
        found.count += 1
        return found

    def operation(self, code: CodeType, offset: int) -> str:
        """Return the name of an instruction."""
        bytecode = self._bytecode.get(id(code))
        if bytecode is None:
            bytecode = self._bytecode[id(code)] = code.co_code
        while bytecode[offset] == _EXTENDED_ARG:
            offset += 2
        return dis.opname[bytecode[offset]]


class _Frame:
    """The trace function of one frame, until it returns or yields."""

    def __init__(self, recorder: _Recorder, code: CodeType, locks: bool) -> None:
        self.callee: Optional[CodeType] = None
        self.locks = locks
        self._recorder = recorder
        self._code = code
        self._last: Optional[Executed] = None
        self._raised = False

    def __call__(self, frame: FrameType, event: str, argument: object) -> _Frame:
        """Trace an instruction."""
        if event == "opcode":
            last, self._last = self._last, self._recorder.executes(frame)
            if not (self.locks or self._raised):
                self._mark(last, self._last)
            self.callee, self._raised = None, False
        elif event == "exception":  # no call has returned, and the frame was not entered again
            self._raised = True
        return self

    def _mark(self, last: Optional[Executed], now: Executed) -> None:
        """Mark where a signal can be delivered: on entry, at a backward jump, after a call."""
        before = "" if last is None else self._recorder.operation(self._code, last.offset)
        if last is not None and before in _JUMPS:
            if now.offset <= last.offset:
                last.interruptible.append(last.count)
        elif last is None or (_is_call(before) and not self._is_inlined()):
            now.interruptible += self._if_interruptible(now)

    def _if_interruptible(self, now: Executed) -> List[int]:
        uninterruptible = self._recorder.operation(self._code, now.offset) in _UNINTERRUPTIBLE
        return [] if uninterruptible else [now.count]

    def _is_inlined(self) -> bool:
        """Return whether the last call was one after which Python does not check for signals."""
        callee = self.callee
        by_c = callee is None or callee.co_flags & inspect.CO_GENERATOR
        return _INLINES_CALLS and not by_c and callee.co_name not in ("__init__", "__new__")  # type: ignore[union-attr]


def _is_call(operation: str) -> bool:
    return operation.startswith("CALL") and "INTRINSIC" not in operation


class _Actor:
    """A trace function that acts once, at a target."""

    def __init__(self, target: Target, act: Callable[[], object]) -> None:
        self._code = target.code
        self._offset = target.offset
        self._remaining = target.occurrence
        self._act = act

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        """Trace a call."""
        if frame.f_code is not self._code:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._instruction

    def _instruction(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode" and frame.f_lasti == self._offset:
            self._remaining -= 1
            if not self._remaining:
                sys.settrace(None)
                self._act()
        return self._instruction

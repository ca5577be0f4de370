"""
One library in a process of its own, so that imports and garbage of others do not interfere.

``python -m benchmarks.client LIBRARY SITE HANDSHAKE`` reads jobs, one JSON object per line, and
writes a result for each. LIBRARY may end with "without" and the name of a tuning. HANDSHAKE is how
long it takes to connect to the site. Times are in seconds, memory in bytes. A job that uses more
CPU time than its limit ends the process.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, process_time, sleep
from typing import Any, Callable, Dict, List

from .peers import LIBRARIES, WITHOUT, Library
from .plan import Plan

OVER_LIMIT = "over the limit"

_KIB = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss
_PROCESS = Path("/proc/self")  # on Linux, which can reset the peak to the present use


def cpu(library: Library, plan: Plan, chats: int = 1) -> Dict[str, Any]:
    """Measure CPU time and elapsed time per chat, one chat after the other."""
    began, cpu_began = monotonic(), process_time()
    answers = [list(library.stream(plan.question())) for _ in range(chats)]
    took, cpu_took = monotonic() - began, process_time() - cpu_began
    correct = _all_correct(answers, plan)
    return {"cpu": cpu_took / chats, "time": took / chats, "correct": correct}


def _all_correct(answers: List[List[str]], plan: Plan) -> bool:
    text = plan.text()
    return all("".join(answer) == text for answer in answers)


def arrivals(library: Library, plan: Plan) -> Dict[str, Any]:
    """Return when each piece of text was yielded, and when the answer was complete."""
    times, answer = [], []
    for piece in library.stream(plan.question()):
        times.append(monotonic())
        answer.append(piece)
    ended = monotonic()
    at = [time for time, piece in zip(times, answer) for _ in range(len(piece) // plan.size)]
    return {"times": at, "ended": ended, "correct": "".join(answer) == plan.text()}


def together(library: Library, plan: Plan, chats: int, threads: int) -> Dict[str, Any]:
    """Measure the elapsed time of chats in threads that share the client and start together."""
    gate = threading.Barrier(threads + 1)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(gate.wait) for _ in range(threads)]
        gate.wait()
        for thread in waiting:
            thread.result()
        began = monotonic()
        answers = list(pool.map(lambda _: list(library.stream(plan.question())), range(chats)))
        took = monotonic() - began
    return {"time": took, "correct": _all_correct(answers, plan)}


def memory(library: Library, plan: Plan) -> Dict[str, Any]:
    """Measure the growth of peak memory while an answer is read piece by piece."""
    if _PROCESS.exists():
        (_PROCESS / "clear_refs").write_text("5")
    idle = _peak()
    size = sum(map(len, library.stream(plan.question())))
    expected = plan.events * plan.size if plan.kind == "text" else size
    return {"memory": _peak() - idle, "correct": size == expected}


def texts(library: Library, plan: Plan) -> Dict[str, Any]:
    """Measure the CPU time of reading a stream's text so far after each piece."""
    stream: Any = library.stream(plan.question())
    took, size, correct = 0.0, 0, True
    for piece in stream:
        began = process_time()
        text = stream.text
        took += process_time() - began
        size += len(piece)
        correct = correct and len(text) == size
    return {"cpu": took / plan.events, "correct": correct}


def _peak() -> int:
    if _PROCESS.exists():
        return int((_PROCESS / "status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


_JOBS: Dict[str, Callable[..., Dict[str, Any]]] = {
    job.__name__: job for job in (cpu, arrivals, together, memory, texts)
}


def _connect_late(handshake: float) -> None:
    """Let connecting take this long, as with a distant site."""

    def late(connect: Callable[..., Any]) -> Callable[..., Any]:
        def connect_late(*args: Any) -> Any:
            sleep(handshake)
            return connect(*args)

        return connect_late

    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, late(getattr(socket.socket, name)))


def main(arguments: List[str]) -> None:
    """Do the jobs that standard input brings."""
    name, site, handshake = arguments
    if float(handshake):
        _connect_late(float(handshake))
    name, _, tuning = name.partition(WITHOUT)
    if tuning:
        from .tunings import TUNINGS

        TUNINGS[tuning].switch_off(setattr)
    library = LIBRARIES[name](site)
    print("{}", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        plan, limit = Plan(**job.pop("plan")), job.pop("limit")
        began = process_time()
        over = threading.Event()
        threading.Thread(target=_watch, args=(began + limit, over), daemon=True).start()
        result = _JOBS[job.pop("job")](library, plan, **job)
        over.set()
        print(json.dumps({**result, "used": process_time() - began}), flush=True)
    library.close()


def _watch(until: float, over: threading.Event) -> None:
    """End the process when a job has used its CPU time, unless it is over before."""
    while not over.wait(0.5):
        if process_time() > until:
            print(OVER_LIMIT, file=sys.stderr, flush=True)
            os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])

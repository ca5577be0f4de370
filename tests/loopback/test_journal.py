"""A journal: what is in it is not asked again, and nothing that ends a run spoils it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest
from support import (
    PHP,
    SOON,
    RawServer,
    answering,
    background,
    event,
    live,
    reply,
    wait_for,
)

from chatgpt4online import ChatGPT4OnlineError, Client, MessageError, Outcome, Reply, Usage
from chatgpt4online.testing import Server

needs_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill on this system")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a journal may be."""
    return tmp_path / "journal.jsonl"


def questions(server: Server) -> List[str]:
    """Return the questions that came, in the order of their arrival."""
    return [request.json["newMessage"] for request in server.questions]


def entries(path: Path) -> List[Dict[str, Any]]:
    """Return a journal's lines, each of which must be whole."""
    lines = path.read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\n") for line in lines)
    return [json.loads(line) for line in lines]


def texts(outcomes: Sequence[Outcome]) -> List[str]:
    """Return the replies' texts; each outcome must have one."""
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
    return [str(outcome.reply) for outcome in outcomes]


# What is remembered.


def test_what_is_answered_is_not_asked_again(server: Server, client: Client, path: Path) -> None:
    """A second run asks nothing that has been answered, and yields the same outcomes."""
    first = list(client.map(["a", "b", "c"], journal=path))
    second = list(client.map(["a", "b", "c"], journal=str(path)))
    assert first == second
    assert len(server.questions) == 3


def test_what_has_failed_is_asked_again(server: Server, client: Client, path: Path) -> None:
    """A second run asks what has failed; each try has its line."""
    server.fails("Sorry.")
    first = list(client.map(["a", "b"], journal=path, workers=1))
    assert [outcome.reply is None for outcome in first] == [True, False]
    assert texts(list(client.map(["a", "b"], journal=path))) == [
        "Echo(1 msgs): a",
        "Echo(1 msgs): b",
    ]
    assert questions(server) == ["a", "b", "a"]
    lines = entries(path)
    assert [line["message"] for line in lines] == ["a", "b", "a"]
    assert lines[0]["error"] == "ReplyError"
    assert "Sorry." in lines[0]["error_message"]
    assert lines[0]["key"] == lines[2]["key"] != lines[1]["key"]


def test_equal_messages_are_counted(server: Server, client: Client, path: Path) -> None:
    """Each of several equal messages is asked, and remembered, for itself."""
    assert len(list(client.map(["a", "a"], journal=path))) == 2
    found = list(client.map(["a"] * 5, journal=path))
    assert len({outcome.key for outcome in found}) == 5
    assert len(server.questions) == 5


def test_other_places_change_nothing(server: Server, client: Client, path: Path) -> None:
    """Messages that come or go before others do not shift what is remembered."""
    list(client.map(["a", "b", "c"], journal=path))
    found = list(client.map(["x", "c", "b", "y", "a"], journal=path))
    assert texts(found) == [f"Echo(1 msgs): {letter}" for letter in "xcbya"]
    assert sorted(questions(server)) == ["a", "b", "c", "x", "y"]


def test_the_order_of_keys_changes_nothing(server: Server, client: Client, path: Path) -> None:
    """A turn whose keys come in another order is the same turn."""
    list(client.map([[{"role": "user", "content": "a"}]], journal=path))
    list(client.map([[{"content": "a", "role": "user"}]], journal=path))
    assert len(server.questions) == 1


@pytest.mark.parametrize(
    "options", [{"bot": "other"}, {"model": "m"}, {"context_id": 7}, {"history": "prompt"}]
)
def test_a_journal_knows_whom_it_asked(
    server: Server, client: Client, path: Path, options: Dict[str, Any]
) -> None:
    """What another bot, model or page answers is not taken for the answer."""
    list(client.map(["a"], journal=path))
    with Client(server.url, **options) as other:
        list(other.map(["a"], journal=path))
    assert len(server.questions) == 2


def test_a_reply_is_remembered_whole(server: Server, client: Client, path: Path) -> None:
    """A remembered reply has all that the first one had: usage, images, actions, raw and so on."""
    server.says(
        "Schöne ",
        "Grüße 🙂",
        usage={"prompt_tokens": 1, "total_tokens": 3, "price": 0.5, "accuracy": "full"},
        images=["https://example.com/a.png"],
        actions=[{"type": "function", "data": {"name": "f", "args": {"x": 1}}}],
        shortcuts=[{"type": "message", "data": {"label": "More", "message": "More!"}}],
        blocks=[{"type": "content", "data": {"html": "<b>Hi</b>"}}],
    )
    first = next(client.map(["a"], journal=path)).reply
    again = next(client.map(["a"], journal=path)).reply
    assert first is not None
    assert again is not None
    assert first == again == "Schöne Grüße 🙂"
    assert vars(first) == vars(again)
    assert again.usage
    assert again.images
    assert again.actions
    assert again.shortcuts
    assert again.blocks
    assert again.response_id
    assert again.chat_id
    assert "🙂".encode() in path.read_bytes()


def test_a_reply_without_an_object_is_remembered(path: Path) -> None:
    """A reply whose end could not be read stays as it was, its `raw` empty."""
    events = (live("Hi"), event(type="end", data=False))
    with RawServer(answering(PHP.answer(events).bytes)) as server, Client(server.url) as client:
        first = next(client.map(["a"], journal=path)).reply
        again = next(client.map(["a"], journal=path)).reply
        assert len(server.questions) == 1
    assert first is not None
    assert vars(first) == vars(again)
    assert (again, first.raw) == ("Hi", {})


def test_no_question_is_too_odd(server: Server, client: Client, path: Path) -> None:
    """A message that cannot be sent still leaves a line that any reader of JSON can read."""
    for _ in range(2):
        assert [type(each.error) for each in client.map(["\ud800"], journal=path)] == [MessageError]
    assert path.read_bytes().decode("utf-8").count("\\ud800") == 2
    assert server.requests == []


# When it is written.


def test_an_answer_is_written_when_it_comes(server: Server, client: Client, path: Path) -> None:
    """What is answered is in the journal at once, though nobody has asked for its outcome."""
    server.stalls()
    found = client.map(["a", "b", "c", "d"], journal=path, workers=2)
    reader = background(lambda: list(found))  # waits for the first one
    wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") == 3)
    assert not reader.done()
    server.release()
    assert len(reader.result(SOON)) == 4


def test_leaving_the_loop_loses_no_answer(server: Server, client: Client, path: Path) -> None:
    """What was answered before a loop is left is not asked again."""
    for _ in client.map(["a", "b", "c"], journal=path, workers=3):
        wait_for(lambda: len(entries(path)) == 3)
        break
    assert len(texts(list(client.map(["a", "b", "c"], journal=path)))) == 3
    assert len(server.questions) == 3


def test_what_is_ended_leaves_no_line(server: Server, client: Client, path: Path) -> None:
    """What was in progress when a loop is left has no line, and is asked by the next run."""
    server.stalls()
    for _ in client.map(["a", "b"], journal=path, workers=2, ordered=False):
        break
    assert len(entries(path)) == 1
    assert len(texts(list(client.map(["a", "b"], journal=path)))) == 2


def test_a_later_run_takes_over(server: Server, client: Client, path: Path) -> None:
    """A new run takes the journal of one that is not being iterated over, which ends."""
    server.says("one")
    server.stalls()
    found = client.map(["a", "b", "c"], journal=path, workers=1)
    next(found)
    again = client.map(["a", "b"], journal=path)
    with pytest.raises(RuntimeError, match="a later run has taken over the journal"):
        next(found)
    with pytest.raises(RuntimeError, match="a later run has taken over the journal"):
        next(found)
    server.release()
    assert texts(list(again)) == ["one", "Echo(1 msgs): b"]
    assert [line["message"] for line in entries(path)] == ["a", "b"]


def test_a_run_that_is_read_keeps_its_journal(server: Server, client: Client, path: Path) -> None:
    """A journal is refused while another thread waits for an outcome of its run."""
    server.stalls()
    found = client.map(["a"], journal=path)
    reader = background(lambda: list(found))
    wait_for(lambda: server.questions)
    with pytest.raises(ValueError, match="another run is writing to the journal") as caught:
        client.map(["c"], journal=path)
    assert str(path) in str(caught.value)
    server.release()
    assert len(reader.result(SOON)) == 1
    list(client.map(["c"], journal=path))
    assert len(entries(path)) == 2


FULL_DISK = """
import resource, sys
from chatgpt4online import Client
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
with Client(sys.argv[1]) as client:
    try:
        for outcome in client.map(map(str, range(50)), journal=sys.argv[2]):
            assert outcome.reply
    except OSError as error:
        print("full:", error.strerror)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system limits no file's size")
def test_a_full_disk_spoils_nothing(server: Server, client: Client, path: Path) -> None:
    """A journal that cannot be written to ends the run with an OSError, and stays whole."""
    done = subprocess.run(
        [sys.executable, "-B", "-W", "default", "-c", FULL_DISK, server.url, str(path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("full:")
    kept = len(entries(path))
    assert kept >= 2
    asked = len(server.questions)
    assert len(texts(list(client.map(map(str, range(50)), journal=path)))) == 50
    assert len(server.questions) == asked + 50 - kept


# What a killed run leaves.

RUN = """
import sys
from chatgpt4online import Client
with Client(sys.argv[1]) as client:
    messages = (f"message {number // 2}" for number in range(int(sys.argv[3])))
    for outcome in client.map(messages, workers=4, journal=sys.argv[2], ordered=False):
        pass
"""


def ran_to_its_end(server: Server, path: Path, chance: random.Random) -> bool:
    """Begin a run of 100 messages, and kill it after a few of them, at any moment."""
    child = subprocess.Popen([sys.executable, "-c", RUN, server.url, str(path), "100"])
    until = len(server.questions) + chance.randrange(25, 35)
    wait_for(lambda: child.poll() is not None or len(server.questions) >= until)
    try:
        child.wait(chance.random() * 0.01)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    assert child.returncode in (0, -signal.SIGKILL)
    return child.returncode == 0


@needs_kill
def test_a_run_that_is_killed_goes_on(path: Path) -> None:
    """
    A run that is killed at any moment, again and again, goes on where it was.

    Nothing that was answered is lost, nothing is answered twice in the journal, and only what
    was in progress is asked again.
    """
    kills, chance = 0, random.Random(0)
    with Server(pace=0.002) as server:
        while not ran_to_its_end(server, path, chance):
            kills += 1
        asked = len(server.questions)
    lines = entries(path)
    assert [line["error"] for line in lines if line["error"]] == []
    assert max(Counter(line["key"] for line in lines).values()) == 1
    assert Counter(line["message"] for line in lines) == {f"message {n}": 2 for n in range(50)}
    assert kills >= 2
    assert asked - 100 <= 4 * kills


ORPHANS = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from chatgpt4online import Client
with Client(sys.argv[1]) as client:
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as executor:
        found = client.map(["a", "b", "c"], executor=executor, workers=1, journal=sys.argv[2])
        next(found)
        print(*executor._processes, flush=True)
        next(found)
"""


@needs_kill
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_orphans_do_not_hold_a_journal(server: Server, client: Client, path: Path) -> None:
    """Where a run is killed, and the processes that it forked live on, its journal is free."""
    server.says("one")
    server.stalls()
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ORPHANS, server.url, str(path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        processes = [int(word) for word in child.stdout.readline().split()]
        try:
            wait_for(lambda: len(server.questions) == 2)
            child.kill()
            child.wait()
            os.kill(processes[0], 0)  # it lives
            assert len(list(client.map(["a", "b", "c"], journal=path))) == 3
        finally:
            for process in processes:
                os.kill(process, signal.SIGKILL)
    assert sorted(questions(server)) == ["a", "b", "b", "c"]


# What is in it.


def test_a_line_is_a_row(server: Server, client: Client, path: Path) -> None:
    """A line is the flat row of its outcome, and the answer's own object."""
    server.says("Hello", usage={"prompt_tokens": 1, "total_tokens": 3, "price": 0.5})
    server.fails("Sorry.")
    found = list(client.map(["a", "b"], journal=path, workers=1))
    lines = entries(path)
    for outcome, line in zip(found, lines):
        raw = line.pop("raw")
        assert line == outcome.to_dict()
        assert list(line)[:2] == ["key", "message"]
        assert raw == (outcome.reply.raw if outcome.reply else None)
    assert [line["index"] for line in lines] == [0, 1]
    assert lines[0]["total_tokens"] == 3
    assert lines[1]["seconds"] == found[1].seconds
    assert found[1].seconds is not None


EMPTY: Dict[str, Dict[str, Any]] = {
    "nothing": {},
    "blanks": {"final": " \n"},
}
CONTENT: Dict[str, Dict[str, Any]] = {
    "a text": {"final": "a"},
    "an image": {"images": ["https://example.com/a.png"]},
    "an action": {"actions": [{"type": "function", "data": {"name": "f"}}]},
    "a shortcut": {"shortcuts": [{"type": "message", "data": {"label": "More", "message": "M"}}]},
    "a block": {"blocks": [{"type": "content", "data": {"html": "<b>Hi</b>"}}]},
}


@pytest.mark.parametrize("answer", EMPTY.values(), ids=list(EMPTY))
def test_an_empty_answer_is_asked_again(
    server: Server, client: Client, path: Path, answer: Dict[str, Any]
) -> None:
    """A success without any content is returned, is not ok, and is asked again by a second run."""
    server.says(**answer)
    (first,) = client.map(["a"], journal=path)
    assert (first.ok, first.error) == (False, None)
    assert first.result().strip() == ""
    (second,) = client.map(["a"], journal=path)
    assert (second.ok, second.reply) == (True, "Echo(1 msgs): a")
    (third,) = client.map(["a"], journal=path)
    assert (third.ok, third.reply) == (True, "Echo(1 msgs): a")
    assert len(server.questions) == 2


@pytest.mark.parametrize("answer", CONTENT.values(), ids=list(CONTENT))
def test_an_answer_with_any_content_is_done(
    server: Server, client: Client, path: Path, answer: Dict[str, Any]
) -> None:
    """An answer with a text, images, actions, shortcuts or blocks is ok, and is not asked again."""
    server.says(**answer)
    for _ in range(2):
        (outcome,) = client.map(["a"], journal=path)
        assert outcome.ok
    assert len(server.questions) == 1


class Own(Client):
    """A client whose replies are its own."""

    replies: Sequence[Reply] = ()

    def chat(self, message: Any, **options: Any) -> Reply:
        """Return the reply for a message."""
        return self.replies[int(message)]


def test_the_replies_of_a_subclass_are_remembered(server: Server, path: Path) -> None:
    """The text, tokens and times that a subclass's `chat` returns are those in the journal."""
    usage = Usage(prompt_tokens=1, total_tokens=2)
    with Own(server.url) as client:
        client.replies = [
            Reply("mine", raw={"success": True, "reply": "theirs"}),
            Reply("bare", usage=usage, chat_id="c", seconds=1.5, first_seconds=0.5),
        ]
        first = list(client.map(["0", "1"], journal=path))
        again = list(client.map(["0", "1"], journal=path))
    assert first == again
    for before, after in zip(first, again):
        assert {**vars(before.reply), "seconds": before.seconds} == vars(after.reply)


UNWRITABLE: Dict[str, Any] = {
    "an object": {"x": object()},
    "bytes": {"x": b"a"},
    "one in itself": {},
}
UNWRITABLE["one in itself"]["x"] = UNWRITABLE["one in itself"]


@pytest.mark.parametrize("raw", UNWRITABLE.values(), ids=list(UNWRITABLE))
def test_a_reply_that_cannot_be_written_is_an_error(
    server: Server, path: Path, raw: Dict[str, Any]
) -> None:
    """A reply that JSON does not have is that outcome's error, with its text, and ends no run."""
    with Own(server.url) as client:
        client.replies = [Reply("a"), Reply("b", raw=raw), Reply("c")]
        found = list(client.map(["0", "1", "2"], journal=path))
    assert [outcome.ok for outcome in found] == [True, False, True]
    error = found[1].error
    assert isinstance(error, ChatGPT4OnlineError)
    assert "cannot be written to the journal" in str(error)
    assert error.text == "b"
    assert found[1].seconds is not None
    assert sorted(line["text"] or "" for line in entries(path)) == ["", "a", "c"]


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_odd_numbers_are_valid_json(path: Path, price: str) -> None:
    """Whatever numbers a site sends, a line is JSON as any reader knows it."""
    answer = '{"success":true,"reply":"a","usage":{"price":%s,"total_tokens":3},"x":[%s]}'
    body = (answer % (price, price)).encode()
    with RawServer(answering(reply("200 OK", body))) as server, Client(server.url) as client:
        (first,) = client.map(["a"], journal=path)
        (again,) = client.map(["a"], journal=path)
        assert len(server.questions) == 1
    line = json.loads(path.read_bytes(), parse_constant=pytest.fail)
    assert (line["price"], line["raw"]["x"], line["total_tokens"]) == (None, [None], 3)
    assert first.ok
    assert again.reply == "a"
    json.dumps(first.to_dict(), allow_nan=False)


DEEP = """
import sys
from pathlib import Path
from chatgpt4online import Client
from chatgpt4online._journal import sort

def run():
    with Client(sys.argv[1]) as client:
        (outcome,) = client.map(["a"], journal=sys.argv[2])
    assert outcome.ok, outcome
    sort(Path(sys.argv[2]), [outcome.key])
    depth, value = 0, outcome.reply.raw["x"]
    while value:
        depth, value = depth + 1, value[0]
    print(depth)

def deeper(frames):
    deeper(frames - 1) if frames else run()

for frames in (0, 400, 800):
    deeper(frames)
"""


def test_a_deep_reply_is_remembered(path: Path) -> None:
    """A reply nested as deep as can be parsed is read again and sorted from any stack."""
    nested = b"[" * 960 + b"0" + b"]" * 960
    body = b'{"success":true,"reply":"a","x":%b}' % nested
    with RawServer(answering(reply("200 OK", body))) as server:
        done = subprocess.run(
            [sys.executable, "-c", DEEP, server.url, str(path)],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (done.stdout, done.stderr) == ("960\n" * 3, "")
        assert len(server.questions) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no modes")
def test_a_journal_is_its_owners(client: Client, path: Path) -> None:
    """A new journal can be read by its owner only; one that exists keeps its mode."""
    umask = os.umask(0)
    try:
        list(client.map(["a"], journal=path))
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        list(client.map(["b"], journal=path))
        assert path.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(umask)


def test_a_journal_may_be_deleted(server: Server, client: Client, path: Path) -> None:
    """Who deletes a journal starts afresh, though a run that was left still has it open."""
    left = client.map(["a", "b"], journal=path, workers=1)
    next(left)
    path.unlink()
    assert len(texts(list(client.map(["a", "b"], journal=path)))) == 2
    assert len(entries(path)) == 2

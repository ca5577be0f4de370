"""Many messages over a Dask cluster."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest
from support import wait_for

from chatgpt4online.testing import Server


def questions(server: Server) -> List[str]:
    """Return the questions that came, in the order of their arrival."""
    return [each.json["newMessage"] for each in server.questions]


CLUSTER = """
import json, os, signal, sys, threading, time
import dask
from dask.distributed import Client as Cluster, LocalCluster
from chatgpt4online import Client


def tell(outcomes):
    fields = [[o.index, str(o.reply), type(o.error).__name__, str(o.error)] for o in outcomes]
    print(json.dumps(fields), flush=True)


def last_busy_worker(cluster, workers):
    while True:
        busy = [(address, key) for address, keys in cluster.processing().items() for key in keys]
        if len(busy) == 1:
            return next(w.pid for w in workers if w.worker_address == busy[0][0])
        time.sleep(0.01)


def main(site):
    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    options = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None}
    with LocalCluster(**options) as local, Cluster(local) as cluster, Client(site) as client:
        executor = cluster.get_executor()
        tell(client.map(["same"] * 30, executor=executor, workers=8))
        sys.stdin.readline()

        outcomes = client.map(["a", "b", "c", "d"], executor=executor, workers=2, ordered=False)
        reader = threading.Thread(target=lambda: tell(outcomes))
        reader.start()
        sys.stdin.readline()
        os.kill(last_busy_worker(cluster, local.workers.values()), signal.SIGKILL)
        reader.join()

        cluster.close()
        tell(client.map(["e"], executor=executor))


if __name__ == "__main__":
    main(sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill on this system")
def test_a_cluster_asks(server: Server, tmp_path: Path) -> None:
    """
    A Dask cluster asks equal questions each once, with one nonce a worker.

    A worker that is killed fails its question, which is not asked again; the others answer the
    rest. A cluster that is gone takes nothing.
    """
    pytest.importorskip("distributed")
    program = tmp_path / "cluster.py"
    program.write_text(CLUSTER)
    child = subprocess.Popen(
        [sys.executable, str(program), server.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with child:
        assert child.stdin
        assert child.stdout

        def outcomes() -> Any:
            return json.loads(child.stdout.readline())  # type: ignore[union-attr]

        def go_on() -> None:
            child.stdin.write("\n")  # type: ignore[union-attr]
            child.stdin.flush()  # type: ignore[union-attr]

        try:
            assert [each[:3] for each in outcomes()] == [
                [number, "Echo(1 msgs): same", "NoneType"] for number in range(30)
            ]
            assert (len(server.questions), len(server.requests) - len(server.questions)) == (30, 2)

            server.stalls()
            go_on()
            wait_for(lambda: len(server.questions) == 34)
            go_on()
            found = outcomes()
            assert [each[2] for each in found] == ["NoneType"] * 3 + ["TransportError"]
            assert "KilledWorker" in found[-1][3]
            assert sorted(questions(server)[30:]) == ["a", "b", "c", "d"]

            assert [each[2] for each in outcomes()] == ["TransportError"]
        finally:
            child.kill()

"""
Ask many questions on a Dask cluster.

    CHATGPT4ONLINE_SITE=https://example.com python ask_on_a_cluster.py "Who are you?" "And why?"

The cluster here is two processes on your own machine; Cluster("tcp://...") connects to another one.
"""

from __future__ import annotations

import sys

import dask
from dask.distributed import Client as Cluster
from dask.distributed import LocalCluster

from chatgpt4online import Client

# By default, Dask reruns the tasks of a dead worker, and the site may bill the question again.
dask.config.set({"distributed.scheduler.allowed-failures": 0})


def main() -> None:
    """Print an answer to each question on the command line."""
    with LocalCluster(n_workers=2, dashboard_address=None) as local, Cluster(local) as cluster:
        executor = cluster.get_executor()
        with Client() as client:
            for outcome in client.map(sys.argv[1:], executor=executor, workers=8):
                print(outcome.error or outcome.reply)


if __name__ == "__main__":
    main()

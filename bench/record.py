#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bench/record FILE SECONDS [BUSY IDLE]: what a busy host's kernel tells, second by second.

A node of a cluster of two, in a namespace, made busy by bench/busy; with BUSY and IDLE, busy and idle for so many
seconds in turns. Of meminfo, vmstat, stat (of its line of interrupts the sum), loadavg, net/dev and diskstats every
number, but for devices never used. FILE: a line "time NAME...", then a line of numbers a second, decimal points left
out. At the end, how many of the values changed from one second to the next. As root.
"""
import contextlib
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../tests"))
from cluster import Cluster  # noqa: E402

FILES = ("meminfo", "vmstat", "stat", "loadavg", "thread-self/net/dev", "diskstats")
NUMBER = re.compile(r"-?[0-9.]+")


def lines_of(file):
    """(key, numbers as text) of each line that has numbers."""
    with open(f"/proc/{file}") as f:
        lines = f.read().splitlines()
    for line in lines[2:] if file.endswith("dev") else lines:
        words = line.replace(":", ": ").split()
        if file == "loadavg":
            yield "all", line
        elif file == "diskstats":
            if any(w != "0" for w in words[3:]):
                yield words[2], " ".join(words[3:])
        elif words[0] == "intr":
            yield "intr", words[1]
        else:
            yield words[0].rstrip(":"), " ".join(words[1:])


def snapshot():
    return {f"{os.path.basename(file)}/{key}/{i}": n.replace(".", "")
            for file in FILES for key, numbers in lines_of(file) for i, n in enumerate(NUMBER.findall(numbers))}


def record(path, seconds):
    """Called in the host's namespace. Returns values a second and the share of them that changed."""
    before = snapshot()
    names, changed = list(before), 0
    due = time.monotonic()
    with open(path, "w") as f:
        f.write("time " + " ".join(names) + "\n")
        for _ in range(seconds):
            due += 1
            time.sleep(max(0, due - time.monotonic()))
            now = snapshot()
            f.write(f"{time.time_ns()} " + " ".join(now[n] for n in names) + "\n")
            changed += sum(now[n] != before[n] for n in names)
            before = now
    return len(names), changed / seconds / len(names)


@contextlib.contextmanager
def busy(space, *turns):
    """bench/busy at work in the namespace."""
    p = subprocess.Popen([f"{HERE}/busy", space, *map(str, turns)], stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == "busy\n", "bench/busy failed"
        yield p
    finally:
        p.send_signal(signal.SIGTERM)
        p.wait()


def main(path, seconds, *turns):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with contextlib.closing(Cluster(2).start_unwatched()) as cluster, busy(cluster.network.space(2), *turns):
        time.sleep(20)  # until memory is full
        values, changed = cluster.network.inside(2, lambda: record(path, int(seconds)))
    print(f"{values} values, {changed:.1%} changed each second")


if __name__ == "__main__":
    main(*sys.argv[1:])

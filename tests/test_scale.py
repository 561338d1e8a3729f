# SPDX-License-Identifier: Apache-2.0
"""A hundred nodes (a thousand in `make soak`): who is disturbed, and whether everyone sees the same."""
import random
import re
import threading

import pytest

from cluster import SOAK, wait_for
from hmon_peer import Metric, Node

MANY = 1000 if SOAK else 100
METRICS = [Metric(f"m/{i}") for i in range(20)]


def derived(sequence):
    """What a period of this sequence holds: a half-seen one would not fit."""
    return [sequence * (i + 1) for i in range(len(METRICS))]


@pytest.fixture
def crowd(daemon):
    d = daemon('listen = {"127.0.0.1:0"}\nmonitor host { enabled = false }\nlimits { nodes = 2000 }\n')
    port = int(wait_for(lambda: re.search(r"127.0.0.1 port (\d+)", d.read_log()), 5)[1])
    nodes = []
    for i in range(MANY):
        n = Node(("127.0.0.1", port), f"n{i:04}")
        n.update = lambda monitor, pattern, n=n: derived(n.monitors[monitor].sequence + 1)
        n.add("m", METRICS, period=1000)
        n.connect()
        n.record("m", derived(1))
        nodes.append(n)
    with d.client() as c:
        wait_for(lambda: len(c.get("m/0")) == MANY, 20, "a value of each")
    yield d, nodes
    for n in nodes:
        n.close()


def test_an_update_of_one_wakes_one_and_of_all_wakes_each_once(crowd):
    d, nodes = crowd
    with d.client() as c:
        got = c.get("m/3", node="n0042", monitor="m", update=True, deadline=5000).one()
        assert got.number("m/3") == derived(2)[3]
        assert [len(n.updates) for n in nodes] == [int(n.name == "n0042") for n in nodes]
        answers = c.get("m/3", update=True, deadline=10000)
        assert not answers.partial and len(answers) == MANY
        assert [len(n.updates) for n in nodes] == [1 + (n.name == "n0042") for n in nodes]


def test_readers_see_whole_periods_and_the_same_while_nodes_write(crowd):
    d, nodes = crowd
    seen, wrong, stop = {}, [], threading.Event()
    lock = threading.Lock()

    def read():
        with d.client() as c:
            while not stop.is_set():
                for r in c.get("m/*", node=f"n00{random.randrange(10)}*"):
                    values = tuple(int(r.number(m.name)) for m in METRICS)
                    with lock:
                        if values != tuple(derived(r.sequence)) or seen.setdefault((r.node, r.sequence), values) != values:
                            wrong.append(r)

    readers = [threading.Thread(target=read) for _ in range(50 if SOAK else 10)]
    for t in readers:
        t.start()
    try:
        for _ in range(30 if SOAK else 10):
            for n in nodes:
                n.record("m", derived(n.monitors["m"].sequence + 1))
    finally:
        stop.set()
        for t in readers:
            t.join()
    assert not wrong
    assert len({s for _, s in seen}) > 1, "readers saw it change"


def test_nodes_that_all_come_back_after_a_masters_death_are_all_there_and_none_is_dead(crowd):
    d, nodes = crowd
    conf = open(d.conf).read()
    port = re.findall(r"127.0.0.1 port (\d+)", d.read_log())[-1]
    d.configure(conf.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    d.kill()
    for n in nodes:
        n.wait(lambda: n.closed)
    d.start()
    with d.client() as c:
        assert {n.state for n in c.nodes("n????")} == {"late"}, "awaited, not dead"
        threads = [threading.Thread(target=n.connect) for n in nodes]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        wait_for(lambda: all(n.state == "up" or n.state == "not watched" for n in c.nodes("n????")), 10, "all up")
        assert not [e for e in c.events() if e.event == "node-down" and "never" in e.text]

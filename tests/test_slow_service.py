# SPDX-License-Identifier: Apache-2.0
"""A service whose operation takes its time takes nobody else's: calls, events and beats keep theirs."""
import subprocess
import time

import pytest

from cluster import SOAK, wait_for
from test_operations import LIB, build, counter, counter_program, operations  # noqa: F401
from test_stubs import vigia  # noqa: F401
from test_hosts import free_port

SLEEP_S = 10 if SOAK else 3  # a call has 10 s if it says nothing else: here it says 60
LIMIT_S = 0.1  # of each call and each event; asserted at three times that


@pytest.fixture
def sleeper(tmp_path):
    program = build("tests/third_party/sleeper.c", tmp_path / "sleeper")
    started = []

    def start(d):
        started.append(subprocess.Popen([program], env=dict(d.env(), LD_LIBRARY_PATH=LIB), stderr=subprocess.DEVNULL))
        wait_for(lambda: operations(d, "service.list", "sleeper"), 5, "the service")

    yield start
    for p in started:
        p.kill()
        p.wait()


def timed(act):
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def test_everybody_elses_times_stay_while_an_operation_sleeps(daemon, sleeper, counter, vigia):  # noqa: F811
    port = free_port()
    master = daemon(f'listen = {{"127.0.0.1:{port}"}}\nmonitor host {{ enabled = false }}\ndefault_monitors = false\n', "m")
    node = daemon(f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\nmonitor host {{ enabled = false }}\n'
                  'default_monitors = false\n', "n")
    sleeper(master)
    counter(master)
    wait_for(lambda: master.node("n") and master.node("n").state == "up", 10, "n up")
    wait_for(lambda: len(operations(node, "host.list")) == 2, 10, "one view")
    with vigia.open(master.socket) as here, vigia.open(node.socket) as there, vigia.open(master.socket) as ears, \
            vigia.open(master.socket) as asleep:
        news = here.channel("news", public=True)
        events = ears.subscribe("news", after=0)
        here.put(news, 1, b"first")
        next(events)
        sleeping = asleep.ask("sleeper.sleep", {"seconds": SLEEP_S}, deadline=60)
        again = there.ask("sleeper.sleep", {"seconds": 0}, at="m", deadline=60)  # waits behind it, and nobody behind that
        begun, slowest = time.monotonic(), {}
        while time.monotonic() - begun < SLEEP_S - 0.5:
            for what, act in {
                "a call": lambda: list(here.host_info()),
                "a program's service": lambda: list(here.ask("counter.add")),
                "a call of another host": lambda: list(there.host_info(at="m")),
                "a service of another host": lambda: list(there.ask("counter.get", at="m")),
                "an event": lambda: (here.put(news, 1, b"x"), next(events)),
            }.items():
                slowest[what] = max(slowest.get(what, 0), timed(act))
        print(slowest)
        assert [what for what, s in slowest.items() if s > 3 * LIMIT_S] == []
        assert [a.name for a in sleeping] == ["awake"] and time.monotonic() - begun >= SLEEP_S - 0.1
        assert [a.name for a in again] == ["awake"]
    with master.client() as c:
        assert [e.event for e in c.events() if e.node == "n" and e.event in ("node-late", "node-down")] == [], "beats went on"

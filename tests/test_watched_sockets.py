# SPDX-License-Identifier: Apache-2.0
"""Sockets of somebody else's program under the heartbeat library: src/heartbeat/peer.c at both ends, across networks."""
import hashlib
import itertools
import os
import signal
import subprocess
import threading
import time

import pytest

from cluster import BUILD, Network, Relay, SOAK, wait_for

MB = 1000 * 1000
PORTS = itertools.count(7700)


class Peer:
    """One end; what it says is kept as it comes."""

    def __init__(self, space, way, address, port, **options):
        command = ["ip", "netns", "exec", space, f"{BUILD}/src/heartbeat/heartbeat-peer", way, address, str(port)]
        self.process = subprocess.Popen(command + [f"{k}={v}" for k, v in options.items()], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.said = []  # (time in ns, word, the rest)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            when, word, *rest = line.rstrip("\n").split(" ", 2)
            self.said.append((int(when), word, rest[0] if rest else ""))

    def all(self, word):
        return [rest for _, w, rest in self.said if w == word]

    def wait(self, word, timeout=10):
        return wait_for(lambda: self.all(word), timeout, f"{self.process.args[5]} saying {word!r}")[-1]

    @property
    def transport(self):
        return self.wait("transport")

    @property
    def states(self):
        return [s.split(",")[0] for s in self.all("state")]

    def end(self):
        """Its last word: (beats sent, beats received)."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
        self.process.wait(10)
        self.reader.join(5)
        self.process.stdout.close()
        return [int(n) for n in self.wait("beats", 0).split()] if self.process.returncode == 0 else None


@pytest.fixture
def hosts():
    """Two of them, on a network of the class given."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = []

    def make(network):
        made.append(network(2))
        return made[-1]

    yield make
    for n in made:
        n.close()


@pytest.fixture
def connect(hosts):
    """Two peers on a network: the one that watches, the one that answers. Options of both, or of one: watch_send=5."""
    peers = []

    def make(network, **options):
        def options_of(side):
            other = "answer" if side == "watch" else "watch"
            return {k.removeprefix(side + "_"): v for k, v in options.items() if not k.startswith(other + "_")}

        net, port = hosts(network) if isinstance(network, type) else network, next(PORTS)
        peers.append(Peer(net.space(2), "listen", net.address(2), port, seed=2, **options_of("answer")))
        peers[-1].wait("listening")
        peers.append(Peer(net.space(1), "dial", net.address(2), port, seed=1, **options_of("watch")))
        return peers[-1], peers[-2]

    yield make
    for p in peers:
        p.process.send_signal(signal.SIGCONT)
        p.end()


def agree(watcher, answerer, timeout):
    """Both have sent and received all; what each received is what the other sent. The strays of both."""
    mine, theirs = (p.wait("done", timeout).split() for p in (watcher, answerer))
    assert (mine[0], theirs[0]) == (theirs[1], mine[1])
    return int(mine[2]) + int(theirs[2])


class Clearing(Relay):
    """URG is cleared from the start."""

    def __init__(self, n):
        super().__init__(n)
        self.say("urg 1")

    def cleared(self):
        return int(self.ask("stat").split()[5])


@pytest.mark.parametrize("network, transport", [(Network, "urgent"), (Relay, "urgent"), (Clearing, "acks")])
def test_100_mb_of_every_byte_value_arrive_whole_both_ways_at_once_past_readers_that_stall(connect, network, transport):
    """The network of namespaces, a relay that leaves URG alone, one that clears it: there the probe says so, its byte is
    taken out, and the kernel's acknowledgements are left."""
    for seed in range(5 if SOAK else 1):
        watcher, answerer = connect(network, send=100 * MB, receive=100 * MB, stall=3000 if SOAK else 800, rate=20, interval=10,
                                    first=seed)
        assert (watcher.transport, answerer.transport) == (transport, transport)
        assert agree(watcher, answerer, 120) == 0
        sent, received = watcher.end()
        print(f"{network.__name__}: {sent} beats, {received} echoes")
        assert (sent > 5 and received >= sent - 1) if transport == "urgent" else sent == 0


def pair_sent(way, first):
    """Options of a short stream that one side or both send, beginning with that byte."""
    there, back = (MB if way in ("out", "both") else 0), (MB if way in ("back", "both") else 0)
    return dict(watch_send=there, answer_receive=there, answer_send=back, watch_receive=back, first=first)


@pytest.mark.parametrize("network, transport", [(Network, "urgent"), (Clearing, "acks")])
def test_whoever_speaks_first_and_whatever_the_probe_takes_only_its_own_byte(connect, hosts, network, transport):
    net = hosts(network)
    for way, first in itertools.product(("out", "back", "both"), (0x00, 0x03, 0x16)):
        watcher, answerer = connect(net, interval=20, **pair_sent(way, first))
        assert agree(watcher, answerer, 10) == 0, (way, first)
        assert {watcher.transport, answerer.transport} == {transport}, (way, first)
        answerer.end(), watcher.end()


def test_a_path_that_begins_to_clear_urg_in_mid_stream_costs_one_stray_byte(connect, hosts):
    """No probe can foresee it. No second beat follows one that is not answered, so one byte of one side turns up as data,
    once; a protocol in which it cannot be data strips it (heartbeat.h), and nobody is called down."""
    for seed in range(10 if SOAK else 2):
        net = hosts(Relay)
        size = 20 * MB
        watcher, answerer = connect(net, send=size, receive=size, rate=10, stall=200, interval=20, spare=1, first=seed)
        wait_for(lambda: watcher.transport == answerer.transport == "urgent", 5)
        wait_for(lambda: time.monotonic_ns() - watcher.said[0][0] > (1 + seed % 2) * 10**9, 5)
        net.say("urg 1")
        assert agree(watcher, answerer, 60) == 1
        assert int(net.ask("stat").split()[5]) >= 1
        assert not {"down", "left"} & set(watcher.states + answerer.states)
        sent, received = watcher.end()
        assert received == sent - 1 > 5
        answerer.end()
        net.close()


def test_a_busy_application_is_never_called_down_and_a_dead_one_at_once(connect, hosts):
    """It computes for up to 5 s at a time; neither it nor a thread of it reads or answers meanwhile. Two beats a second, on
    a socket where nothing else happens and on some that are flooded."""
    for_s, net = (300 if SOAK else 20), hosts(Network)
    idle = connect(net, answer_spin=5000)
    flooded = [connect(net, answer_spin=5000, watch_send=10**15, answer_receive=10**15) for _ in range(3 if SOAK else 1)]
    begun = time.monotonic_ns()
    wait_for(lambda: time.monotonic_ns() - begun > for_s * 10**9, for_s + 5)
    for watcher, busy in [idle, *flooded]:
        assert watcher.transport == "urgent"
        assert {"up", "busy"} <= set(watcher.states) <= {"up", "busy", "late"}
        busy.process.kill()
        killed = time.monotonic_ns()
        wait_for(lambda: watcher.said[-1][2] == "down, connection closed", 3, "its end being known")
        assert watcher.said[-1][0] - killed < 0.15e9
        print({s: watcher.states.count(s) for s in ("up", "busy", "late", "down")}, "beats, echoes:", watcher.end())

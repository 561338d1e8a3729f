# SPDX-License-Identifier: Apache-2.0
"""What goes over the links of nodes that send on request: beats, and what was asked for. Every packet is looked at."""
import re
import socket
import threading
import time

import pytest

from cluster import Network, SOAK, wait_for
from hmon_peer import Metric, Monitor

ON_REQUEST = f'node {{ masters = {{"{Network.address(1)}:7660"}} send = on-request }}\n'
BEAT, INTERVAL = b"\x16", 0.5
ETH_P_ALL, IPV4, TCP = 3, 0x0800, 6


class Link:
    """Everything that passes host i's link: HMON's bytes each way, beats told from data by their urgent flag."""

    def __init__(self, network, i):
        self.network, self.i = network, i
        self.lock = threading.Lock()
        self.start_over()
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind((network.link(i), ETH_P_ALL))
        self.socket.settimeout(0.1)
        self.ended = False
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def start_over(self):
        with self.lock:
            self.beats, self.data, self.packets, self.begun = {"to": 0, "from": 0}, {"to": b"", "from": b""}, 0, time.monotonic()
            self.bytes_before = self.network.bytes_of(self.i)

    def _read(self):
        while not self.ended:
            try:
                self._take(self.socket.recv(65536))
            except TimeoutError:
                pass

    def _take(self, frame):
        if int.from_bytes(frame[12:14]) != IPV4 or frame[23] != TCP:
            return
        ip = frame[14:14 + int.from_bytes(frame[16:18])]
        segment = ip[(ip[0] & 15) * 4:]
        if 7660 not in (int.from_bytes(segment[0:2]), int.from_bytes(segment[2:4])):
            return
        payload, urgent = segment[(segment[12] >> 4) * 4:], segment[13] & 0x20
        way = "to" if socket.inet_ntoa(ip[16:20]) == self.network.address(self.i) else "from"
        with self.lock:
            self.packets += 1
            if urgent and payload[-1:] == BEAT:
                self.beats[way] += 1
                payload = payload[:-1]
            self.data[way] += payload

    def close(self):
        self.ended = True
        self.thread.join()
        self.socket.close()


@pytest.fixture
def idle(make_cluster):
    """A master and two nodes on request, each with a monitor that measures by itself and two that only answer."""
    c = make_cluster(3, node=ON_REQUEST, monitors="monitor host { period = 100ms }\n")
    c.asked, c.probes = {}, []
    for i in (2, 3):
        for name in ("probe", "other"):
            def answer(pattern, key=(i, name)):
                c.asked[key] = c.asked.get(key, 0) + 1
                return [key[0] * 100 + c.asked[key]]
            m = Monitor(c[i].socket, name, [Metric("x")], period=0, update=answer).connect()
            m.send_row([0])
            c.probes.append(m)
    with c.master.client() as client:
        wait_for(lambda: all(len(client.monitors(node=f"h{i}")) == 4 for i in (2, 3)), 10, "every monitor announced")
    c.links = {i: Link(c.network, i) for i in (2, 3)}
    yield c
    for link in c.links.values():
        link.close()
    for m in c.probes:
        m.close()


def beats_alone(link, n, restart=True):
    """n beats pass each way, no faster than they are due, and nothing else does."""
    if restart:
        link.start_over()
    wait_for(lambda: min(link.beats.values()) >= n, 3 * n * INTERVAL, f"{n} beats")
    took = time.monotonic() - link.begun
    assert link.data == {"to": b"", "from": b""}
    assert max(link.beats.values()) <= took / INTERVAL + 2, "more beats than are due"
    assert link.packets <= 4 * max(link.beats.values()) + 4, "a beat, its echo, and what TCP says to each"
    return took


def acked(link, *monitors):
    """What came is on the master's disk, and the node has been told, once each."""
    def acks():
        return sorted(re.findall(r'<master ack="[^"]*" boot="[^"]*" monitor="([^"]*)"/>', link.data["to"].decode()))

    wait_for(lambda: len(acks()) >= len(monitors), 5, "acks")
    assert acks() == sorted(monitors)


def test_an_idle_link_carries_beats_alone(idle):
    n = 120 if SOAK else 8
    for link in idle.links.values():
        link.start_over()
    for link in idle.links.values():
        beats_alone(link, n, restart=False)
        total = idle.network.bytes_of(link.i) - link.bytes_before
        # 14 + 20 + 32 + 1 bytes a packet, four packets a beat; what ARP and IPv6 say of themselves beside it
        assert total < (max(link.beats.values()) + 2) * 4 * 67 + 2000


def test_an_update_of_one_metric_moves_it_alone(idle):
    asked, other = idle.links[2], idle.links[3]
    with idle.master.client() as c:
        for link in idle.links.values():
            link.start_over()
        got = c.get("x", node="h2", monitor="probe", update=True).one()
        assert got.number("x") == 201
        assert idle.asked == {(2, "probe"): 1}
        wait_for(lambda: b"<end" in asked.data["from"], 5)
        acked(asked, "probe")
        query, answer = asked.data["to"].decode(), asked.data["from"].decode()
        assert re.fullmatch(r'<monitor query="update"[^>]* monitor="probe"[^>]*/>\s*<master ack=[^>]*/>\s*', query), query
        assert re.fullmatch(r"\s*<monitor [^>]*>201</monitor>\s*<end [^>]*/>\s*", answer), answer
        beats_alone(other, 4, restart=False)
        beats_alone(asked, 2)


def test_an_update_of_everything_asks_each_once(idle):
    with idle.master.client() as c:
        for link in idle.links.values():
            link.start_over()
        rows = {(r.node, r.monitor): r for r in c.get(update=True) if r.node != "h1"}
        assert {k for k in rows if k[1] != "vigia"} == {(n, m) for n in ("h2", "h3") for m in ("host", "probe", "other")}
        assert idle.asked == {(i, m): 1 for i in (2, 3) for m in ("probe", "other")}
        assert rows["h3", "other"].number("x") == 301
        for link in idle.links.values():
            assert link.data["to"].count(b"<monitor query=") == 1, "one query a node"
            wait_for(lambda: b"<end " in link.data["from"], 2, "what the link has passed on being noted")
            assert link.data["from"].count(b"<end ") == 1
    for link in idle.links.values():
        acked(link, "host", "probe", "other")
        beats_alone(link, 2)


def test_what_a_node_is_asked_at_home_stays_at_home(idle):
    with idle[2].client() as at_home:
        idle.links[2].start_over()
        assert at_home.get("x", node="h2", monitor="probe", update=True).one().number("x") == 201
        beats_alone(idle.links[2], 3, restart=False)


def test_what_was_fetched_once_stays_with_its_time_and_never_shows_as_newer(idle):
    with idle.master.client() as c:
        idle.links[2].start_over()
        first = c.get("load/1min", node="h2", update=True).one()
        acked(idle.links[2], "host")
        beats_alone(idle.links[2], 7)  # 3.5 s: 35 periods of the monitor's
        again = c.get("load/1min", node="h2").one()
        assert (again.boot, again.sequence, again.time) == (first.boot, first.sequence, first.time)
        fresh = c.get("load/1min", node="h2", update=True).one()
        assert fresh.time > first.time + 3 * 10**9 and fresh.sequence > first.sequence + 20

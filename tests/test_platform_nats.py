# SPDX-License-Identifier: Apache-2.0
"""A host of a cluster over NATS, written from docs/platform-nats.md alone, with no library; the other is src/platform/nats,
which sends back what it gets, or a whole vigiad."""
import json
import os
import random
import socket
import struct
import subprocess
import time

import pytest

from cluster import BUILD, PREFIX, free_port, wait_for
from hmon_peer import Node
from test_frames import END, ERROR, EVENT, QUERY, frame_bytes, payload_of

STATE, ASK, DATA = 1, 2, 3
ANSWER = 3
ME, OTHER = "a0" * 16, "a2" * 16
PIECE = 65536

def frame(number, payload):
    return struct.pack(">IBBHQ", len(payload), ANSWER, 0, 0, number) + payload


class Host:
    """One that talks to one other."""

    def __init__(self, port, other=OTHER, cluster="test"):
        self.other_id, self.subjects = other, f"vigia.{cluster}"
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.file = self.socket.makefile("rb")
        self.boot, self.other, self.era = random.getrandbits(62) + 1, 0, 0
        self.begin_anew()
        self.kinds = []
        self.name, self.frames, self.stream, self.breaks, self.nobody = None, [], b"", 0, False
        assert self.file.readline().startswith(b"INFO")
        self.put(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}')
        self.put(f"SUB {self.subjects}.host.{ME}.* 1".encode())
        self.put(f"SUB {self.subjects}.nobody.{ME}.* 2".encode())

    def begin_anew(self):
        self.sent = self.sent_taken = self.taken = 0
        self.stream = b""

    def put(self, *lines):
        self.socket.sendall(b"".join(line + b"\r\n" for line in lines))

    def say(self, kind, data=b""):
        header = struct.pack(">BB6xQQQQQ", 1, kind, self.era, self.boot, self.other, self.sent, self.taken)
        reply = f" {self.subjects}.nobody.{ME}.{self.other_id}" if kind == ASK else ""
        self.put(f"PUB {self.subjects}.host.{self.other_id}.{ME}{reply} {48 + len(data)}".encode(), header + data)
        if kind == DATA:
            self.sent += len(data)

    def send(self, data):
        for at in range(0, len(data), PIECE):
            while self.sent - self.sent_taken + PIECE > 524288 and self.sent != self.sent_taken:
                self.hear()
            self.say(DATA, data[at:at + PIECE])

    def hear(self):
        """One message."""
        words = self.file.readline().split()
        if words[0] == b"PING":
            self.put(b"PONG")
        elif words[0] == b"HMSG":
            self.file.read(int(words[-1]) + 2)
            self.nobody = True
        elif words[0] == b"MSG":
            data = self.file.read(int(words[-1]) + 2)[:-2]
            assert words[1].decode() == f"{self.subjects}.host.{ME}.{self.other_id}"
            self.take(data)

    def take(self, message):
        version, kind, era, boot, to, at, taken = struct.unpack(">BB6xQQQQQ", message[:48])
        assert version == 1
        if boot != self.other or era > self.era:
            self.breaks += self.other != 0
            self.other, self.era = boot, max(era, self.era)
            self.begin_anew()
        if era < self.era or to != self.boot:
            return
        self.sent_taken = taken
        if kind == DATA:
            assert at == self.taken
            self.taken += len(message) - 48
            self.stream += message[48:]
            self.cut()
            self.say(STATE, b"stranger")
        else:
            self.name = message[48:].decode()

    def cut(self):
        while len(self.stream) >= 16 and len(self.stream) >= 16 + int.from_bytes(self.stream[:4], "big"):
            n, kind, _, _, number = struct.unpack(">IBBHQ", self.stream[:16])
            self.kinds.append(kind)
            self.frames.append((number, self.stream[16:16 + n]))
            self.stream = self.stream[16 + n:]

    def until(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            self.hear()

    def meet(self):
        """Asks until there is an answer; each ask is heard, or the server says that it was not."""
        end = time.monotonic() + 20
        while not self.name:
            assert time.monotonic() < end
            self.nobody = False
            self.say(ASK)
            self.until(lambda: self.name or self.nobody)


@pytest.fixture
def port(nats_server):
    return nats_server.port


@pytest.fixture
def echo(port):
    started = []

    def start():
        ours, its = socket.socketpair()  # it ends when ours does
        p = subprocess.Popen([f"{BUILD}/src/platform/conformance_test", "--peer", "nats", "2", f"nats://127.0.0.1:{port}", "60000",
                              "20000", "0", "-"], stdin=its, stdout=subprocess.PIPE,
                             env=dict(os.environ, VIGIA_MODULES=f"{BUILD}/src/platform"))
        started.append((p, ours))

    yield start
    for p, ours in started:
        ours.close()
        p.wait()


def pattern(number, n):
    """What the other checks: a payload that its number decides."""
    x, out = (number * 0x9e3779b97f4a7c15 + n) % 2**64, b""
    while len(out) < n:
        out += struct.pack("<Q", x)
        x = (x * 6364136223846793005 + 1) % 2**64
    return out[:n]


def test_a_stranger_takes_part(port, echo):
    echo()
    h = Host(port)
    h.meet()
    assert h.name == "h2"
    sent = [(i + 1, pattern(i + 1, n)) for i, n in enumerate([5, 1, 65520, 65521, 300000, 64, 1 << 20])]
    for number, payload in sent:
        h.send(frame(number, payload))
    h.until(lambda: len(h.frames) == len(sent))
    assert h.frames == sent
    assert not h.breaks
    h.until(lambda: h.sent_taken == h.sent)


def test_what_was_lost_on_the_way_is_told(port, echo):
    echo()
    h = Host(port)
    h.meet()
    h.send(frame(1, pattern(1, 64)))
    h.until(lambda: len(h.frames) == 1)
    h.sent += 80  # as if the server had lost one
    h.say(DATA, frame(3, pattern(3, 64)))
    h.until(lambda: h.breaks == 1)
    assert h.era == 1
    h.send(frame(1 << 40 | 4, pattern(1 << 40 | 4, 64)))
    h.until(lambda: len(h.frames) == 2)
    assert h.breaks == 1


@pytest.fixture
def host(daemon, nats_server):
    """A vigiad, and the stranger beside it."""
    listen = free_port()
    d = daemon(f'platform = nats\nnats {{ server = "{nats_server.url}" }}\nlisten = {{"127.0.0.1:{listen}"}}\n'
               "default_monitors = false\n")
    d.listens = listen
    d.vigia("channel.create", "news", "public=yes")
    d.id, = [h["id"] for h in json.loads(d.vigia("host.list", "--json").stdout)]
    h = Host(nats_server.port, d.id, "default")
    h.meet()
    return d, h


def said(h, number):
    """What came under this number: kinds and payloads."""
    return [(kind, payload_of(kind, payload)) for kind, (n, payload) in zip(h.kinds, h.frames) if n == number]


def test_a_stranger_asks_a_vigiad_and_is_told_of_events(host):
    d, h = host
    h.send(frame_bytes((QUERY, 0, 1, (["", 5000, []], ["host", {"query": "info"}, "", []]))))
    h.until(lambda: END in [kind for kind, _ in said(h, 1)])
    (_, answer), _ = said(h, 1)
    assert answer[1]["id"] == d.id and answer[1]["name"] == "n1"
    h.send(frame_bytes((QUERY, 0, 2, (["", 0, []], ["channel", {"query": "subscribe", "channel": "news", "after": 0}, "", []]))))
    h.until(lambda: said(h, 2))
    d.vigia("channel.put", "news", "1", "for all")
    h.until(lambda: EVENT in [kind for kind, _ in said(h, 2)])
    assert said(h, 2)[-1][1][5] == b"for all"
    h.send(frame_bytes((QUERY, 0, 3, (["", 0, []], ["channel", {"query": "put", "channel": "news"}, "", []]))))
    h.until(lambda: said(h, 3))
    (kind, refused), = said(h, 3)
    assert kind == ERROR and refused[1]["code"] == "not-permitted"


def test_a_stranger_is_a_host_that_others_ask(host):
    d, h = host
    with Node(("127.0.0.1", d.listens), "py").connect() as node:
        node.ask("host", "announce", host=ME).all()
        wait_for(lambda: "py" in d.vigia("host.list").stdout, 5, "it being known")
        asked = subprocess.Popen([f"{PREFIX}/bin/vigia", "host.info", "at=py", "--json"], env=d.env(), stdout=subprocess.PIPE, text=True)
        h.until(lambda: QUERY in h.kinds)
        number, payload = h.frames[h.kinds.index(QUERY)]
        (to, deadline, caller), query = payload_of(QUERY, payload)
        assert query[0] == "host" and query[1]["query"] == "info"
        assert caller[0].hex() == d.id and caller[1] == os.getuid()
        h.send(frame_bytes((ANSWER, 0, number, ["host", {"name": "py", "processors": 1}, "", []])) +
               frame_bytes((END, 0, number, None)))
        assert json.loads(asked.communicate(timeout=20)[0]) == [{"name": "py", "processors": "1"}]


def test_nobody_there_is_said_at_once(port):
    h = Host(port)
    h.say(ASK)
    h.until(lambda: h.nobody, 5)

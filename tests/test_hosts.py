# SPDX-License-Identifier: Apache-2.0
"""Several hosts, each a daemon: they have one view, and ask each other directly, whether a master lives or not."""
import base64
import json
import re
import signal
import socket
import struct
import time

import pytest

from cluster import wait_for
from test_operations import EVENT, HELLO_FRAME, LOST, PREFACE, QUERY, frame, text


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def operations(d, *words):
    return json.loads(d.vigia(*words, "--json").stdout or "[]")


class Hosts(dict):
    """By name; h1 is the master of all."""

    def __init__(self, daemon, n):
        master = free_port()
        for i in range(1, n + 1):
            port = master if i == 1 else free_port()
            up = "" if i == 1 else f'node {{ masters = {{"127.0.0.1:{master}"}} }}\n'
            conf = f'listen = {{"127.0.0.1:{port}"}}\n{up}monitor host {{ enabled = false }}\ndefault_monitors = false\n'
            self[f"h{i}"] = daemon(conf, f"h{i}")
        self.wait_until_one_view(up=n)

    def views(self):
        return [{h["name"]: (h["id"], h["state"]) for h in operations(d, "host.list")}
                for d in self.values() if d.process.poll() is None]

    def wait_until_one_view(self, up, timeout=20):
        def agree():
            first, *others = self.views()
            return all(o == first for o in others) and [s for _, s in first.values()].count("up") == up and first
        return wait_for(agree, timeout, f"one view with {up} hosts up")


@pytest.fixture
def hosts(daemon):
    return lambda n: Hosts(daemon, n)


def test_all_have_one_view(hosts):
    h = hosts(4)
    assert sorted(h.wait_until_one_view(up=4)) == ["h1", "h2", "h3", "h4"]
    assert operations(h["h2"], "host.find", "h3")[0]["id"] == operations(h["h3"], "host.info")[0]["id"]


def test_a_host_that_dies_stays_listed_and_comes_back_as_itself(hosts):
    h = hosts(3)
    before = h.wait_until_one_view(up=3)["h3"][0]
    h["h3"].kill()
    view = h.wait_until_one_view(up=2)
    assert view["h3"][0] == before and view["h3"][1] in ("down", "left")
    h["h3"].start()
    assert h.wait_until_one_view(up=3)["h3"][0] == before


def test_a_host_that_is_forgotten_is_in_no_view(hosts):
    h = hosts(3)
    h["h3"].stop()
    h.wait_until_one_view(up=2)
    h["h1"].vigia("forget", "h3")
    wait_for(lambda: [sorted(v) for v in h.views()] == [["h1", "h2"]] * 2, 10, "no h3 anywhere")


def test_the_channel_of_hosts_tells_of_each_change(hosts):
    h = hosts(3)
    with h["h2"].client() as c:
        changes = iter(c.ask("channel", "subscribe", channel="hosts"))
        next(changes)
        h["h3"].kill()
        event = next(changes)
        assert event.get("tag") == "4"
    h["h3"].start()
    h.wait_until_one_view(up=3)


def test_hosts_ask_each_other_with_every_master_dead(hosts):
    h = hosts(3)
    name = lambda: operations(h["h2"], "host.info", "at=h3")[0]["name"]
    assert name() == "h3"
    h["h1"].kill()
    assert name() == "h3"
    with h["h2"].client() as c:
        events = iter(c.ask("channel", "subscribe", channel="hosts", after=0, at="h3"))
        assert next(events).get("key") == "hosts" and next(events).name == "event"
    p = h["h2"].vigia("host.info", "at=h1", check=False)
    assert p.returncode == 1 and "no vigiad answers at 127.0.0.1" in p.stderr


def test_a_master_that_is_not_heard_is_unknown_to_its_nodes_until_it_is(hosts):
    """Nobody else would tell of it: whether it is down only it could say."""
    h = hosts(3)
    state = lambda at: {f["name"]: f["state"] for f in operations(h[at], "host.list")}  # noqa: E731
    with h["h2"].client() as c:
        changes = iter(c.ask("channel", "subscribe", channel="hosts", after=0, mask=4))
        assert next(changes).name == "channel"
        h["h1"].kill()
        while " h1 " not in " " + base64.b64decode(next(e for e in changes if e.name == "event").get("data")).decode():
            pass
    for at in ("h2", "h3"):
        wait_for(lambda: state(at)["h1"] == "unknown", 20, f"{at} not knowing h1 any more")  # noqa: B023
    assert state("h2")["h3"] == "up"
    h["h1"].start()
    h.wait_until_one_view(up=3)


def test_a_ping_brings_back_the_same_bytes_from_here_and_from_there(hosts):
    h = hosts(2)
    for at in ("h1", "h2"):
        assert operations(h["h1"], "host.ping", "here \u00e9", f"at={at}") == [{"data": base64.b64encode("here \u00e9".encode()).decode()}]
    assert operations(h["h2"], "host.ping", "at=h1") == [{"data": ""}]


def test_a_name_or_an_id_will_do_and_who_is_not_there_is_said(hosts):
    h = hosts(2)
    id = operations(h["h1"], "host.find", "h2")[0]["id"]
    assert operations(h["h1"], "host.info", f"at={id}")[0]["name"] == "h2"
    assert operations(h["h2"], "host.info", "at=h2")[0]["name"] == "h2", "oneself as well"
    assert "no host is named h9" in h["h1"].vigia("host.info", "at=h9", check=False).stderr


@pytest.mark.parametrize("words", [["channel.create", "x"], ["channel.put", "hosts", "1", "x"], ["channel.delete", "hosts"],
                                   ["master.reload"], ["node.forget", "h1"], ["service.delete", "counter"]])
def test_what_changes_anything_is_not_for_other_hosts(hosts, words):
    h = hosts(2)
    p = h["h1"].vigia(*words, "at=h2", check=False)
    assert p.returncode == 1 and re.search("not for other hosts|only for the daemon's own user", p.stderr)


def test_a_host_that_dies_in_mid_call_ends_the_call(hosts):
    h = hosts(3)
    with h["h2"].client() as c:
        waiting = c.ask("service", "get", service="channel", at="h3")
        wait_for(lambda: operations(h["h2"], "host.info", "at=h3"), 5)
        h["h3"].kill()
        begun = time.monotonic()
        with pytest.raises(Exception, match="h3|host|unreachable|connection"):
            waiting.all(15)
        assert time.monotonic() - begun < 5


def test_a_host_that_stands_still_ends_calls_at_their_deadline(hosts):
    h = hosts(3)
    assert operations(h["h2"], "host.info", "at=h3")
    h["h3"].kill(signal.SIGSTOP)
    try:
        with h["h2"].client() as c:
            begun = time.monotonic()
            with pytest.raises(Exception, match="host.info did not answer in time"):
                c.ask("host", "info", at="h3").all(20)
            assert 8 < time.monotonic() - begun < 15
    finally:
        h["h3"].kill(signal.SIGCONT)
    assert operations(h["h2"], "host.info", "at=h3")


class Subscriber:
    """Of a channel of another host, in frames."""

    def __init__(self, d, to, channel):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(20)
        self.s.connect(d.socket)
        fields = {"query": "subscribe", "channel": channel}
        route, message = b"\x81" + text(to), b"\x82" + text("channel") + bytes([0xa0 + len(fields)])
        message += b"".join(text(k) + text(v) for k, v in fields.items())
        self.s.sendall(PREFACE + HELLO_FRAME + frame(QUERY, 1, route + message))
        self.bytes, self.events, self.lost = b"", 0, 0
        self.next_frame()  # hello
        self.next_frame()  # the subscription

    def next_frame(self):
        while len(self.bytes) < 16 or len(self.bytes) < 16 + int.from_bytes(self.bytes[:4]):
            more = self.s.recv(1 << 20)
            assert more, "the connection is closed"
            self.bytes += more
        size, kind = struct.unpack(">IB", self.bytes[:5])
        payload, self.bytes = self.bytes[16:16 + size], self.bytes[16 + size:]
        self.events += kind == EVENT
        self.lost += int.from_bytes(payload[:8]) if kind == LOST else 0

    def read_until(self, sequence):
        while self.events + self.lost < sequence:
            self.next_frame()


def test_who_lags_behind_another_host_is_told_though_nothing_more_comes(hosts):
    h = hosts(2)
    n, size = 2000, 2500  # more than may wait
    h["h1"].vigia("channel.create", "news", "public=yes")
    slow, quick = (Subscriber(h["h2"], "h1", "news") for _ in range(2))
    with h["h1"].client() as c:
        data = base64.b64encode(bytes(size)).decode()
        for i in range(n):
            c.ask("channel", "put", channel="news", tag=1, data=data).all()
            quick.read_until(i + 1)
    assert quick.lost == 0
    slow.read_until(n)
    assert slow.lost > 0 and slow.events > 10
    slow.s.close()
    quick.s.close()

# SPDX-License-Identifier: Apache-2.0
"""Hostile bytes: each ends in a clear error or a bounded wait, the daemon grows by less than 1 MiB, everyone else is served."""
import os
import random
import re
import socket
import threading
import time

import pytest

from cluster import SOAK, wait_for
from hmon_peer import Metric, Monitor, Node, HmonError

MiB = 1 << 20
CLIENT = b'<hmon version="1" role="client">'
MONITOR = b'<hmon version="1" role="monitor">'
CONFIG = b'<config monitor="x"><metric name="a"/></config>'


class Target:
    """A daemon under attack, with a bystander who is served all along."""

    def __init__(self, daemon):
        self.daemon = daemon('listen = {"127.0.0.1:0"}\nmonitor host { enabled = false }\nhistory { enabled = false }\n')
        self.port = int(wait_for(lambda: re.search(r"127.0.0.1 port (\d+)", self.daemon.read_log()), 5)[1])
        self.bystander = Monitor(self.daemon.socket, "bystander", [Metric("n")], period=0).connect()
        self.n = 0
        self.serve()
        self.attack(CLIENT + b"<nonsense/>", answer=False)  # what the first of each kind takes is not growth
        self.before = self.daemon.memory()

    def serve(self):
        self.n += 1
        self.bystander.send({"n": self.n})
        with self.daemon.client() as c:
            wait_for(lambda: c.get("n", monitor="bystander").one().number("n") == self.n, 3, "the bystander being served")

    def attack(self, data, answer=True, timeout=20):
        """Sends bytes (or what an iterator gives); returns all that came until the daemon closed."""
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.settimeout(timeout)
            came = bytearray()
            reader = threading.Thread(target=self._read, args=(s, came), daemon=True)
            reader.start()
            try:
                for piece in [data] if isinstance(data, bytes) else data:
                    s.sendall(piece)
                if not answer:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # closed while we spoke: as it should
            reader.join(timeout)
            assert not reader.is_alive(), "the daemon neither answered nor closed"
            return bytes(came)

    @staticmethod
    def _read(s, came):
        try:
            while data := s.recv(65536):
                came += data
        except OSError:
            pass

    def unharmed(self):
        self.serve()
        grown = self.daemon.memory() - self.before
        assert grown < MiB, f"grew by {grown} bytes"
        assert self.daemon.process.poll() is None


@pytest.fixture
def target(daemon):
    t = Target(daemon)
    yield t
    t.unharmed()
    t.bystander.close()


def repeat(head, piece, times, tail=b""):
    yield head
    for _ in range(times):
        yield piece
    yield tail


BOMB = (b'<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
        b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><hmon version="1" role="client">&c;')

REFUSED = {
    "a DOCTYPE bomb": (BOMB, b"bad-xml"),
    "a DOCTYPE alone": (b"<!DOCTYPE hmon><hmon>", b"bad-xml"),
    "another root": (b"<html>", b"bad-xml"),
    "bad UTF-8": (CLIENT + b"<monitor n='\xff\xfe'/>", b"bad-xml"),
    "a NUL byte": (CLIENT + b"<mon\0itor/>", b"bad-xml"),
    "mismatched tags": (CLIENT + b"<a></b>", b"bad-xml"),
    "version 0": (b'<hmon version="0" role="client">', b"bad-version"),
    "no such role": (b'<hmon version="1" role="king">', b"bad-role"),
    "300,000 attributes": (CLIENT + b"<a " + b" ".join(b"a%d='1'" % i for i in range(300000)) + b"/>", b"bad-xml"),
    "33 attributes": (CLIENT + b"<a " + b" ".join(b"a%d='1'" % i for i in range(33)) + b"/>", b"bad-xml"),
    "65 strange names": (CLIENT + b"".join(b"<strange%d/>" % i for i in range(65)), b"bad-xml"),
    "a stanza of 20 kB from a client": (CLIENT + b"<a>" + b"<b>x</b>" * 3000, b"bad-xml"),
    "65 queries at once": (CLIENT + b"".join(b'<monitor query="subscribe" id="%d"/>' % i for i in range(1, 70)), b"too-many"),
    "values before the config": (MONITOR + b'<monitor><v n="a">1</v></monitor>', b"bad-stanza"),
    "an empty config": (MONITOR + b'<config monitor="x"/>', b"bad-config"),
    "two metrics of one name": (MONITOR + b'<config monitor="x"><metric name="a"/><metric name="a"/></config>', b"bad-config"),
    "the daemon's own name": (MONITOR + b'<config monitor="vigia"><metric name="a"/></config>', b"stranger"),
    "a bad name": (MONITOR + b'<config monitor="../x"><metric name="a"/></config>', b"bad-config"),
    "a row that is not full first": (MONITOR + CONFIG + b'<monitor generation="1" sequence="1">.</monitor>', b"bad-row"),
    "a row with too many values": (MONITOR + CONFIG + b'<monitor generation="1" sequence="1" full="yes">1 2</monitor>', b"bad-row"),
    "a row of another generation": (MONITOR + CONFIG + b'<monitor generation="2" sequence="1" full="yes">1</monitor>', b"bad-row"),
    "a time ten years ahead": (MONITOR + CONFIG + b'<monitor generation="1" sequence="1" full="yes" time="%d">1</monitor>'
                               % ((int(time.time()) + 10 * 365 * 86400) * 10**9), b"bad-row"),
    "a number of a hundred digits": (MONITOR + CONFIG + b'<monitor generation="1" sequence="1" full="yes">' + b"9" * 100 +
                                     b"</monitor>", b"bad-row"),
    "data of a node that is not registered": (b'<hmon version="1" role="node"><monitor id="1" generation="1" sequence="1">1</monitor>',
                                              b"bad-row"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_reason(target, name):
    data, code = REFUSED[name]
    came = target.attack(data)
    assert b'code="' + code + b'"' in came, came
    assert came.rstrip().endswith(b"</hmon>"), "it says good-bye"


def test_two_million_levels(target):
    assert b"deeper" in target.attack(repeat(CLIENT, b"<a>" * 20000, 100))


def test_an_attribute_of_200_megabytes(target):
    assert b"a tag of more than 8192 bytes" in target.attack(repeat(CLIENT + b"<a b='", b"x" * MiB, 200))


def test_a_text_of_200_megabytes(target):
    assert b'code="bad-xml"' in target.attack(repeat(CLIENT + b"<a>", b"x" * MiB, 200))


def test_a_comment_without_end(target):
    assert b'code="bad-xml"' in target.attack(repeat(CLIENT + b"<!-- ", b"x" * MiB, 50))


def test_truncated_at_every_offset(target):
    whole = MONITOR + CONFIG + b'<monitor generation="1" sequence="1" full="yes">1</monitor></hmon>'
    for i in range(len(whole)):
        target.attack(whole[:i].replace(b'"x"', b'"cut%d"' % (i % 3)), answer=False)


def test_random_garbage(target):
    seed = int(os.environ.get("VIGIA_SEED", random.randrange(1 << 30)))
    print("VIGIA_SEED =", seed)
    dice = random.Random(seed)
    for _ in range(1000 if SOAK else 100):
        head = dice.choice([b"", CLIENT, MONITOR, MONITOR + CONFIG, b'<hmon version="1" role="node">'])
        target.attack(head + dice.randbytes(dice.randrange(2000)), answer=False)


@pytest.mark.parametrize("value", ["NaN", "Inf", "-inf", "1e309", "0x10", "+1", "", " 1"])
def test_a_value_that_is_no_number_is_refused_alone(target, value):
    m = Monitor(target.daemon.socket, "values", [Metric("a")], period=0).connect()
    m.connection.send(f'<monitor><v n="a">{value}</v></monitor>')
    m.wait(lambda: m.errors)
    assert m.errors[-1].code == "bad-value"
    m.send({"a": 1})
    with target.daemon.client() as c:
        wait_for(lambda: c.get("a", monitor="values"), 5)
    m.close()


def test_a_node_speaking_as_another_is_refused_and_the_other_stays(target):
    real = Node(("127.0.0.1", target.port), "real")
    real.add("m", [Metric("a")])
    real.connect()
    real.record("m", [1])
    with pytest.raises(HmonError, match="stranger"):
        Node(("127.0.0.1", target.port), "real").connect()
    with pytest.raises(HmonError, match="stranger"):
        Node(("127.0.0.1", target.port), "real", secret="0" * 32).connect()
    with pytest.raises(HmonError, match="old-boot"):
        Node(("127.0.0.1", target.port), "real", secret=real.secret, boot=real.boot - 1).connect()
    real.record("m", [2])
    with target.daemon.client() as c:
        wait_for(lambda: c.get("a", node="real").one().number("a") == 2, 5)
        assert {e.event for e in c.events()} >= {"stranger"}
    real.close()


def test_a_refused_registration_leaves_the_name_free(target):
    """And so do refused configs."""
    target.attack(b'<hmon version="1" role="node"><node query="register" id="1" name="fresh" boot="0"/>', answer=False)
    n = Node(("127.0.0.1", target.port), "fresh").connect()
    assert n.secret
    n.close()
    for i in range(300):
        target.attack(MONITOR + b'<config monitor="bad%d"/>' % i, answer=False)
    Monitor(target.daemon.socket, "good", [Metric("a")], period=0).connect().close()


def test_who_answers_at_a_masters_address_cannot_harm_a_node(daemon):
    with socket.create_server(("127.0.0.1", 0)) as s:
        d = daemon(f'listen = {{}}\nmonitor host {{ }}\nnode {{ masters = {{"127.0.0.1:{s.getsockname()[1]}"}} }}\n')
        for evil in (b'<config query="announce" id="7" monitor="x" monitor-id="1" digest="0123456789abcdef"/>',
                     b'<node query="register" id="7" name="x" boot="1"/>',
                     b'<monitor answer="1" monitor="vigia" boot="1" sequence="1"/><config answer="0" known="no"/>',
                     b'<end answer="1"/><config answer="2" known="no"/><config answer="2" known="no"/>', os.urandom(500)):
            s.settimeout(40)
            with s.accept()[0] as c:
                c.settimeout(2)
                c.sendall(b'<hmon version="1" role="vigiad" name="evil">' + evil)
                try:
                    while c.recv(65536):
                        pass
                except OSError:
                    pass
            assert d.process.poll() is None, d.read_log()
            assert d.answers()


def test_times_ten_years_back_are_taken_as_they_are(target):
    then = time.time_ns() - 10 * 365 * 86400 * 10**9
    with Monitor(target.daemon.socket, "old", [Metric("a")], period=0).connect() as m:
        m.send({"a": 1}, time=then)
        with target.daemon.client() as c:
            assert wait_for(lambda: c.get("a", monitor="old"), 5)[0].time == then


def test_a_client_that_never_reads_is_not_waited_for(target):
    with Monitor(target.daemon.socket, "big", [Metric(f"metric/{i}") for i in range(400)], period=0).connect() as m:
        s = socket.socket(socket.AF_UNIX)
        s.connect(target.daemon.socket)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(CLIENT + b'<monitor query="subscribe" id="1"/>' +
                  b"".join(b'<monitor query="get" id="%d"/>' % i for i in range(2, 40)))
        for n in range(300):
            m.send_row([n * 400 + i for i in range(400)])
        target.serve()
        s.close()


def test_connections_that_say_nothing_are_closed_in_time(target):
    n = 60  # five kilobytes each while they last
    begun = time.monotonic()
    silent = [socket.create_connection(("127.0.0.1", target.port)) for _ in range(n)]
    target.serve()
    for s in silent:
        s.settimeout(30)
        while s.recv(4096):
            pass
        s.close()
    assert 5 < time.monotonic() - begun < 30, "10 s, and three times that at most"


def test_a_monitor_that_floods_harms_nobody_else(target):
    stop = threading.Event()

    def flood():
        with Monitor(target.daemon.socket, "flood", [Metric("a")], period=0).connect() as m:
            row = 1
            while not stop.is_set():
                text = b"".join(b'<monitor generation="1" sequence="%d" full="yes">%d</monitor>' % (row + i, i)
                                for i in range(200))
                m.connection.send(text)
                row += 200

    t = threading.Thread(target=flood)
    t.start()
    try:
        for _ in range(20):
            begun = time.monotonic()
            target.serve()
            assert time.monotonic() - begun < 1
    finally:
        stop.set()
        t.join()


def test_config_after_config_with_ever_new_names(target):
    with Monitor(target.daemon.socket, "restless", [Metric("a")], period=0).connect() as m:
        for i in range(300):
            m.reconfigure([Metric(f"round{i}/metric{k}") for k in range(20)])
            m.send_row(list(range(20)))
        with target.daemon.client() as c:
            wait_for(lambda: c.get("round299/*", monitor="restless"), 10)

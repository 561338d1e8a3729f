# SPDX-License-Identifier: Apache-2.0
"""Hostile bytes: each ends in a clear error or a bounded wait, the daemon grows by less than 1 MiB, everyone else is served."""
import os
import pathlib
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
        wait_for(lambda: self.daemon.memory() - self.before < MiB, 10, "its memory being given back")
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
                c.settimeout(1)
                c.sendall(b'<hmon version="1" role="vigiad" name="evil">' + evil)
                end = time.monotonic() + 2  # one that it takes for its master it would serve for ever
                try:
                    while c.recv(65536) and time.monotonic() < end:
                        pass
                except OSError:
                    pass
            assert d.process.poll() is None, d.read_log()
            assert d.answers()


def registrations(listening):
    """A false master: each connection with the life that the node gives, once it has registered."""
    listening.settimeout(40)
    while True:
        c = listening.accept()[0]
        c.settimeout(10)
        c.sendall(b'<hmon version="1" role="vigiad" name="evil">')
        came = b""
        while not (boot := re.search(rb'boot="(\d+)"', came)):
            came += c.recv(65536)
        yield c, int(boot[1])


def test_a_master_that_makes_lives_up_leaves_some_for_those_to_come(daemon):
    with socket.create_server(("127.0.0.1", 0)) as s:
        d = daemon(f'listen = {{}}\nmonitor host {{ }}\nnode {{ masters = {{"127.0.0.1:{s.getsockname()[1]}"}} }}\n')
        lives, known = registrations(s), []
        for told in (2**63 - 1, 2**63 - 2, 2**62 - 2):
            c, boot = next(lives)
            known.append(boot)
            c.sendall(b'<node answer="1" boot="%d"/><error answer="1" code="old-boot"/></hmon>' % told)
            c.close()
        for _ in range(2):
            c, boot = next(lives)
            known.append(boot)
            c.close()
            d.stop()
            d.start()
        assert known == sorted(known) and known[-1] < 2**63 - 1, known


def test_a_master_that_says_all_again_and_again_is_heard_once(daemon):
    with socket.create_server(("127.0.0.1", 0)) as s:
        d = daemon(f'listen = {{}}\nmonitor host {{ }}\nnode {{ masters = {{"127.0.0.1:{s.getsockname()[1]}"}} }}\n')
        lives = registrations(s)
        c, boot = next(lives)
        later = [b'<node answer="1" secret="%032d" boot="%d"/>' % (i, boot + 2**40 * i) for i in range(1, 1000)]
        c.sendall(b"".join(later) + b'<end answer="1"/>' * 1000 + b"".join(later) + b"</hmon>")
        c.close()
        c, again = next(lives)
        c.close()
        assert again == boot + 2**40 + 1, "the first was believed, and none after it"
        with d.client() as client:
            assert len([e for e in client.events() if e.event == "master-found"]) == 1


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


# ------------------------------------------------------------------------------------------------ while it lasts

class Watched:
    """A bystander's client and monitor, served all the while something else goes on: a value a turn, there and back."""

    def __init__(self, target):
        self.target, self.slowest, self.turns, self.why, self.ended = target, 0, 0, None, threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        n = 10**6
        try:
            with self.target.daemon.client() as c:
                while not self.ended.is_set():
                    n, begun = n + 1, time.monotonic()
                    self.target.bystander.send({"n": n})
                    wait_for(lambda: c.get("n", monitor="bystander").one().number("n") == n, 5, "the bystander being served")
                    self.slowest, self.turns = max(self.slowest, time.monotonic() - begun), self.turns + 1
        except Exception as e:
            self.why = e

    def __enter__(self):
        self.thread.start()
        wait_for(lambda: self.turns > 3 or self.why, 5)
        return self

    def __exit__(self, kind, *_):
        before = self.turns
        wait_for(lambda: self.turns > before + 1 or self.why, 10, "a turn after the attack")
        self.ended.set()
        self.thread.join()
        if not kind:
            assert not self.why and self.turns > 5
            assert self.slowest < 1, "a bystander waited"


def connect(target, unix):
    s = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    s.settimeout(30)
    s.connect(target.daemon.socket if unix else ("127.0.0.1", target.port))
    return s


def exchange(target, data, unix=False):
    """Says it, ends, hears all."""
    came = b""
    with connect(target, unix) as s:
        try:
            for piece in [data] if isinstance(data, bytes) else data:
                s.sendall(piece)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused while we spoke
        try:
            while piece := s.recv(65536):
                came += piece
        except ConnectionError:
            pass
    return came


LARGE = {
    "two million levels": lambda: repeat(CLIENT, b"<a>" * 20000, 100),
    "an attribute of 200 MB": lambda: repeat(CLIENT + b"<a b='", b"x" * MiB, 200),
    "an attribute of 200 MB before the root": lambda: repeat(b"<hmon version='", b"x" * MiB, 200),
    "a text of 200 MB from a monitor": lambda: repeat(MONITOR + b"<config>", b"x" * MiB, 200),
    "a stanza of 200 MB from a monitor": lambda: repeat(MONITOR + b"<config>", b"<metric name='a'/>" * 20000, 600),
    "a row of 200 MB": lambda: repeat(MONITOR + CONFIG + b'<monitor generation="1" sequence="1" full="yes">', b"9" * MiB, 200),
    "a comment of 200 MB": lambda: repeat(MONITOR + b"<!-- ", b"x" * MiB, 200),
    "a processing instruction of 200 MB": lambda: repeat(MONITOR + b"<?a ", b"x" * MiB, 200),
    "a CDATA of 200 MB": lambda: repeat(MONITOR + b"<config><![CDATA[", b"x" * MiB, 200),
    "a name of 200 MB": lambda: repeat(CLIENT + b"<a", b"a" * MiB, 200),
    "blanks of 200 MB in a tag": lambda: repeat(CLIENT + b"<a ", b" " * MiB, 200),
    "300,000 attributes": lambda: [REFUSED["300,000 attributes"][0]],
    "a DOCTYPE bomb": lambda: [BOMB],
}


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize("name", LARGE)
def test_everyone_is_served_while_it_comes(target, name, unix):
    with Watched(target):
        came = exchange(target, LARGE[name](), unix)
        assert not came or b'code="bad-xml"' in came, came  # who speaks on may lose the reason, with the connection


@pytest.mark.parametrize("name", [n for n in REFUSED if len(REFUSED[n][0]) < 16384])
def test_refused_on_the_unix_socket_too(target, name):
    data, code = REFUSED[name]
    with connect(target, True) as s:
        s.sendall(data)
        came = b""
        while piece := s.recv(65536):
            came += piece
    assert b'code="' + code + b'"' in came and came.rstrip().endswith(b"</hmon>"), came


# ------------------------------------------------------------------------------------------------ cut off anywhere

RECORDED = pathlib.Path(__file__).parent / "streams/0.1.0"


def with_secret(target, name):
    """A recorded stream, as one who comes back: what is cut off is refused for that, not as a stranger."""
    data = (RECORDED / f"{name}.xml").read_bytes()
    if name == "node":
        secret = re.search(rb'secret="([0-9a-f]*)"', exchange(target, data.replace(b'name="n1"', b'name="n9"')))
        data = data.replace(b'name="n1"', b'name="n9" secret="%s"' % secret[1])
    elif name == "monitor":
        secret = re.search(rb'secret="([0-9a-f]*)"', exchange(target, data))
        data = re.sub(rb'(<config [^>]*monitor="host")', rb'\1 secret="%s"' % secret[1], data)
    return data.replace(b'node="n1" monitor="host"', b'node="n1" monitor="bystander"')


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize("name", ["monitor", "node", "client-status", "client-get"])
def test_a_recorded_stream_cut_off_at_every_offset(target, name, unix):
    data = with_secret(target, name)
    assert b"<error" not in exchange(target, data, unix), "whole it is welcome"
    target.before = target.daemon.memory()  # its metrics are kept: that is no growth
    with Watched(target):
        for i in range(len(data)):
            came = exchange(target, data[:i], unix)
            assert b"stranger" not in came and b"old-boot" not in came, (i, came)
        if name == "monitor":
            with target.daemon.client() as c:
                assert c.monitors(monitor="host").one().state == "gone"


@pytest.mark.parametrize("name", ["monitor", "node", "client-status"])
def test_a_recorded_stream_with_bytes_changed(target, name):
    seed = int(os.environ.get("VIGIA_SEED", random.randrange(1 << 30)))
    print("VIGIA_SEED =", seed)
    dice = random.Random(seed)
    data = with_secret(target, name)
    target.before = target.daemon.memory()
    with Watched(target):
        for _ in range(20000 if SOAK else 1500):
            changed = bytearray(data)
            for _ in range(dice.choice([1, 1, 2, 10])):
                at = dice.randrange(len(changed))
                changed[at:at + dice.choice([0, 1, 1, 5])] = dice.choice([b"", b"<", b"9", b"\xff", b'"', b"&#0;", b"-",
                                                                          bytes([dice.randrange(256)])])
            exchange(target, bytes(changed), dice.random() < 0.5)


# ------------------------------------------------------------------------------------------------ twice, and at the wrong time

def test_a_querys_id_that_is_under_way_is_refused_and_the_first_goes_on(target):
    with target.daemon.client() as c:
        first = c.subscribe("n", monitor="bystander")
        assert first.next().values
        c.connection.send(f'<monitor query="get" id="{first.id}"/>')
        c.wait(lambda: c.errors)
        assert c.errors[0].code == "bad-stanza" and "answer" not in c.errors[0].stanza.attributes
        target.serve()
        assert first.next().number("n") == target.n
        c.connection.send('<monitor query="get"/>')
        c.wait(lambda: len(c.errors) == 2)
        assert c.errors[1].code == "bad-stanza"


def test_a_monitors_number_said_of_two(target):
    """Of one connection's number the last announce holds; who sent which row is never mixed up."""
    n = Node(("127.0.0.1", target.port), "double")
    n.add("one", [Metric("a")])
    n.add("two", [Metric("b"), Metric("c")]).number = 1
    n.connect()
    n.send_period(n.monitors["two"], n.record("two", [5, 6], send=False))
    with target.daemon.client() as c:
        got = wait_for(lambda: c.get(node="double"), 5)
        assert [(r.monitor, {k: v.text for k, v in r.values.items()}) for r in got] == [("two", {"b": "5", "c": "6"})]
    n.close()


def test_a_monitor_and_a_node_that_hurry_from_place_to_place(target):
    """Who shows the secret replaces the old connection, however often; nothing is left of them."""
    first = Monitor(target.daemon.socket, "hasty", [Metric("a")], period=0).connect()
    node = Node(("127.0.0.1", target.port), "hasty")
    node.add("m", [Metric("a")])
    node.connect()
    for _ in range(200):
        second = Monitor(target.daemon.socket, "hasty", [Metric("a")], period=0, secret=first.secret).connect()
        first.wait(lambda: first.closed)
        first = second
        other = Node(("127.0.0.1", target.port), "hasty", secret=node.secret)
        other.add("m", [Metric("a")])
        other.connect()
        node.wait(lambda: node.closed)
        node = other
    first.send({"a": 7})
    node.record("m", [8])
    with target.daemon.client() as c:
        wait_for(lambda: sorted(r.number("a") for r in c.get("a")) == [7, 8], 5)
    first.close()
    node.close()


TEN_YEARS = 10 * 365 * 86400 * 10**9


def test_times_ten_years_off_by_name_and_from_a_node(target):
    with Monitor(target.daemon.socket, "ahead", [Metric("a")], period=0).connect() as m:
        m.send({"a": 1}, time=time.time_ns() + TEN_YEARS)
        m.wait(lambda: m.errors)
        assert m.errors[0].code == "bad-value"
        m.send({"a": 2})
        with target.daemon.client() as c:
            assert wait_for(lambda: c.get("a", monitor="ahead"), 5).one().number("a") == 2
    n = Node(("127.0.0.1", target.port), "wrong-clock")
    n.add("m", [Metric("a")])
    n.connect()
    then = time.time_ns() - TEN_YEARS
    n.record("m", [1], time=then)
    with target.daemon.client() as c:
        assert wait_for(lambda: c.get("a", node="wrong-clock"), 5).one().time == then
        n.record("m", [2], time=time.time_ns() + TEN_YEARS)
        n.wait(lambda: n.closed)
        assert n.errors[-1].code == "bad-row"
        assert c.get("a", node="wrong-clock").one().number("a") == 1


# ------------------------------------------------------------------------------------------------ slow, and many

QUERY = b'<monitor query="%s" id="%d"/>'


@pytest.mark.parametrize("what", ["answers", "a subscription", "events", "beats", "errors"])
def test_who_never_reads_costs_little_while_it_lasts(target, what):
    """Measured with the connection still open, after it was owed some tens of megabytes."""
    with Monitor(target.daemon.socket, "big", [Metric(f"metric/{i}") for i in range(1000)], period=0).connect() as m:
        m.send_row(list(range(1000)))
        with target.daemon.client() as c:
            wait_for(lambda: c.get("metric/7", monitor="big"), 5)
        target.before = target.daemon.memory()
        s = connect(target, True)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        s.setblocking(False)
        asked = {"answers": b"".join(QUERY % (b"get", i) for i in range(1, 61)), "a subscription": QUERY % (b"subscribe", 1),
                 "events": b'<node query="events" id="1" follow="yes"/>', "beats": b'<beat n="1"/>' * 200000,
                 "errors": b'<monitor query="nonsense" id="1"/>' * 100000}[what]
        try:
            s.sendall(CLIENT + asked)
        except BlockingIOError:
            pass  # the daemon reads no more from who does not read: as well
        except ConnectionError:
            pass
        with Watched(target):
            for k in range(400):
                m.send_row([k * 1000 + i for i in range(1000)])
            if what == "events":
                for _ in range(2000):
                    exchange(target, MONITOR + b'<config monitor="bystander"><metric name="n"/></config>', True)
            with target.daemon.client() as c:
                wait_for(lambda: c.get("metric/0", monitor="big").one().number("metric/0") == 399000, 10)
        grown = target.daemon.memory() - target.before
        s.close()
        assert grown < MiB, f"grew by {grown} bytes"


def test_a_thousand_connections_that_say_little_are_closed_in_time(target):
    """Silent; a byte now and then; a root and no more; a monitor without a config; a node that does not register."""
    said = [b"", b"<hmon", CLIENT[:-1], MONITOR, b'<hmon version="1" role="node">', MONITOR + b"<config ", b"<!-- "]
    begun = time.monotonic()
    open_ones = {}
    for i in range(1000):
        s = connect(target, i % 2)
        s.sendall(said[i % len(said)])
        s.setblocking(False)
        open_ones[s] = time.monotonic()
    lasted = []

    def ended():
        for s in list(open_ones):
            try:
                if s.send(b" ") and s.recv(65536):
                    continue
            except BlockingIOError:
                continue
            except ConnectionError:
                pass
            lasted.append(time.monotonic() - open_ones.pop(s))
            s.close()
        return not open_ones

    assert target.daemon.memory() - target.before < 8 * MiB, "eight kilobytes each, for ten seconds"
    with Watched(target):
        wait_for(ended, 30, "all being closed: a drop a turn buys no time")
    assert time.monotonic() - begun < 30 and min(lasted) > 5, "10 s, and three times that at most"
    wait_for(lambda: target.daemon.memory() - target.before < MiB, 6, "their memory being given back")


@pytest.mark.parametrize("form", ["in order", "by name"])
def test_others_keep_their_times_while_one_floods(target, form):
    text = b"".join(b'<monitor generation="1" sequence="%d" full="yes">%d</monitor>' % (i + 1, i) for i in range(5000)) \
        if form == "in order" else b'<monitor><v n="a">1</v></monitor>' * 5000
    stop = threading.Event()

    def flood():
        with connect(target, True) as s:
            s.sendall(MONITOR + b'<config monitor="flood"><metric name="a"/></config>')
            while not stop.is_set():
                s.sendall(text)

    t = threading.Thread(target=flood)
    t.start()
    try:
        with Watched(target) as w:
            wait_for(lambda: w.turns > 200, 25, "two hundred turns beside the flood")
    finally:
        stop.set()
        t.join()


@pytest.mark.parametrize("kept", [False, True], ids=["memory", "history"])
def test_ever_new_names_are_not_kept(daemon, kept):
    """Twelve megabytes of names; then as much again takes no more. (SQLite's cache is filled by then.)"""
    d = daemon('listen = {}\nmonitor host { enabled = false }\nhistory { enabled = %s }\n' % ("true" if kept else "false"))
    n = 0
    with Monitor(d.socket, "restless", [Metric("a")], period=0).connect() as m, d.client() as c:
        def rounds(times):
            nonlocal n
            for _ in range(times):
                n += 1
                m.reconfigure([Metric(f"round{n}/" + "x" * 100 + f"/{k}") for k in range(200)])
                begun = time.time_ns()
                m.send_row(list(range(200)))
                if n % 10 == 0:  # what waits for a slow disk is another matter
                    wait_for(lambda: c.get(f"round{n}/*", monitor="restless"), 20)
                    wait_for(lambda: not kept or c.history(f"round{n}/*/7", monitor="restless", from_=begun), 20)

        rounds(400)
        before = d.memory()
        rounds(4000 if SOAK else 400)
        grown = d.memory() - before
    assert grown < MiB, f"grew by {grown} bytes"


# ------------------------------------------------------------------------------------------------ history's readers

EVERYTHING = b"".join(b'<monitor query="history" id="%d"/>' % i for i in range(1, 61))


@pytest.fixture
def remembering(daemon):
    """A daemon whose whole history is some eight megabytes of answer."""
    d = daemon('listen = {}\nmonitor host { enabled = false }\n')
    with Monitor(d.socket, "wide", [Metric(f"metric/{i}") for i in range(200)], period=0).connect() as m, d.client() as c:
        for k in range(1000):
            m.send_row([k * 1000 + i for i in range(200)])
        wait_for(lambda: [len(s.points) for s in c.history("metric/7", monitor="wide")] == [1000], 20, "all being kept")
    return d


def ask_everything(d):
    s = socket.socket(socket.AF_UNIX)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(d.socket)
    s.sendall(CLIENT + EVERYTHING)
    return s


def one_metric(d):
    """How long the thousand points of one metric take."""
    begun = time.monotonic()
    with d.client() as c:
        assert len(c.history("metric/7", monitor="wide")[0].points) == 1000
    return time.monotonic() - begun


def test_histories_that_nobody_reads_cost_little_and_hold_nobody_up(remembering):
    """Forty clients ask for everything sixty times each, twenty gigabytes in all, and read none of it."""
    d = remembering
    for _ in range(3):
        one_metric(d)
    before = d.memory()
    silent = [ask_everything(d) for _ in range(40)]
    slowest = max(one_metric(d) for _ in range(20))
    most = max(d.memory() for _ in range(20))
    for s in silent:
        s.close()
    assert most - before < 32 * MiB, f"grew by {most - before} bytes"
    assert slowest < 2, "who reads waited"


def test_histories_of_who_has_left_are_read_no_more(remembering):
    """A hundred ask for everything sixty times each, and go at once."""
    d = remembering
    for _ in range(100):
        ask_everything(d).close()
    assert one_metric(d) < 2


def test_sixty_histories_at_once_come_whole(remembering):
    with remembering.client() as c:
        asked = [c.ask("monitor", "history", monitor="wide", metric=f"metric/{i}*") for i in range(60)]
        answers = [[s for s in a.all(60) if s.name == "monitor"] for a in asked]
        for i, stanzas in enumerate(answers):
            points = [(s.get("metric"), p.get("v")) for s in stanzas for p in s.children]
            wanted = sorted(n for n in (f"metric/{k}" for k in range(200)) if n.startswith(f"metric/{i}"))
            assert points == [(n, str(k * 1000 + int(n[7:]))) for n in wanted for k in range(1000)]


def test_a_history_that_is_cancelled_makes_way_for_the_next(remembering):
    with remembering.client() as c:
        big = c.ask("monitor", "history")
        small = c.ask("monitor", "history", monitor="wide", metric="metric/7")
        c.cancel(big.id)
        assert sum(len(s.children) for s in small.all(20) if s.name == "monitor") == 1000

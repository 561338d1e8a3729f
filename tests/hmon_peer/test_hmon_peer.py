# SPDX-License-Identifier: Apache-2.0
"""The Python peer against itself, and docs/hmon.rng against the streams that it wrote."""
import pathlib
import random
import shutil
import subprocess
import sys

import pytest

import hmon_peer as h
from hmon_peer import Client, Config, Connection, Daemon, HmonError, Metric, Monitor, Node, Stanza

HERE = pathlib.Path(__file__).parent
SCHEMA = HERE.parent.parent / "docs" / "hmon.rng"
LOAD = [Metric("load/1min", scale=2, doc="mean run queue <of> a minute"), Metric("load/tasks", "counter"),
        Metric("load/state", "state"), Metric("load/note", "text")]
N, T = Metric("n"), Metric("t", "text")


@pytest.fixture(params=["unix", "tcp"])
def daemon(request, tmp_path):
    with Daemon(str(tmp_path / "socket") if request.param == "unix" else ("127.0.0.1", 0), section="path = /x & <y>\n") as d:
        yield d


@pytest.fixture
def tcp():
    with Daemon(("127.0.0.1", 0), name="m1") as d:
        yield d


def validate(path):
    return subprocess.run(["xmllint", "--noout", "--relaxng", SCHEMA, path], capture_output=True, text=True)


def check_stream(tmp_path, *connections):
    """What these connections sent is as the schema says."""
    for i, c in enumerate(connections):
        data = bytes(c.sent)
        file = tmp_path / f"stream{i}.xml"
        file.write_bytes(data if data.rstrip().endswith(b"</hmon>") else data + b"</hmon>")
        result = validate(file)
        assert result.returncode == 0, result.stderr + file.read_text()


# ------------------------------------------------------------------------------------------------ rows and digest

@pytest.mark.parametrize("text, metrics, previous, full, values", [
    ('+2.3 51!"ok"~7.120', [N] * 6 + [T] + [N] * 122, [1] * 6 + ["no"] + [10] * 122, False,
     [3, 1, 1, 1, 51, None, "ok", 3] + [10] * 121),
    ("1234", [N], None, True, [1234]),
    ("12-3", [N, N], None, True, [12, -3]),
    ("1 2\n3\t4", [N] * 4, None, True, [1, 2, 3, 4]),
    ("", [N, T], None, True, [None, None]),
    ("", [N, T], [1, "a"], False, [1, "a"]),
    ("!", [N, T], [1, "a"], False, [None, "a"]),
    (". 5", [N, N], [1, 2], False, [1, 5]),
    (".2 5", [N] * 3, [1, 2, 3], False, [1, 2, 5]),
    (".", [N], [None], False, [None]),
    (r'"a \"b\" \\"', [T], None, True, ['a "b" \\']),
    (r'"\n"', [T], None, True, ["n"]),
    ('""5"x"', [T, N, T], None, True, ["", 5, "x"]),
    ("-9223372036854775808 9223372036854775807", [N, N], None, True, [-2**63, 2**63 - 1]),
    ("+18446744073709551615", [N], [-2**63], False, [2**63 - 1]),
])
def test_decode(text, metrics, previous, full, values):
    assert h.decode_row(text, metrics, previous, full) == values


@pytest.mark.parametrize("text, metrics, previous, full", [
    ("1", [N], None, False),                     # nothing before, not full
    (".", [N], [1], True), (".2", [N, N], None, True),      # unchanged in a full one
    ("+1", [N], [1], True), ("~1", [N], [1], True),         # a difference in a full one
    ("+1", [N], [None], False), ("~1", [N], [None], False),  # no number before
    ('"a"', [N], None, True), ("1", [T], None, True), ("+1", [T], ["a"], False),   # the wrong kind
    ("1 2", [N], None, True), (".2", [N], [1], False), ("!!", [N], None, True),    # too many
    (".0", [N], [1], False),
    ('"a', [T], None, True), ('"a\\"', [T], None, True),    # not closed
    ("1.5", [N], None, True), ("1e5", [N], None, True), ("x", [N], None, True), ("+", [N], [1], False),
    ("- 3", [N], None, True), ("+-3", [N], [1], False), ("nan", [N], None, True),
    ("9223372036854775808", [N], None, True), ("+1", [N], [2**63 - 1], False), ("~1", [N], [-2**63], False),
    ('"' + "x" * 1024 + '"', [T], None, True),
])
def test_bad_rows(text, metrics, previous, full):
    with pytest.raises(HmonError) as e:
        h.decode_row(text, metrics, previous, full)
    assert e.value.code == "bad-row"


def test_rows_round_trip():
    rnd = random.Random(1)
    texts = ["", "ok", 'a "b" \\', "!", "+5 .3", "\n\t", "ä☃", "<&>"]
    for _ in range(500):
        metrics = [rnd.choice([N, T]) for _ in range(rnd.randrange(1, 40))]
        previous = None
        for _ in range(6):
            row = [previous[i] if previous and rnd.random() < .5 else None if rnd.random() < .2 else
                   rnd.choice(texts) if m is T else rnd.choice([0, 7, -3, 10**18, -2**63, 2**63 - 1, rnd.randrange(1000)])
                   for i, m in enumerate(metrics)]
            text = h.encode_row(row, previous)
            assert h.decode_row(text, metrics, previous, previous is None) == row, text
            stanza = h.StreamParser()
            assert stanza.feed(b"<hmon>" + Stanza("monitor", text=text).xml().encode())[0].text == text
            previous = row


def test_digest():
    config = Config("load", LOAD, period=1000)
    assert h.digest(config) == "1bf40be3918f8d96"   # printf '1000 0\nload/1min\tgauge\t1\t2\n…' | sha256sum
    text = b"1000 0\nload/1min\tgauge\t1\t2\nload/tasks\tcounter\t1\t0\nload/state\tstate\t\t0\nload/note\ttext\t\t0\n"
    assert h.digest(config) == h.hashlib.sha256(text).hexdigest()[:16]
    assert h.digest(Config("other", LOAD, period=1000, generation=5)) == h.digest(config)
    assert h.digest(Config("load", LOAD, period=1000, window=1)) != h.digest(config)


@pytest.mark.parametrize("text, scale, value", [
    ("0.42", 2, 42), ("17", 0, 17), ("-1.005", 2, -101), ("1.004", 2, 100), (".5", 1, 5), ("5.", 1, 50), ("-0", 0, 0),
    ("9223372036854775807", 0, 2**63 - 1), ("-922337203.6854775808", 9, -922337203685477581)])
def test_numbers(text, scale, value):
    assert Metric("n", scale=scale).parse(text) == value


@pytest.mark.parametrize("text", ["", "-", ".", "1e5", "nan", "inf", "+1", " 1", "1,5", "0x1", "9223372036854775808"])
def test_bad_numbers(text):
    with pytest.raises(HmonError, match="bad-value"):
        N.parse(text)


def test_patterns():
    assert h.matches(None, "x") and h.matches("load/*", "load/1/x") and h.matches("l?ad", "load")
    assert not h.matches("load", "load/x") and not h.matches("l.ad", "load") and not h.matches("l?d", "load")


@pytest.mark.parametrize("fields", [dict(type="number"), dict(scale=10), dict(type="state", unit="s"), dict(unit="a b"),
                                    dict(name=""), dict(name="a b"), dict(name="a*"), dict(name="x" * 128)])
def test_bad_metrics(fields):
    with pytest.raises(HmonError, match="bad-config"):
        Metric(**{"name": "n", **fields})


# ------------------------------------------------------------------------------------------------ streams

@pytest.mark.parametrize("data", [
    b"<!DOCTYPE hmon><hmon>", b"<hmon><a></b>", b'<?xml version="1.0" encoding="latin1"?><hmon>', b"<other>", b"<hmon>text<v/>",
    b"<hmon><a><b><c><d><e/>", b"<hmon><v>&x;</v>", b"<hmon><v>\xff</v>", b"<hmon><v " + b"a" * 20000, b"<hmon>\x16<v/>",
    b"<hmon><v n='" + b"a" * 9000 + b"'/>", b"<hmon><v>" + b"a" * (2**20 + 1) + b"</v>", b"<!DOCTYPE",
    b"<hmon><v " + b" ".join(b"a%d=''" % i for i in range(33)) + b"/>",
    b"<hmon>" + b"".join(b"<a%d/>" % i for i in range(65))], ids=lambda d: repr(d[:40]))
def test_bad_xml(data):
    with pytest.raises(HmonError, match="bad-xml"):
        h.StreamParser().feed(data)


def test_stream_in_pieces():
    data = ('<?xml version="1.0" encoding="utf-8"?><!-- x --><hmon version="1"> <?pi x?>\n<v n="ä" m=">">☃ &amp; &#65;<![CDATA[<]]></v>'
            '<monitor> <v n="a">1</v> </monitor></hmon>').encode()
    parser = h.StreamParser()
    stanzas = [s for i in range(len(data)) for s in parser.feed(data[i:i + 1])]
    assert [s.name for s in stanzas] == ["v", "monitor"] and stanzas[0].text == "☃ & A<" and parser.ended
    assert stanzas[0].get("n") == "ä" and stanzas[1].children[0].text == "1" and stanzas[1].text == ""


def raw(daemon, data):
    """Sends bytes as they are; the code of the error that came, or None."""
    c = Connection.dial(daemon.address)
    c.send(data)
    try:
        while (stanza := c.receive(h.DEADLINE)) is not None:
            if stanza.name == "error":
                return stanza.get("code")
    finally:
        c.close()
        c.dispose()


@pytest.mark.parametrize("data, code", [
    (b'<hmon version="x" role="client">', "bad-version"), (b'<hmon version="1" role="vigiad">', "bad-role"),
    (b"<!DOCTYPE x><hmon>", "bad-xml"),
    (b'<hmon version="1" role="client"><monitor query="get"/>', "bad-argument"),
    (b'<hmon version="1" role="client"><monitor query="get" id="0"/>', "bad-argument"),
    (b'<hmon version="1" role="client"><monitor query="what" id="1"/>', "unknown-query"),
    (b'<hmon version="1" role="client"><node query="register" id="1" name="n"/>', "not-permitted"),
    (b'<hmon version="1" role="client"><monitor/>', "bad-stanza"),
    (b'<hmon version="9" role="client"><unknown/><monitor query="get" id="1" metric="x" what="y"/>', "not-found"),
    (b'<hmon version="1" role="monitor"><config monitor="a b"/>', "bad-config"),
    (b'<hmon version="1" role="monitor"><config monitor="a"><metric name="x" type="gauge"/></config>'
     b'<monitor><v n="y">1</v></monitor>', "bad-value"),
    (b'<hmon version="1" role="monitor"><config monitor="a"><metric name="x" type="gauge"/></config>'
     b'<monitor generation="1" sequence="1">1</monitor>', "bad-row"),
    (b'<hmon version="1" role="monitor"><config monitor="a"><metric name="x" type="gauge"/></config>'
     b'<monitor time="9000000000000000000"><v n="x">1</v></monitor>', "bad-value"),
    (b'<hmon version="1" role="client"><x>' + b"<y>a</y>" * 3000 + b"</x>", "bad-xml"),
], ids=lambda d: repr(d[:60]))
def test_refused(daemon, data, code):
    assert raw(daemon, data) == code


def test_stray_beats_are_removed(tcp):
    assert raw(tcp, b'\x16<hmon ver\x16sion="1" role="client">\x16<monitor query="wh\x16at" id="1"/>') == "unknown-query"


# ------------------------------------------------------------------------------------------------ monitors

def test_monitor_by_name(daemon, tmp_path):
    with Monitor(daemon.address, "load", LOAD, period=1000, update=lambda _: {"load/1min": 9}).connect() as m:
        assert m.id and m.secret and m.section == "path = /x & <y>\n" and m.root == {
            "version": "1", "role": "vigiad", "name": "n1"}
        m.send({"load/1min": "0.425", "load/note": "<ä> & \"x\""})
        daemon.wait(lambda: daemon.value("load", "load/note"))
        assert daemon.value("load", "load/1min") == "0.43" and daemon.value("load", "load/note") == '<ä> & "x"'
        m.send({"load/note": None, "load/tasks": 5})
        daemon.wait(lambda: daemon.value("load", "load/tasks") == "5")
        assert daemon.value("load", "load/note") is None and daemon.value("load", "load/1min") == "0.43"
        assert daemon.update("load", metric="load/*")[0].name == "monitor"
        assert daemon.value("load", "load/1min") == "9.00" and m.updates == 1
        m.send({"load/1min": "x", "load/tasks": 6})
        m.wait(lambda: m.errors)
        assert m.errors[0].code == "bad-value" and daemon.value("load", "load/tasks") == "5" and not m.closed
        session = daemon.monitor("load").session.connection
    check_stream(tmp_path, m.connection, session)


def test_monitor_in_order(daemon, tmp_path):
    with Monitor(daemon.address, "load", LOAD, update=lambda _: [3, 3, "c", None]).connect() as m:
        m.send_row([1, 1, "a", "x"])
        m.send_row([1, 2, "a", "x"])
        m.send_row([1.5, 3, "b", None])
        daemon.wait(lambda: daemon.value("load", "load/state") == "b")
        assert [p[4] for p in daemon.monitor("load").periods] == [
            [100, 1, "a", "x"], [100, 2, "a", "x"], [150, 3, "b", None]]
        assert daemon.update("load")[0].get("sequence") == "4" and daemon.value("load", "load/state") == "c"
        m.reconfigure(LOAD[:2] + [Metric("load/new")])
        m.send_row({"load/new": 1})
        daemon.wait(lambda: len(daemon.monitor("load").periods) == 5)
        assert daemon.value("load", "load/1min") is None and daemon.value("load", "load/new") == "1"
        m.connection.send('<monitor generation="2" sequence="9">.</monitor>')
        m.wait(lambda: m.closed)
        assert m.errors[-1].code == "bad-row"
    check_stream(tmp_path, m.connection)


def test_monitor_announces_unasked(tmp_path):
    with Daemon(tmp_path / "s", describe=False) as d, Monitor(d.address, "load", LOAD, announce=True).connect() as m:
        assert m.id and d.monitor("load")


def test_monitor_secret(daemon, tmp_path):
    file = tmp_path / "secret"
    with Monitor(daemon.address, "load", LOAD, secret_file=str(file)).connect() as m:
        with pytest.raises(HmonError, match="stranger"):
            Monitor(daemon.address, "load", LOAD).connect()
        assert not m.closed and file.stat().st_mode & 0o77 == 0
        m.send({"load/tasks": 5})
        daemon.wait(lambda: daemon.value("load", "load/tasks"))
        with Monitor(daemon.address, "load", LOAD, secret_file=str(file)).connect() as again:
            m.wait(lambda: m.closed)
            assert again.id == m.id and again.secret == m.secret and daemon.value("load", "load/tasks") == "5"
    with pytest.raises(HmonError, match="stranger"):
        Monitor(daemon.address, "load", LOAD, secret="x").connect()


def test_monitor_can_not_update(daemon):
    with Monitor(daemon.address, "load", LOAD).connect():
        assert daemon.update("load")[0].get("code") == "unavailable"


# ------------------------------------------------------------------------------------------------ nodes

def test_node(tcp, tmp_path):
    node = Node(tcp.address, "n2", system="Linux", processors=4, update=lambda m, _: [8, 8, "u", "u"] if m == "load" else None)
    node.add("load", LOAD, period=1000)
    node.add("fs", [N])
    with node.connect():
        assert node.id and node.secret and not node.monitors["load"].known and node.positions == {}
        node.record("load", [1, 2, "a", "x"])
        node.record("load", [1, 3, "a", None])
        tcp.wait(lambda: tcp.value("load", "load/tasks", "n2") == "3")
        tcp.ack("n2", "load")
        node.wait(lambda: node.acks)
        assert node.acks == [("load", node.boot, 2)]
        for _ in range(3):
            tcp.beat("n2")
        answers = tcp.update("*", "n2", deadline=500)
        assert [(p.monitor, p.code) for p in answers.partial] == [("fs", "deadline")]
        assert tcp.value("load", "load/state", "n2") == "u" and tcp.monitor("load", "n2").sequence == 3
        answers = tcp.update("load", "n2", metric="load/*")
        assert not answers.partial and tcp.monitor("load", "n2").sequence == 4
        node.gone("fs")
        tcp.wait(lambda: tcp.monitor("fs", "n2").gone)
        session = tcp.node("n2").session.connection
        node.leave()
        tcp.wait(lambda: tcp.node("n2").session is None)
        assert tcp.node("n2").state == "left"
    check_stream(tmp_path, node.connection, session)


def test_node_resumes(tcp):
    node = Node(tcp.address, "n2", boot=100)
    node.add("load", [N, T])
    node.connect()
    node.record("load", [1, "a"])
    tcp.wait(lambda: tcp.value("load", "n", "n2") == "1")
    node.cut()
    tcp.wait(lambda: tcp.node("n2").state == "down")
    node.record("load", [2, "a"])
    node.reconfigure("load", [N, T, Metric("new")])
    node.record("load", [3, "a", 1])
    node.boot = 200                              # a new life of the daemon
    node.monitors["load"].sequence = 0
    node.record("load", [4, "a", 1])
    node.connect()
    assert node.positions == {"load": (100, 1)} and not node.monitors["load"].known
    node.record("load", [5, "b", 1])
    m = tcp.monitor("load", "n2")
    tcp.wait(lambda: len(m.periods) == 5)
    assert [(p[0], p[1], p[4]) for p in m.periods] == [
        (100, 1, [1, "a"]), (100, 2, [2, "a"]), (100, 3, [3, "a", 1]), (200, 1, [4, "a", 1]), (200, 2, [5, "b", 1])]
    node.close()
    tcp.wait(lambda: tcp.node("n2").state == "down")
    node.connect(resume=False)
    for p in node.monitors["load"].periods[-2:]:  # again: ignored
        node.send_period(node.monitors["load"], p)
    node.record("load", [6, "b", 1])
    tcp.wait(lambda: tcp.value("load", "n", "n2") == "6")
    assert m.duplicates == 2 and len(m.periods) == 6 and node.monitors["load"].known
    node.close()


def test_node_strangers_and_boots(tcp):
    node = Node(tcp.address, "n2", boot=100)
    node.connect()
    with pytest.raises(HmonError, match="stranger"):
        Node(tcp.address, "n2").connect()
    assert not node.closed
    with pytest.raises(HmonError, match="old-boot"):
        Node(tcp.address, "n2", boot=99, secret=node.secret).connect()
    again = Node(tcp.address, "n2", boot=100, secret=node.secret).connect()
    node.wait(lambda: node.closed)
    assert again.id == node.id
    again.close()


def test_node_on_request(tcp):
    node = Node(tcp.address, "n2", mode="on-request", update=lambda *_: [7])
    node.add("m", [N])
    node.connect()
    node.record("m", [1])
    node.record("m", [2])
    tcp.update("m", "n2")
    m = tcp.monitor("m", "n2")
    assert [(p[1], p[4]) for p in m.periods] == [(3, [7])]
    assert [s.flag("full") for _, s in tcp.log if s.name == "monitor"] == [True]
    node.close()


def test_urgent_beats(tcp):
    node = Node(tcp.address, "n2", beat="urgent")
    node.add("m", [N])
    node.connect()
    assert node.transport == "urgent" and tcp.node("n2").transport == "urgent"
    for i in range(50):
        node.record("m", [i])                    # beats between data
        tcp.beat("n2")
    tcp.wait(lambda: tcp.value("m", "n", "n2") == "49")
    node.wait(lambda: node.echoed == 50)
    assert tcp.node("n2").beats == 50
    node.close()


def test_urgent_probe_fails(tmp_path):
    with Daemon(("127.0.0.1", 0), urgent=False) as d:
        node = Node(d.address, "n2", beat="urgent").connect()
        assert node.transport == "in-band" and d.node("n2").transport == "in-band"
        d.beat("n2")
        node.close()
    with Daemon(tmp_path / "s") as d:
        node = Node(d.address, "n2", beat="urgent").connect()
        assert node.transport == "in-band"
        node.close()


def test_bad_node_rows(tcp):
    for text in ('<monitor id="1" generation="1" sequence="1" full="yes">1</monitor>',          # no boot
                 '<monitor id="1" boot="5" generation="2" sequence="1" full="yes">1</monitor>',  # another generation
                 '<monitor id="2" boot="5" generation="1" sequence="1" full="yes">1</monitor>',  # no such monitor
                 '<monitor id="1" boot="5" generation="1" sequence="1">1</monitor>'):            # not full
        node = Node(tcp.address, "n" + str(len(tcp.nodes)))
        node.add("m", [N])
        node.connect()
        node.connection.send(text)
        node.wait(lambda: node.closed)
        assert node.errors[-1].code == "bad-row"


# ------------------------------------------------------------------------------------------------ clients

def test_client(daemon, tmp_path):
    with Client(daemon.address).connect() as c, \
            Monitor(daemon.address, "load", LOAD, period=1000, window=5, update=lambda _: {"load/1min": 7}).connect() as m:
        m.send({"load/1min": 1, "load/state": "ok", "load/note": ""}, time=1000)
        daemon.wait(lambda: daemon.value("load", "load/1min"))
        info = c.info()
        assert (info.name, info.nodes, info.monitors, info.metrics) == ("n1", 1, 1, 4) and info.boot == daemon.boot
        assert c.status() == []
        assert [(n.name, n.state, n.transport) for n in c.nodes("*")] == [("n1", "up", "local")]
        assert [e.event for e in c.events()] == ["came"]
        config = c.configs(monitor="lo*").one()
        assert config.node == "n1" and config.metrics == tuple(LOAD) and config.digest == h.digest(config.config)
        listed = c.monitors().one()
        assert (listed.state, listed.period, listed.metrics, listed.time) == ("current", 1000, 4, 1000)
        r = c.get("load/*").one()
        assert r.number("load/1min") == 1 and r.values["load/1min"].unit == "1" and r.text("load/state") == "ok"
        assert r.text("load/tasks") is None and r.text("load/note") == "" and (r.sequence, r.boot) == (1, daemon.boot)
        assert set(c.get("load/?asks").one().values) == {"load/tasks"}
        assert c.get("nothing*") == []
        with pytest.raises(HmonError, match="not-found"):
            c.get("nothing")
        fresh = c.get("load/1min", update=True, deadline=2000)
        assert fresh.one().number("load/1min") == 7 and not fresh.partial
        series = c.history("load/1min")[0]
        assert (series.unit, series.points[0]) == ("1", (1000, "1.00")) and len(series.points) == 2
        assert c.history("load/1min", to=2000, step=1)[0].points == [(0, 1, "1.00", "1.00", "1.00")]
        c.reload()
        assert daemon.reloads == 1
        with pytest.raises(HmonError, match="not-found"):
            c.forget("nobody")
        session = daemon.sessions[0].connection
    check_stream(tmp_path, c.connection, session)


def test_subscription(daemon):
    with Client(daemon.address).connect() as c, Monitor(daemon.address, "load", LOAD).connect() as m:
        m.send({"load/tasks": 1, "load/1min": 1})
        daemon.wait(lambda: daemon.value("load", "load/tasks"))
        stream = c.subscribe("load/*")
        assert len(stream.next().values) == 4
        m.send({"load/tasks": 2, "load/1min": 1})
        changed = stream.next()
        assert {k: v.text for k, v in changed.values.items()} == {"load/tasks": "2"}
        stream.cancel()
        assert stream.next() is None and stream.all() == []
        with pytest.raises(HmonError, match="not-found"):
            stream.cancel()
        events = c.follow_events()
        assert events.next().event == "came"
        m.close()
        assert (e := events.next()).event == "gone" and e.monitor == "load"
        assert c.get().one().state == "gone"


def test_update_deadline(daemon):
    with Client(daemon.address).connect() as c, Monitor(daemon.address, "a", [N], update=lambda _: {"n": 1}).connect(), \
            Monitor(daemon.address, "b", [Metric("n2")]).connect():
        answers = c.get(update=True, deadline=1000)
        assert sorted(a.monitor for a in answers) == ["a", "b"]
        assert [(p.node, p.monitor, p.code) for p in answers.partial] == [("n1", "b", "deadline")]


def test_client_of_a_master(tcp):
    node = Node(tcp.address, "n2", update=lambda *_: [5], machine="x86_64")
    node.add("m", [N])
    node.connect()
    tcp.wait(lambda: tcp.monitor("m", "n2").config)   # a config that was asked for is not acknowledged
    with Client(tcp.address).connect() as c:
        assert c.get("n", node="n2", update=True).one().number("n") == 5
        assert [(n.name, n.state) for n in c.nodes()] == [("m1", "up"), ("n2", "up")]
        with pytest.raises(HmonError, match="not-permitted"):
            c.forget("n2")
        node.cut()
        tcp.wait(lambda: tcp.node("n2").state == "down")
        assert c.get("n").one().state == "old" and c.status().one().problem == "node-down"
        c.forget("n2")
        assert c.get("n*") == []


def test_command_line(tmp_path):
    with Daemon(tmp_path / "s") as d, Monitor(d.address, "load", LOAD).connect() as m:
        m.send({"load/1min": 3})
        d.wait(lambda: d.value("load", "load/1min"))
        def run(*arguments):
            return subprocess.run([sys.executable, HERE / "hmon_peer.py", arguments[0], "--socket", d.address, *arguments[1:]],
                                  capture_output=True, text=True, timeout=20, check=False)
        assert "n1 load current load/1min 3.00 1\n" in run("get", "load/*").stdout
        for verb in "list config nodes info status history events".split():
            assert run(verb).returncode == 0, run(verb).stderr
        assert "not-found" in run("get", "nothing").stderr


# ------------------------------------------------------------------------------------------------ schema
# (xmllint gives 3 for what is not of the schema, 1 for what is not XML)

GOOD, BAD = sorted((HERE / "streams").glob("*.xml")), sorted((HERE / "streams" / "bad").glob("*.xml"))


def test_samples_exist():
    assert len(GOOD) >= 4 and len(BAD) >= 50


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.name)
def test_good_streams(path):
    result = validate(path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.name)
def test_bad_streams(path):
    assert validate(path).returncode == 3        # well-formed, but not of the schema


@pytest.mark.skipif(not shutil.which("jing"), reason="no jing")
def test_jing_agrees():
    assert subprocess.run(["jing", SCHEMA, *GOOD], stdout=subprocess.DEVNULL, check=False).returncode == 0
    said = subprocess.run(["jing", SCHEMA, *BAD], capture_output=True, text=True, check=False).stdout
    assert all(path.name + ":" in said for path in BAD)

# SPDX-License-Identifier: Apache-2.0
"""Real traffic, recorded by a tap between Vigia's own monitor, node, master and command: docs/hmon.rng knows all of it,
and what earlier releases said (tests/streams/RELEASE) is still understood, on both sides of the wire.

VIGIA_RECORD=tests/streams/0.2.0 keeps what this release says: done once a release, never again for that release.
"""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading

import pytest

from cluster import Daemon, PREFIX, SOAK, wait_for
from hmon_peer import BEAT, Config, StreamParser, decode_row

HERE = pathlib.Path(__file__).parent
SCHEMA = HERE.parent / "docs/hmon.rng"
RELEASES = sorted((HERE / "streams").glob("[0-9]*"))
DIALLERS = ("monitor", "node", "client-info", "client-status", "client-list", "client-get", "client-history", "client-events",
            "client-watch")
COMMANDS = {  # what the sessions named client-... ran
    "client-info": ["info", "--json"],
    "client-status": ["status", "--json"],
    "client-list": ["list", "n1/host", "--json"],
    "client-get": ["get", "n1/host/load/1min", "--update", "--json"],
    "client-history": ["history", "n1/host/load/1min", "--json"],
    "client-events": ["events", "--json"],
    "client-watch": ["watch", "n1/host/load/1min", "--json"],
}


def tcp_port(d):
    return int(wait_for(lambda: re.search(r"127.0.0.1 port (\d+)", d.read_log()), 5)[1])


class Tap:
    """Between a dialler and where it wants to: every byte each way is passed on and kept."""

    def __init__(self, listener, target):
        self.listener, self.target, self.sessions, self.threads = listener, target, [], []
        listener.listen()
        self._run(self._accept)

    @classmethod
    def tcp(cls, target):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        return cls(s, target)

    @classmethod
    def unix(cls, path, target):
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        return cls(s, target)

    @property
    def address(self):
        a = self.listener.getsockname()
        return a if isinstance(a, str) else "%s:%d" % a

    def _run(self, function, *arguments):
        t = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(t)
        t.start()

    def _accept(self):
        while True:
            try:
                dialler, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET)
            server.connect(self.target)
            said, answered = bytearray(), bytearray()
            self.sessions.append((said, answered))
            self._run(self._pass, dialler, server, said)
            self._run(self._pass, server, dialler, answered)

    @staticmethod
    def _pass(source, sink, kept):
        try:
            while data := source.recv(65536):
                kept += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for t in self.threads:
            t.join(5)


class Proc:
    """A made-up /proc, small, of which all is known."""

    def __init__(self, path):
        self.path = path
        path.mkdir(exist_ok=True)
        self.load("0.10")
        self.memory(MemTotal=16000, MemFree=9000)

    def load(self, one):
        self._put("loadavg", f"{one} 0.20 0.30 1/99 1234\n")

    def memory(self, **lines):
        self._put("meminfo", "".join(f"{k}:{v:>15} kB\n" for k, v in lines.items()))

    def _put(self, name, text):
        with open(self.path / name, "r+" if (self.path / name).exists() else "w") as f:  # who reads it keeps it open
            f.write(text)
            f.truncate()


class Played:
    """One scenario: a master, a node, a monitor that connects over TCP, and what people ask, each through a tap."""

    def __init__(self, directory, master_address=None, node_address=None):
        self.directory, self.taps, self.daemons = directory, [], []
        self.proc = Proc(directory / "proc")
        self.monitor = None

    def daemon(self, name, conf):
        d = Daemon(str(self.directory), 'listen = {"127.0.0.1:0"}\nmonitor host { enabled = false }\n' + conf, name)
        self.daemons.append(d)
        return d.start()

    def tap(self, tap):
        self.taps.append(tap)
        return tap

    def start_monitor(self, address):
        env = dict(os.environ, XDG_STATE_HOME=str(self.directory), XDG_RUNTIME_DIR=str(self.directory))
        self.monitor = subprocess.Popen([f"{PREFIX}/libexec/vigia/monitors/host", "--connect", address, "--set",
                                         f"proc = {self.proc.path}", "--set", "period = 100ms"], env=env,
                                        stdin=subprocess.DEVNULL)

    def close(self):
        if self.monitor:
            self.monitor.terminate()
            self.monitor.wait(5)
        for d in reversed(self.daemons):
            d.stop()
        for t in self.taps:
            t.close()


def shown(d, metric):
    with d.client() as c:
        rows = c.get(metric, node="n?", monitor="hos?")  # patterns: not there yet is no error
        return rows[0].text(metric) if rows else None


def interrupted(command, env):
    """The command's first line, then what Ctrl-C leaves."""
    p = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    first = p.stdout.readline()
    p.send_signal(signal.SIGINT)
    return first + p.communicate(timeout=5)[0]


def play(directory):
    """Everything that is said, name: (dialler's bytes, daemon's bytes)."""
    p = Played(directory)
    try:
        master = p.daemon("m1", "")
        up = p.tap(Tap.tcp(("127.0.0.1", tcp_port(master))))
        node = p.daemon("n1", f'node {{ masters = {{"{up.address}"}} send = 100ms }}\n')
        down = p.tap(Tap.tcp(("127.0.0.1", tcp_port(node))))
        p.start_monitor(down.address)
        wait_for(lambda: shown(master, "load/1min") == "0.10", 15, "the first value")
        p.proc.load("1.50")
        wait_for(lambda: shown(master, "load/1min") == "1.50", 5, "a change")
        p.proc.memory(MemTotal=16000, MemFree=8000, Cached=500)
        wait_for(lambda: master.vigia("get", "n1/host/memory/cached", check=False).returncode == 0, 15, "a new generation")
        people = {}
        for name, command in COMMANDS.items():
            tap = p.tap(Tap.unix(str(directory / name), master.socket))
            command = [f"{PREFIX}/bin/vigia", "--at", tap.address, *command]
            if name == "client-watch":
                assert "load/1min" in interrupted(command, master.env())
            else:
                assert subprocess.run(command, env=master.env(), stdout=subprocess.DEVNULL, timeout=10).returncode == 0, name
            people[name] = tap
        wait_for(lambda: b"<beat n" in up.sessions[0][1] and b"<master ack" in up.sessions[0][1], 10, "a beat and an ack")
    finally:
        p.close()
    said = {"monitor": down.sessions, "node": up.sessions, **{k: t.sessions for k, t in people.items()}}
    assert {len(s) for s in said.values()} == {1}, "one connection each"
    return {name: (bytes(s[0][0]), bytes(s[0][1])) for name, s in said.items()}


@pytest.fixture(scope="module")
def traffic(tmp_path_factory):
    """What this build says, played once."""
    said = play(tmp_path_factory.mktemp("played"))
    if keep := os.environ.get("VIGIA_RECORD"):
        os.makedirs(keep)
        for name, (dialler, daemon) in said.items():
            (pathlib.Path(keep) / f"{name}.xml").write_bytes(dialler)
            (pathlib.Path(keep) / f"{name}.daemon.xml").write_bytes(daemon)
    return said


def recorded(release):
    return {n: ((release / f"{n}.xml").read_bytes(), (release / f"{n}.daemon.xml").read_bytes()) for n in DIALLERS}


def test_a_path_that_keeps_no_urgent_data_costs_a_node_a_moment(tmp_path):
    """The tap does not: the node waits 0.2 s (at most 1 s) for its probe's answer, then speaks, each time."""
    for i in range(20 if SOAK else 6):
        p = Played(tmp_path)
        master = p.daemon(f"m{i}", "")
        up = p.tap(Tap.tcp(("127.0.0.1", tcp_port(master))))
        try:
            p.daemon(f"n{i}", f'node {{ masters = {{"{up.address}"}} }}\n')
            wait_for(lambda: up.sessions and b"<end" in up.sessions[0][1], 3, "registration")
        finally:
            p.close()


# ------------------------------------------------------------------------------------------------ the schema

def document(data):
    data = data.replace(BEAT, b"")
    return data if data.rstrip().endswith(b"</hmon>") else data + b"</hmon>"


def valid(data, path):
    """Both validators' word, which is one."""
    path.write_bytes(document(data))
    words = [subprocess.run(command, capture_output=True, text=True) for command in
             (["xmllint", "--noout", "--relaxng", SCHEMA, path], ["jing", SCHEMA, path])]
    assert len({w.returncode == 0 for w in words}) == 1, [w.stdout + w.stderr for w in words]
    return words[0].returncode == 0


STANZAS = {  # what has to be there, or the recording shows nothing
    "monitor": ('<config answer="1" monitor="host"', 'generation="2"', 'full="yes"', "<monitor answer="),
    "node": ('<node query="register"', '<config query="announce"', "<config monitor=", "<beat answer=", '<node state="left"/>',
             'full="yes"', "<end answer=", 'generation="2"'),
    "client-get": ('<monitor query="get"', 'update="yes"'),
    "client-watch": ('<monitor query="subscribe"',),
    "client-history": ('<monitor query="history"',),
    "client-events": ('<node query="events"',),
    "client-list": ('<config query="get"',),
    "client-info": ('<master query="info"',),
    "client-status": ('<master query="status"',),
}
DAEMON_STANZAS = {
    "monitor": ('<config query="describe"', '<node monitor="host"', '<monitor query="update"'),
    "node": ("<node answer=", 'known="no"', "<beat n=", "<master ack=", '<monitor query="update"'),
    "client-get": ("<monitor answer=", "<v n=", "<end answer="),
    "client-watch": ('full="yes"',),
    "client-history": ("<p t=",),
    "client-events": ('event="node-up"',),
    "client-list": ("<metric name=",),
    "client-info": ("<master answer=",),
    "client-status": ("<node answer=",),
}


@pytest.mark.parametrize("name", DIALLERS)
def test_the_schema_knows_all_that_is_said(traffic, name, tmp_path):
    for data, wanted in zip(traffic[name], (STANZAS[name], DAEMON_STANZAS[name])):
        for piece in wanted:
            assert piece.encode() in data, (piece, data.decode())
        assert valid(data, tmp_path / "stream.xml"), data.decode()


def test_the_schema_refuses_what_is_a_little_off(traffic, tmp_path):
    said, answered = traffic["node"]
    for data, right, wrong in ((said, b'full="yes"', b'ful="yes"'), (said, b'generation="2"', b'generation="two"'),
                               (answered, b'known="no"', b'known="maybe"'), (answered, b"<master ack", b"<master kca")):
        assert right in data
        assert not valid(data.replace(right, wrong, 1), tmp_path / "stream.xml"), wrong


# ------------------------------------------------------------------------------------------------ earlier releases

def stanzas(data):
    p = StreamParser()
    return p.feed(data.replace(BEAT, b""))


def periods(data):
    """What a monitor's or node's stream says of the monitor `host`, decoded by the other implementation:
    [(time, {metric: shown})]."""
    found, config, number, before = [], None, None, None
    for s in stanzas(data):
        if s.name == "config" and s.get("monitor") == "host" and s.children:
            config, before, number = Config.parse(s), None, s.get("monitor-id")
        elif s.name == "monitor" and s.get("sequence") and s.get("id") == number:
            before = decode_row(s.text, config.metrics, before, s.get("full") == "yes")
            found.append((s.integer("time"), {m.name: None if v is None else m.show(v) for m, v in zip(config.metrics, before)}))
    return found


def say(address, data):
    """Sends a recording; all that came until the daemon closed."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as s:
        s.settimeout(10)
        s.connect(address)
        came = bytearray()
        s.sendall(data)
        while piece := s.recv(65536):
            came += piece
        return bytes(came)


def ids(data, verb=None):
    return {s.get("id"): s.get("query") for s in stanzas(data) if s.get("query") and verb in (None, s.get("query"))}


@pytest.fixture(params=RELEASES, ids=lambda r: r.name)
def old(request):
    return recorded(request.param)


@pytest.fixture
def master(daemon):
    d = daemon('listen = {"127.0.0.1:0"}\nmonitor host { enabled = false }\n'
               'history { keep = 36500d thin_after = 36500d }\n', name="m1")  # recordings grow old
    return d, ("127.0.0.1", tcp_port(d))


def test_there_are_recordings():
    assert RELEASES and all(len(periods(recorded(r)["node"][0])) > 5 for r in RELEASES)


def test_an_old_monitor_is_understood(old, master):
    d, address = master
    said = old["monitor"][0]
    came = say(address, said)
    assert b"<error" not in came, came
    with d.client() as c:
        got = c.get(node="m1", monitor="host").one()
        assert (got.time, {k: v.text for k, v in got.values.items()}) == periods(said)[-1]


def test_an_old_node_is_understood(old, master):
    d, address = master
    said = old["node"][0]
    came = say(address, said)
    assert b"<error" not in came, came
    wanted = periods(said)
    with d.client() as c:
        assert c.nodes("n1").one().state == "left"
        got = c.get(node="n1", monitor="host").one()
        assert (got.time, {k: v.text for k, v in got.values.items()}) == wanted[-1]
        history = wait_for(lambda: [s.points for s in c.history("load/1min", node="n1", monitor="host")
                                    if len(s.points) == len(wanted)], 10, "all of it in history")
        assert history == [[(t, v["load/1min"]) for t, v in wanted]]


def test_an_old_command_is_served(old, master):
    d, address = master
    say(address, old["node"][0])
    with d.client() as c:
        wait_for(lambda: c.history("load/1min", node="n1"), 5, "history")
    for name in COMMANDS:
        said = old[name][0]
        with socket.create_connection(address) as s:
            s.settimeout(10)
            s.sendall(said.replace(b"</hmon>", b""))
            parser, came, waiting = StreamParser(), [], set(ids(said))
            assert waiting
            while waiting:
                data = s.recv(65536)
                assert data, (name, came)
                for stanza in parser.feed(data):
                    came.append(stanza)
                    assert stanza.name != "error" or stanza.get("partial") == "yes", (name, stanza)
                    first = stanza.get("answer") in ids(said, "subscribe") and stanza.get("full") == "yes"
                    if stanza.name == "end" or first:
                        waiting.discard(stanza.get("answer"))
            assert any(x.name not in ("end", "error") for x in came), (name, came)


class OldDaemon:
    """Says what a daemon said then: what answers query N waits until N was asked."""

    def __init__(self, data, listener):
        self.chunks, self.listener = self._split(data.replace(BEAT, b"")), listener
        self.heard, self.done, self.why = bytearray(), threading.Event(), None
        self.thread = threading.Thread(target=self._run, daemon=True)
        listener.listen()
        self.thread.start()

    @staticmethod
    def _split(data):
        """[(bytes, stanza or None)], one stanza each."""
        parser, kept, chunks = StreamParser(), b"", []
        for line in data.splitlines(keepends=True):
            kept += line
            for stanza in parser.feed(line):
                chunks.append((kept, stanza))
                kept = b""
            if not chunks and parser.root is not None and kept:
                chunks.append((kept, None))
                kept = b""
        return chunks + ([(kept, None)] if kept else [])

    def _asked(self, number):
        return re.search(rb'<[a-z]+ query="[^"]*" id="%d"' % int(number), self.heard)

    def _listen(self, s):
        try:
            while data := s.recv(65536):
                self.heard += data.replace(BEAT, b"")
        except OSError:
            pass

    def _run(self):
        s, _ = self.listener.accept()
        with s:
            listening = threading.Thread(target=self._listen, args=[s], daemon=True)
            listening.start()
            try:
                wait_for(lambda: b"<hmon" in self.heard, 5)
                for data, stanza in self.chunks:
                    if b"</hmon>" in data:
                        break
                    if stanza is not None and stanza.get("answer") and stanza.name != "beat":
                        wait_for(lambda: self._asked(stanza.get("answer")), 10, f"query {stanza.get('answer')}")
                    s.sendall(data)
            except (AssertionError, OSError) as e:
                self.why = e
            self.done.set()
            listening.join(20)

    def close(self):
        self.listener.close()


class OldAnswers:
    """Answers a command of today with what a daemon said then to the same question, whatever its number and time are now. What
    nobody asked then is answered with nothing."""

    def __init__(self, said, answered, listener):
        self.listener, self.unknown = listener, []
        chunks = OldDaemon._split(answered.replace(BEAT, b""))
        self.root = next(data for data, stanza in chunks if stanza is None)
        self.answers = {}
        for q in stanzas(said):
            if q.get("query"):
                self.answers.setdefault(self._question(q), (q.get("id"), [data for data, a in chunks
                                                                          if a is not None and a.get("answer") == q.get("id")]))
        listener.listen()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @staticmethod
    def _question(stanza):
        return stanza.name, tuple(sorted((k, v) for k, v in stanza.attributes.items() if k not in ("id", "from", "to")))

    def _answer(self, question):
        number, then = self.answers.get(self._question(question), (None, None))
        if then is None:
            self.unknown.append(question.name + " " + question.get("query"))
            return b'<end answer="%d"/>' % int(question.get("id"))
        return b"".join(then).replace(b' answer="%d"' % int(number), b' answer="%d"' % int(question.get("id")))

    def _run(self):
        s, _ = self.listener.accept()
        with s:
            parser = StreamParser()
            s.sendall(self.root)
            while data := s.recv(65536):
                for stanza in parser.feed(data):
                    if stanza.get("query"):
                        s.sendall(self._answer(stanza))

    def close(self):
        self.listener.close()
        self.thread.join(5)


@pytest.fixture
def played(tmp_path):
    p = Played(tmp_path)
    yield p
    p.close()


def listener():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s, "127.0.0.1:%d" % s.getsockname()[1]


def test_an_old_node_is_served_by_this_monitor(old, played):
    s, address = listener()
    then = OldDaemon(old["monitor"][1], s)
    played.start_monitor(address)
    asked = ids(old["monitor"][1], "update")
    assert asked
    wait_for(lambda: all(b'answer="%d"' % int(i) in then.heard for i in asked) and b'full="yes"' in then.heard, 10, "answers")
    assert then.done.wait(5) and not then.why
    assert b"<error" not in then.heard
    now = periods(bytes(then.heard[:then.heard.rindex(b"\n") + 1]))
    assert now[-1][1]["load/1min"] == "0.10"
    then.close()


def test_an_old_master_is_served_by_this_node(old, played):
    s, address = listener()
    node = played.daemon("n1", f'node {{ masters = {{"{address}"}} send = 100ms }}\n')
    played.start_monitor(f"127.0.0.1:{tcp_port(node)}")
    wait_for(lambda: "monitor-connected n1/host" in node.read_log(), 10, "the monitor, which came first then, too")
    then = OldDaemon(old["node"][1], s)
    wait_for(lambda: b'monitor="host"' in then.heard, 10)
    played.proc.memory(MemTotal=16000, MemFree=8000, Cached=500)
    asked = [*ids(old["node"][1], "update"), *(s.get("n") for s in stanzas(old["node"][1]) if s.name == "beat")]
    assert len(asked) >= 2
    wait_for(lambda: then.done.is_set() and all(b'answer="%d"' % int(i) in then.heard for i in asked), 20, "answers")
    assert not then.why
    assert b"<error" not in then.heard
    assert node.stop() == 0
    then.thread.join(5)
    now = periods(bytes(then.heard))
    assert now and now[-1][1]["load/1min"] == "0.10" and b'<node state="left"/>' in then.heard
    then.close()


def test_an_old_daemon_is_understood_by_this_command(old, tmp_path):
    for name, command in COMMANDS.items():
        path = str(tmp_path / name)
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        then = OldAnswers(*old[name], s)
        command = [f"{PREFIX}/bin/vigia", "--at", path, *command]
        if name == "client-watch":
            out = interrupted(command, os.environ)
            json.loads(out.splitlines()[0])
        else:
            p = subprocess.run(command, capture_output=True, text=True, timeout=10)
            assert p.returncode == 0, (name, p.stdout, p.stderr)
            out = p.stdout
            json.loads(out)
        assert "n1" in out or name == "client-info", (name, out)
        assert name not in ("client-get", "client-watch", "client-history") or "1.5" in out, (name, out)
        then.close()

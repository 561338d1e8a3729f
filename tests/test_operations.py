# SPDX-License-Identifier: Apache-2.0
"""Operations and event channels of one host, by every way there is: the command, HMON's XML, frames."""
import base64
import json
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time

import pytest

from cluster import PREFIX, wait_for
from hmon_peer import Client, HmonError

PREFACE = b"\x89VIGIA1\n"
HELLO, QUERY, ANSWER, END, ERROR, EVENT, LOST, CANCEL = range(1, 9)
LIB = next((os.path.join(at, "..") for at, _, files in os.walk(PREFIX) if "vigia.pc" in files), None)
TREE = os.path.join(os.path.dirname(__file__), "..")
FROM_NOW = "live"
NOBODY = 65534


def build(source, to):
    """A program against what is installed, and nothing else of this tree."""
    stage = PREFIX[:PREFIX.index("/usr/local")] if "/usr/local" in PREFIX else ""
    env = dict(os.environ, PKG_CONFIG_PATH=f"{LIB}/pkgconfig", PKG_CONFIG_SYSROOT_DIR=stage)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "vigia"], env=env, capture_output=True, text=True, check=True)
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", to, os.path.join(TREE, source), *flags.stdout.split()],
                   check=True)
    return to


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    program = build("tests/third_party/channel.c", tmp_path_factory.mktemp("stranger") / "channel")

    def start(d, *words, at=None):
        return subprocess.Popen([program, at or d.socket, *map(str, words)], env=dict(os.environ, LD_LIBRARY_PATH=LIB),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(d, *words):
        p = start(d, *words)
        out, err = p.communicate(timeout=20)
        return out.splitlines(), err, p.returncode

    run.start = start
    return run


def operations(d, *words):
    return json.loads(d.vigia(*words, "--json").stdout or "[]")


# ------------------------------------------------------------------------------------------- one table, three ways

def test_what_can_be_asked_is_told_alike_by_every_way(daemon, stranger):
    d = daemon()
    by_command = {o["name"] for o in operations(d, "service.describe")}
    with d.client() as c:
        by_xml = {s.get("name") for s in c.ask("service", "describe").all()}
    by_frames = {re.search(r" name=([^/]+)/", line)[1] for line in stranger(d, "ask", "service.describe")[0]}
    assert by_command == by_xml == by_frames
    assert {"node.list", "monitor.get", "channel.put", "service.list", "master.reload"} <= by_command


def test_help_comes_from_the_table(daemon):
    d = daemon()
    help = d.vigia("help", "channel.put").stdout
    assert "usage: vigia channel.put channel [tag] [data]" in help and "an event for all who subscribe" in help


@pytest.mark.parametrize("words", [
    ["host.list"], ["host.find", "n1"], ["host.info"], ["process.list"], ["service.list"], ["channel.create", "news"],
    ["channel.list"],
])
def test_the_table_tells_what_answers_have(daemon, words):
    d = daemon()
    with d.client() as c:
        told = next(o for o in c.ask("service", "describe") if o.get("name") == words[0])
        fields = {f.get("name"): f.get("type") for f in told.children if f.name == "field"}
        answers = operations(d, *words)
    assert answers and all(a.keys() <= fields.keys() for a in answers)
    assert all(re.fullmatch("[0-9]+", a[k]) for a in answers for k in a if fields[k] in ("integer", "time", "size", "span"))


def test_people_see_times_sizes_and_texts_as_such(daemon, stranger):
    d = daemon()
    stranger(d, "put", "news", "hello")
    seen = subprocess.Popen([f"{PREFIX}/bin/vigia", "channel.subscribe", "news", "after=0"], env=d.env(), stdout=subprocess.PIPE, text=True)
    lines = [seen.stdout.readline() for _ in range(4)]
    seen.kill()
    seen.communicate()
    assert re.fullmatch(r" +1  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d +1  \w+/\d+/\d+ +hello\n", lines[3])
    assert re.search(r" \d+ GiB  20\d\d-", d.vigia("host.info").stdout)


def test_help_of_a_service_lists_what_it_can_be_asked(daemon):
    d = daemon()
    assert re.search("^  channel.put +an event for all who subscribe$", d.vigia("help", "channel").stdout, re.M)
    assert 'no command "chanel"' in d.vigia("help", "chanel", check=False).stderr


@pytest.mark.parametrize("words, says", [
    (["channel.putt", "x"], "did you mean `channel.put`"),
    (["channel.put"], "channel.put needs channel"),
    (["channel.put", "news", "1", "x", "y"], 'takes no "y"'),
    (["channel.put", "nobody", "1", "x"], "no channel has the key nobody"),
    (["channel.put", "news", "one"], "tag must be a whole number"),
    (["channel.create", "#1"], "no # first"),
    (["channel.create", "k" * 201], "at most 200 bytes"),
    (["channel.create", "big", "log=99999999999"], "limit channel_log"),
    (["monitor.history", "from=yesteryear"], "yesteryear"),
    (["channel.subscribe", "nobody"], "no channel has the key nobody"),
])
def test_what_is_wrong_is_said(daemon, words, says):
    d = daemon()
    d.vigia("channel.create", "news")
    p = d.vigia(*words, check=False)
    assert p.returncode in (1, 2) and says in p.stderr


# ------------------------------------------------------------------------------------------- channels

def test_a_channel_is_made_once_and_has_one_order(daemon, stranger):
    d = daemon()
    first, = operations(d, "channel.create", "news", "public=yes")
    again, = operations(d, "channel.create", "news")
    assert first["id"] == again["id"] and again["sequence"] == "0"
    stranger(d, "put", "news", "one", "two")
    d.vigia("channel.put", "news", "4", "three")
    assert stranger(d, "read", "news", 3, 0)[0] == ["1 1 one", "2 1 two", "3 4 three"]
    assert stranger(d, "read", "news", 1, 2)[0] == ["3 4 three"]


def test_who_subscribes_gets_what_comes(daemon, stranger):
    d = daemon()
    d.vigia("channel.create", FROM_NOW)
    stranger(d, "put", FROM_NOW, "before")
    readers = [stranger.start(d, "read", FROM_NOW, 2) for _ in range(3)]
    wait_for(lambda: subscribed(d) == 3, 5, "three subscribers")
    stranger(d, "put", FROM_NOW, "a", "b")
    for r in readers:
        assert r.communicate(timeout=5)[0].splitlines() == ["2 1 a", "3 1 b"]


def subscribed(d):
    return int(operations(d, "channel.list", FROM_NOW)[0]["subscribers"])


def test_events_come_in_xml_as_well(daemon):
    d = daemon()
    with d.client() as c:
        c.ask("channel", "create", key="news").all()
        c.ask("channel", "put", channel="news", tag=1, data=base64.b64encode(b"\x00\xffbytes").decode()).all()
        answers = iter(c.ask("channel", "subscribe", channel="news", after=0))
        assert next(answers).get("key") == "news"
        event = next(answers)
        assert event.name == "event" and base64.b64decode(event.get("data")) == b"\x00\xffbytes"
        assert event.get("sequence") == "1" and event.get("tag") == "1"


def test_a_mask_selects_by_tag(daemon):
    d = daemon()
    d.vigia("channel.create", "news")
    for tag in (1, 2, 3, 4, 0):
        d.vigia("channel.put", "news", str(tag), f"t{tag}")
    with d.client() as c:
        answers = iter(c.ask("channel", "subscribe", channel="news", after=0, mask=2))
        next(answers)
        assert [next(answers).get("tag") for _ in range(3)] == ["2", "3", "0"]


def test_who_comes_too_late_is_told_exactly_what_is_gone(daemon, stranger):
    d = daemon()
    d.vigia("channel.create", "small", "log=65536")
    stranger(d, "put", "small", *(f"{i:01000d}" for i in range(1, 301)))
    lines = stranger(d, "read", "small", 20, 0)[0]
    lost, before = map(int, re.fullmatch(r"lost (\d+) before (\d+)", lines[0]).groups())
    assert before == lost + 1 and lines[1].startswith(f"{before} 1 ") and lost > 200


def test_a_reader_that_stands_still_loses_and_is_told(daemon, stranger):
    """Nobody waits for it, the daemon's memory does not grow with it, and what it missed adds up."""
    d = daemon()
    d.vigia("channel.create", FROM_NOW, "log=1000000")
    silent = stranger.start(d, "read", FROM_NOW, 10 ** 9)
    wait_for(lambda: subscribed(d) == 1, 5, "its subscription")
    silent.send_signal(signal.SIGSTOP)
    try:
        before = d.memory()
        n = 20000
        for _ in range(n // 100):
            stranger(d, "put", FROM_NOW, *("x" * 1000 for _ in range(100)))
        assert d.memory() - before < 8 << 20
    finally:
        silent.send_signal(signal.SIGCONT)
    d.vigia("channel.put", FROM_NOW, "1", "last")
    seen, lost = 0, 0
    for line in silent.stdout:
        seen += not line.startswith("lost")
        lost += int(line.split()[1]) if line.startswith("lost") else 0
        if line.endswith("last\n"):
            break
    silent.kill()
    silent.wait()
    assert lost > 0 and seen + lost == n + 1


def test_an_event_that_is_not_taken_is_told_and_the_connection_stays(daemon, stranger):
    assert stranger(daemon(), "late", "news", "one", "two") == (["2 event: no channel has this number"], "", 0)


def test_a_deleted_channel_tells_its_subscribers(daemon, stranger):
    d = daemon()
    d.vigia("channel.create", FROM_NOW)
    reader = stranger.start(d, "read", FROM_NOW, 5)
    wait_for(lambda: subscribed(d) == 1, 5, "its subscription")
    stranger(d, "put", FROM_NOW, "a")
    d.vigia("channel.delete", FROM_NOW)
    out, err = reader.communicate(timeout=5)
    assert out == "1 1 a\n" and "deleted: channel live was deleted" in err
    assert operations(d, "channel.list", FROM_NOW) == []


@pytest.mark.parametrize("noun, verb, arguments", [
    ("channel", "create", {"key": "x"}), ("channel", "put", {"channel": "ours"}), ("channel", "delete", {"channel": "ours"}),
    ("process", "list", {}), ("process", "signal", {"pid": 1}), ("process", "watch", {"pid": 1}), ("lease", "list", {}),
    ("lease", "take", {"mode": "observe", "process": 1}), ("service", "delete", {"service": "x"}), ("master", "reload", {}),
])
def test_who_comes_by_network_may_read_and_nothing_else(daemon, noun, verb, arguments):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    d = daemon(f'listen = {{"127.0.0.1:{port}"}}\nmonitor host {{ enabled = false }}\n')
    d.vigia("channel.create", "ours", "public=yes")
    with Client(("127.0.0.1", port)).connect() as c:
        assert c.ask("channel", "list").all()
        with pytest.raises(HmonError, match="not for other hosts, nor for who comes by network|only for the daemon's own user"):
            c.ask(noun, verb, **arguments).all()


# ------------------------------------------------------------------------------------------- services of programs

@pytest.fixture(scope="session")
def counter_program(tmp_path_factory):
    return build("examples/counter/counter.c", tmp_path_factory.mktemp("counter") / "counter")


@pytest.fixture
def counter(counter_program):
    """Starts the example service beside a daemon."""
    started = []

    def start(d):
        p = subprocess.Popen([counter_program], env=dict(d.env(), LD_LIBRARY_PATH=LIB, VIGIA_SOCKET=d.socket),
                             stderr=subprocess.PIPE, text=True)
        started.append(p)
        wait_for(lambda: p.poll() is not None or operations(d, "service.list", "counter"), 5, "its service")
        return p

    yield start
    for p in started:
        p.kill()
        p.communicate()


def value(answers):
    return [int(a["value"]) for a in answers]


def test_a_programs_service_is_one_like_any_other(daemon, counter, stranger):
    d = daemon()
    counter(d)
    assert value(operations(d, "counter.add", "5")) == [5]
    assert value(operations(d, "counter.add")) == [6]
    assert stranger(d, "ask", "counter.get")[0] == ["counter value=/6"]
    with d.client() as c:
        assert [s.get("value") for s in c.ask("counter", "get").all()] == ["6"]
    assert "by=integer" in d.vigia("help", "counter.add").stdout
    listed, = operations(d, "service.list", "counter")
    assert listed["doc"] == "a number for everybody"


@pytest.mark.parametrize("words, says", [
    (["counter.add", "minus"], "by must be a whole number"),
    (["counter.add", "by=-1"], "by must be a whole number"),
    (["counter.get", "x"], 'takes no "x"'),
    (["counter.grow"], "there is no operation"),
])
def test_the_daemon_keeps_from_it_what_is_wrong(daemon, counter, words, says):
    d = daemon()
    counter(d)
    p = d.vigia(*words, check=False)
    assert p.returncode in (1, 2) and says in p.stderr
    assert value(operations(d, "counter.get")) == [0]


def test_a_services_own_errors_reach_who_asked(daemon, counter):
    d = daemon()
    counter(d)
    d.vigia("counter.add", str(2 ** 63 - 1))
    p = d.vigia("counter.add", check=False)
    assert p.returncode == 1 and "more than it holds" in p.stderr


def test_a_name_is_given_once(daemon, counter):
    d = daemon()
    counter(d)
    second = counter(d)
    assert second.wait(5) == 1 and "there is a service or noun counter already" in second.stderr.read()


def test_a_service_that_dies_fails_its_calls_and_leaves_no_trace(daemon, counter):
    d = daemon()
    p = counter(d)
    with d.client() as c:
        user = c.ask("service", "get", service="counter")
        wait_for(lambda: operations(d, "service.list", "counter")[0].get("users") == "1", 5, "its use being counted")
        p.send_signal(signal.SIGSTOP)
        waiting = c.ask("counter", "get")
        c.ask("service", "list").all()
        p.kill()
        with pytest.raises(HmonError, match="gone"):
            waiting.all()
        with pytest.raises(HmonError, match="gone"):
            user.all()
    assert operations(d, "service.list", "counter") == []
    counter(d)
    assert value(operations(d, "counter.get")) == [0]


def test_who_uses_a_service_and_dies_uses_it_no_more(daemon, counter):
    d = daemon()
    counter(d)
    users = lambda: operations(d, "service.list", "counter")[0]["users"]
    with d.client() as c:
        c.ask("service", "get", service="counter")
        wait_for(lambda: users() == "1", 5, "its use being counted")
    wait_for(lambda: users() == "0", 5, "its use having ended")


def test_a_service_that_answers_nothing_delays_nobody_and_ends_at_the_deadline(daemon, counter):
    d = daemon()
    p = counter(d)
    p.send_signal(signal.SIGSTOP)
    with d.client() as c, d.client() as other:
        waiting = c.ask("counter", "get")
        begun = time.monotonic()
        while time.monotonic() - begun < 1:
            asked = time.monotonic()
            other.ask("service", "list").all()
            assert time.monotonic() - asked < 0.3
        with pytest.raises(HmonError, match="did not answer in time"):
            waiting.all(15)
    p.send_signal(signal.SIGCONT)
    assert value(operations(d, "counter.get")) == [0]


def test_a_deleted_service_is_gone(daemon, counter):
    d = daemon()
    p = counter(d)
    d.vigia("service.delete", "counter")
    assert operations(d, "service.list", "counter") == []
    assert p.poll() is None, "its program goes on"
    assert "no program offers" in d.vigia("service.delete", "counter", check=False).stderr


# ------------------------------------------------------------------------------------------- bytes that are wrong

def frame(kind, number=0, payload=b"", flags=0, reserved=0):
    return struct.pack(">IBBHQ", len(payload), kind, flags, reserved, number) + payload


def text(s):
    return (bytes([0x60 + len(s)]) if len(s) < 24 else bytes([0x78, len(s)])) + s.encode()


HELLO_FRAME = frame(HELLO, payload=b"\x82" + text("hello") + b"\xa1" + text("version") + b"\x01")


def query(number, noun, verb, **arguments):
    fields = {"query": verb, **arguments}
    return frame(QUERY, number, b"\x80\x82" + text(noun) + bytes([0xa0 + len(fields)]) +
                 b"".join(text(k) + text(v) for k, v in fields.items()))


def last_words(d, sent):
    """What the daemon says before it closes."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(15)
        s.connect(d.socket)
        s.sendall(sent)
        said = b""
        while more := s.recv(65536):
            said += more
    return said


@pytest.mark.parametrize("sent, says", [
    (b"\x89VIGIA2\n", b"byte 7 is not of the preface"),
    (PREFACE + frame(QUERY, 1, b"\x80\x81" + text("x")), b"the first frame must be a hello"),
    (PREFACE + struct.pack(">IBBHQ", 1 << 20, HELLO, 0, 0, 0) + bytes(20000), b"no hello within 16384 bytes"),
    (PREFACE + HELLO_FRAME + HELLO_FRAME, b"a second hello"),
    (PREFACE + frame(HELLO, payload=b"\x81" + text("hello")), b"a hello needs a version"),
    (PREFACE + HELLO_FRAME + frame(ANSWER, 1, b"\x81" + text("x")), b"nothing was asked here"),
    (PREFACE + HELLO_FRAME + frame(99, 1), b"at byte"),
    (PREFACE + HELLO_FRAME + frame(QUERY, 1, flags=128), b"at byte"),
    (PREFACE + HELLO_FRAME + frame(CANCEL, 1, reserved=7), b"at byte"),
    (PREFACE + HELLO_FRAME + struct.pack(">IBBHQ", 1 << 31, QUERY, 0, 0, 1), b"at byte"),
    (PREFACE + HELLO_FRAME + frame(QUERY, 0, b"\x80\x81" + text("x")), b"at byte"),
    (PREFACE + HELLO_FRAME + frame(QUERY, 1, b"\x80"), b"at byte"),
    (PREFACE + HELLO_FRAME + frame(QUERY, 1, b"\x80\x80\x80\x80\x80"), b"query 1"),
    (PREFACE + HELLO_FRAME + frame(QUERY, 1, b"\xff" * 40), b"query 1"),
    (PREFACE + HELLO_FRAME + query(1, "channel", "create", key="k") +
     query(2, "channel", "subscribe", channel="k") * 2, b"query 2 is still under way"),
])
def test_frames_that_are_wrong_end_in_words(daemon, sent, says):
    d = daemon()
    said = last_words(d, sent)
    assert says in said, said
    assert d.vigia("service.list").returncode == 0


def test_a_frame_in_pieces_is_a_frame(daemon):
    d = daemon()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(d.socket)
        for byte in PREFACE + HELLO_FRAME + query(7, "service", "list"):
            s.send(bytes([byte]))
        said = b""
        while not said.endswith(frame(END, 7)):
            said += s.recv(65536)
    assert b"event channels" in said


DAY = 86400000


@pytest.mark.parametrize("deadline, says", [(DAY, END), (DAY + 1, ERROR), ((1 << 63) - 1, ERROR)])
def test_a_deadline_is_at_most_a_day(daemon, deadline, says):
    d = daemon()
    route = b"\x82" + text("") + b"\x1b" + struct.pack(">Q", deadline)
    message = b"\x82" + text("service") + b"\xa1" + text("query") + text("list")
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(15)
        s.connect(d.socket)
        s.send(PREFACE + HELLO_FRAME + frame(QUERY, 7, route + message))
        said = b""
        while struct.pack(">BBHQ", says, 0, 0, 7) not in said:
            said += s.recv(65536)
    assert (b"a deadline is 0 to 86400000 ms, not %d" % deadline in said) == (says == ERROR)


@pytest.mark.parametrize("deadline", [-1, DAY + 1, (1 << 63) - 1])
def test_libvigia_says_so_before_it_asks(daemon, stranger, deadline, monkeypatch):
    monkeypatch.setenv("DEADLINE_MS", str(deadline))
    d = daemon()
    _, err, code = stranger(d, "ask", "host.info")
    assert code == 1 and f"a deadline is 0 to {DAY} ms, not {deadline}" in err
    monkeypatch.setenv("DEADLINE_MS", str(DAY))
    assert stranger(d, "ask", "host.info")[2] == 0


def as_nobody(fn):
    """What fn returns, asked by another user."""
    here, there = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            said = fn()
        except Exception as e:
            said = repr(e)
        os.write(there, json.dumps(said).encode())
        os._exit(0)
    os.close(there)
    os.waitpid(pid, 0)
    with os.fdopen(here) as f:
        return json.load(f)


def test_another_users_channel_is_his(daemon):
    if os.geteuid():
        pytest.skip("becoming someone else needs root")
    with tempfile.TemporaryDirectory(prefix="vigia-") as place:
        os.chmod(place, 0o755)
        d = daemon(f'listen = {{}}\nsocket = "{place}/sock"\nmonitor host {{ enabled = false }}\n', wait=False)
        wait_for(lambda: os.path.exists(f"{place}/sock"), 10, "its socket")
        at = f"--at={place}/sock"
        d.vigia(at, "channel.create", "mine")
        d.vigia(at, "channel.create", "ours", "public=yes")

        def ask(noun, verb, **arguments):
            with Client(f"{place}/sock").connect() as c:
                try:
                    c.ask(noun, verb, **arguments).all()
                except HmonError as e:
                    return str(e)
                return "well"

        said = as_nobody(lambda: [ask("channel", "put", channel="mine"), ask("channel", "delete", channel="ours"),
                                  ask("channel", "put", channel="ours"), ask("channel", "create", key="theirs")])
        assert isinstance(said, list), said
        assert "belongs to uid 0" in said[0] and "belongs to uid 0" in said[1] and said[2:] == ["well", "well"]
        d.vigia(at, "channel.delete", "theirs")

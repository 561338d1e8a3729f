# SPDX-License-Identifier: Apache-2.0
"""One style of error, whichever way one asks: the command, HMON's XML, frames from Python, libvigia from C."""
import contextlib
import os
import re
import socket
import subprocess
import tempfile

import pytest

from cluster import PREFIX, SOAK, Daemon, wait_for
from hmon_peer import Client, HmonError, Stanza
from test_hosts import free_port
from test_operations import LIB, build, counter_program, operations, stranger  # noqa: F401
from test_stubs import vigia as package  # noqa: F401

TOP = os.path.join(os.path.dirname(__file__), "..")
OTHER = 65534  # a user who owns nothing here
SLEEPER, HELD = "SLEEPER", "HELD"  # a process of this test, and one that somebody holds
QUERIES = [
    ("host.find", {}, "bad-argument", "host.find needs host: its name or id"),
    ("host.find", {"host": "h9"}, "not-found", "no host is named h9"),
    ("host.info", {"at": "h9"}, "not-found", "no host is named h9"),
    ("host.find", {"host": "x" * 300}, "bad-argument", r'host.find: host must be a text, not "x{60}"'),
    ("process.info", {"pid": "many"}, "bad-argument", 'process.info: pid must be a whole number from 0, not "many"'),
    ("process.info", {"pid": "-1"}, "bad-argument", 'process.info: pid must be a whole number from 0, not "-1"'),
    ("process.info", {"pid": "999999999"}, "not-found", "no process 999999999"),
    ("process.signal", {"pid": SLEEPER, "signal": "WINK"}, "bad-argument",
     'process.signal: signal must be the name of a signal, not "WINK"'),
    ("process.signal", {"pid": SLEEPER, "start": "1"}, "not-found", r"no process \d+ of that start"),
    ("process.start", {"word": "/no/such/program"}, "failed", "/no/such/program: can't be executed: No such file or directory"),
    ("process.start", {"word": "true", "directory": "here"}, "bad-argument",
     'process.start: directory must be an absolute path, not "here"'),
    ("process.watch", {"pid": "0"}, "not-found", "no process 0"),
    ("lease.take", {"mode": "borrow", "process": SLEEPER}, "bad-argument",
     'lease.take: mode must be observe, share or exclusive, not "borrow"'),
    ("lease.take", {"mode": "share"}, "bad-argument", "lease.take needs either a service or a process"),
    ("lease.take", {"mode": "share", "service": "nobody"}, "not-found", "no service is named nobody"),
    ("process.signal", {"pid": HELD}, "held", r"process \d+ is controlled exclusively by process \d+ of uid \d+ on n1"),
    ("channel.create", {"key": "#1"}, "bad-argument", r'channel.create: key must be at most \d+ bytes with no # first, not "#1"'),
    ("channel.create", {"key": "0" * 32 + "#1"}, "bad-argument", 'channel.create: key must be a key, no id, not "0{32}#1"'),
    ("channel.create", {"key": "k", "log": "99999999999"}, "too-many",
     r'limit channel_log \(\d+\) is reached; limits \{ channel_log = ... \} in vigia.conf raises it'),
    ("channel.create", {"key": "k", "public": "perhaps"}, "bad-argument",
     'channel.create: public must be yes or no, not "perhaps"'),
    ("channel.put", {"channel": "none", "data": "eA=="}, "not-found", "no channel has the key none"),
    ("channel.delete", {"channel": "hosts"}, "not-permitted", "channel hosts is the daemon's own: what is in it is its word"),
    ("channel.put", {"channel": "leases", "data": "eA=="}, "not-permitted", None),
    ("channel.subscribe", {"channel": "none"}, "not-found", "no channel has the key none"),
    ("channel.subscribe", {"channel": "hosts", "after": "99999"}, "restarted", r"channel hosts has had \d+ events: 99999 was one of another "
     "channel, before this one was made"),
    ("channel.subscribe", {"channel": "0" * 32 + "#1"}, "not-found", "channel 0{32}#1 is on another host"),
    ("channel.poll", {"channel": "hosts", "most": "0"}, "bad-argument", r'channel.poll: most must be from 1 to \d+, not "0"'),
    *[(f"channel.{verb}", {"channel": "hosts", name: "4294967296", **more}, "bad-argument",
       f'channel.{verb}: {name} must be at most 4294967295, not "4294967296"')
      for verb, name, more in [("put", "tag", {}), ("subscribe", "mask", {}), ("poll", "mask", {}), ("chain", "mask", {"from": "leases"})]],
    ("channel.chain", {"channel": "none", "from": "hosts"}, "not-found", "no channel has the key none"),
    ("channel.chain", {"channel": "hosts", "from": "leases"}, "not-permitted", None),
    ("channel.unchain", {"channel": "none", "from": "leases"}, "not-found", "no channel has the key none"),
    ("service.get", {"service": "nobody"}, "not-found", "no service is named nobody"),
    ("service.describe", {"service": "nobody"}, "not-found", "no service is named nobody"),
    ("service.delete", {"service": "host"}, "not-found", "no program offers a service named host"),
    ("counter.add", {"by": "9223372036854775807"}, "too-large", "9223372036854775807 more is more than it holds"),
    ("counter.add", {"by": "some"}, "bad-argument", 'counter.add: by must be a whole number from 0, not "some"'),
    ("monitor.get", {"node": "n9"}, "not-found", "no node is named n9(; did you mean n1\\?)?"),
    ("monitor.forget", {"node": "n1", "monitor": "none"}, "not-found", None),
]


class World:
    """A daemon with a service, a process, and one that somebody holds."""

    def __init__(self, place, program):
        self.address = ("127.0.0.1", free_port())
        self.daemon = Daemon(str(place), f'listen = {{"127.0.0.1:{self.address[1]}"}}\nmonitor host {{ enabled = false }}\n'
                             'default_monitors = false\n').start()
        self.sleepers = [subprocess.Popen(["sleep", "1000"]) for _ in range(2)]
        self.counter = self.offer(program)
        self.holder = self.daemon.client()
        next(iter(self.holder.ask("lease", "take", mode="exclusive", process=self.sleepers[1].pid)))
        wait_for(lambda: not self.daemon.vigia("service.list", "counter").stdout.count("\n") < 2, 5, "the counter")
        self.daemon.vigia("counter.add", "1")

    def offer(self, program):
        return subprocess.Popen([program], env=dict(self.daemon.env(), LD_LIBRARY_PATH=LIB), stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)

    def close(self):
        self.holder.close()
        for p in [*self.sleepers, self.counter]:
            p.kill()
            p.communicate()
        self.daemon.stop()

    def said(self, arguments):
        names = {SLEEPER: self.sleepers[0].pid, HELD: self.sleepers[1].pid}
        return {k: str(names.get(v, v)) for k, v in arguments.items()}


@pytest.fixture(scope="module")
def world(counter_program):  # noqa: F811
    with tempfile.TemporaryDirectory(prefix="vigia-") as top:  # where other users come to
        os.chmod(top, 0o755)
        w = World(top, counter_program)
        for at in (w.daemon.directory, os.path.dirname(w.daemon.socket)):
            os.chmod(at, 0o711)
        yield w
        w.close()


@pytest.fixture(scope="module")
def sleeper_program(tmp_path_factory):
    return build("tests/third_party/sleeper.c", tmp_path_factory.mktemp("sleeper") / "sleeper")


@pytest.fixture
def sleeper(world, sleeper_program):
    """The service of a program that can be killed."""
    p = world.offer(sleeper_program)
    wait_for(lambda: operations(world.daemon, "service.list", "sleeper"), 5, "the service")
    yield p
    p.kill()
    p.communicate()
    wait_for(lambda: not operations(world.daemon, "service.list", "sleeper"), 5, "its service having gone")


# ------------------------------------------------------------------------------------------- the ways to ask
# Each asks, lets `meanwhile` happen, and returns the code and the text it was told; the command tells no code.

def nothing():
    pass


def split(arguments):
    """Words, and the rest."""
    words = arguments.get("word", [])
    return [words] if isinstance(words, str) else words, {k: v for k, v in arguments.items() if k != "word"}


def by_command(world, operation, arguments, meanwhile=nothing, network=False, **_):
    words, rest = split(arguments)
    at = ["--at", "%s:%d" % world.address] if network else []
    p = subprocess.Popen([f"{PREFIX}/bin/vigia", *at, operation, *[f"{k}={v}" for k, v in rest.items()], *words],
                         env=world.daemon.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    meanwhile()
    _, said = p.communicate(timeout=20)
    assert p.returncode == 1 and said.startswith("vigia: ") and said.count("\n") == 1, (p.returncode, said)
    return None, said[len("vigia: "):-1]


def by_xml(world, operation, arguments, meanwhile=nothing, network=False, **_):
    words, rest = split(arguments)
    with Client(world.address if network else world.daemon.socket).connect() as c, pytest.raises(HmonError) as e:
        answers = c.ask(*operation.split("."), children=[Stanza("word", text=w) for w in words], **rest)
        meanwhile()
        answers.all(20)
    return e.value.code, e.value.text


def by_python(world, operation, arguments, meanwhile=nothing, network=False, deadline=None, package=None, **_):  # noqa: F811
    words, rest = split(arguments)
    at = rest.pop("at", "")
    with package.open("%s:%d" % world.address if network else world.daemon.socket) as v, pytest.raises(package.Error) as e:
        answers = v.ask(operation, {**rest, "word": words} if words else rest, at=at, deadline=deadline)
        meanwhile()
        list(answers)
    return e.value.code, e.value.text


def by_libvigia(world, operation, arguments, meanwhile=nothing, network=False, deadline=None, stranger=None, **_):  # noqa: F811
    words, rest = split(arguments)
    if deadline:
        os.environ["DEADLINE_MS"] = str(int(deadline * 1000))
    try:
        p = stranger.start(world.daemon, "ask", operation, *[f"{k}={v}" for k, v in rest.items()], *[f"word+={w}" for w in words],
                           at="%s:%d" % world.address if network else None)
    finally:
        os.environ.pop("DEADLINE_MS", None)
    meanwhile()
    _, said = p.communicate(timeout=20)
    code, text = re.fullmatch(r"ask: ([a-z-]+): (.*) \(-\d+\)\n", said).groups()
    assert p.returncode == 1
    return code, text


WAYS = [by_command, by_xml, by_python, by_libvigia]


@pytest.fixture(params=WAYS)
def told(request, world, package, stranger):  # noqa: F811
    """told(operation, arguments, code, text, ...): asks in this way, and that is what is said."""
    def ask(operation, arguments, code, text, **more):
        got, said = request.param(world, operation, world.said(arguments), package=package, stranger=stranger, **more)
        assert got in (code, None)
        assert re.fullmatch(text or ".+", said), said
        assert not said.endswith(".") and "\n" not in said and (said[0].islower() or said[0] in '/0123456789"'), said

    ask.way = request.param
    return ask


# ------------------------------------------------------------------------------------------- what is told

@pytest.mark.parametrize("operation, arguments, code, text", QUERIES,
                         ids=[f"{o}-{'-'.join(map(str, a.values()))[:30]}" for o, a, *_ in QUERIES])
def test_every_way_tells_the_same(told, operation, arguments, code, text):
    told(operation, arguments, code, text)


@pytest.mark.parametrize("value, shown", [(-1, '"-1"'), (True, '"yes"'), (b"12", "2 bytes"), ("x" * 99, '"x{60}"')])
def test_what_frames_can_say_and_xml_can_not_is_shown_as_well(world, package, value, shown):  # noqa: F811
    with package.open(world.daemon.socket) as v, pytest.raises(package.Error) as e:
        list(v.ask("process.info", {"pid": value}))
    assert re.fullmatch(f"process.info: pid must be a whole number from 0, not {shown}", e.value.text), e.value.text


@pytest.mark.parametrize("operation, arguments", [
    ("channel.create", {"key": "k"}), ("process.list", {}),
    ("lease.take", {"mode": "observe", "process": SLEEPER}), ("counter.add", {"by": "1"})])
def test_who_comes_by_network_is_told_that_it_is_not_for_him(told, operation, arguments):
    told(operation, arguments, "not-permitted", f"{operation} is not for other hosts, nor for who comes by network: only for "
         "users of this one, on its socket", network=True)


@pytest.mark.parametrize("operation, arguments", [("master.reload", {}), ("process.start", {"word": "true"})])
def test_what_is_only_the_daemons_own_users(told, operation, arguments):
    told(operation, arguments, "not-permitted", f"{operation} is only for the daemon's own user and root, on the daemon's own socket",
         network=True)


def test_more_than_a_program_may_be_told(told):
    if told.way in (by_command, by_xml):
        pytest.skip("a client's stanza is never so large")
    told("process.start", {"word": "x" * 66000}, "too-large", r"process.start: more than \d+ bytes or \d+ words")


def test_a_channel_that_is_deleted_under_its_reader(told, world):
    world.daemon.vigia("channel.create", "gone")

    def delete():
        wait_for(lambda: operations(world.daemon, "channel.list", "gone")[0]["subscribers"] == "1", 10, "the subscription")
        world.daemon.vigia("channel.delete", "gone")

    told("channel.subscribe", {"channel": "gone"}, "deleted", "channel gone was deleted", meanwhile=delete)


def test_a_service_that_is_deleted_in_use(told, world, sleeper):
    def delete():
        wait_for(lambda: operations(world.daemon, "service.list", "sleeper")[0]["users"] == "1", 10, "its use")
        world.daemon.vigia("service.delete", "sleeper")

    told("service.get", {"service": "sleeper"}, "deleted", "service sleeper: it was deleted", meanwhile=delete)
    told("service.get", {"service": "sleeper"}, "not-found", "no service is named sleeper")


@pytest.mark.parametrize("end, code, text", [
    (lambda world, p: p.kill(), "unavailable", "the program that offers this service is gone"),
    (lambda world, p: world.daemon.vigia("service.delete", "sleeper"), "deleted", "service sleeper: it was deleted")],
    ids=["killed", "deleted"])
def test_a_service_that_ends_in_mid_call(told, world, sleeper, end, code, text):
    def end_it():
        assert sleeper.stdout.readline() == "asleep\n"
        end(world, sleeper)

    told("sleeper.sleep", {"seconds": "1000"}, code, text, meanwhile=end_it)


def test_a_deadline_that_is_over(told, sleeper):
    if told.way in (by_command, by_xml) and not SOAK:
        pytest.skip("has no deadline but the daemon's 10 s: in the long form")
    told("sleeper.sleep", {"seconds": "1000"}, "deadline", "sleeper.sleep did not answer in time", deadline=0.3)


def test_an_argument_that_there_is_not(world, package, stranger):  # noqa: F811
    for way in (by_xml, by_python, by_libvigia):
        told = way(world, "host.find", {"host": "n1", "colour": "red"}, package=package, stranger=stranger)
        assert told == ("bad-argument", "host.find has no argument colour")
    p = world.daemon.vigia("host.find", "n1", "colour=red", check=False)
    assert p.returncode == 2 and p.stderr.startswith("vigia: host.find ") and "colour=red" in p.stderr


def test_who_asks_for_what_is_not_there_is_told_what_is(world):
    p = world.daemon.vigia("host.fnd", "x", check=False)
    assert p.returncode == 2 and 'no operation "host.fnd"; did you mean `host.find`?' in p.stderr


@contextlib.contextmanager
def as_other():
    """Connections made in here are another user's."""
    if os.geteuid():
        pytest.skip("only root can be another user")
    os.seteuid(OTHER)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("operation, arguments, text", [
    ("channel.delete", {"channel": "roots"}, "channel roots belongs to uid 0"),
    ("channel.put", {"channel": "roots"}, "channel roots belongs to uid 0"),
    ("channel.subscribe", {"channel": "roots"}, "channel roots belongs to uid 0"),
    ("process.signal", {"pid": SLEEPER}, r"process \d+ belongs to uid 0"),
    ("lease.take", {"mode": "share", "process": SLEEPER}, r"process \d+ belongs to uid 0"),
    ("service.delete", {"service": "counter"}, "service counter belongs to uid 0"),
    ("master.reload", {}, "master.reload is only for the daemon's own user and root, on the daemon's own socket"),
])
def test_what_belongs_to_another_user(world, package, operation, arguments, text):  # noqa: F811
    world.daemon.vigia("channel.create", "roots")
    with as_other():
        for way in (by_xml, by_python):
            code, said = way(world, operation, world.said(arguments), package=package)
            assert code == "not-permitted" and re.fullmatch(text, said), said


def test_too_large_an_event(world, package):  # noqa: F811
    with package.open(world.daemon.socket) as v:
        news = v.channel("large")
        with pytest.raises(package.Error, match=r"^too-large: channel.put: data must be at most 262144 bytes, not 263168$"):
            list(v.channel_put("large", data=b"x" * (257 << 10)))
        v.put(news, 1, b"x" * (257 << 10))
        assert next(v.host_info()) and [e.code for e in v.refused] == ["event"]


# ------------------------------------------------------------------------------------------- all of the source

SAYS = re.compile(r'\b(?:call_fail|(?:peer_)?refuse|peer_error|relay_fail|relay_release|end_uses|say|fail|end|encode_error)'
                  r'\((?:[^;"]|"[^"]*" :)*?"([a-z]+(?:-[a-z]+)*)",\s*(?:"((?:[^"\\]|\\.)*)")?')


def sources():
    for at, _, files in os.walk(f"{TOP}/src"):
        for name in files:
            if name.endswith(".c") and "_test" not in name and "_fuzz" not in name:
                with open(os.path.join(at, name)) as f:
                    yield name, f.read()


def errors_of_source():
    """Each error that is told: the file, its code, the beginning of its text."""
    return [(name, *e) for name, source in sources() for e in SAYS.findall(source) if e[0] != "code"]


def codes_of_pages():
    found = set()
    for page in ("hmon", "frames"):
        with open(f"{TOP}/docs/{page}.md") as f:
            for table in re.findall(r"^\| code \|.*\n\| ---.*\n((?:\|.*\n)+)", f.read(), re.M):
                found |= {c for line in table.splitlines() for c in re.findall("`([a-z-]+)`", line.split("|")[1])}
    return found


def test_every_code_is_on_the_page():
    used = {c for _, c, _ in errors_of_source()}
    assert len(used) > 20 and sorted(used - codes_of_pages()) == []


def test_every_code_on_the_page_is_told():
    all_of_it = "".join(source for _, source in sources())
    assert [c for c in sorted(codes_of_pages()) if f'"{c}"' not in all_of_it] == []


def test_every_text_is_of_one_style():
    texts = [(name, text) for name, _, text in errors_of_source() if text]
    assert len(texts) > 150
    assert [t for t in texts if not re.match(r'[a-z%<\d"]', t[1]) or t[1].endswith(".") or "\\n" in t[1]] == []
    bare = re.compile(r'call_fail\([^;"]*"[a-z-]+", "%s", \*?strerror')  # "No space left on device": of what?
    assert [name for name, source in sources() if bare.search(source)] == []

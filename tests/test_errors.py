# SPDX-License-Identifier: Apache-2.0
"""One style of error, whichever way one asks: the command, HMON's XML, frames from Python, libvigia from C."""
import os
import re
import socket
import subprocess

import pytest

from cluster import Daemon, wait_for
from hmon_peer import Client, HmonError
from test_operations import LIB, build, counter_program, stranger  # noqa: F401
from test_stubs import vigia as package  # noqa: F401

SLEEPER = "SLEEPER"  # a process of this test
QUERIES = [
    ("host.find", {}, "bad-argument", "host.find needs host: its name or id"),
    ("host.find", {"host": "h9"}, "not-found", "no host is named h9"),
    ("host.info", {"at": "h9"}, "not-found", "no host is named h9"),
    ("host.find", {"host": "x" * 300}, "bad-argument", r'host.find: host must be a text, not "x{60}"'),
    ("process.info", {"pid": "many"}, "bad-argument", 'process.info: pid must be a whole number from 0, not "many"'),
    ("process.info", {"pid": "999999999"}, "not-found", "no process 999999999"),
    ("process.signal", {"pid": SLEEPER, "signal": "WINK"}, "bad-argument", "process.signal: no signal is named WINK"),
    ("process.signal", {"pid": SLEEPER, "start": "1"}, "not-found", r"no process \d+ of that start"),
    ("process.start", {"word": "/no/such/program"}, "failed", "/no/such/program: can't be executed: No such file or directory"),
    ("process.watch", {"pid": "0"}, "not-found", "no process 0"),
    ("lease.take", {"mode": "borrow", "process": SLEEPER}, "bad-argument",
     "lease.take: mode is observe, share or exclusive"),
    ("lease.take", {"mode": "share"}, "bad-argument", "lease.take: either a service or a process"),
    ("lease.take", {"mode": "share", "service": "nobody"}, "not-found", "no service is named nobody"),
    ("process.signal", {"pid": "HELD"}, "held", r"process \d+ is controlled exclusively by process \d+ of uid \d+ on n1"),
    ("channel.create", {"key": "#1"}, "bad-argument", r"channel.create: a key has at most \d+ bytes and no # first"),
    ("channel.create", {"key": "k", "log": "99999999999"}, "bad-argument", r"channel.create: log must be at most \d+ bytes"),
    ("channel.create", {"key": "k", "public": "perhaps"}, "bad-argument",
     'channel.create: public must be yes or no, not "perhaps"'),
    ("channel.put", {"channel": "none", "data": "eA=="}, "not-found", "no channel has the key none"),
    ("channel.delete", {"channel": "hosts"}, "not-permitted", "channel hosts is the daemon's own: what is in it is its word"),
    ("channel.put", {"channel": "leases", "data": "eA=="}, "not-permitted", None),
    ("channel.subscribe", {"channel": "none"}, "not-found", "no channel has the key none"),
    ("channel.subscribe", {"channel": "hosts", "after": "99999"}, "restarted", r"channel hosts has had \d+ events: 99999 was one of another "
     "channel, before this one was made"),
    ("channel.subscribe", {"channel": "0" * 32 + "#1"}, "not-found", "channel 0{32}#1 is on another host"),
    ("channel.poll", {"channel": "hosts", "most": "0"}, "bad-argument", r"channel.poll: most must be from 1 to \d+"),
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
        self.daemon = Daemon(str(place), "listen = {}\nmonitor host { enabled = false }\ndefault_monitors = false\n").start()
        self.sleepers = [subprocess.Popen(["sleep", "1000"]) for _ in range(2)]
        self.counter = subprocess.Popen([program], env=dict(self.daemon.env(), LD_LIBRARY_PATH=LIB), stderr=subprocess.DEVNULL)
        self.holder = self.daemon.client()
        next(iter(self.holder.ask("lease", "take", mode="exclusive", process=self.sleepers[1].pid)))
        wait_for(lambda: not self.daemon.vigia("service.list", "counter").stdout.count("\n") < 2, 5, "the counter")
        self.daemon.vigia("counter.add", "1")

    def close(self):
        self.holder.close()
        for p in [*self.sleepers, self.counter]:
            p.kill()
            p.wait()
        self.daemon.stop()

    def said(self, arguments):
        names = {SLEEPER: self.sleepers[0].pid, "HELD": self.sleepers[1].pid}
        return {k: str(names.get(v, v)) for k, v in arguments.items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory, counter_program):  # noqa: F811
    w = World(tmp_path_factory.mktemp("world"), counter_program)
    yield w
    w.close()


def by_command(world, operation, arguments, *_):
    words = [f"{k}={v}" for k, v in arguments.items()]
    p = world.daemon.vigia(operation, *words, check=False)
    assert p.returncode == 1 and p.stderr.startswith("vigia: ") and p.stderr.count("\n") == 1, (p.returncode, p.stderr)
    return None, p.stderr[len("vigia: "):-1]


def by_xml(world, operation, arguments, *_):
    noun, verb = operation.split(".")
    word = arguments.pop("word", None)
    if word:
        pytest.skip("the peer of the tests has no lists")
    with world.daemon.client() as c, pytest.raises(HmonError) as e:
        c.ask(noun, verb, **arguments).all()
    return e.value.code, e.value.text


def by_python(world, operation, arguments, package, _):  # noqa: F811
    if "word" in arguments:
        arguments["word"] = [arguments["word"]]
    at = arguments.pop("at", "")
    with package.open(world.daemon.socket) as v, pytest.raises(package.Error) as e:
        list(v.ask(operation, arguments, at=at))
    return e.value.code, e.value.text


def by_libvigia(world, operation, arguments, _, stranger):  # noqa: F811
    if "word" in arguments or "at" in arguments:
        pytest.skip("the strangers' program has no lists and no hosts")
    out, err, status = stranger(world.daemon, "ask", operation, *[f"{k}={v}" for k, v in arguments.items()])
    code, text = re.fullmatch(r"ask: ([a-z-]+): (.*) \(-\d+\)\n", err).groups()
    assert status == 1
    return code, text


@pytest.mark.parametrize("way", [by_command, by_xml, by_python, by_libvigia])
@pytest.mark.parametrize("operation, arguments, code, text", QUERIES,
                         ids=[f"{o}-{'-'.join(map(str, a.values()))[:30]}" for o, a, *_ in QUERIES])
def test_every_way_tells_the_same(world, package, stranger, way, operation, arguments, code, text):  # noqa: F811
    got, said = way(world, operation, world.said(arguments), package, stranger)
    assert got in (code, None)
    assert re.fullmatch(text or ".+", said), said
    assert not said.endswith(".") and "\n" not in said and (said[0].islower() or said[0] in '/0123456789"'), said


def test_who_asks_for_what_is_not_there_is_told_what_is(world):
    p = world.daemon.vigia("host.fnd", "x", check=False)
    assert p.returncode == 2 and 'no operation "host.fnd"; did you mean `host.find`?' in p.stderr


def test_too_large_an_event(world, package):  # noqa: F811
    with package.open(world.daemon.socket) as v:
        news = v.channel("large")
        with pytest.raises(package.Error, match="too-large: "):
            list(v.channel_put("large", data=b"x" * (257 << 10)))
        v.put(news, 1, b"x" * (257 << 10))
        assert next(v.host_info()) and [e.code for e in v.refused] == ["event"]


def test_a_service_that_is_deleted_in_use(world, package, counter_program):  # noqa: F811
    with package.open(world.daemon.socket) as user, package.open(world.daemon.socket) as v:
        use = user.ask("service.get", {"service": "counter"})
        next(use)
        list(v.service_delete("counter"))
        with pytest.raises(package.Error, match="deleted: service counter: it was deleted"):
            next(use)
        with pytest.raises(package.Error, match="unknown-query: there is no counter.get"):
            list(v.ask("counter.get"))


def test_every_code_is_on_the_page():
    top = os.path.join(os.path.dirname(__file__), "..")
    used = set()
    for at, _, files in os.walk(f"{top}/src"):
        for name in files:
            if name.endswith(".c") and "_test" not in name:
                with open(os.path.join(at, name)) as f:
                    used |= set(re.findall(r'(?:call_fail|query_fail|refuse|relay_fail)\([^;"]*?"([a-z]+(?:-[a-z]+)*)",', f.read()))
    pages = ""
    for page in ("hmon", "frames"):
        with open(f"{top}/docs/{page}.md") as f:
            pages += f.read()
    assert len(used) > 12 and sorted(c for c in used - {"code"} if f"`{c}`" not in pages) == []

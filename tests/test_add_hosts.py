# SPDX-License-Identifier: Apache-2.0
"""`vigia add` and `vigia del`: hosts that get a vigiad over ssh, join, leave, die, and come back."""
import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile

import cbor2
import pytest

import sshd
from cluster import PREFIX, Daemon, Network, is_gone, wait_for
from terminal import Terminal
from test_operations import LIB, counter_program  # noqa: F401

PREFACE = b"\x89VIGIA1\n"
HELLO, QUERY, ERROR = 1, 2, 5


def operations(d, *words):
    return json.loads(d.vigia(*words, "--json").stdout or "[]")


def steps(p):
    """What a command told, as {host: [(step, text), ...]}."""
    told = {}
    for line in p.stdout.splitlines():
        a = json.loads(line)
        told.setdefault(a["host"], []).append((a["step"], a.get("text", "")))
    return told


class Hosts:
    """h1 with a vigiad; the others with an sshd and the configuration that a vigiad there would have."""

    arguments = "--masters=%m --insecure-control"

    def conf(self, i):
        return f'insecure_network = true\nlisten = {{"{self.network.address(i)}:7660"}}\n'

    def __init__(self, n):
        self.directory = tempfile.mkdtemp(prefix="vigia-test.")
        self.network = Network(n)
        self.servers, self.daemons = [], {}
        for name in ("key", "host_key"):
            sshd.key(f"{self.directory}/{name}")
        for i in range(1, n + 1):
            conf = self.conf(i) + "default_monitors = false\n"
            if i == 1:  # the machine may be slow; who dies is down at once all the same
                conf += f"add {{\n{self.way()}}}\nmaster {{ late = \"10s\"\n down = \"30s\" }}\n"
            self.daemons[f"h{i}"] = Daemon(self.directory, conf, f"h{i}", self.network.space(i),
                                           options=["--insecure-control"] if i == 1 and "control" in self.arguments else ())
        for i in range(2, n + 1):
            self.servers.append(sshd.Server(f"{self.directory}/sshd{i}", self.network.space(i), self.network.address(i)))
        self["h1"].start()

    def way(self):
        """The two lines of configuration: how ssh leads there, and what it starts."""
        with open(f"{self.directory}/ssh_config", "w") as f:
            for i in range(2, self.network.n + 1):
                f.write(f"Host h{i}\n\tHostName {self.network.address(i)}\n")
            f.write("Host nowhere\n\tHostName 10.77.0.99\nHost *\n\tBatchMode yes\n\tConnectTimeout 10\n"
                    f"\tIdentityFile {self.directory}/key\n\tIdentitiesOnly yes\n\tUserKnownHostsFile /dev/null\n"
                    "\tStrictHostKeyChecking no\n\tLogLevel ERROR\n")
        place = f"{self.directory}/%h"
        vigiad = f"{os.path.abspath(PREFIX)}/sbin/vigiad --config {place}/vigia.conf --daemon {self.arguments}"
        return (f'ssh = "ssh -x -F {self.directory}/ssh_config -- %h %c"\n'
                f'command = "env XDG_RUNTIME_DIR={place} XDG_STATE_HOME={place} {vigiad}"\n')

    def __getitem__(self, name):
        return self.daemons[name]

    def pid(self, name):
        """The daemon's that was started over ssh; None: it is not there."""
        with contextlib.suppress(OSError, ValueError), open(f"{self[name].state}/vigiad.pid") as f:
            pid = int(f.read())
            return None if is_gone(pid) else pid

    def vigia(self, *words, **options):
        return self["h1"].vigia(*words, timeout=60, **options)

    def view(self, name="h1"):
        return {h["name"]: h["state"] for h in operations(self[name], "host.list")}

    def agree(self, **states):
        """Every host that is up has this view, whoever is asked."""
        up = [name for name, state in states.items() if state == "up"]
        wait_for(lambda: all(self.view(name) == states for name in up), 30, f"{states} everywhere")

    def changes(self, name, of):
        """What `name` was told of one host, since it had it as up first."""
        d = self[name]
        last = next(int(c["sequence"]) for c in operations(d, "channel.list", "hosts"))
        told = []
        with d.client() as c:
            for event in c.ask("channel", "subscribe", channel="hosts", after=0):
                if not event.get("data"):
                    continue
                host, _, state = base64.b64decode(event.get("data")).decode().split()
                told += [(event.get("tag"), state)] if host == of else []
                if int(event.get("sequence")) >= last:
                    return told

    def ssh_runs(self):
        """The clients that h1 has started, and what these have."""
        return [p for p in self["h1"].children() if Daemon.name_of(p) in ("ssh", "sleep", "hanging")]

    def close(self):
        for name, d in self.daemons.items():
            pid = self.pid(name)
            if not d.process and pid:
                os.kill(pid, signal.SIGTERM)
                wait_for(lambda: not self.pid(name), 20, f"{name}'s end")
            d.stop()
        for s in self.servers:
            s.close()
        self.network.close()
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture
def hosts():
    if os.geteuid() != 0 or subprocess.run(["ip", "netns", "list"], capture_output=True).returncode:
        pytest.skip("network namespaces need root")
    sshd.need()
    made = []

    def make(*arguments, **options):
        made.append(Hosts(*arguments, **options))
        return made[-1]

    yield make
    for h in made:
        h.close()


def test_hosts_are_added_and_removed_and_everybody_sees_the_same(hosts):
    h = hosts(4)
    told = steps(h.vigia("add", "h2", "h3", "h4", "--json"))
    assert {name: [s for s, _ in t] for name, t in told.items()} == {
        name: ["connecting", "started", "joined"] for name in ("h2", "h3", "h4")}
    h.agree(h1="up", h2="up", h3="up", h4="up")
    assert "vigiad" in h.vigia("ps", "h3").stdout
    id = operations(h["h1"], "host.find", "h3")[0]["id"]

    told = steps(h.vigia("del", "h3", "--json"))
    assert [s for s, _ in told["h3"]] == ["leaving", "removed"]
    wait_for(lambda: not h.pid("h3"), 20, "the end of vigiad on h3")
    h.agree(h1="up", h2="up", h4="up")
    assert operations(h["h2"], "host.find", id)[0]["state"] == "removed"

    os.kill(h.pid("h4"), signal.SIGKILL)
    wait_for(lambda: h.view().get("h4") == "down", 20, "h4 down")
    h.agree(h1="up", h2="up", h4="down")
    h.vigia("add", "h4")
    h.agree(h1="up", h2="up", h4="up")
    assert h.changes("h1", "h3") == h.changes("h2", "h3") == [("1", "up"), ("4", "left"), ("2", "removed")]
    assert h.changes("h1", "h4") == h.changes("h2", "h4") == [("1", "up"), ("4", "down"), ("4", "up")]


def test_a_day_of_four_hosts(hosts, counter_program):  # noqa: F811
    """From one that is alone to four that work together, and to those that are left: everybody has seen the same events."""
    h = hosts(4)
    h.vigia("add", "h2", "h3", "h4")
    h.agree(h1="up", h2="up", h3="up", h4="up")
    assert "vigiad" in h.vigia("ps", "h3").stdout

    told = h.vigia("process.start", "at=h3", "sh", "--json", "--", "-c", "exit 3").stdout.splitlines()
    assert [json.loads(line)["state"] for line in told] == ["started", "ended"] and json.loads(told[1])["code"] == "3"

    counter = subprocess.Popen([counter_program], env=dict(h["h4"].env(), LD_LIBRARY_PATH=LIB), stderr=subprocess.DEVNULL)
    wait_for(lambda: operations(h["h2"], "service.list", "counter", "at=h4"), 10, "the service of h4")
    h["h4"].vigia("counter.add", "5")
    assert operations(h["h2"], "counter.get", "at=h4") == [{"value": "5"}]

    h["h3"].vigia("channel.create", "jobs", "public=yes")
    h.vigia("channel.create", "news", "public=yes")
    h.vigia("channel.chain", "news", "jobs", "h3")
    with h["h2"].client() as reader:
        events = iter(reader.ask("channel", "subscribe", channel="news", at="h1"))
        assert next(events).get("key") == "news"
        h["h3"].vigia("channel.put", "jobs", "1", "done")
        assert base64.b64decode(next(events).get("data")) == b"done"

        h.vigia("del", "h3")
        wait_for(lambda: not h.pid("h3"), 20, "the end of vigiad on h3")
        h.agree(h1="up", h2="up", h4="up")
        wait_for(lambda: operations(h["h1"], "channel.chains", "news")[0]["state"] == "ended", 10, "the end of its chain")
        assert operations(h["h1"], "channel.chains", "news")[0]["why"] == "channel jobs was deleted"
        h.vigia("channel.put", "news", "1", "without h3")
        assert base64.b64decode(next(events).get("data")) == b"without h3"

    os.kill(h.pid("h4"), signal.SIGKILL)
    assert counter.wait(20) == 1, "a program whose daemon is gone knows it"
    h.agree(h1="up", h2="up", h4="down")
    h.vigia("add", "h4")
    h.agree(h1="up", h2="up", h4="up")
    for name in ("h3", "h4"):
        assert h.changes("h1", name) == h.changes("h2", name)


def test_a_removed_host_comes_back_as_itself(hosts):
    h = hosts(2)
    h.vigia("add", "h2")
    id = operations(h["h1"], "host.find", "h2")[0]["id"]
    h.vigia("del", "h2")
    assert h.view() == {"h1": "up"} and "h2" not in h.vigia("list").stdout
    wait_for(lambda: not h.pid("h2"), 20, "the end of vigiad on h2")
    h.vigia("add", "h2")
    assert operations(h["h1"], "host.find", "h2")[0]["id"] == id
    h.agree(h1="up", h2="up")


def test_a_removed_host_ends_its_channels_and_not_its_programs(hosts):
    h = hosts(2)
    h.vigia("add", "h2")
    starter = subprocess.Popen([f"{PREFIX}/bin/vigia", "process.start", "sleep", "1000", "--json"], env=h["h2"].env(),
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    program = int(json.loads(starter.stdout.readline())["pid"])
    try:
        h["h2"].vigia("channel.create", "mine", "public=yes")
        with h["h1"].client() as c:
            events = iter(c.ask("channel", "subscribe", channel="mine", at="h2"))
            next(events)
            h.vigia("del", "h2")
            with pytest.raises(Exception, match="channel mine was deleted"):
                list(events)
        starter.communicate(timeout=10)
        assert Daemon.name_of(program) == "sleep"
    finally:
        os.kill(program, signal.SIGKILL)


def frame(kind, number, payload):
    return struct.pack(">IBBHQ", len(payload), kind, 0, 0, number) + payload


def frames(s):
    """(kind, number) of each, until it ends."""
    f = s.makefile("rb")
    while header := f.read(16):
        length, kind, _, _, number = struct.unpack(">IBBHQ", header)
        f.read(length)
        yield kind, number


def test_a_removed_host_ends_its_services_the_last_one_first(hosts):
    h = hosts(2)
    h.vigia("add", "h2")
    names = ["first", "second", "third"]
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(h["h2"].socket)
        s.sendall(PREFACE + frame(HELLO, 0, cbor2.dumps(["hello", {"version": 1, "role": "client"}])))
        for i, name in enumerate(names):
            query = cbor2.dumps(["service", {"query": "register", "name": name}])
            s.sendall(frame(QUERY, i + 1, cbor2.dumps([]) + query))
        wait_for(lambda: {"first", "second", "third"} <= {x["name"] for x in operations(h["h1"], "service.list", "at=h2")},
                 10, "three services")
        h.vigia("del", "h2")
        assert [number for kind, number in frames(s) if kind == ERROR] == [3, 2, 1]


def test_a_host_that_is_down_is_taken_out_of_every_view_whoever_is_asked(hosts):
    h = hosts(3)
    h.vigia("add", "h2", "h3")
    h.agree(h1="up", h2="up", h3="up")
    os.kill(h.pid("h3"), signal.SIGKILL)
    h.agree(h1="up", h2="up", h3="down")
    told = steps(h["h2"].vigia("del", "h3", "--json"))
    assert [s for s, _ in told["h3"]] == ["removed"]
    h.agree(h1="up", h2="up")


def test_a_host_can_remove_itself(hosts):
    h = hosts(2)
    h.vigia("add", "h2")
    h.agree(h1="up", h2="up")
    h["h2"].vigia("del", "h2")
    wait_for(lambda: not h.pid("h2"), 20, "the end of vigiad on h2")
    h.agree(h1="up")


def test_a_host_that_is_there_is_added_already(hosts):
    h = hosts(2)
    h.vigia("add", "h2")
    pid = h.pid("h2")
    assert [s for s, _ in steps(h.vigia("add", "h2", "--json"))["h2"]] == ["joined"]
    h.vigia("del", "h2")
    wait_for(lambda: not h.pid("h2"), 20, "the end of vigiad on h2")
    assert pid != h.pid("h2")


def test_a_daemon_that_runs_there_for_others_is_left_alone_and_told_of(hosts):
    h = hosts(2)
    h["h2"].start()  # it names no master
    p = h.vigia("add", "h2", "deadline=6s", "--json", check=False)
    (step, text), (last, why) = steps(p)["h2"][1:]
    assert p.returncode == 1 and (step, text) == ("started", "h2 runs there already")
    assert last == "failed" and "have its vigia.conf name this master" in why
    assert h["h2"].process.poll() is None


def hanging(h):
    """In place of ssh: says so and goes on for ever."""
    path = f"{h.directory}/hanging"
    with open(path, "w") as f:
        f.write("#!/bin/sh\nexec sleep 1000\n")
    os.chmod(path, stat.S_IRWXU)
    return path


def instead(h, way):
    """h1 with another way to hosts."""
    d = h["h1"]
    d.stop()
    with open(d.conf) as f:
        text = f.read()
    d.configure(text.replace(f"ssh -x -F {h.directory}/ssh_config", way))
    d.start()


def test_what_goes_wrong_is_said_host_by_host(hosts):
    h = hosts(3)
    p = h.vigia("add", "h2", "not.there", "a b", "--json", check=False)
    told = steps(p)
    assert p.returncode == 1 and "2 of 3 hosts failed" in p.stderr
    assert told["h2"][-1][0] == "joined"
    assert told["not.there"][-1][0] == "failed" and "ssh: Could not resolve hostname not.there" in told["not.there"][-1][1]
    assert told["a b"] == [("failed", "not a host's name: letters, digits and ._-:@, and no - in front")]

    p = h.vigia("add", "h3", "command=/no/such/vigiad", "--json", check=False)
    assert p.returncode == 1 and "status 127" in steps(p)["h3"][-1][1] and "/no/such/vigiad" in steps(p)["h3"][-1][1]
    p = h.vigia("add", "h3", "command=%x", check=False)
    assert p.returncode == 1 and "host.add: command must be" in p.stderr
    p = h.vigia("add", "h3", f"command={os.path.abspath(PREFIX)}/sbin/vigiad --config {h.directory}/no.conf --daemon",
                "--json", check=False)
    assert "no.conf: No such file" in steps(p)["h3"][-1][1]
    assert h.view() == {"h1": "up", "h2": "up"}
    p = h.vigia("del", "h9", "--json", check=False)
    assert p.returncode == 1 and steps(p)["h9"] == [("failed", "no host has this name")]


def test_a_way_that_hangs_ends_at_the_deadline(hosts):
    h = hosts(2)
    instead(h, hanging(h))
    p = h.vigia("add", "h2", "deadline=1s", "--json", check=False)
    assert p.returncode == 1 and steps(p)["h2"][0] == ("connecting", "")
    assert steps(p)["h2"][-1][0] == "failed" and "it took too long" in steps(p)["h2"][-1][1]
    wait_for(lambda: not h.ssh_runs(), 10, "the end of what hung")


def test_a_way_that_says_no_more_takes_no_connection_along(hosts):
    h = hosts(2)
    path = hanging(h)
    with open(path, "w") as f:
        f.write(f"#!/bin/sh\nexec >&- 2>&-\n: >{path}.quiet\nwhile [ ! -e {path}.end ]; do sleep 0.02; done\nexit 3\n")
    instead(h, path)
    adding = subprocess.Popen([f"{PREFIX}/bin/vigia", "add", "h2", "--json"], env=h["h1"].env(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    wait_for(lambda: os.path.exists(f"{path}.quiet"), 10, "its silence")
    assert h.view() == {"h1": "up"}
    with h["h1"].client() as c:  # with a descriptor that the way may have had
        open(f"{path}.end", "w").close()
        assert '"status 3: it said nothing"' in adding.communicate(timeout=20)[0]
        assert [a.get("name") for a in c.ask("host", "list").all(10)] == ["h1"]


def test_a_killed_asker_leaves_nothing_behind(hosts):
    h = hosts(3)
    instead(h, hanging(h))
    p = subprocess.Popen([f"{PREFIX}/bin/vigia", "add", "h2", "h3", "--json"], env=h["h1"].env(), stdout=subprocess.PIPE)
    wait_for(lambda: len(h.ssh_runs()) == 2, 10, "two ways under way")
    p.kill()
    p.communicate()
    wait_for(lambda: not h.ssh_runs(), 10, "the end of both")
    assert h.view() == {"h1": "up"}


def test_a_daemon_that_ends_meanwhile_takes_its_ways_along(hosts):
    h = hosts(2)
    instead(h, hanging(h))
    p = subprocess.Popen([f"{PREFIX}/bin/vigia", "add", "h2"], env=h["h1"].env(), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    runs = wait_for(h.ssh_runs, 10, "a way")
    h["h1"].stop()
    p.communicate(timeout=20)
    wait_for(lambda: all(is_gone(pid) for pid in runs), 10, "its end")


def test_on_a_terminal_each_step_is_a_line(hosts):
    h = hosts(2)
    t = Terminal(h["h1"].env(), "add", "h2")
    try:
        t.wait(r"^h2 +connecting")
        t.wait(r"^h2 +joined", 30)
    finally:
        t.close()


def test_it_is_for_the_daemons_own_user(hosts):
    h = hosts(2)
    os.chmod(h.directory, 0o755)
    h.vigia("add", "h2")
    h["h1"].stop()
    h["h1"].options = ()
    h["h1"].start()
    wait_for(lambda: h.view().get("h2") == "up", 20, "h2 is back")
    p = h["h2"].vigia("host.remove", "h1", check=False)
    assert p.returncode == 1 and "only for the daemon's own user" in p.stdout + p.stderr
    assert h["h1"].process.poll() is None

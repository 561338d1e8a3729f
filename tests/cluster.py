# SPDX-License-Identifier: Apache-2.0
"""Daemons, hosts and clusters for the scenarios: real processes, real sockets, namespaces that are made here and go."""
import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "hmon_peer"))
from hmon_peer import Client  # noqa: E402

PREFIX = os.environ.get("VIGIA_PREFIX", os.path.join(os.path.dirname(__file__), "../build/stage/usr/local"))
BUILD = os.environ.get("VIGIA_BUILD", os.path.join(os.path.dirname(__file__), "../build"))
UNPACKED = os.path.join(os.path.abspath(BUILD), "unpacked")  # programs whose packages are not installed (packages.txt)
os.environ["PATH"] += f":{UNPACKED}/usr/bin:{UNPACKED}/usr/sbin"
PLATFORMS = ["direct", "nats"]
SOAK = bool(os.environ.get("VIGIA_SOAK"))
CLONE_NEWNET = 0x40000000


def wait_for(condition, timeout=10, what="it"):
    """The first true answer of condition(); fails after timeout."""
    end = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {timeout} s")
        time.sleep(0.01)


def is_gone(pid):
    """It has ended, whether anybody has waited for it or not."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Daemon:
    """One vigiad with places of its own."""
    started = []  # of this test

    def __init__(self, directory, conf="", name="n1", netns=None, prefix=PREFIX, options=(), before=()):
        self.directory, self.name, self.netns, self.prefix = os.path.join(directory, name), name, netns, prefix
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        self.conf = os.path.join(self.directory, "vigia.conf")
        self.log = os.path.join(self.directory, "log")
        self.socket = os.path.join(self.directory, "vigia/vigiad.sock")
        self.state = os.path.join(self.directory, "vigia")
        self.options, self.before = options, before  # words behind the command, and before it
        self.process = None
        self.configure(conf)

    def configure(self, conf):
        if "monitor " in conf and "default_monitors" not in conf:
            conf += "\ndefault_monitors = false\n"  # a test that names some means just those
        with open(self.conf, "w") as f:
            f.write(conf if "name =" in conf else f'name = "{self.name}"\n' + conf)

    def env(self):
        return dict(os.environ, XDG_RUNTIME_DIR=self.directory, XDG_STATE_HOME=self.directory,
                    VIGIA_SOCKET=self.socket)

    def start(self, wait=True):
        if self not in Daemon.started:
            Daemon.started.append(self)
        command = [*self.before, f"{self.prefix}/sbin/vigiad", "--foreground", "--config", self.conf, *self.options]
        if self.netns:
            command = ["ip", "netns", "exec", self.netns, *command]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(command, env=self.env(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            wait_for(lambda: self.answers() or self.process.poll() is not None, 10, f"{self.name} answering")
            assert self.process.poll() is None, self.read_log()
        return self

    def answers(self):
        with contextlib.suppress(OSError):
            s = socket.socket(socket.AF_UNIX)
            with s:
                s.connect(self.socket)
                return True

    @property
    def pid(self):
        return self.process.pid  # `ip netns exec` becomes the program

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(15)
        return self.process.returncode if self.process else None

    def client(self):
        return Client(self.socket).connect()

    def read_log(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def vigia(self, *arguments, check=True, timeout=20):
        p = subprocess.run([f"{PREFIX}/bin/vigia", *arguments], env=self.env(), capture_output=True, text=True,
                           timeout=timeout)
        assert not check or p.returncode == 0, (p.returncode, p.stdout, p.stderr)
        return p

    def node(self, name):
        with self.client() as c:
            return next((n for n in c.nodes() if n.name == name), None)

    def children(self, of=None):
        """Every process below it, or below one of those."""
        found, todo = [], [of or self.pid]
        while todo:
            pid = todo.pop()
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children") as f:
                        more = [int(p) for p in f.read().split()]
                    found += more
                    todo += more
        return found

    @staticmethod
    def name_of(pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as f:
            return f.read().strip()

    def child(self, name):
        return next((pid for pid in self.children() if self.name_of(pid) == name), None)

    def keeper(self):
        """The helper's; the launcher has one as well."""
        return next(pid for pid in self.children() if "vigia-helper" in map(self.name_of, self.children(pid)))

    def memory(self):
        """Bytes of its own; its share of a library's pages would grow whenever another program that has them ends."""
        with open(f"/proc/{self.pid}/smaps_rollup") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss_Anon:"))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class NatsServer:
    """A nats-server of the test's own, on loopback or in a host's namespace."""

    def __init__(self, address="127.0.0.1", port=None, netns=None, arguments=()):
        self.address, self.port, self.netns, self.arguments = address, port or free_port(), netns, arguments
        self.process = None

    @property
    def url(self):
        return f"nats://{self.address}:{self.port}"

    def start(self):
        command = ["nats-server", "-a", self.address, "-p", str(self.port), *self.arguments]
        if self.netns:
            command = ["ip", "netns", "exec", self.netns, *command]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "Server is ready" in line:
                break
        else:
            raise AssertionError(f"nats-server ended with {self.process.wait()}")
        # What else it says goes nowhere; it must not stand still for it.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        return self

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


def need_nats():
    if not shutil.which("nats-server"):
        pytest.skip("there is no nats-server")


def next_tag(count=itertools.count()):
    """A prefix for names of namespaces and devices: what one test leaves to the kernel to end is not the next one's."""
    return f"vt{os.getpid() % 65536:x}{next(count):x}"


class Network:
    """Hosts h1 ... hn: network namespaces on one bridge, 10.77.0.i each."""

    def __init__(self, n):
        self.tag = next_tag()
        self.n = n
        self.bridge = self.tag + "b"
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "link", "set", self.bridge, "up")
        for i in range(1, n + 1):
            self._add(i)

    def _add(self, i):
        space = self.space(i)
        run("ip", "netns", "add", space)
        run("ip", "link", "add", self.link(i), "type", "veth", "peer", "name", "eth0", "netns", space)
        run("ip", "link", "set", self.link(i), "master", self.bridge, "up")
        run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "-n", space, "addr", "add", f"{self.address(i)}/24", "dev", "eth0")
        run("ip", "-n", space, "link", "set", "eth0", "up")

    def space(self, i):
        return f"{self.tag}h{i}"

    def link(self, i):
        return f"{self.tag}v{i}"

    @staticmethod
    def address(i):
        return f"10.77.0.{i}"

    def cut(self, i):
        run("ip", "link", "set", self.link(i), "down")

    def mend(self, i):
        run("ip", "link", "set", self.link(i), "up")

    def bytes_of(self, i):
        """Through host i's link, both ways."""
        path = f"/sys/class/net/{self.link(i)}/statistics/"
        return sum(int(open(path + name).read()) for name in ("rx_bytes", "tx_bytes"))

    def inside(self, i, function):
        """Runs function() in host i: the sockets it makes are there."""
        result = []

        def work():
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/run/netns/{self.space(i)}") as f:
                if libc.setns(f.fileno(), CLONE_NEWNET):
                    result.append(OSError(ctypes.get_errno(), "setns"))
                    return
            try:
                result.append(function())
            except BaseException as e:  # handed to the caller
                result.append(e)

        t = threading.Thread(target=work)
        t.start()
        t.join()
        if isinstance(result[0], BaseException):
            raise result[0]
        return result[0]

    def close(self):
        for i in range(1, self.n + 1):
            subprocess.run(["ip", "netns", "del", self.space(i)], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", self.bridge], stderr=subprocess.DEVNULL)


class Relay:
    """The same over a network as bad as one likes (tests/relay): hosts 10.9.0.i, no bridge."""

    def __init__(self, n):
        self.n, self.tag = n, next_tag() + "h"
        for i in range(1, n + 1):
            run("ip", "netns", "add", self.space(i))
            run("ip", "-n", self.space(i), "link", "set", "lo", "up")
        self.process = subprocess.Popen([f"{BUILD}/tests/relay/relay", str(n), self.tag, "1"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        assert self.process.stdout.readline().strip() == "ready"
        for i in range(1, n + 1):
            run("ip", "-n", self.space(i), "addr", "add", f"{self.address(i)}/16", "dev", "tun0")
            run("ip", "-n", self.space(i), "link", "set", "tun0", "up")

    def space(self, i):
        return f"{self.tag}{i}"

    @staticmethod
    def address(i):
        return f"10.9.0.{i}"

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        return self.process.stdout.readline().strip()

    def say(self, command):
        answer = self.ask(command)
        assert answer == "ok", f"{command}: {answer}"

    inside = Network.inside

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        for i in range(1, self.n + 1):
            subprocess.run(["ip", "netns", "del", self.space(i)], stderr=subprocess.DEVNULL)


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


class Cluster:
    """A master on h1 and nodes on the others, each in its namespace; with the platform nats a nats-server on one host more."""

    def __init__(self, n, master="", node="", monitors="monitor host { }\n", network=Network, options=(), platform="direct"):
        self.directory = tempfile.mkdtemp(prefix="vigia-test.")
        self.network = network(n + (platform == "nats"))
        self.daemons, self.server = {}, None
        if platform == "nats":
            self.server = NatsServer(self.network.address(n + 1), 4222, self.network.space(n + 1))
            monitors += f'platform = nats\nnats {{ server = "{self.server.url}" }}\n'
        listen = 'insecure_network = true\nlisten = {{"{}:7660"}}\n'
        for i in range(1, n + 1):
            conf = listen.format(self.network.address(i)) + monitors
            conf += master if i == 1 else node or f'node {{ masters = {{"{self.network.address(1)}:7660"}} }}\n'
            self.daemons[i] = Daemon(self.directory, conf, f"h{i}", self.network.space(i), options=options)

    def start(self):
        if self.server:
            self.server.start()
        for d in self.daemons.values():
            d.start(wait=False)
        for d in self.daemons.values():
            wait_for(d.answers, 10, d.name)
        wait_for(self.all_up, 20, "all nodes up")
        return self

    def start_unwatched(self):
        for d in self.daemons.values():
            d.start()
        wait_for(lambda: len(self.nodes()) == len(self.daemons), 20, "all nodes registered")
        return self

    def nodes(self):
        with self.master.client() as c:
            return list(c.nodes())

    def all_up(self):
        nodes = self.nodes()
        return len(nodes) == len(self.daemons) and all(n.state == "up" for n in nodes)

    def until_one_view(self):
        """Each daemon knows of each host."""
        def known(d):
            return d.vigia("host.list", "--csv").stdout.count(",up") == len(self.daemons)
        for d in self.daemons.values():
            wait_for(lambda: known(d), 20, f"the view of {d.name}")
        return self

    @property
    def master(self):
        return self.daemons[1]

    def __getitem__(self, i):
        return self.daemons[i]

    def close(self):
        for d in self.daemons.values():
            d.stop()
        if self.server:
            self.server.kill()
        self.network.close()
        shutil.rmtree(self.directory, ignore_errors=True)

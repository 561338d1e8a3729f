# SPDX-License-Identifier: Apache-2.0
"""A hundred nodes (a thousand in `make soak`): who is disturbed, and whether everyone sees the same."""
import json
import random
import re
import resource
import select
import socket
import subprocess
import threading
import time

import pytest

from cluster import BUILD, SOAK, wait_for
from host_crowd import HostCrowd
from hmon_peer import Config, Metric, Monitor, Node

MANY = 1000 if SOAK else 100
METRICS = [Metric(f"m/{i}") for i in range(20)]


def derived(sequence):
    """What a period of this sequence holds: a half-seen one would not fit."""
    return [sequence * (i + 1) for i in range(len(METRICS))]


@pytest.fixture
def crowd(daemon):
    d = daemon('listen = {"127.0.0.1:0"}\nmonitor host { enabled = false }\nlimits { nodes = 2000 }\n')
    port = int(wait_for(lambda: re.search(r"127.0.0.1 port (\d+)", d.read_log()), 5)[1])
    nodes = []
    for i in range(MANY):
        n = Node(("127.0.0.1", port), f"n{i:04}")
        n.update = lambda monitor, pattern, n=n: derived(n.monitors[monitor].sequence + 1)
        n.add("m", METRICS, period=1000)
        n.connect()
        n.record("m", derived(1))
        nodes.append(n)
    with d.client() as c:
        wait_for(lambda: len(c.get("m/0")) == MANY, 20, "a value of each")
    yield d, nodes
    for n in nodes:
        n.close()


def test_an_update_of_one_wakes_one_and_of_all_wakes_each_once(crowd):
    d, nodes = crowd
    with d.client() as c:
        got = c.get("m/3", node="n0042", monitor="m", update=True, deadline=5000).one()
        assert got.number("m/3") == derived(2)[3]
        assert [len(n.updates) for n in nodes] == [int(n.name == "n0042") for n in nodes]
        answers = c.get("m/3", update=True, deadline=10000)
        assert not answers.partial and len(answers) == MANY
        assert [len(n.updates) for n in nodes] == [1 + (n.name == "n0042") for n in nodes]


def test_readers_see_whole_periods_and_the_same_while_nodes_write(crowd):
    d, nodes = crowd
    seen, wrong, stop = {}, [], threading.Event()
    lock = threading.Lock()

    def read():
        with d.client() as c:
            while not stop.is_set():
                for r in c.get("m/*", node=f"n00{random.randrange(10)}*"):
                    values = tuple(int(r.number(m.name)) for m in METRICS)
                    with lock:
                        if values != tuple(derived(r.sequence)) or seen.setdefault((r.node, r.sequence), values) != values:
                            wrong.append(r)

    readers = [threading.Thread(target=read) for _ in range(50 if SOAK else 10)]
    for t in readers:
        t.start()
    try:
        for _ in range(30 if SOAK else 10):
            for n in nodes:
                n.record("m", derived(n.monitors["m"].sequence + 1))
    finally:
        stop.set()
        for t in readers:
            t.join()
    assert not wrong
    assert len({s for _, s in seen}) > 1, "readers saw it change"


def test_nodes_that_all_come_back_after_a_masters_death_are_all_there_and_none_is_dead(crowd):
    d, nodes = crowd
    conf = open(d.conf).read()
    port = re.findall(r"127.0.0.1 port (\d+)", d.read_log())[-1]
    d.configure(conf.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    d.kill()
    for n in nodes:
        n.wait(lambda: n.closed)
    d.start()
    with d.client() as c:
        assert {n.state for n in c.nodes("n????")} == {"late"}, "awaited, not dead"
        threads = [threading.Thread(target=n.connect) for n in nodes]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        wait_for(lambda: all(n.state == "up" or n.state == "not watched" for n in c.nodes("n????")), 10, "all up")
        assert not [e for e in c.events() if e.event == "node-down" and "never" in e.text]


# ------------------------------------------------------------------------------------------------ hosts

@pytest.fixture
def many_hosts(daemon):
    d = daemon('listen = {"127.0.0.1:0"}\nmonitor host { enabled = false }\nlimits { nodes = 2000 connections = 4000 }\n')
    crowd = HostCrowd(int(wait_for(lambda: re.search(r"127.0.0.1 port (\d+)", d.read_log()), 5)[1]))
    crowd.add(*(f"host{i}" for i in range(MANY)))
    yield d, crowd
    crowd.close()


def test_one_more_host_is_one_message_to_each_other_and_the_table_is_one_to_the_newcomer(many_hosts):
    d, crowd = many_hosts
    told = lambda name: all(name in h.changes for h in crowd.hosts.values() if h.name != name)
    others = list(crowd.hosts.values())
    wait_for(lambda: all(sum(h.tables) + len(set(h.changes) - {h.name}) >= MANY for h in others), 20, "everybody knows all")
    assert [len(h.tables) for h in others] == [1] * MANY
    crowd.forget_what_was_told()
    for newcomer in ("one-more", "and-another"):
        crowd.add(newcomer)
        wait_for(lambda: told(newcomer), 20, "all others are told")
    assert {tuple(h.changes) for h in others} == {("one-more", "and-another")}, "a message each"
    assert not any(h.tables for h in others)
    assert crowd.hosts["one-more"].tables == [MANY + 2] and crowd.hosts["one-more"].changes == ["and-another"]
    assert crowd.hosts["and-another"].tables == [MANY + 3] and not crowd.hosts["and-another"].changes
    with d.client() as c:
        assert len(list(c.ask("host", "list"))) == MANY + 3
    assert not crowd.why, crowd.why


def test_of_two_hosts_with_one_name_the_one_that_was_set_up_later_is_meant(many_hosts):
    d, crowd = many_hosts
    with d.client() as c:
        id_of = lambda name: next(iter(c.ask("host", "find", host=name))).get("id")
        before = {name: id_of(name) for name in crowd.hosts}
        assert len(set(before.values())) == MANY
        for number, name in enumerate(("host7", "host8"), 5000):
            crowd.set_up_anew(name, number)
            wait_for(lambda: id_of(name) == f"{number:032x}", 20, "the later one")
        assert {name for name in crowd.hosts if id_of(name) != before[name]} == {"host7", "host8"}


# ------------------------------------------------------------------------------------------------ thousands

HORDE = 10000 if SOAK else 2000
CONFIG = Config("m", METRICS)
ALL_HORDE = "horde*"


class Horde:
    """Nodes as bare sockets, all of them served by one thread: they register, announce, answer beats and updates."""

    def __init__(self, port, n):
        self.port, self.names, self.secrets, self.boot = port, [f"horde{i}" for i in range(n)], {}, time.time_ns()
        self.links, self.sequence, self.updates, self.ended = {}, 0, {}, False
        self.poll = self.thread = self.why = None
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def connect(self):
        """All dial at once; returns when all are registered and announced, and how long that took."""
        self.poll, self.links, self.ready, self.ended = select.epoll(), {}, set(), False
        begun = time.monotonic()
        for name in self.names:
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.port))
            self.links[s.fileno()] = [s, name, b"", False]
            self.poll.register(s, select.EPOLLOUT)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        wait_for(lambda: len(self.ready) == len(self.names) or self.why, 60, "all being registered")
        assert not self.why, self.why
        return time.monotonic() - begun

    def _run(self):
        try:
            while not self.ended:
                for fd, events in self.poll.poll(0.1, 512):
                    link = self.links[fd]
                    if not link[3]:
                        self._greet(fd, link)
                    elif events & ~select.EPOLLOUT:
                        self._hear(link)
        except Exception as e:
            self.why = e

    def _greet(self, fd, link):
        s, name = link[0], link[1]
        secret = f' secret="{self.secrets[name]}"' if name in self.secrets else ""
        s.sendall((f'<hmon version="1" role="node" beat="in-band"><node query="register" id="1" name="{name}" '
                   f'boot="{self.boot}"{secret}/><config query="announce" id="2" monitor="m" monitor-id="1" '
                   f'digest="{CONFIG.digest}"/>' + str(CONFIG.stanza(**{"monitor-id": 1}))).encode())
        link[3] = True
        self.poll.modify(s, select.EPOLLIN)

    def _hear(self, link):
        s, name = link[0], link[1]
        data = s.recv(65536)
        assert data, f"{name}'s connection ended: {link[2]}"
        link[2] += data
        assert b"<error" not in link[2], link[2]
        whole, mark, link[2] = link[2].rpartition(b">")
        if secret := re.search(rb' secret="([^"]*)"', whole):
            self.secrets[name] = secret[1].decode()
        for n in re.findall(rb'<beat n="(\d+)"', whole):
            s.sendall(b'<beat answer="%s"/>' % n)
        for n in re.findall(rb'query="update" id="(\d+)"', whole):
            self.updates[name] = self.updates.get(name, 0) + 1
            s.sendall(self.row(self.sequence) + b'<end answer="%s"/>' % n)
        if b'<end answer="2"' in whole + mark:
            self.ready.add(name)

    def row(self, sequence):
        return (f'<monitor id="1" boot="{self.boot}" generation="1" sequence="{sequence}" time="{time.time_ns()}" full="yes">'
                + " ".join(map(str, derived(sequence))) + "</monitor>").encode()

    def write(self):
        self.sequence += 1
        row = self.row(self.sequence)
        for s, *_ in list(self.links.values()):
            s.setblocking(True)
            s.sendall(row)
            s.setblocking(False)

    def close(self):
        self.ended = True
        if self.thread:
            self.thread.join()
        for s, *_ in self.links.values():
            s.close()
        if self.poll:
            self.poll.close()


@pytest.fixture
def horde(daemon):
    made = []

    def make(n):
        d = daemon('listen = {"127.0.0.1:0"}\nmonitor host { enabled = false }\nlimits { nodes = 20000 connections = 20000 strangers = 20000 }\n')
        h = Horde(int(wait_for(lambda: re.search(r"127.0.0.1 port (\d+)", d.read_log()), 5)[1]), n)
        made.append(h)
        return d, h

    yield make
    for h in made:
        h.close()


def turned_away():
    """By full listen queues of this machine."""
    names, numbers = [line.split()[1:] for line in open("/proc/net/netstat") if line.startswith("TcpExt:")]
    return sum(int(n) for name, n in zip(names, numbers) if name in ("ListenDrops", "ListenOverflows"))


def test_thousands_that_come_back_at_once_are_all_registered_and_none_is_called_dead(horde):
    d, h = horde(HORDE)
    h.connect()
    with d.client() as c:
        wait_for(lambda: all(n.state == "up" for n in c.nodes(ALL_HORDE)), 20, "all up")
    h.ended = True
    h.thread.join()
    d.kill()
    h.close()
    d.configure(open(d.conf).read().replace("127.0.0.1:0", f"127.0.0.1:{h.port}"))
    d.start()
    drops, since = turned_away(), time.time_ns()
    took = h.connect()
    print(f"{HORDE} registered in {took:.2f} s, this player's own time included")
    assert took < 3 * max(1, HORDE / 10000), "three times the second it may take"
    assert turned_away() == drops
    with d.client() as c:
        wait_for(lambda: all(n.state == "up" for n in c.nodes(ALL_HORDE)), 20, "all up")
        assert len(c.nodes(ALL_HORDE)) == HORDE
        assert not [e for e in c.events(from_=since) if e.event == "node-down"]
    assert not h.why, h.why


class Readers:
    """Clients as bare sockets, one thread for all: nine of ten ask again and again, the tenth subscribes."""

    def __init__(self, path, n, boot):
        self.boot, self.poll, self.links, self.ended = boot, select.epoll(), {}, False
        self.seen, self.wrong, self.why = {}, [], None
        for i in range(n):
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            s.sendall(b'<hmon version="1" role="client">')
            self.links[s.fileno()] = [s, i, b""]
            self.poll.register(s, select.EPOLLIN)
            if i % 10:
                self._ask(s, i)
            else:
                s.sendall(b'<monitor query="subscribe" id="1" node="horde*%d"/>' % (i // 10 % 10))
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    @staticmethod
    def _ask(s, i):
        s.sendall(b'<monitor query="get" id="1" node="horde*%d" monitor="m"/>' % (i % 7))

    def _run(self):
        try:
            while not self.ended:
                for fd, _ in self.poll.poll(0.1, 256):
                    self._hear(self.links[fd])
        except Exception as e:
            self.why = e

    def _hear(self, link):
        s, i, rest = link
        data = s.recv(262144)
        assert data, "a reader was closed"
        whole, mark, link[2] = (rest + data).rpartition(b">\n")
        for head, values in re.findall(rb'<monitor ([^>]*)>((?:<v [^>]*>[^<]*</v>)*)</monitor>', whole + mark):
            self._check(dict(re.findall(rb'([a-z]+)="([^"]*)"', head)), re.findall(rb'<v n="m/(\d+)" u="1">(-?\d+)</v>', values),
                        i % 10 and len(METRICS))
        assert b"<error" not in whole, whole
        if b'<end answer="1"/>' in whole + mark:
            self._ask(s, i)

    def _check(self, head, values, number):
        key = head[b"node"], head[b"boot"], int(head[b"sequence"])
        right = derived(key[2])
        self.seen[key] = self.seen.get(key, 0) + 1
        if int(key[1]) != self.boot or number and len(values) != number or any(int(v) != right[int(m)] for m, v in values):
            self.wrong.append((key, values))

    def close(self):
        self.ended = True
        self.thread.join()
        for s, *_ in self.links.values():
            s.close()
        self.poll.close()


def test_many_clients_read_while_many_nodes_write(horde):
    """Two reads of one (boot, sequence) agree in every value: each period's values follow from its sequence alone."""
    d, h = horde(MANY)
    h.connect()
    h.write()
    readers = Readers(d.socket, MANY, h.boot)
    try:
        def enough():
            h.write()
            return readers.wrong or readers.why or h.sequence > 30 and sum(n > 1 for n in readers.seen.values()) > 10 * MANY
        wait_for(enough, 25, "thirty periods of each, many read twice")
    finally:
        readers.close()
    print(len(readers.seen), "periods seen,", sum(readers.seen.values()), "times,", h.sequence, "written by each")
    assert not readers.why and not h.why, (readers.why, h.why)
    assert not readers.wrong, readers.wrong[:3]
    assert len({sequence for _, _, sequence in readers.seen}) > 20


def test_an_update_moves_bytes_to_and_from_one_node_alone(crowd):
    d, nodes = crowd
    with d.client() as c:
        def moved():
            return {n.name: (len(n.connection.sent), n.connection.parser._fed) for n in nodes}

        acked = lambda: all(n.monitors["m"].acked == (n.boot, n.monitors["m"].sequence) for n in nodes)  # nothing is owed
        wait_for(acked, 10, "acks")
        for _ in range(5):  # in-band beats move bytes on every link: between two of them
            before = moved()
            assert c.get("m/3", node="n0042", monitor="m", update=True).one().number("m/3") == derived(nodes[42].monitors["m"].sequence)[3]
            after = moved()
            if len(touched := [n for n in after if after[n] != before[n]]) == 1:
                break
        assert touched == ["n0042"]
        wait_for(acked, 10, "acks")
        before = {n.name: len(n.updates) for n in nodes}
        c.get(update=True, deadline=10000)
        assert {n.name: len(n.updates) - before[n.name] for n in nodes} == {n.name: 1 for n in nodes}


def test_a_refresh_works_under_load(daemon, tmp_path):
    """Client, master, node, monitor and back, while the master takes what a crowd sends (bench/load.c)."""
    master = daemon('listen = {"127.0.0.1:0"}\nmonitor host { enabled = false }\nlimits { nodes = 5000 }\n', name="m1")
    port = int(wait_for(lambda: re.search(r"127.0.0.1 port (\d+)", master.read_log()), 5)[1])
    node = daemon(f'listen = {{}}\nmonitor host {{ enabled = false }}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\n', name="n1")
    fresh, slowest = 0, 0

    def measure(_):
        nonlocal fresh
        fresh += 1
        return [fresh]

    load = subprocess.Popen([f"{BUILD}/bench/load", "127.0.0.1", str(port), str(master.pid), "1000" if SOAK else "200", "377",
                             "40", "60" if SOAK else "6"], stdout=subprocess.PIPE, text=True)
    try:
        with Monitor(node.socket, "probe", [Metric("x")], period=0, update=measure).connect() as m, master.client() as c:
            m.send_row([0])
            wait_for(lambda: c.get("x", node="n?", monitor="prob?"), 10)
            wait_for(lambda: len(c.nodes("load*")) > 100 and c.info().metrics > 377 * 100, 20, "load")
            while load.poll() is None:
                begun = time.monotonic()
                answer = c.get("x", node="n1", monitor="probe", update=True, deadline=1000)
                slowest = max(slowest, time.monotonic() - begun)
                assert not answer.partial and answer.one().number("x") == fresh
        assert load.returncode == 0
        said = json.loads(load.stdout.read())
    finally:
        load.kill()
        load.wait()
    print(fresh, "refreshes, the slowest", slowest, said)
    assert fresh > 500 and slowest < 0.3, "the master takes a period a node a second beside it"

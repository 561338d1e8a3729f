# SPDX-License-Identifier: Apache-2.0
"""Limits on what peers may make a daemon hold: pressed by one user while another goes on, and told by `vigia limits`."""
import contextlib
import json
import os
import resource
import select
import shutil
import socket
import subprocess
import tempfile

import pytest

from cluster import PREFIX, Daemon, wait_for
from frames_peer import Program, Refused
from hmon_peer import Client, Config, HmonError, Metric, Node
from test_frames import EVENT, LOST
from test_hosts import free_port

OTHER, THIRD = 65534, 65533  # users of this host, but nothing is theirs
ALONE = "127.18.4.6"  # where nobody else of this host calls
HELLO = b'<hmon version="1" role="client">'


@contextlib.contextmanager
def as_user(uid):
    """Connections made in here are that user's."""
    if os.geteuid():
        pytest.skip("only root can be another user")
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def client_of(d, uid):
    with as_user(uid):
        return Client(d.socket).connect()


@pytest.fixture
def limited():
    """A daemon that every user of this host can ask; `limited(what is in limits { })` starts it."""
    started = []
    with tempfile.TemporaryDirectory(prefix="vigia-") as place:
        os.chmod(place, 0o755)

        def start(limits="", listen="{}"):
            d = Daemon(place, conf_of(limits, listen))
            started.append(d.start())
            for at in (d.directory, os.path.dirname(d.socket)):
                os.chmod(at, 0o711)
            return d

        yield start
        for d in started:
            assert d.stop() == 0


def conf_of(limits, listen="{}"):
    return f"listen = {listen}\ndefault_monitors = false\nlimits {{ {limits} }}\n"


def limits(d):
    return {r["name"]: r for r in json.loads(d.vigia("limits", "--json").stdout)}


def refusal(code="too-many"):
    return pytest.raises(HmonError, match=code)


def works(c, key):
    """All that others do, to who is not at his limits."""
    assert c.ask("channel", "create", key=key).all(10)
    assert not c.ask("channel", "put", channel=key, data="AAEC").all(10)
    assert not c.ask("channel", "delete", channel=key).all(10)


def test_the_table_is_shown_and_changed(limited):
    d = limited("channels_per_uid = 7 pending = 128KiB")
    told = limits(d)
    assert told["channels_per_uid"]["most"] == 7 and told["channels_per_uid"]["of"] == "uid"
    assert told["pending"]["most"] == 128 << 10 and told["pending"]["form"] == "size"
    assert told["channels"]["most"] == 4096 and told["channels"]["used"] == 3
    assert told["connections"]["used"] == 1
    assert 0 <= told["descriptors"]["used"] - len(os.listdir(f"/proc/{d.pid}/fd")) <= 2  # who asked had one
    assert all(r["refused"] == 0 for r in told.values())
    d.configure(conf_of("channels_per_uid = 9 opening = 20s"))
    d.vigia("reload")
    told = limits(d)
    assert told["channels_per_uid"]["most"] == 9 and told["pending"]["most"] == 1 << 20
    assert told["opening"]["most"] == 20 * 10**9
    with d.client() as c:  # as XML has it
        assert [r.get("most") for r in c.ask("limit", "list", limit="channels_per_uid").all(10)] == ["9"]
    shown = d.vigia("limits").stdout.splitlines()
    assert shown[0].split() == ["LIMIT", "OF", "A", "MOST", "IN", "USE", "HIGHEST", "REFUSED"]
    assert len(shown) == len(told) + 1


def test_connections_of_one_user(limited):
    d = limited("connections_per_uid = 5")
    held = [client_of(d, OTHER) for _ in range(5)]
    with as_user(OTHER), socket.socket(socket.AF_UNIX) as s:
        s.connect(d.socket)
        s.settimeout(20)
        said = b"".join(iter(lambda: s.recv(4096), b""))
    assert b'<error code="too-many">limit connections_per_uid (5) is reached; limits { connections_per_uid = ... }' in said
    command = shutil.copy(f"{PREFIX}/bin/vigia", os.path.dirname(d.directory))
    for _ in range(10):  # it may be hung up on before it has asked
        p = subprocess.run([command, "limits"], env=d.env(), cwd="/", user=OTHER, capture_output=True, text=True, timeout=20)
        assert (p.returncode, p.stderr.split(";")[0]) == (1, "vigia: limit connections_per_uid (5) is reached")
    with client_of(d, THIRD) as third:
        works(third, "third")
    told = limits(d)["connections_per_uid"]
    assert (told["used"], told["peak"], told["refused"]) == (5, 5, 11)
    held.pop().close()
    wait_for(lambda: limits(d)["connections_per_uid"]["used"] == 4, 20, "one goes")
    with client_of(d, OTHER) as again:
        works(again, "again")
    for c in held:
        c.close()


def test_what_one_user_has_made(limited):
    d = limited("channels_per_uid = 3 chains_per_uid = 2 channel_log = 1MiB")
    with client_of(d, OTHER) as c, client_of(d, THIRD) as third:
        for i in range(3):
            c.ask("channel", "create", key=f"c{i}", log=4096).all(10)
        with refusal("limit channels_per_uid .3. is reached"):
            c.ask("channel", "create", key="c3", log=4096).all(10)
        with refusal("limit channel_log .1048576. is reached"):
            third.ask("channel", "create", key="large", log=(1 << 20) + 1).all(10)
        c.ask("channel", "chain", channel="c0", **{"from": "c1"}).all(10)
        c.ask("channel", "chain", channel="c0", **{"from": "c2"}).all(10)
        with refusal("limit chains_per_uid .2. is reached"):
            c.ask("channel", "chain", channel="c1", **{"from": "c2"}).all(10)
        works(third, "third")
        c.ask("channel", "delete", channel="c0").all(10)  # with its chains
        c.ask("channel", "chain", channel="c1", **{"from": "c2"}).all(10)
        works(c, "c3")
    told = limits(d)
    assert (told["channels_per_uid"]["used"], told["channels_per_uid"]["peak"]) == (2, 3)
    assert told["channels"]["used"] == 3 + 2
    assert told["channels_per_uid"]["refused"] == told["chains_per_uid"]["refused"] == told["channel_log"]["refused"] == 1
    assert told["chains"]["used"] == told["chains_per_uid"]["used"] == 1
    with d.client() as c:  # whose they are does not matter, who made them does
        c.ask("channel", "delete", channel="c1").all(10)
        c.ask("channel", "delete", channel="c2").all(10)
    told = limits(d)
    assert (told["channels"]["used"], told["channels_per_uid"]["used"], told["chains"]["used"]) == (3, 0, 0)


def test_what_one_user_has_under_way(limited):
    d = limited("subscriptions_per_uid = 3 operations_per_uid = 5 leases_per_uid = 1 process_watches_per_uid = 1")
    child = subprocess.Popen(["sleep", "1000"], user=OTHER)
    with client_of(d, OTHER) as c, client_of(d, THIRD) as third:
        lease = c.ask("lease", "take", mode="observe", service="host")
        lease.next(10)
        with refusal("limit leases_per_uid .1. is reached"):
            c.ask("lease", "take", mode="observe", service="channel").all(10)
        watch = c.ask("process", "watch", pid=child.pid)
        watch.next(10)
        with refusal("limit process_watches_per_uid .1. is reached"):
            c.ask("process", "watch", pid=child.pid).all(10)
        c.ask("channel", "subscribe", channel="hosts").next(10)
        with refusal("limit subscriptions_per_uid .3. is reached"):
            c.ask("channel", "subscribe", channel="leases").all(10)
        polls = [c.ask("channel", "poll", channel="leases", wait=60000) for _ in range(2)]
        wait_for(lambda: limits(d)["operations_per_uid"]["used"] == 5, 20, "all under way")
        with refusal("limit operations_per_uid .5. is reached"):
            c.ask("channel", "list").all(10)
        works(third, "third")
        told = limits(d)
        assert (told["leases"]["used"], told["process_watches"]["used"], told["subscriptions_per_uid"]["used"]) == (1, 1, 3)
        third.ask("lease", "take", mode="observe", service="channel").next(10)  # what the polls wait for
        for p in polls:
            p.all(10)
        assert c.ask("channel", "list").all(10)
        child.kill()
        watch.all(10)
        child.wait()
    wait_for(lambda: not any(limits(d)[n]["used"] for n in ("leases", "process_watches", "subscriptions")), 20, "all over")
    told = limits(d)
    for name in ("subscriptions_per_uid", "operations_per_uid", "leases_per_uid", "process_watches_per_uid"):
        assert (told[name]["used"], told[name]["peak"], told[name]["refused"]) == (0, told[name]["most"], 1), name


def program_of(d, uid):
    with as_user(uid):
        return Program(d.socket)


def put(program, channel, n, size):
    for _ in range(n):
        program.ask("channel.put", channel=channel, data=bytes(size)).all()


def kept(program, channel):
    """How many events are lost, and how many there."""
    came = list(iter(program.ask("channel.poll", channel=channel, after=0).next, None))
    return sum(payload[0] for kind, payload in came if kind == LOST), sum(kind == EVENT for kind, _ in came)


def test_events_that_the_channels_of_one_user_keep(limited):
    d = limited("channel_logs_per_uid = 256KiB channel_logs = 1MiB")
    with program_of(d, OTHER) as c, program_of(d, THIRD) as third:
        for owner, key in ((c, "a"), (c, "b"), (third, "t")):
            owner.ask("channel.create", key=key).all()
        put(third, "t", 5, 30000)
        put(c, "a", 5, 30000)
        put(c, "b", 20, 30000)
        told = limits(d)
        assert 200 << 10 < told["channel_logs_per_uid"]["used"] <= 256 << 10
        assert told["channel_logs_per_uid"]["refused"] == 17  # 8 fit, 5 of them in the other channel
        assert told["channel_logs"]["used"] > told["channel_logs_per_uid"]["used"] + 150000
        assert kept(c, "a") == (0, 5)  # who puts loses what is his
        assert kept(c, "b") == (17, 3)
        assert kept(third, "t") == (0, 5)
        for key in "ab":
            c.ask("channel.delete", channel=key).all()
        assert 150000 < limits(d)["channel_logs_per_uid"]["used"] < 160000  # now it is the third who has most


def test_events_that_all_channels_keep(limited):
    d = limited("channel_logs = 1MiB")
    with program_of(d, OTHER) as c, program_of(d, THIRD) as third:
        c.ask("channel.create", key="c").all()
        third.ask("channel.create", key="t").all()
        put(c, "c", 10, 100000)
        put(third, "t", 3, 100000)
        assert kept(third, "t") == (2, 1)  # what he put last, at least
        assert kept(c, "c") == (0, 10)
        told = limits(d)["channel_logs"]
        assert told["refused"] >= 2 and told["peak"] <= (1 << 20) + 110000


def test_services_of_one_user(limited):
    d = limited("services_per_uid = 2")
    with program_of(d, OTHER) as program, program_of(d, THIRD) as third:
        for name in ("one", "two"):
            program.ask("service.register", name=name).next()
        with pytest.raises(Refused, match="limit services_per_uid .2. is reached"):
            program.ask("service.register", name="three").next()
        third.ask("service.register", name="three").next()
        told = limits(d)
        assert (told["services"]["used"], told["services_per_uid"]["used"], told["services_per_uid"]["refused"]) == (3, 2, 1)
    wait_for(lambda: limits(d)["services"]["used"] == 0, 20, "all gone")


class Deaf:
    """A connection that asks, and reads nothing."""
    POLL = b'<channel query="poll" channel="%s" after="0" most="10000" id="%d"/>'

    def __init__(self, d, uid):
        self.asked = 0
        with as_user(uid):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(d.socket)
        self.socket.sendall(HELLO)

    def poll(self, channel):
        self.asked += 1
        self.socket.sendall(self.POLL % (channel.encode(), self.asked))

    def is_closed(self):
        poll = select.poll()
        poll.register(self.socket, 0)
        return bool(poll.poll(0))


def test_what_waits_for_who_does_not_read(limited):
    d = limited("pending = 1MiB pending_per_uid = 2MiB")
    with client_of(d, THIRD) as third, program_of(d, THIRD) as program:
        program.ask("channel.create", key="events", public=True).all()
        put(program, "events", 3, 200000)  # 800 kB in an answer
        one, *others, small = (Deaf(d, OTHER) for _ in range(6))
        for _ in range(2):
            one.poll("events")
        wait_for(one.is_closed, 20, "one of them alone is too much")
        told = limits(d)
        assert (told["pending"]["refused"], told["pending_per_uid"]["refused"]) == (1, 0)
        assert told["pending_per_uid"]["used"] == 0
        for o in others:  # each has less than one may, and less than the kernel keeps for it
            o.poll("events")
        wait_for(lambda: sum(o.is_closed() for o in others), 20, "all together are too much")
        small.poll("hosts")
        small.socket.settimeout(20)
        said = b""
        while b'<end answer="1"/>' not in said:
            said += small.socket.recv(65536)
        works(third, "third")
        told = limits(d)
        assert sum(o.is_closed() for o in others) == 1
        assert (told["pending_per_uid"]["refused"], told["pending"]["refused"]) == (1, 1)
        assert 1 << 20 < told["pending_per_uid"]["used"] < 2 << 20 < told["pending_per_uid"]["peak"] < 3 << 20


def test_strangers_who_say_nothing(limited):
    port = free_port()
    d = limited("strangers = 8 opening = 1h", listen=f'{{"{ALONE}:{port}"}}')
    silent = [socket.create_connection((ALONE, port)) for _ in range(8)]
    wait_for(lambda: limits(d)["strangers"]["used"] == 8, 20, "eight")
    with Client((ALONE, port)).connect() as c:  # takes the place of the oldest, and is then none of them
        assert c.ask("channel", "list").all(10)
        silent[0].settimeout(20)
        said = b"".join(iter(lambda: silent[0].recv(4096), b""))
        assert b"limit strangers (8) is reached" in said
        told = limits(d)["strangers"]
        assert (told["used"], told["peak"], told["refused"]) == (7, 8, 1)
        for s in silent:
            s.close()
        wait_for(lambda: limits(d)["strangers"]["used"] == 0, 20, "none")
        assert c.ask("channel", "list").all(10)


def test_nodes_and_their_monitors(limited):
    port = free_port()
    d = limited("nodes = 2 monitors_per_node = 2", listen=f'{{"{ALONE}:{port}"}}')
    metrics = [Metric("x")]
    node, more = Node((ALONE, port), "h2"), Node((ALONE, port), "h3")
    for name in "ab":
        node.add(name, metrics)
    with node.connect():
        with more, refusal("limit nodes .2. is reached"):
            more.connect()
        with refusal("limit monitors_per_node .2. is reached"):
            node.announce(node.add("c", metrics), Config("c", metrics))
        told = limits(d)
        assert (told["nodes"]["used"], told["nodes"]["refused"]) == (2, 1)
        assert (told["monitors_per_node"]["peak"], told["monitors_per_node"]["refused"]) == (2, 1)


def test_changes_of_one_user(limited):
    d = limited("changes_burst = 5 changes_rate = 1")
    with client_of(d, OTHER) as c, client_of(d, THIRD) as third:
        with refusal("limit changes_rate .1. is reached"):
            for i in range(100):
                c.ask("channel", "create", key="c").all(10)
        assert c.ask("channel", "list").all(10)  # reading is no change
        works(third, "third")
    told = limits(d)
    assert told["changes_rate"]["refused"] == 1 and told["changes_burst"]["most"] == 5
    assert told["changes_rate"]["used"] is None


def test_who_takes_too_long_to_say_who_he_is(limited):
    d = limited("opening = 1s")
    with as_user(OTHER), socket.socket(socket.AF_UNIX) as s:
        s.connect(d.socket)
        s.settimeout(20)
        assert b"nothing understandable for 1 s" in b"".join(iter(lambda: s.recv(4096), b""))
    assert limits(d)["opening"]["refused"] == 1


def test_lines_of_the_log(limited):
    d = limited("log_burst = 3 log_rate = 1")
    for _ in range(12):
        d.vigia("reload")
    told = limits(d)
    assert told["log_rate"]["refused"] > 0
    assert d.read_log().count("configuration taken") < 12
    d.configure(conf_of("log_burst = 1000"))
    d.vigia("reload")
    before = limits(d)["log_rate"]["refused"]
    for _ in range(12):
        d.vigia("reload")
    assert limits(d)["log_rate"]["refused"] == before


def test_descriptors_that_run_out(limited, tmp_path, monkeypatch):
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(20)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    d = limited()
    with d.client() as early:
        open_now = len(os.listdir(f"/proc/{d.pid}/fd"))
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (open_now + 30, open_now + 30))
        crowd = []
        with as_user(OTHER):
            for _ in range(60):
                crowd.append(socket.socket(socket.AF_UNIX))
                crowd[-1].connect(d.socket)
        for s in crowd:
            s.sendall(HELLO)

        def rows():
            return {r.get("name"): r for r in early.ask("limit", "list").all(10)}
        wait_for(lambda: int(rows()["descriptors"].get("refused")) > 0, 20, "a pause")
        row = rows()["descriptors"]
        assert int(row.get("most")) == open_now + 30
        assert int(row.get("used")) < open_now + 30  # some are kept for the daemon itself
        while b"new connections wait until others close" not in manager.recv(4096):
            pass
        works(early, "mine")  # who is there goes on
        assert "descriptors" in [p.get("problem") for p in early.ask("master", "status").all(10)]
        answered = [s for s in crowd if select.select([s], [], [], 0)[0]]
        assert 10 < len(answered) < 60
        assert d.read_log().count("new connections wait until others close") == 1
        for s in answered:
            s.close()
        rest = [s for s in crowd if s not in answered]
        while rest:  # those that waited are served as others leave
            ready = select.select(rest, [], [], 20)[0]
            assert ready, f"{len(rest)} are not served"
            for s in ready:
                assert b"<hmon" in s.recv(4096)
                s.close()
                rest.remove(s)
    while b"accepted again" not in manager.recv(4096):
        pass
    assert d.vigia("status").stdout.count("descriptors") == 0
    assert d.read_log().count("new connections wait until others close") == 1

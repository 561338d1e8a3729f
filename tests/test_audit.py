# SPDX-License-Identifier: Apache-2.0
"""The audit log of a real daemon: what was changed and refused, by whom, and whether anybody has touched it since."""
import base64
import collections
import contextlib
import glob
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile

import pytest

from cluster import PREFIX, Daemon, wait_for
from frames_peer import Program, Refused
from hmon_peer import Client, HmonError
from test_hosts import free_port

OTHER = 65534  # a user who owns nothing here
NO_MONITORS = "monitor host { enabled = false }\ndefault_monitors = false\n"


@pytest.fixture
def place():
    """Where other users come to."""
    with tempfile.TemporaryDirectory(prefix="vigia-") as top:
        os.chmod(top, 0o755)
        yield top


@pytest.fixture
def audited(place):
    """A daemon that every user of this host can ask; `audited(conf)` starts it."""
    started = []

    def start(conf="", listen="{}"):
        d = Daemon(place, f"listen = {listen}\n{NO_MONITORS}{conf}")
        started.append(d.start())
        for at in (d.directory, os.path.dirname(d.socket)):
            os.chmod(at, 0o711)
        return d

    yield start
    for d in started:
        assert d.stop() == 0


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


def records(d, *words):
    return json.loads(d.vigia("audit", "--json", *words).stdout)


def once(d, n=1, **wanted):
    """The newest n records that are so, once there are so many: a worker writes them."""
    def there():
        found = [r for r in records(d) if all(r.get(k) == v for k, v in wanted.items())]
        return found[-n:] if len(found) >= n else None
    return wait_for(there, 10, f"{n} records like {wanted}")


def files(d):
    return sorted(glob.glob(f"{d.state}/audit/*.log"))


def verify(d, *words):
    p = d.vigia("audit", "--verify", "--json", *words, check=False)
    assert p.returncode in (0, 1), p
    told = json.loads(p.stdout)
    assert (p.returncode == 1) == (told["faults"] > 0)
    return told


def assert_chained(d):
    """As anybody can check it, with no program of ours."""
    previous = None
    for file in files(d):
        with open(file) as f:
            for line in f.read().splitlines():
                text, digest = line.rsplit(" ", 1)
                if text.startswith("anchor "):
                    previous = previous or text.rsplit(" ", 1)[1]
                    assert text.endswith(" " + previous)
                assert hashlib.sha256(f"{previous} {text}".encode()).hexdigest() == digest, line
                previous = digest


def left_out(told, of):
    return sum(int(re.search('count="([0-9]+)"', r["arguments"])[1]) for r in told
               if r["what"] == "audit.left-out" and f'of="{of}"' in r["arguments"])


# ------------------------------------------------------------------------------------------- what is recorded

def test_a_change_is_one_line_with_who_made_it(audited):
    d = audited()
    d.vigia("channel.create", "news")
    r = once(d, what="channel.create")[0]
    assert (r["uid"], r["how"], r["result"], r["arguments"]) == (os.getuid(), "kernel", "done", 'key="news"')
    assert r["pid"] > 0 and r["host"] == json.loads(d.vigia("host.info", "--json").stdout)[0]["id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", r["time"])
    assert_chained(d)
    assert verify(d)["faults"] == 0


def test_another_users_changes_and_refusals_are_his(audited):
    d = audited()
    d.vigia("channel.create", "roots")
    with as_other():
        with Client(d.socket).connect() as c:
            c.ask("channel", "create", key="others").all(10)
            for noun, verb, arguments in [("channel", "delete", {"channel": "roots"}), ("process", "signal", {"pid": "1"}),
                                          ("master", "reload", {}), ("audit", "list", {})]:
                with pytest.raises(HmonError) as e:
                    c.ask(noun, verb, **arguments).all(10)
                assert e.value.code == "not-permitted"
    assert once(d, what="channel.create", uid=OTHER)[0]["arguments"] == 'key="others"'
    refused = once(d, 4, result="refused", uid=OTHER)
    assert [r["what"] for r in refused] == ["channel.delete", "process.signal", "master.reload", "audit.list"]
    assert {(r["code"], r["how"]) for r in refused} == {("not-permitted", "kernel")}
    assert refused[1]["arguments"] == 'pid="1"'


def test_what_fails_and_what_goes_on(audited):
    d = audited()
    d.vigia("channel.delete", "none", check=False)
    assert once(d, what="channel.delete", result="failed")[0]["code"] == "not-found"
    with d.client() as c:
        next(iter(c.ask("lease", "take", mode="exclusive", process=os.getpid())))
        assert once(d, what="lease.take")[0]["result"] == "begun"
        p = d.vigia("process.signal", str(os.getpid()), "CONT", check=False)
        assert "controlled exclusively" in p.stderr
        assert once(d, what="process.signal", result="refused")[0]["code"] == "held"
    assert once(d, what="lease.take", result="gone")


def test_reading_leaves_no_trace(audited):
    d = audited()
    for _ in range(3):
        for words in (["host.list"], ["process.list"], ["channel.list"], ["status"], ["audit", "--verify"]):
            d.vigia(*words, check=False)
    assert [r["what"] for r in records(d)] == ["daemon.start"]


def test_no_secrets_and_no_data(audited):
    d = audited()
    d.vigia("channel.create", "news")
    d.vigia("channel.put", "news", "1", "opaque")
    with subprocess.Popen([f"{PREFIX}/bin/vigia", "process.start", "true", "password", "hunter2"], env=d.env(),
                          stdout=subprocess.DEVNULL) as p:
        assert p.wait(20) == 0
    assert once(d, what="channel.put")[0]["arguments"] == 'channel="news" tag="1" data="(6 bytes)"'
    assert [r["arguments"] for r in once(d, 2, what="process.start")] == ['word="true (and 2 more)"'] * 2
    assert not any(secret in open(f).read() for f in files(d) for secret in ("hunter2", "opaque", base64.b64encode(b"opaque").decode()))


def test_what_programs_offer_is_told_in_samples_and_numbers(audited):
    def hand_on(fields):
        raise Refused("elsewhere", "h9")

    d = audited()
    with Program(d.socket) as offers, Program(d.socket) as tool:
        offers.offer("counter", set=lambda fields: {"value": fields["x"]}, set_away=hand_on, get=lambda fields: {"value": 1})
        with pytest.raises(Refused):
            tool.ask("counter.set_away", x=1).one()
        for x in range(100):
            assert tool.ask("counter.set", x=x).one() == {"value": x}
            tool.ask("counter.get").one()
    d.stop()
    told = records(d, "--in", f"{d.state}/audit")
    calls = [r for r in told if r["what"].startswith("counter.")]
    assert (calls[0]["what"], calls[0]["result"], calls[0]["code"]) == ("counter.set_away", "handed-on", "h9")
    assert {(r["what"], r["result"], r["arguments"]) for r in calls[1:]} == {("counter.set", "done", 'x="(left out)"')}
    assert 20 <= len(calls) < 60
    assert len(calls) + left_out(told, "traffic") == 101
    assert [r["result"] for r in told if r["what"] == "service.register"] == ["begun", "gone"]


def test_what_a_caller_says_can_forge_no_line(audited):
    d = audited()
    key = 'x"\n7 2025-11-23T09:15:24.123456789Z 0 1 - kernel - process.signal done'
    with d.client() as c:
        c.ask("channel", "create", key=key).all(10)
    r = once(d, what="channel.create")[0]
    assert r["arguments"] == 'key="' + key.replace('"', '\\"').replace("\n", "\\n") + '"'
    assert len(records(d)) == 2
    assert_chained(d)


def test_who_comes_by_network_is_told_apart(audited):
    port = free_port()
    d = audited(listen=f'{{"127.0.0.1:{port}"}}')
    with Client(("127.0.0.1", port)).connect() as c, pytest.raises(HmonError):
        c.ask("channel", "create", key="k").all(10)
    r = once(d, what="channel.create", result="refused")[0]
    assert r["how"] == "nothing" and r["uid"] is None and r["address"].startswith("127.0.0.1:")


def test_connections_that_are_refused(audited):
    port = free_port()
    d = audited(conf="limits { connections_per_uid = 2 }\n", listen=f'{{"127.0.0.1:{port}"}}')
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b'<hmon version="1" role="emperor">')
        assert b"bad-role" in s.recv(4096)
    r = once(d, what="connection.open")[0]
    assert (r["result"], r["code"], r["how"]) == ("refused", "bad-role", "nothing")
    assert "emperor" in r["arguments"]
    with as_other():
        held = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for s in held:
            s.connect(d.socket)
    assert once(d, what="connection.open", uid=OTHER)[0]["code"] == "too-many"
    for s in held:
        s.close()


def test_a_node_without_its_secret(audited, tmp_path):
    port = free_port()
    d = audited(listen=f'{{"127.0.0.1:{port}"}}')
    conf = f'listen = {{}}\n{NO_MONITORS}node {{ masters = {{"127.0.0.1:{port}"}} }}\n'
    first, impostor = (Daemon(str(tmp_path / place), conf, "h2") for place in ("one", "two"))
    first.start()
    wait_for(lambda: (n := d.node("h2")) and n.state == "up", 20, "h2")
    first.stop()
    impostor.start()
    try:
        r = once(d, result="refused", code="stranger")[0]
    finally:
        impostor.stop()
    assert (r["how"], r["what"]) == ("nothing", "node.register") and r["address"].startswith("127.0.0.1:")
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b'<hmon version="1" role="node" beat="none"><node query="register" id="1" name="h2" boot="1" secret="hunter2"/>')
        assert "stranger" in s.makefile().read()
    assert 'name="h2" boot="1" secret="(left out)"' in once(d, 2, code="stranger")[-1]["arguments"]


def test_reloads_by_signal_and_starts_and_ends(audited):
    d = audited()
    d.kill(signal.SIGHUP)
    assert once(d, what="master.reload")[0]["how"] == "signal"
    d.stop()
    d.start()
    assert [r["what"] for r in once(d, 2, how="itself")] == ["daemon.end", "daemon.start"]
    assert_chained(d)


def test_callers_of_other_hosts(make_cluster):
    c = make_cluster(2, options=("--insecure-control",)).until_one_view()
    c[1].vigia("channel.create", "news", "at=h2")
    r = once(c[2], what="channel.create")[0]
    h1 = json.loads(c[1].vigia("host.info", "--json").stdout)[0]["id"]
    assert (r["uid"], r["how"], r["host"]) == (os.getuid(), "host", h1)


# ------------------------------------------------------------------------------------------- what is shown

def test_filters(audited):
    d = audited()
    d.vigia("channel.create", "a")
    d.vigia("channel.delete", "a")
    with as_other(), Client(d.socket).connect() as c:
        c.ask("channel", "create", key="b").all(10)
    once(d, what="channel.create", uid=OTHER)
    assert [r["what"] for r in records(d, "--operation", "channel.*", "--user", str(os.getuid()))] == \
        ["channel.create", "channel.delete"]
    assert [r["arguments"] for r in records(d, "--user", "nobody")] == ['key="b"']
    assert records(d, "--result", "refused") == []
    assert records(d, "--until", "-1h") == [] and len(records(d, "--since", "-1h")) == 4
    sequences = [r["sequence"] for r in records(d)]
    assert sequences == sorted(sequences)
    assert d.vigia("audit", "--user", "no such user", check=False).returncode == 2


def test_files_are_read_without_a_daemon(audited):
    d = audited()
    d.vigia("channel.create", "a")
    once(d, what="channel.create")
    asked = records(d)
    d.stop()
    read = records(d, "--in", f"{d.state}/audit")
    assert read[:-1] == asked and read[-1]["what"] == "daemon.end"
    told = verify(d, "--in", f"{d.state}/audit")
    assert (told["records"], told["faults"]) == (3, 0)
    assert d.vigia("audit", "--in", "/no/such", check=False).returncode == 1


def test_many_records_are_all_shown_over_many_files(audited):
    d = audited('audit { file_size = "64KiB" }\n')
    with d.client() as c:
        for i in range(1500):
            c.ask("channel", "create", key=f"k{i % 10}").all(10)
    once(d, 1500, what="channel.create")
    assert len(files(d)) > 3
    assert [r["sequence"] for r in records(d)] == list(range(1, 1502))
    assert verify(d)["faults"] == 0
    assert_chained(d)


def test_old_files_are_dropped_and_that_is_told(audited):
    d = audited('audit { file_size = "64KiB"\n files = 2 }\n')
    with d.client() as c:
        for i in range(1500):
            c.ask("channel", "create", key=f"k{i % 10}").all(10)
    d.vigia("channel.create", "last")
    once(d, what="channel.create", arguments='key="last"')
    told = verify(d)
    assert len(files(d)) == 2 and told["faults"] == 0
    assert [p["text"] for p in told["places"] if "were dropped" in p["text"]]
    assert once(d, what="audit.drop")[0]["how"] == "itself"


# ------------------------------------------------------------------------------------------- what is found

def edit(file, change):
    with open(file) as f:
        lines = f.read().splitlines(keepends=True)
    change(lines)
    with open(file, "w") as f:
        f.writelines(lines)


def change_who(lines):
    lines[3] = lines[3].replace(" kernel ", " kernel-x ", 1)


def remove(lines):
    del lines[3]


def swap(lines):
    lines[3], lines[4] = lines[4], lines[3]


def insert(lines):
    lines.insert(3, lines[3])


def cut_off(lines):
    del lines[-1]


@pytest.mark.parametrize("change, line, text", [
    (change_who, 4, "record 3 does not follow from the line before: one of the two was changed or put in"),
    (remove, 4, "record 3 is missing before this line"), (swap, 4, "record 3 is missing before this line"),
    (insert, 5, "record 3 stands where 4 should: it was put in, or moved"),
    (cut_off, 6, "record 6 is expected, and missing: the end was cut off")], ids=lambda v: getattr(v, "__name__", ""))
def test_tampering_is_found_and_where(audited, change, line, text):
    d = audited()
    for i in range(5):
        d.vigia("channel.create", f"k{i}")
    once(d, 5, what="channel.create")
    assert verify(d)["faults"] == 0
    edit(files(d)[0], change)
    told = verify(d)
    assert told["faults"] >= 1
    assert (told["places"][0]["file"], told["places"][0]["line"], told["places"][0]["text"]) == ("00000001.log", line, text)
    p = d.vigia("audit", "--verify", check=False)
    assert p.returncode == 1 and "The chain is broken" in p.stdout and text in p.stdout


def test_a_log_made_anew_is_found_by_what_was_written_down(audited):
    d = audited()
    d.vigia("channel.create", "a")
    once(d, what="channel.create")
    told = verify(d)
    noted = f'{told["last"]}:{told["hash"]}'
    d.stop()
    assert verify(d, "--expect", noted, "--in", f"{d.state}/audit")["faults"] == 0
    for f in files(d):
        os.unlink(f)
    d.start()
    d.vigia("channel.create", "b")
    once(d, what="channel.create")
    assert verify(d)["faults"] == 0
    assert "made anew" in verify(d, "--expect", noted)["places"][0]["text"]


def test_who_touches_it_while_the_daemon_writes_is_told_of_in_the_status(audited):
    d = audited()
    d.vigia("channel.create", "a")
    once(d, what="channel.create")
    edit(files(d)[0], cut_off)
    d.vigia("channel.create", "b")
    p = wait_for(lambda: (p := d.vigia("status", "--brief", check=False)).returncode == 1 and p, 10, "the trouble")
    assert "was changed by somebody else" in p.stdout
    assert verify(d)["faults"] > 0


def test_a_power_cut_in_mid_line(audited):
    d = audited()
    d.vigia("channel.create", "a")
    once(d, what="channel.create")
    d.kill()
    with open(files(d)[0], "r+") as f:
        f.truncate(os.path.getsize(f.name) - 10)
    told = verify(d, "--in", f"{d.state}/audit")
    assert told["faults"] == 0 and "as a power cut leaves it" in told["places"][0]["text"]
    d.start()
    assert len(wait_for(lambda: files(d)[1:], 10, "a new file")) == 1
    told = wait_for(lambda: (t := verify(d))["records"] == 2 and t, 10, "the next record")
    assert told["faults"] == 0 and "as a power cut leaves it" in told["places"][0]["text"]
    assert "ends within a line" in d.read_log()
    assert "audit" not in d.vigia("status", "--brief", check=False).stdout
    assert_chained_but_torn(d)


def assert_chained_but_torn(d):
    with open(files(d)[0]) as f:
        torn = f.read().rpartition("\n")[2]
    with open(files(d)[1]) as f:
        assert f" torn:{len(torn)} " in f.readline()


# ------------------------------------------------------------------------------------------- floods and full disks

def test_a_flood_of_refusals_is_counted_exactly(audited):
    d = audited()
    n = 3000
    with as_other(), Client(d.socket).connect() as c:
        for _ in range(n):
            with pytest.raises(HmonError):
                c.ask("master", "reload").all(10)
    d.stop()
    own = [r for r in records(d, "--in", f"{d.state}/audit") if r["uid"] == OTHER]
    told = collections.Counter(r["what"] for r in own)
    assert told["master.reload"] + left_out(own, "refusals") == n
    assert 50 <= told["master.reload"] < 500
    assert sum(map(os.path.getsize, files(d))) < 200000
    assert_chained(d)


@pytest.fixture
def small_disk(place):
    """16 KiB for the audit log, mounted where the daemon will look for it."""
    if os.geteuid():
        pytest.skip("only root mounts")
    audit = os.path.join(place, "n1/vigia/audit")
    os.makedirs(audit, mode=0o700)
    os.chmod(os.path.join(place, "n1/vigia"), 0o700)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=0700", "tmpfs", audit], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield audit
    subprocess.run(["umount", "-l", audit], check=True)


def fill(d, n=100):
    with d.client() as c:
        for i in range(n):
            c.ask("channel", "create", key=f"k{i % 10}").all(10)


def grow(disk):
    subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)


def in_trouble(d):
    return "audit" in d.vigia("status", "--brief", check=False).stdout


def test_a_full_disk_stops_nobody_and_loses_nothing(audited, small_disk):
    d = audited()
    fill(d)
    wait_for(lambda: in_trouble(d), 10, "the trouble")
    assert "No space left on device" in d.vigia("status", "--brief", check=False).stdout
    d.vigia("channel.create", "later")
    grow(small_disk)
    wait_for(lambda: not in_trouble(d), 20, "its end")
    assert len(once(d, 101, what="channel.create")) == 101
    assert "No space left" in once(d, what="audit.recover")[0]["arguments"]
    assert verify(d)["faults"] == 0
    assert_chained(d)


def test_a_full_disk_refuses_changes_where_the_admin_says_so(audited, small_disk):
    d = audited('audit { unwritable = "refuse" }\n')
    with contextlib.suppress(HmonError):
        fill(d)
    wait_for(lambda: in_trouble(d), 10, "the trouble")
    p = d.vigia("channel.create", "later", check=False)
    assert p.returncode == 1 and "what can't be recorded is not done" in p.stderr
    assert d.vigia("channel.list").stdout
    grow(small_disk)
    wait_for(lambda: not in_trouble(d), 20, "its end")
    d.vigia("channel.create", "later")
    assert [r["arguments"] for r in once(d, what="channel.create", result="refused")] == ['key="later"']
    assert verify(d)["faults"] == 0


def test_one_user_can_not_flood_it_with_changes_either(audited):
    d = audited()
    with as_other(), Client(d.socket).connect() as c:
        with pytest.raises(HmonError) as e:
            for _ in range(2000):
                for answers in [c.ask("channel", "create", key="k") for _ in range(50)]:
                    answers.all(10)
        assert e.value.code == "too-many" and "limit changes_rate (100) is reached" in str(e.value)
    assert once(d, result="refused", uid=OTHER)[0]["code"] == "too-many"
    d.vigia("channel.create", "roots")

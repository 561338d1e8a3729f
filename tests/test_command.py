# SPDX-License-Identifier: Apache-2.0
"""The command `vigia` as people use it: names that do not exist, rates, one snapshot, terminals played with a pty."""
import contextlib
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest
from cluster import PREFIX, wait_for
from hmon_peer import Metric, Monitor
from terminal import VIGIA, Terminal

COUNTERS = [Metric("packets", "counter", "1", scale=0, doc=""), Metric("load", "gauge", "1", scale=2, doc="")]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def terminal():
    made = []

    def make(daemon, *arguments, **options):
        made.append(Terminal(daemon.env(), *arguments, **options))
        return made[-1]

    yield make
    for t in made:
        t.close()


@contextlib.contextmanager
def running(d, *arguments):
    """The command, going on; it ends with the block, and at the latest after 20 s."""
    with subprocess.Popen([VIGIA, *arguments], env=d.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        late = threading.Timer(20, p.kill)
        late.start()
        try:
            yield p
        finally:
            late.cancel()
            p.terminate()


def a_node_that_knows(d, path):
    wait_for(lambda: d.vigia("get", path, check=False).returncode == 0, 20, f"a value of {path}")
    return d


# --- names ---

@pytest.mark.parametrize("words, near", [
    ("get m1/host", "did you mean n1"), ("get nothing/x", "there is n1"), ("get n1/hots/load/1min", "did you mean n1/host?"),
    ("get n1/host/load/1mn", "n1/host/load/1min"), ("get */host/1min", "*/host/load/1min"),
    ("list n1/nothing", "no monitor is named n1/nothing"), ("list n1/host/1min", "n1/host/load/1min"),
    ("watch nothing", "there is n1"), ("watch n1/nothing", "no monitor is named"), ("watch n1/host/1min", "n1/host/load/1min"),
    ("watch n1/host/load/1min --rate", "no counter is named so"),
    ("history nothing/host", "there is n1"), ("history n1/host/1min", "n1/host/load/1min"),
    ("events m1", "did you mean n1"), ("events nothing --follow", "there is n1"),
    ("status nothing", "there is n1"), ("forget m1", "did you mean n1")])
def test_a_name_that_does_not_exist_is_said_with_what_is_like_it(daemon, words, near):
    d = a_node_that_knows(daemon(), "n1/host/load/1min")
    p = d.vigia(*words.split(), check=False, timeout=5)
    assert p.returncode == 1 and near in p.stderr, (p.returncode, p.stdout, p.stderr)
    assert len(p.stderr.splitlines()) == 1, p.stderr


def test_a_pattern_that_fits_nothing_yet_is_waited_for(daemon):
    d = a_node_that_knows(daemon(), "n1/host/load/1min")
    with running(d, "watch", "*/late/*") as p:
        assert "waiting for it" in p.stderr.readline()
        with Monitor(d.socket, "late", COUNTERS, period=1000).connect() as m:
            m.send({"packets": 1, "load": 2})
            assert "NODE/MONITOR/METRIC" in p.stdout.readline()
            assert "n1/late/packets" in p.stdout.readline()


def names_file():
    try:
        with open("/etc/hosts") as f:
            return f.readlines()
    except FileNotFoundError:
        return []


@pytest.mark.parametrize("at", ["localhost", "127.0.0.1", "127.0.0.1:", "::1", "[::1]", "[::1]:7660"])
def test_a_host_without_a_port_means_the_usual_one(at):
    if at == "localhost" and not any("localhost" in line.split() for line in names_file()):
        pytest.skip("this machine has no such name")
    p = subprocess.run([VIGIA, "--at", at, "info"], capture_output=True, text=True, timeout=10)
    assert p.returncode == 0 or "port 7660" in p.stderr, p.stderr


def test_a_host_with_a_port_and_a_socket_beside_us(daemon):
    port = free_port()
    d = daemon(f'listen = {{"127.0.0.1:{port}"}}\nmonitor host {{ }}\n')
    assert d.vigia("--at", f"127.0.0.1:{port}", "info").stdout
    p = subprocess.run([VIGIA, "--at", "vigiad.sock", "info"], cwd=d.state, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr


@pytest.mark.parametrize("words, said", [
    ("get --deadline 0s", "--deadline is at least 1ms"), ("get --deadline 0", '--deadline "0"'),
    ("history n1 --from later", '--from "later"'), ("history n1 --step 5", '--step "5"'), ("top --rounds 0", "--rounds"),
    ("top --sort colour", "--sort is"), ("get --updat", "--updat"), ("watch a b", "takes")])
def test_wrong_arguments_are_named(daemon, words, said):
    p = daemon().vigia(*words.split(), check=False)
    assert p.returncode == 2 and said in p.stderr and not p.stdout, (p.returncode, p.stdout, p.stderr)


# --- rates ---

def give(d, samples):
    """Samples (seconds ago, value) of n1/m/packets, and waits until history has them."""
    now = time.time_ns()
    with Monitor(d.socket, "m", COUNTERS, period=1000).connect() as m:
        for ago, value in samples:
            m.send({"packets": value, "load": 1}, time=now - ago * 10**9)
        wait_for(lambda: len(d.vigia("history", "n1/m/packets", "--raw", "--csv", check=False).stdout.splitlines()) == len(samples) + 1,
                 10, "history having them")
    return now


def test_history_shows_counters_as_rates_and_knows_a_restart(daemon):
    d = daemon()
    # 10 a second, then it begins anew and has grown by 40 in the two seconds since, then 20 a second
    give(d, [(9, 1000), (8, 1010), (7, 1020), (5, 40), (4, 60)])
    rows = json.loads(d.vigia("history", "n1/m/", "--rate", "--raw", "--json").stdout)
    assert [round(r["value"], 6) for r in rows] == [10, 10, 20, 20]
    assert all(r["metric"] == "packets" and r["unit"] == "1/s" for r in rows)
    steps = json.loads(d.vigia("history", "n1/m/packets", "--rate", "--step", "1h", "--json").stdout)
    assert sum(s["count"] for s in steps) == 4
    assert min(s["min"] for s in steps) == 10 and max(s["max"] for s in steps) == 20
    if len(steps) == 1:  # an hour may have begun between
        assert round(steps[0]["mean"], 6) == 16
    table = d.vigia("history", "n1/m/packets", "--rate", "--raw").stdout
    assert table.splitlines()[0] == "n1/m/packets in 1/s" and "20.000" in table
    assert d.vigia("history", "n1/m/packets", "--rate", "--raw", "--csv").stdout.splitlines()[1].endswith(",10.000")


def test_watch_shows_rates_of_counters_alone(daemon):
    d = daemon()
    now = time.time_ns()
    with Monitor(d.socket, "m", COUNTERS, period=1000).connect() as m:
        m.send({"packets": 100, "load": 1}, time=now - 10 * 10**9)
        a_node_that_knows(d, "n1/m/packets")
        with running(d, "watch", "n1/m", "--rate", "--json") as p:
            wait_for(lambda: waits_for_the_daemon(p.pid), 5)
            for ago, value in ((8, 300), (6, 20)):
                m.send({"packets": value, "load": ago}, time=now - ago * 10**9)
            rows = [json.loads(p.stdout.readline()) for _ in range(2)]
    assert [r["value"] for r in rows] == [100, 10] and {r["metric"] for r in rows} == {"packets"}


def test_get_rate_looks_twice(daemon):
    count = iter(range(1000, 10**6, 500))
    d = daemon()
    with Monitor(d.socket, "m", COUNTERS, period=0, update=lambda p: {"packets": next(count), "load": 1}).connect() as m:
        m.send({"packets": 0, "load": 1})
        a_node_that_knows(d, "n1/m/packets")
        row, = json.loads(d.vigia("get", "n1/m", "--rate", "--json").stdout)
    assert row["metric"] == "packets" and row["unit"] == "1/s" and 200 < row["value"] <= 500


def test_history_of_a_state_shows_values_and_no_means(daemon):
    d = daemon()
    with Monitor(d.socket, "m", [Metric("door", "state", "", scale=0, doc="")], period=0).connect() as m:
        m.send({"door": "open"})
        table = wait_for(lambda: d.vigia("history", "n1/m", check=False).stdout, 10)
        assert re.search(r"^TIME +VALUE\n.* open$", table, re.M), table


# --- one moment ---

def waits_for_the_daemon(pid):
    """It has asked, and reads."""
    with open(f"/proc/{pid}/wchan") as f:
        return "poll" in f.read()


def sleeps(pid):
    with open(f"/proc/{pid}/wchan") as f:
        return "nanosleep" in f.read()


def test_status_is_one_moment_though_a_node_dies_meanwhile(daemon):
    port = free_port()
    d = daemon(f'listen = {{"127.0.0.1:{port}"}}\nmonitor host {{ }}\n')
    n2 = daemon(f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\nmonitor host {{ period = 1s }}\n', name="n2")
    a_node_that_knows(d, "n2/host/load/1min")
    with running(d, "status", "--json") as p:
        wait_for(lambda: sleeps(p.pid), 5, "it looking twice")
        n2.kill()
        wait_for(lambda: d.node("n2").state == "down", 5, "n2 being down")
        shown = json.loads(p.stdout.read())
    states = {n["node"]: n["state"] for n in shown["nodes"]}
    assert states["n2"] == "down" and [x["node"] for x in shown["problems"]] == ["n2"], shown


# --- why a master is lost ---

def said_of_the_master(d):
    p = d.vigia("status", "--json", check=False)
    return next((x["text"] for x in json.loads(p.stdout)["problems"] if x["problem"] == "master-lost"), "")


def test_status_says_why_a_master_is_lost(daemon):
    port = free_port()
    conf = f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\nmonitor host {{ }}\n'
    n2 = daemon(conf, name="n2")
    wait_for(lambda: "connection refused" in said_of_the_master(n2), 5, "refused")
    master = daemon(f'listen = {{"127.0.0.1:{port}"}}\nmonitor host {{ }}\n')
    secret = os.path.join(n2.state, f"master.127.0.0.1_{port}.secret")
    wait_for(lambda: os.path.exists(secret) and not said_of_the_master(n2), 20, "n2 being registered")
    n2.stop()
    os.rename(secret, secret + ".old")
    n2.start()
    wait_for(lambda: "stranger" in said_of_the_master(n2), 10, "n2 being a stranger")
    master.stop()
    wait_for(lambda: "connection refused" in said_of_the_master(n2), 20, "refused again")


# --- make run, and what is installed ---

@pytest.mark.parametrize("hosts", ["0", "abc", "-1", "", "1000"])
def test_make_run_wants_a_number_of_hosts(hosts):
    p = subprocess.run([os.path.join(os.path.dirname(__file__), "run"), PREFIX, hosts], capture_output=True, text=True, timeout=10)
    assert p.returncode == 2 and f"HOSTS={hosts}:" in p.stderr and "1 to 200" in p.stderr


def test_make_run_says_how_to_ask_from_elsewhere(tmp_path):
    prefix = tmp_path / "stage/usr/local"  # as make stages it; the command for others is put beside
    prefix.parent.mkdir(parents=True)
    prefix.symlink_to(PREFIX)
    with subprocess.Popen([os.path.join(os.path.dirname(__file__), "run"), str(prefix), "1"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as p:
        try:
            said = p.stderr.readline()
            wrapper = tmp_path / "vigia"
            assert f"{wrapper} status" in said
            assert subprocess.run([wrapper, "list"], capture_output=True, text=True, timeout=10).stdout.startswith("NODE ")
        finally:
            p.terminate()
    assert not wrapper.exists()


@pytest.mark.parametrize("monitor, tells", [("host", "cpu/iowait"), ("fs", "fs/PATH/size"), ("temperature", "CHIP"),
                                            ("exec", "perf/"), ("vigia", "loop/lag")])
def test_each_monitor_has_a_manual_page(monitor, tells):
    with open(f"{PREFIX}/share/man/man7/vigia-monitor-{monitor}.7") as f:
        assert tells in f.read().replace("\\&", "").replace("\\-", "-")


def test_one_metric_is_not_one_metrics(daemon):
    d = daemon()
    with Monitor(d.socket, "m", COUNTERS[:1], period=0).connect():
        wait_for(lambda: re.search(r"monitor-connected +n1 +m +1 metric$", d.vigia("events").stdout, re.M), 5)


# --- top, on a terminal ---

def test_top_begins_with_rates_and_bars_from_history(daemon, terminal):
    """Not a period later: history has the samples before."""
    d = a_node_that_knows(daemon(), "n1/host/cpu/idle")
    wait_for(lambda: len(d.vigia("history", "n1/host/cpu/idle", "--raw", "--csv", check=False).stdout.splitlines()) > 3, 10)
    row = d.vigia("top", "--rounds", "1", "--csv").stdout.splitlines()[1].split(",")
    assert row[1] == "n1" and row[3] and row[6], row
    t = terminal(d, "top")
    t.wait(r"^n1 +up +\d+\.\d")
    t.type("\r")
    screen = t.wait(r"^host/load/1min +\d.*[▁▂▃▄▅▆▇█]{3}")
    assert re.search(r"^host/cpu/user +\d+\.\d %  .*[▁▂▃▄▅▆▇█]{2}", screen, re.M), screen


def test_top_shows_a_change_of_state_when_it_happens(daemon, terminal):
    port = free_port()
    d = daemon(f'listen = {{"127.0.0.1:{port}"}}\nmonitor host {{ }}\n')
    n2 = daemon(f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\nmonitor host {{ }}\n', name="n2")
    a_node_that_knows(d, "n2/host/load/1min")
    late = []
    t = terminal(d, "top")
    t.wait(r"^n2 +up")
    for _ in range(3):  # at any time within its second
        n2.kill()
        wait_for(lambda: d.node("n2").state == "down", 5)
        begun = time.monotonic()
        t.wait(r"^n2 +down")
        late.append(time.monotonic() - begun)
        assert "node n2 is down" in t.text()
        n2.start()
        t.wait(r"^n2 +up")
    assert sorted(late)[1] < 0.3, late


def test_top_on_a_wide_terminal_cuts_no_name_and_on_a_narrow_one_keeps_its_end(daemon, terminal):
    name = "a/very/long/name/of/a/metric/that/nobody/would/choose/but/somebody/did"
    d = daemon()
    with Monitor(d.socket, "m", [Metric(name, "gauge", "1", scale=0, doc="")], period=0).connect() as m:
        m.send({name: 7})
        a_node_that_knows(d, f"n1/m/{name}")
        for columns, shown in ((140, rf"^m/{name} +7$"), (60, r"^\.\..*somebody/did +7")):
            t = terminal(d, "top", columns=columns)
            t.wait("^n1")
            t.type("\r")
            t.wait("METRIC")
            t.type("/somebody\r")
            t.wait(shown)


def test_host_view_shows_what_tells_most_first(daemon, terminal):
    d = a_node_that_knows(daemon(), "n1/host/load/1min")
    t = terminal(d, "top", columns=140)
    t.wait("^n1")
    t.type("\r")
    t.wait(r"most telling first[\s\S]*^host/load/1min")
    t.type("s")
    t.wait(r"by name[\s\S]*^host/cpu/0/")
    t.type("s")
    t.wait(r"what moves first")
    t.type("/uptime/up\r")
    t.wait(r"1 to 1 of 1")
    t.type("\x1b")
    t.wait(r"^NODE")
    t.type("q")
    wait_for(t.ended, 5)
    assert t.status == 0


@pytest.mark.parametrize("columns, lines", [(20, 5), (10, 2), (1, 1), (3, 3), (40, 4), (300, 100)])
def test_top_on_any_size_of_terminal(daemon, terminal, columns, lines):
    d = a_node_that_knows(daemon(), "n1/host/load/1min")
    t = terminal(d, "top", columns=columns, lines=lines)
    t.wait(r"\S")
    for keys in ("\r", "h", "x", "p", "x", "jjkk\x06\x02G", "/load\r", "\x1b", "s", "r", " ", " "):
        t.type(keys)
        t.pump()
    assert not t.ended()
    t.resize(80, 24)
    t.wait(r"^NODE +STATE[\s\S]*^n1 +up[\s\S]*^q quit")
    t.resize(columns, lines)
    if lines >= 4 and columns >= 10:
        t.wait(r"\Avigia n1[\s\S]*^n1")
    t.type("q")
    wait_for(t.ended, 5)
    assert t.status == 0 and b"\x1b[?1049l" in t.raw


def test_keys_that_fit_are_shown_and_the_way_out_always(daemon, terminal):
    d = a_node_that_knows(daemon(), "n1/host/load/1min")
    for columns in (20, 80):
        assert "q quit" in terminal(d, "top", columns=columns).wait(r"^q quit")


def test_no_colour_is_no_colour(daemon, terminal):
    d = a_node_that_knows(daemon(), "n1/host/load/1min")
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        t = terminal(d, "top", **environment)
        t.wait("^n1 +up")
        assert bool(re.search(rb"\x1b\[(?:\d+;)*3[0-7][;m]", t.raw)) == coloured, t.raw


def test_a_long_problem_is_wrapped(daemon, terminal):
    port = free_port()
    d = a_node_that_knows(daemon(f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\nmonitor host {{ }}\n'), "n1/host/load/1min")
    t = terminal(d, "top", columns=40)
    t.wait("^n1")
    t.type("p")
    t.wait(r"master 127\.0\.0\.1:[\s\S]*sent when it is\s+back")


def test_top_outlives_its_daemon(daemon, terminal):
    d = a_node_that_knows(daemon(), "n1/host/load/1min")
    t = terminal(d, "top")
    t.wait("^n1 +up")
    d.kill()
    t.wait("no daemon since")
    d.start()
    t.wait(r"Nothing is wrong\.")
    t.type("\x03")
    wait_for(t.ended, 5)
    assert t.status == 0


def test_commands_end_in_good_order(daemon):
    d = a_node_that_knows(daemon(), "n1/host/load/1min")
    for words in ("get", "list n1/host", "events", "watch", "top --plain"):
        p = subprocess.run(f"'{VIGIA}' {words} | head -n 1", shell=True, env=d.env(), capture_output=True, text=True, timeout=10)
        assert p.stdout.count("\n") == 1 and not p.stderr, (words, p)
    with running(d, "watch", "n1/host/load/1min") as p:
        p.stdout.readline()
        d.kill()
        assert p.wait(10) == 3 and p.stderr.read() == "vigia: the daemon closed the connection\n"

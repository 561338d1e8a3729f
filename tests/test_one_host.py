# SPDX-License-Identifier: Apache-2.0
"""One daemon, alone: node and master of itself."""
import os
import signal
import socket
import subprocess
import time

import pytest

from cluster import Daemon, PREFIX, wait_for
from hmon_peer import Client, Connection, HmonError, Metric, Monitor
from tracer import Tracer


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


LOAD = [Metric("load/1min", "gauge", "1", scale=2, doc="")]


def events(d, kind):
    with d.client() as c:
        return [e for e in c.events() if e.event == kind]


def status(d):
    return d.vigia("status", "--brief", check=False).stdout


def test_shows_real_values_within_a_second_of_its_start(tmp_path):
    d = Daemon(str(tmp_path), "listen = {}\nmonitor host { }\n")
    begun = time.monotonic()
    d.start(wait=False)
    try:
        wait_for(d.answers, 3)

        def load():
            with d.client() as c:
                answers = c.get("load/1min")
                return answers and answers[0].number("load/1min") is not None

        wait_for(load, 3, "a value")
        assert time.monotonic() - begun < 3, "three times the second it may take"
    finally:
        d.stop()


def test_ends_cleanly_and_leaves_no_process_behind(daemon):
    d = daemon()
    wait_for(lambda: d.child("host"), 5)
    children = d.children()
    assert len(children) >= 2
    assert d.stop() == 0
    wait_for(lambda: all(has_ended(p) for p in children), 5, "its children ending")
    assert not os.path.exists(d.socket)


def test_a_second_one_in_the_same_place_is_refused(daemon):
    d = daemon()
    p = subprocess.run([f"{PREFIX}/sbin/vigiad", "--config", d.conf], env=d.env(), capture_output=True,
                                     text=True, timeout=10)
    assert p.returncode == 1 and str(d.pid) in p.stderr
    assert d.answers()


def test_one_that_shares_only_the_state_directory_is_refused_too(daemon, tmp_path):
    d = daemon()
    other = tmp_path / "runtime"
    other.mkdir(mode=0o700)
    p = subprocess.run([f"{PREFIX}/sbin/vigiad", "--config", d.conf], env=dict(d.env(), XDG_RUNTIME_DIR=str(other)),
                       capture_output=True, text=True, timeout=10)
    assert p.returncode == 1 and str(d.pid) in p.stderr and d.state in p.stderr


def test_a_monitor_that_dies_is_started_again(daemon):
    d = daemon()
    first = wait_for(lambda: d.child("host"), 5)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: d.child("host") not in (None, first), 5, "another host monitor")
    assert events(d, "monitor-ended")


def has_ended(pid):
    """Gone, or waiting for whoever is process 1 here to take notice."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_killed_helper_is_replaced_and_its_monitors_live_once(daemon):
    d = daemon()
    first, helper = wait_for(lambda: d.child("host"), 5), d.child("vigia-helper")
    os.kill(helper, signal.SIGKILL)
    wait_for(lambda: d.child("host") not in (None, first), 5, "another host monitor")
    assert not os.path.exists(f"/proc/{first}"), "ended and reaped before there is another"
    assert not os.path.exists(f"/proc/{helper}"), "reaped"
    assert [d.name_of(p) for p in d.children()].count("host") == 1
    assert "vigia-helper was ended by signal 9" in events(d, "helper-lost")[0].text and events(d, "helper-found")
    wait_for(lambda: d.vigia("status", "--brief", check=False).returncode == 0, 10, "nothing wrong any more")


def test_while_it_serves_it_makes_no_process_and_executes_nothing(daemon):
    d = daemon()
    first = wait_for(lambda: d.child("host"), 5)
    with Tracer(d.pid) as seen:
        os.kill(first, signal.SIGKILL)
        second = wait_for(lambda: d.child("host") not in (None, first) and d.child("host"), 5, "the monitor again")
        os.kill(d.child("vigia-helper"), signal.SIGKILL)
        wait_for(lambda: d.child("host") not in (None, second), 5, "the monitor again, of another helper")
        d.vigia("reload")
        wait_for(lambda: d.vigia("history", "n1/host/load/1min", check=False).returncode == 0, 5, "something kept")
        os.kill(d.pid, signal.SIGHUP)
        wait_for(lambda: d.read_log().count("configuration taken") == 2, 5)
        os.kill(d.keeper(), signal.SIGKILL)
        wait_for(lambda: "vigia-keeper" in status(d), 5)
    assert [kind for _, kind in seen.events if kind != "thread"] == []


def kill_helper(d, times):
    """Each time it takes twice as long until there is another one."""
    for _ in range(times):
        helper = wait_for(lambda: d.child("vigia-helper"), 5)
        os.kill(helper, signal.SIGKILL)
        wait_for(lambda: d.child("vigia-helper") != helper, 5)


def test_while_there_is_no_helper_status_says_so_and_why_and_the_end_comes_at_once(daemon):
    d = daemon()
    keeper = d.keeper()
    kill_helper(d, 5)
    wait_for(lambda: "vigia-helper was ended by signal 9" in status(d), 2, "the cause")
    assert "started again" in status(d)
    begun = time.monotonic()
    assert not d.child("vigia-helper")
    assert d.stop() == 0
    assert time.monotonic() - begun < 1.5, "without the rest of the 3.2 s until there is another"
    assert has_ended(keeper)


@pytest.mark.parametrize("losses", (0, 3))
def test_when_it_is_killed_all_that_it_started_ends(daemon, losses):
    d = daemon()
    wait_for(lambda: d.child("host"), 5)
    kill_helper(d, losses)
    everyone = d.children()
    assert everyone
    d.kill()
    wait_for(lambda: all(has_ended(p) for p in everyone), 5, "the end of all")


def test_without_a_keeper_it_goes_on_and_says_what_to_do(daemon):
    d = daemon()
    wait_for(lambda: d.child("host"), 5)
    keeper = d.keeper()
    everyone = [keeper, *d.children(keeper)]
    with d.client() as c, Monitor(d.socket, "mine", LOAD, period=1000).connect() as m:
        own = wait_for(lambda: c.get(monitor="vigia"), 5)[0].sequence
        os.kill(keeper, signal.SIGKILL)
        wait_for(lambda: all(has_ended(p) for p in everyone), 5, "the end of all that was started")
        wait_for(lambda: "systemctl restart vigiad" in status(d), 5, "what to do")
        assert "vigia-keeper was ended by signal 9" in status(d)
        assert not os.path.exists(f"/proc/{keeper}") and not {*everyone} & {*d.children()}, "reaped"
        d.vigia("reload")
        m.send({"load/1min": 3})
        wait_for(lambda: c.get("load/1min", monitor="mine").one().number("load/1min") == 3, 5, "who connects by himself")
        wait_for(lambda: c.get(monitor="vigia").one().sequence > own, 8, "the daemon's own data")
    assert len(events(d, "helper-lost")) == 1 and not events(d, "helper-found")
    assert sorted(map(d.name_of, d.children())) == ["vigia-keeper", "vigia-launcher"]
    assert d.stop() == 0


WRONG = """listen = {}
monitor host {
	perod = 1s
	period = "3 parsecs"
}
monitor disks { program = "fs"
	timeout = soon }
monitor mail
{
	program = exec
	command = {"check_mailq"}
	timeout = 0
}
monitor none { program = "nosuch" }
monitor fs { }
"""
MISTAKES = ["vigia.conf:4: monitor host: no such option 'perod'; expected one of",
            "vigia.conf:5: monitor host: '3 parsecs' is not a duration for 'period': expected 500ms",
            "vigia.conf:8: monitor disks: 'soon' is not a duration for 'timeout'",
            "vigia.conf:10: monitor mail: command: expected {",
            "vigia.conf:10: monitor mail: timeout: expected more than 0",
            "vigia.conf:15: monitor none: program nosuch can't be started: there is none of that name"]


def check(d):
    return subprocess.run([f"{PREFIX}/sbin/vigiad", "--check", "--config", d.conf], env=d.env(), capture_output=True,
                          text=True, timeout=20)


def test_check_asks_each_monitor_and_tells_every_mistake(tmp_path):
    d = Daemon(str(tmp_path), WRONG)
    p = check(d)
    lines = p.stderr.splitlines()
    assert p.returncode == 1 and len(lines) == len(MISTAKES), p.stderr
    for line, mistake in zip(lines, MISTAKES):
        assert mistake in line
    d.configure("listen = {}\nmonitor host { period = 2s }\n")
    p = check(d)
    assert p.returncode == 0 and not p.stderr and not p.stdout
    assert not os.path.exists(d.state), "it leaves nothing behind"


def test_check_looks_at_masters_too(tmp_path):
    d = Daemon(str(tmp_path), 'insecure_network = true\nlisten = {}\nnode {\n\tmasters = {"nohost"}\n}\n')
    p = check(d)
    assert p.returncode == 1 and 'vigia.conf:5: masters: found "nohost", expected HOST:PORT' in p.stderr
    d.configure('insecure_network = true\nlisten = {}\nnode {\n\tmasters = {"127.0.0.1:1", "no.such.invalid:7660"}\n}\n')
    p = check(d)
    assert p.returncode == 1 and "vigia.conf:5: masters: no.such.invalid can't be found" in p.stderr
    assert len(p.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        d = Daemon(str(tmp_path), f'listen = {{"127.0.0.1:{port}"}}\n')
        p = subprocess.run([f"{PREFIX}/sbin/vigiad", "--config", d.conf], env=d.env(), capture_output=True, text=True,
                           timeout=10)
    assert p.returncode == 1 and f"127.0.0.1 port {port}: Address already in use" in p.stderr
    assert "listen = {" in p.stderr


def test_status_says_what_is_wrong_with_a_monitors_section(daemon):
    d = daemon(WRONG)
    wait_for(lambda: all(m in status(d) for m in MISTAKES[:2]), 10, "the mistakes")
    line = next(line for line in status(d).splitlines() if "perod" in line)
    assert line.split()[:3] == ["monitor-error", "n1", "host"]
    wait_for(lambda: [e for e in events(d, "monitor-error") if e.monitor == "mail"], 5)
    wait_for(lambda: "nosuch" in status(d), 5)
    d.configure("listen = {}\nmonitor host { period = 2s }\n")
    d.vigia("reload")
    wait_for(lambda: d.vigia("status", "--brief", check=False).returncode == 0, 10, "nothing wrong any more")


def names(d, **which):
    with d.client() as c:
        return {m.monitor for m in c.monitors(**which)}


def test_a_monitor_taken_out_of_the_configuration_leaves_no_trace_but_its_history(daemon):
    d = daemon('listen = {}\nmonitor host { }\nmonitor second { program = "host" }\n')
    with d.client() as c:
        wait_for(lambda: c.get("load/1min", monitor="second"), 5)
        d.configure("listen = {}\nmonitor host { }\n")
        c.reload()
        assert names(d) == {"host", "vigia"} and not c.get("load/1min", monitor="second")
        assert c.nodes("n1").one().monitors == 2
        assert not status(d).startswith("PROBLEM")
        wait_for(lambda: c.history("load/1min", node="n1", monitor="second"), 10, "its history")
    d.stop()
    d.start()
    wait_for(lambda: d.child("host"), 5)
    assert "second" not in names(d)
    d.configure('listen = {}\nmonitor host { }\nmonitor second { program = "host" }\n')
    d.vigia("reload")
    wait_for(lambda: "second" in names(d), 5, "it is back")


def test_a_monitor_that_lost_its_secret_is_forgotten_and_comes_anew(daemon):
    d = daemon()
    with Monitor(d.socket, "mine", LOAD, period=1000).connect() as m:
        m.send({"load/1min": 1})
        p = d.vigia("forget", "n1/mine", check=False)
        assert p.returncode and "connected" in p.stderr
        with pytest.raises(HmonError, match="stranger"):
            Monitor(d.socket, "mine", LOAD, period=1000).connect()
    wait_for(lambda: "monitor-gone" in status(d), 5)
    d.vigia("forget", "n1/mine")
    assert "mine" not in names(d) and "mine" not in status(d)
    assert d.vigia("forget", "n1/mine", check=False).returncode, "once is enough"
    assert "connected" in d.vigia("forget", "./host", check=False).stderr
    d.kill()
    d.start()
    assert "mine" not in names(d)
    with Monitor(d.socket, "mine", LOAD, period=1000).connect() as m:
        assert m.secret
        wait_for(lambda: "mine" in names(d), 5)


def test_a_monitor_that_can_not_serve_says_so_once(daemon, tmp_path):
    d = daemon()
    err = tmp_path / "err"
    with Monitor(d.socket, "host2", LOAD, period=1000).connect(), open(err, "w") as to:
        m = subprocess.Popen([f"{PREFIX}/libexec/vigia/monitors/host", "--name", "host2", "--socket", d.socket],
                             env=dict(d.env(), XDG_STATE_HOME=str(tmp_path / "none")), stderr=to,
                             stdin=subprocess.DEVNULL)
        try:
            with d.client() as c:
                refused = lambda: c.get("strangers", monitor="vigia", update=True).one().number("strangers") >= 3
                wait_for(refused, 10, "three refusals")
            assert len(events(d, "stranger")) == 1
            assert err.read_text().count("stranger") == 1 and "vigia forget n1/host2" in err.read_text()
            d.stop()
            wait_for(lambda: f"can't reach the node at {d.socket}" in err.read_text(), 10, "another cause")
        finally:
            m.terminate()
            m.wait(5)


def test_an_update_measures_the_daemon_too(daemon):
    """Its own monitor is asked like any other: from its first moment on, and again before its second is over."""
    d = daemon()
    with d.client() as c:
        first, second = (c.get("peers/connected", monitor="vigia", update=True).one() for _ in range(2))
        assert first.sequence < second.sequence and first.time < second.time


def test_who_was_stopped_and_goes_on_blames_no_monitor(daemon):
    d = daemon()
    with d.client() as c:
        wait_for(lambda: c.get("load/1min", monitor="host"), 5)
    everyone = [*d.children(), d.pid]
    for p in everyone:
        os.kill(p, signal.SIGSTOP)
    time.sleep(4.2)  # longer than a monitor of 1 s may be silent
    for p in reversed(everyone):
        os.kill(p, signal.SIGCONT)
    since = time.time_ns()
    with d.client() as c:
        wait_for(lambda: c.get("load/1min", monitor="host").one().time > since + 2 * 10**9, 10, "values as ever")
    assert not events(d, "monitor-late") and not events(d, "monitor-current")


def test_a_stopped_monitor_shows_as_late_with_its_last_values_old(daemon):
    d = daemon()
    pid = wait_for(lambda: d.child("host"), 5)

    def state():
        with d.client() as c:
            return [m.state for m in c.monitors(monitor="host")]

    wait_for(lambda: state() == ["current"], 5)
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: state() == ["late"], 9, "late")
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: state() == ["current"], 5, "current again")


def test_a_python_monitor_by_name_and_in_order(daemon):
    d = daemon("listen = {}\nmonitor host { enabled = false }\n")
    for name, in_order in (("by-name", False), ("in-order", True)):
        with Monitor(d.socket, name, LOAD, period=1000, update=lambda p: {"load/1min": 7}).connect() as m:
            if in_order:
                m.send_row([0.42], full=True)
            else:
                m.send({"load/1min": "0.42"})
            with d.client() as c:
                wait_for(lambda: c.get("load/1min", monitor=name), 5)
                assert c.get("load/1min", monitor=name).one().text("load/1min") == "0.42"
                assert c.get("load/1min", monitor=name, update=True).one().number("load/1min") == 7


def test_a_stranger_cannot_take_a_monitors_place(daemon):
    d = daemon()
    with Monitor(d.socket, "mine", LOAD, period=1000).connect() as m:
        m.send({"load/1min": 1})
        try:
            Monitor(d.socket, "mine", LOAD, period=1000).connect()
            assert False, "taken in without its secret"
        except HmonError as e:
            assert e.code == "stranger"
        again = Monitor(d.socket, "mine", LOAD, period=1000, secret=m.secret).connect()
        m.wait(lambda: m.closed)
        again.send({"load/1min": 2})
        with d.client() as c:
            wait_for(lambda: c.get("load/1min", monitor="mine").one().number("load/1min") == 2, 5)
        again.close()
    assert events(d, "stranger")


def test_a_stranger_cannot_take_the_place_of_one_that_is_configured_and_not_there(daemon):
    d = daemon('monitor host { period = "nonsense" }\n')
    try:
        Monitor(d.socket, "host", LOAD, period=1000).connect()
        assert False, "taken in, and with a secret for the day when the right one is back"
    except HmonError as e:
        assert e.code == "stranger"


def test_bad_values_are_refused_and_the_rest_goes_on(daemon):
    d = daemon()
    with Monitor(d.socket, "m", LOAD, period=0).connect() as m:
        m.send({"load/1min": 1})
        for bad in ("NaN", "Inf", "1e309", "", "12x", "99999999999999999999"):
            before = len(m.errors)
            m.connection.send(f'<monitor><v n="load/1min">{bad}</v></monitor>')
            m.wait(lambda: len(m.errors) > before)
            assert m.errors[-1].code == "bad-value"
        m.send({"load/1min": 3})
        with d.client() as c:
            wait_for(lambda: c.get("load/1min", monitor="m").one().number("load/1min") == 3, 5)


def test_reload_keeps_a_port_and_adds_another(daemon):
    port, other = free_port(), free_port()
    d = daemon(f'listen = {{"127.0.0.1:{port}"}}\nmonitor host {{ enabled = false }}\n')
    d.configure(f'listen = {{"127.0.0.1:{port}", "127.0.0.1:{other}"}}\nmonitor host {{ enabled = false }}\n')
    with d.client() as c:
        c.reload()
    for p in (port, other):
        with Client(("127.0.0.1", p)).connect() as c:
            assert c.info().name == "n1"


def test_reload_takes_a_new_monitor_and_keeps_connections(daemon):
    d = daemon()
    with d.client() as c:
        d.configure('listen = {}\nmonitor host { }\nmonitor second { program = "host" }\n')
        d.process.send_signal(signal.SIGHUP)
        wait_for(lambda: c.monitors(monitor="second"), 5, "the second monitor")
        d.configure("listen = {}\nmonitor host { perod = }\n listn = 3\n")
        try:
            c.reload()
            assert False, "a broken configuration was taken"
        except HmonError as e:
            assert e.code == "failed" and "vigia.conf:" in str(e)
        assert c.monitors(monitor="second")

# SPDX-License-Identifier: Apache-2.0
"""Monitors ordered to start and stop, here and on another host."""
import os
import signal

from cluster import Cluster, is_gone, wait_for
from test_one_host import status

def program(d, name="host"):
    wait_for(lambda: d.child(name), 10, f"monitor {name} running")
    return d.child(name)


def state(d, name="host"):
    with d.client() as c:
        return next((m.get("state") for m in c.ask("monitor", "list", node=d.name).all() if m.get("monitor") == name), None)


def test_one_that_is_stopped_stays_so_until_it_is_started(daemon):
    d = daemon("monitor host { period = 1s }\nlisten = {}\n")
    pid = program(d)
    wait_for(lambda: state(d) == "current", 10, "its values")
    d.vigia("monitor", "stop", "host")
    wait_for(lambda: is_gone(pid), 10, "its end")
    assert state(d) == "gone", "with its last values"
    assert "monitor host was stopped by order: `vigia monitor start host`" in status(d)
    d.vigia("reload")
    p = d.vigia("monitor", "stop", "host", check=False)
    assert p.returncode == 1 and "monitor host is stopped already" in p.stderr
    assert not d.child("host")
    d.vigia("monitor", "start", "host")
    program(d)
    wait_for(lambda: state(d) == "current", 10, "its values again")
    p = d.vigia("monitor", "start", "host", check=False)
    assert p.returncode == 1 and "monitor host runs already" in p.stderr
    with d.client() as c:
        assert [e.event for e in c.events() if e.monitor == "host"] == [
            "monitor-connected", "monitor-gone", "monitor-stopped", "monitor-started", "monitor-connected"]


def test_one_that_is_started_anew_is_another_process_at_once(daemon):
    d = daemon("monitor host { period = 1s }\nlisten = {}\n")
    before = program(d)
    d.vigia("monitor.restart", "host")
    wait_for(lambda: is_gone(before) and d.child("host"), 5, "another one")
    wait_for(lambda: state(d) == "current", 10, "its values")
    d.vigia("monitor", "stop", "host")
    d.vigia("monitor", "restart", "host")
    wait_for(lambda: state(d) == "current", 10, "its values again")


def test_one_that_does_not_end_is_ended(daemon):
    d = daemon("monitor host { period = 1s }\nlisten = {}\n")
    pid = program(d)
    os.kill(pid, signal.SIGSTOP)
    d.vigia("monitor", "stop", "host")
    wait_for(lambda: is_gone(pid), 15, "its end, by force")
    d.vigia("monitor", "start", "host")
    wait_for(lambda: state(d) == "current", 10, "its values")


def test_a_master_stops_and_starts_one_of_a_node():
    c = Cluster(2, monitors="monitor host { period = 1s }\n", options=("--insecure-control",))
    try:
        c.start()
        wait_for(lambda: c[2].child("host"), 10, "its monitor")
        c[1].vigia("monitor", "stop", "host", "at=h2")
        wait_for(lambda: not c[2].child("host"), 10, "its end")
        assert c[1].child("host")
        c[1].vigia("monitor", "restart", "host", "at=h2")
        wait_for(lambda: c[2].child("host"), 10, "another")
    finally:
        c.close()


def test_what_there_is_not_is_said(daemon):
    d = daemon("listen = {}\ndefault_monitors = false\n")
    p = d.vigia("monitor", "stop", "none", check=False)
    assert p.returncode == 1 and "this daemon starts no monitor named none" in p.stderr
    p = d.vigia("monitor", check=False)
    assert p.returncode == 2 and 'there is no command "monitor"' in p.stderr
    assert "monitor.stop" in d.vigia("monitor", "--help").stdout

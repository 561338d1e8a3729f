# SPDX-License-Identifier: Apache-2.0
"""Leases: who observes and who controls a process or a service, by one rule."""
import json
import subprocess

import pytest

from cluster import wait_for
from hmon_peer import HmonError
from test_operations import counter, counter_program  # noqa: F401


def operations(d, *words):
    return json.loads(d.vigia(*words, "--json").stdout or "[]")


@pytest.fixture
def target(daemon):
    p = subprocess.Popen(["sleep", "1000"])
    yield daemon(), p
    p.kill()
    p.wait()


def take(client, mode, pid):
    """Holds it, or raises what refused it."""
    answers = iter(client.ask("lease", "take", mode=mode, process=pid))
    assert next(answers).get("mode") == mode
    return answers


@pytest.mark.parametrize("first, second, conflict", [
    ("observe", "observe", False), ("observe", "share", False), ("observe", "exclusive", False),
    ("share", "observe", False), ("share", "share", False), ("share", "exclusive", True),
    ("exclusive", "observe", False), ("exclusive", "share", True), ("exclusive", "exclusive", True),
])
def test_the_rule(target, first, second, conflict):
    d, p = target
    with d.client() as a, d.client() as b:
        take(a, first, p.pid)
        if conflict:
            with pytest.raises(HmonError, match=f"process {p.pid} is controlled.* by process .* of uid"):
                take(b, second, p.pid)
        else:
            take(b, second, p.pid)
        take(a, "exclusive" if not conflict and second == "observe" else "observe", p.pid)  # with oneself nobody conflicts


def test_a_lease_ends_with_who_held_it(target):
    d, p = target
    holder = d.client()
    take(holder, "exclusive", p.pid)
    with d.client() as other:
        with pytest.raises(HmonError, match="held"):
            take(other, "exclusive", p.pid)
        holder.close(leave=False)
        wait_for(lambda: operations(d, "lease.list") == [], 5, "its release")
        take(other, "exclusive", p.pid)


def test_a_lease_ends_with_its_process_whose_number_may_be_anothers_then(target):
    d, p = target
    with d.client() as holder:
        held = take(holder, "exclusive", p.pid)
        p.kill()
        p.wait()
        with pytest.raises(HmonError, match=f"ended: process {p.pid} has ended"):
            next(held)
    assert operations(d, "lease.list") == []


@pytest.mark.parametrize("end, why", [
    (lambda d, program: d.vigia("service.delete", "counter"), "deleted: service counter: it was deleted"),
    (lambda d, program: program.kill(), "unavailable: service counter: the program that offers it is gone")])
def test_a_lease_ends_with_its_service(daemon, counter, end, why):  # noqa: F811
    d = daemon()
    program = counter(d)
    with d.client() as holder:
        held = iter(holder.ask("lease", "take", mode="share", service="counter"))
        assert next(held).get("what") == "service counter"
        end(d, program)
        with pytest.raises(HmonError, match=why):
            next(held)
    assert operations(d, "lease.list") == []


def test_only_who_holds_it_controls_what_is_held_exclusively(target):
    d, p = target
    with d.client() as holder:
        take(holder, "exclusive", p.pid)
        refused = d.vigia("process.signal", str(p.pid), "USR1", check=False)
        assert refused.returncode == 1 and "controlled exclusively" in refused.stderr and p.poll() is None
        holder.ask("process", "signal", pid=p.pid, signal="TERM").all()
    assert p.wait(5) == -15


def test_everyone_is_told_of_each_change(target):
    d, p = target
    with d.client() as watcher, d.client() as holder:
        d.vigia("lease.list")
        take(holder, "observe", p.pid)
        changes = iter(watcher.ask("channel", "subscribe", channel="leases", after=0))
        next(changes)
        assert next(changes).get("tag") == "1"
        holder.close()
        assert next(changes).get("tag") == "1"


@pytest.mark.parametrize("words, says", [
    (["lease.take", "borrow", "process=PID"], "mode must be observe, share or exclusive"),
    (["lease.take", "observe"], "either a service or a process"),
    (["lease.take", "observe", "service=nobody"], "no service is named nobody"),
    (["lease.take", "observe", "process=999999999"], "no process"),
])
def test_what_is_wrong_is_said(target, words, says):
    d, p = target
    said = d.vigia(*[w.replace("PID", str(p.pid)) for w in words], check=False)
    assert said.returncode == 1 and says in said.stderr

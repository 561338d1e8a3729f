# SPDX-License-Identifier: Apache-2.0
"""Which services a host has: the configuration chooses them; what it leaves out another program may offer."""
import json
import os
import re
import subprocess

import pytest

from cluster import wait_for
from hmon_peer import HmonError, Metric, Monitor
from test_hosts import free_port
from test_operations import LIB, build

NONE = "listen = {}\nservices = {}\n"
OWN = {"host", "cluster", "service", "channel", "limit", "audit", "settings", "daemon"}
LEFT_OUT = "service {} is not chosen on this host (services in vigia.conf)"


def operations(d, *words):
    return json.loads(d.vigia(*words, "--json").stdout or "[]")


def names(d, *words):
    return {s["name"] for s in operations(d, "service.list", *words)}


def processes_of(d):
    return {d.name_of(pid) for pid in d.children()} - {None}


def test_without_a_word_all_are_there(daemon):
    d = daemon()
    assert names(d) == OWN | {"health", "process", "lease"}
    assert not [s for s in operations(d, "service.list", "all=yes") if s.get("chosen") == "no"]


def test_the_core_runs_with_no_service_at_all(daemon):
    d = daemon(NONE)
    assert names(d) == OWN
    assert [h["state"] for h in operations(d, "host.list")] == ["up"]
    d.vigia("channel.create", "news")
    d.vigia("channel.put", "news", "1", "x")
    with d.client() as c:
        going = c.ask("channel", "subscribe", channel="news", after=0)
        answers = iter(going)
        assert next(answers).get("key") == "news" and next(answers).name == "event"
        c.ask("master", "cancel", of=going.id).all()
    assert d.stop() == 0


def test_what_is_left_out_costs_nothing(daemon):
    whole, d = daemon(name="n1"), daemon(NONE, "n2")
    wait_for(lambda: "vigia-helper" in processes_of(whole), 10, "the helper")
    wait_for(lambda: os.path.exists(f"{whole.state}/history.db"), 10, "the history")
    assert not {"vigia-helper", "host"} & processes_of(d)
    wait_for(lambda: sorted(os.listdir(d.state)) == ["audit", "id", "view", "vigiad.pid", "vigiad.sock"], 10, "its files, and no more")


@pytest.mark.parametrize("words, service", [
    (["node.list"], "health"), (["status"], "health"), (["master.info"], "health"), (["ps"], "process"),
    (["process.signal", "1"], "process"), (["lease.list"], "lease"), (["help", "monitor.get"], "health"),
    (["help", "health"], "health"), (["service.get", "process"], "process"), (["service.describe", "lease"], "lease"),
])
def test_what_is_left_out_says_so(daemon, words, service):
    p = daemon(NONE).vigia(*words, check=False)
    assert p.returncode in (1, 2) and LEFT_OUT.format(service) in p.stderr


def test_what_there_never_was_is_told_as_ever(daemon):
    d = daemon(NONE)
    assert 'there is no operation "nothing.at-all"' in d.vigia("nothing.at-all", check=False).stderr
    assert "no service is named nothing" in d.vigia("service.get", "nothing", check=False).stderr


def test_left_out_ones_are_listed_when_asked_for(daemon):
    d = daemon("listen = {}\nservices = {process}\n")
    assert names(d) == OWN | {"process"}
    assert {s["name"] for s in operations(d, "service.list", "all=yes") if s.get("chosen") == "no"} == {"health", "lease"}
    assert operations(d, "process.list")


def test_nodes_and_monitors_are_told_who_is_not_there(daemon):
    port = free_port()
    d = daemon(f'listen = {{"127.0.0.1:{port}"}}\nservices = {{}}\n')
    with pytest.raises(HmonError, match=re.escape('role "monitor": ' + LEFT_OUT.format("health"))):
        Monitor(d.socket, "load", [Metric("n")]).connect()
    node = daemon(f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\ndefault_monitors = false\n', "n2")
    wait_for(lambda: 'role "node": ' + LEFT_OUT.format("health") in node.vigia("status", check=False).stdout, 15,
             "the node knows why")


@pytest.mark.parametrize("line, says", [
    ('services = {health,\n "proces"}', ':3: services: found "proces", expected lease, process, health, all, or the NAME of'),
    ("services = {host}", ':2: services: found "host", expected lease, process, health, all, or the NAME of'),
    ("services = {lease, lease}", ':2: services: found "lease", expected each service once'),
])
def test_a_name_that_is_none_is_told_with_its_place(daemon, line, says):
    d = daemon(NONE)
    d.configure(f"{line}\n")
    p = subprocess.run([f"{d.prefix}/sbin/vigiad", "--config", d.conf, "--check"], env=d.env(), capture_output=True, text=True)
    assert p.returncode == 1 and f"{d.conf}{says}" in p.stderr
    p = d.vigia("reload", check=False)
    assert p.returncode == 1 and f"{d.conf}{says}" in p.stderr and "the old configuration stays" in p.stderr


def test_a_change_takes_a_restart(daemon):
    d = daemon(NONE)
    d.configure("listen = {}\nservices = {lease}\n")
    assert "what changed in services takes a restart" in d.vigia("reload").stderr
    assert names(d) == OWN
    d.stop()
    d.start()
    assert names(d) == OWN | {"lease"}
    assert d.vigia("reload").stderr == ""


# ------------------------------------------------------------------------------------------- another implementation

@pytest.fixture(scope="session")
def other_process(tmp_path_factory):
    return build("tests/third_party/process.c", tmp_path_factory.mktemp("process") / "process")


@pytest.fixture
def offer(other_process):
    started = []

    def start(d):
        started.append(subprocess.Popen([other_process], env=dict(d.env(), LD_LIBRARY_PATH=LIB, VIGIA_SOCKET=d.socket),
                                        stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for p in started:
        p.kill()
        p.communicate()


def test_another_program_may_stand_in_and_nobody_can_tell(daemon, offer):
    d = daemon("listen = {}\nservices = {lease}\n")
    p = offer(d)
    wait_for(lambda: "process" in names(d), 5, "its service")
    assert [(q["pid"], q["program"]) for q in operations(d, "ps")] == [("4711", "made-up")]
    assert "the processes of this host" in d.vigia("help", "process.list").stdout
    with d.client() as c:
        assert [q.get("pid") for q in c.ask("process", "list").all()] == ["4711"]
        with pytest.raises(HmonError, match="there is no process.signal$"):
            c.ask("process", "signal", pid=1).all()
    p.kill()
    p.wait()
    wait_for(lambda: LEFT_OUT.format("process") in d.vigia("ps", check=False).stderr, 5, "it is gone")


def test_what_is_there_nobody_pushes_aside(daemon, offer):
    p = offer(daemon())
    assert "there is a service or noun process already" in p.communicate(timeout=10)[1]

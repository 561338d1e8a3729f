# SPDX-License-Identifier: Apache-2.0
"""`vigiad --insecure-control`: what other hosts may do before there are keys, in a network that leads nowhere."""
import json
import os
import re
import subprocess

import pytest

from cluster import PREFIX, Daemon, Network, run, wait_for
from frames_peer import Program
from test_frames import QUERY

SWITCH = ("--insecure-control",)


def operations(d, *words):
    return json.loads(d.vigia(*words, "--json").stdout or "[]")


@pytest.fixture
def two(make_cluster):
    """h1 and h2, once each knows of the other."""
    def start(**options):
        return make_cluster(2, **options).until_one_view()
    return start


def test_hosts_control_each_other(two):
    c = two(options=SWITCH)
    assert any(p["program"] == "vigiad" for p in operations(c[1], "process.list", "at=h2"))
    operations(c[1], "channel.create", "news", "at=h2")
    operations(c[1], "channel.put", "news", "1", "x", "at=h2")
    assert [(o["key"], o["owner"]) for o in operations(c[2], "channel.list") if o["key"] == "news"] == [("news", str(os.getuid()))]
    with subprocess.Popen([f"{PREFIX}/bin/vigia", "process.start", "at=h2", "sleep", "600", "--json"], env=c[1].env(),
                          stdout=subprocess.PIPE, text=True) as started:
        pid = json.loads(started.stdout.readline())["pid"]
        assert any(p["pid"] == pid for p in operations(c[2], "process.list"))
        c[1].vigia("process.signal", pid, "at=h2")
        assert json.loads(started.stdout.readline())["signal"] == "15"
    p = c[1].vigia("status", check=False)
    assert p.returncode == 1 and "--insecure-control is on" in p.stdout


def test_two_tools_of_one_host_on_a_process_of_another(two):
    c = two(options=SWITCH)
    process = f"process={c[2].pid}"
    with subprocess.Popen([f"{PREFIX}/bin/vigia", "lease.take", "exclusive", process, "at=h2", "--json"], env=c[1].env(),
                          stdout=subprocess.PIPE, text=True) as holder:
        assert json.loads(holder.stdout.readline())["host"] == "h1"
        with subprocess.Popen([f"{PREFIX}/bin/vigia", "lease.take", "observe", process, "at=h2", "--json"], env=c[1].env(),
                              stdout=subprocess.PIPE, text=True) as observer:
            assert json.loads(observer.stdout.readline())["mode"] == "observe"
            observer.kill()
        refused = c[1].vigia("lease.take", "share", process, "at=h2", check=False)
        assert f"controlled exclusively by process {holder.pid} of uid {os.getuid()} on h1" in refused.stderr
        holder.kill()
    wait_for(lambda: operations(c[2], "lease.list") == [], 5, "its release")


def test_it_is_as_strict_as_ever_without(two):
    c = two()
    p = c[1].vigia("process.list", "at=h2", check=False)
    assert p.returncode == 1 and "not for other hosts" in p.stderr


class Attentive(Program):
    """Notes who asks, as it is told."""
    told = None

    def _on_frame(self, kind, flags, number, payload):
        if kind == QUERY:
            self.told = payload[0][2][1:]
        super()._on_frame(kind, flags, number, payload)


@pytest.mark.parametrize("options", [(), SWITCH])
def test_a_program_is_told_who_asks_only_where_that_is_known(two, options):
    c, me = two(options=options), [os.getuid(), os.getpid()]
    with Attentive(c[2].socket) as service, Program(c[1].socket) as other, Program(c[2].socket) as own:
        service.offer("thing", get=lambda fields: {"data": b"it"})
        own.ask("thing.get").one()
        assert service.told == me
        other.ask("thing.get", at="h2").one()
        assert service.told == (me if options else [])


def refusal(tmp_path, space=None):
    d = Daemon(str(tmp_path), "listen = {}\n", netns=space, options=SWITCH).start(wait=False)
    try:
        assert d.process.wait(10) == 1
    finally:
        d.stop()
    return d.read_log()


def test_refused_where_others_are(tmp_path):
    assert re.search("--insecure-control: only in a network namespace of its own", refusal(tmp_path))


@pytest.mark.parametrize("route", ["default via 10.9.0.2", "-6 default dev eth0"])
def test_refused_with_a_way_out(tmp_path, route):
    if os.geteuid() != 0 or subprocess.run(["ip", "netns", "list"], capture_output=True).returncode:
        pytest.skip("network namespaces need root")
    n = Network(1)
    try:
        family = ["-6"] if route.startswith("-6") else []
        inside = ["ip", *family, "-n", n.space(1)]
        if not family:
            run("ip", "-n", n.space(1), "address", "add", "10.9.0.1/24", "dev", "eth0")
        run(*inside, "route", "add", *route.removeprefix("-6 ").split())
        wait_for(lambda: "default" in subprocess.run([*inside, "route"], capture_output=True, text=True).stdout, 5)
        assert "has a default route" in refusal(tmp_path, n.space(1))
    finally:
        n.close()

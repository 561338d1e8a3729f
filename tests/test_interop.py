# SPDX-License-Identifier: Apache-2.0
"""Vigia's node and monitors against the peer that was written from docs/hmon.md alone, in every direction.

(A Python monitor, node and client against vigiad: test_one_host.py and test_cluster.py.)"""
import os
import socket
import subprocess

import pytest

import hmon_peer
from cluster import PREFIX, wait_for

MONITORS = f"{PREFIX}/libexec/vigia/monitors"


@pytest.fixture
def python_daemon():
    with hmon_peer.Daemon(("127.0.0.1", 0), name="py") as d:
        yield d


def test_a_vigia_node_serves_a_python_master(python_daemon, daemon):
    host, port = python_daemon.address
    d = daemon(f'listen = {{}}\nnode {{ masters = {{"{host}:{port}"}} }}\nmonitor host {{ }}\n')
    python_daemon.wait(lambda: python_daemon.value("host", "load/1min", node="n1") is not None, 10)
    assert python_daemon.node("n1").state == "up"
    assert not python_daemon.errors
    before = python_daemon.monitor("host", node="n1").periods[-1][1]
    python_daemon.update("host", node="n1")
    python_daemon.wait(lambda: python_daemon.monitor("host", node="n1").periods[-1][1] > before, 5)
    assert d.stop() == 0
    python_daemon.wait(lambda: python_daemon.node("n1").state == "left", 5)


def test_a_vigia_node_goes_on_where_a_python_master_left_off(daemon):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    d = daemon(f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\nmonitor host {{ }}\n')
    with hmon_peer.Daemon(("127.0.0.1", port), name="py") as first:
        first.wait(lambda: first.value("host", "load/1min", node="n1") is not None, 10)
        first.wait(lambda: len(first.monitor("host", node="n1").periods) >= 4, 10)
        last = first.monitor("host", node="n1").periods[-1][1]
    with hmon_peer.Daemon(("127.0.0.1", port), name="py") as second:  # knows nothing: is owed everything
        second.wait(lambda: second.monitor("host", node="n1") and second.monitor("host", node="n1").periods and
                    second.monitor("host", node="n1").periods[-1][1] > last, 20)
        sequences = [p[1] for p in second.monitor("host", node="n1").periods]
    assert sequences == list(range(1, len(sequences) + 1))
    assert d.answers()


@pytest.mark.parametrize("name", ["host", "fs"])
def test_a_vigia_monitor_feeds_a_python_node(python_daemon, name, tmp_path):
    host, port = python_daemon.address
    env = dict(os.environ, XDG_STATE_HOME=str(tmp_path), XDG_RUNTIME_DIR=str(tmp_path))
    p = subprocess.Popen([f"{MONITORS}/{name}", "--connect", f"{host}:{port}"], env=env, stdin=subprocess.DEVNULL,
                         stderr=subprocess.PIPE)
    try:
        wait_for(lambda: python_daemon.monitor(name) and python_daemon.monitor(name).periods, 10, "values")
        assert not python_daemon.errors
    finally:
        p.terminate()
        assert p.wait(5) == 0

# SPDX-License-Identifier: Apache-2.0
"""`vigiad --daemon`: it goes on when who started it ends, and says who it is, or what is wrong."""
import json
import os
import re
import signal
import subprocess

import pytest

from cluster import PREFIX, Daemon, is_gone, wait_for


@pytest.fixture
def start(tmp_path):
    """`start(words...)` starts it, for the same places each time."""
    d = Daemon(str(tmp_path), "listen = {}\ndefault_monitors = false\n")

    def run(*words):
        return subprocess.run([f"{PREFIX}/sbin/vigiad", "--config", d.conf, "--daemon", *words], env=d.env(), text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=30)  # until nobody holds its stderr

    run.daemon = d
    yield run
    try:
        with open(f"{d.state}/vigiad.pid") as f:
            pid = int(f.read())
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return
    wait_for(lambda: is_gone(pid), 20, "its end")


def test_it_says_who_it_is_and_goes_on(start):
    p = start()
    assert (p.returncode, p.stderr) == (0, "") and re.fullmatch(r"host n1 [0-9a-f]{32}\n", p.stdout)
    info = json.loads(start.daemon.vigia("host.info", "--json").stdout)[0]
    assert f"host n1 {info['id']}\n" == p.stdout
    with open(f"{start.daemon.state}/vigiad.pid") as f:
        pid = int(f.read())
    assert os.getsid(pid) == pid
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3


def test_one_that_runs_already_is_left_alone(start):
    first = start().stdout
    p = start()
    assert p.returncode == 0 and p.stdout == first.replace("\n", " already\n")


def test_what_is_wrong_is_said_by_who_started_it(start):
    p = start("--masters", "10.9.9.9:1")
    assert p.returncode == 1 and p.stdout == "" and "--masters: 10.9.9.9:1 is beyond this machine" in p.stderr
    start.daemon.configure("nonsense = 1\n")
    p = start()
    assert p.returncode == 1 and p.stdout == "" and "vigia.conf:2: found \"nonsense\"" in p.stderr


def test_what_the_command_line_says_outlives_a_reload(start):
    start("--masters", "127.0.0.1:1")
    says_so = lambda: "master 127.0.0.1:1 is not reached" in start.daemon.vigia("status", "n1", check=False).stdout
    wait_for(says_so, 10, "the master is looked for")
    start.daemon.vigia("reload")
    assert says_so()


def test_a_daemon_that_none_can_reach_adds_no_hosts(start):
    start()
    p = start.daemon.vigia("add", "h2", check=False)
    assert p.returncode == 1 and "no other host can reach this daemon: see listen" in p.stderr

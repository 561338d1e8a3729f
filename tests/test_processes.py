# SPDX-License-Identifier: Apache-2.0
"""The processes of a host: listed, started, signalled, and told of when they end."""
import json
import os
import signal
import subprocess

import pytest

from cluster import PREFIX, wait_for


def operations(d, *words):
    return json.loads(d.vigia(*words, "--json").stdout or "[]")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def sleeper():
    p = subprocess.Popen(["sleep", "1000"])
    yield p
    p.kill()
    p.wait()


def test_processes_are_listed_as_ps_does(daemon, sleeper):
    d = daemon()
    listed = {int(p["pid"]): p for p in operations(d, "process.list")}
    me = listed[os.getpid()]
    assert me["uid"] == str(os.geteuid()) and me["parent"] == str(os.getppid()) and "python" in me["program"]
    assert listed[sleeper.pid]["command"] == "sleep 1000" and listed[sleeper.pid]["state"] == "S"
    assert d.pid in listed


def test_a_list_is_narrowed_by_program_and_user(daemon, sleeper):
    d = daemon()
    listed = operations(d, "process.list", "sleep", f"user={os.geteuid()}")
    assert str(sleeper.pid) in [p["pid"] for p in listed] and {p["program"] for p in listed} == {"sleep"}
    assert operations(d, "process.list", "no-such-program") == []


def test_a_signal_ends_a_process_and_who_watches_is_told(daemon, sleeper):
    d = daemon()
    with d.client() as c:
        watched = iter(c.ask("process", "watch", pid=sleeper.pid))
        start = next(watched).get("start")
        d.vigia("process.signal", str(sleeper.pid), "TERM", start)
        assert next(watched).get("state") == "ended"
    assert sleeper.wait(5) == -signal.SIGTERM


@pytest.mark.parametrize("words, says", [
    (["process.info", "0"], "no process 0"),
    (["process.info", "999999999"], "no process 999999999"),
    (["process.signal", "PID", "WINK"], "signal must be the name of a signal"),
    (["process.signal", "PID", "TERM", "1"], "of that start"),
    (["process.signal"], "process.signal needs pid"),
    (["process.watch", "999999999"], "no process"),
    (["process.start"], "process.start needs word"),
    (["process.start", "/no/such/program"], "/no/such/program"),
    (["process.start", "sleep", "1", "directory=here"], "must be an absolute path"),
])
def test_what_is_wrong_is_said(daemon, sleeper, words, says):
    d = daemon()
    p = d.vigia(*[str(sleeper.pid) if w == "PID" else w for w in words], check=False)
    assert p.returncode in (1, 2) and says in p.stderr, p.stderr
    assert sleeper.poll() is None


def test_a_program_is_started_and_its_end_is_told(daemon, tmp_path):
    d = daemon()
    said = d.vigia("--json", "process.start", "--", "sh", "-c", f"echo here > {tmp_path}/out; exit 7").stdout
    first, last = map(json.loads, said.splitlines())
    assert first["state"] == "started" and last == {"state": "ended", "code": "7"}
    assert (tmp_path / "out").read_text() == "here\n"


def test_a_started_program_outlives_whoever_asked_and_the_daemon(daemon):
    d = daemon()
    asked = subprocess.Popen([f"{PREFIX}/bin/vigia", "process.start", "sleep", "1000", "--json"], env=d.env(),
                             stdout=subprocess.PIPE, text=True)
    pid = int(json.loads(asked.stdout.readline())["pid"])
    asked.kill()
    asked.communicate()
    assert alive(pid)
    d.stop()
    assert alive(pid)
    d.start()
    d.vigia("process.signal", str(pid), "KILL")
    wait_for(lambda: not alive(pid), 5, "its end")


def test_status_says_that_programs_can_not_be_started(daemon):
    d = daemon()
    assert d.vigia("status", check=False).stdout.count("programs can't be started") == 0
    keeper = next(p for p in d.children() if "vigia-launcher" in map(d.name_of, d.children(p)))
    os.kill(keeper, signal.SIGKILL)
    said = wait_for(lambda: "programs can't be started" in d.vigia("status", check=False).stdout, 5, "a problem")
    assert said and d.vigia("process.start", "true", check=False).returncode == 1


def test_the_host_tells_what_it_is_made_of(daemon):
    d = daemon()
    wait_for(lambda: operations(d, "host.info")[0].get("cores"), 5, "the topology")
    info, = operations(d, "host.info")
    assert int(info["threads"]) == os.cpu_count() and info["topology"]

# SPDX-License-Identifier: Apache-2.0
"""History: queries against an oracle, and a disk that is full, read-only, or damaged."""
import glob
import os
import subprocess
import time

import pytest

from cluster import Daemon, wait_for
from hmon_peer import HmonError, Metric, Monitor

MiB = 1 << 20


def test_ranges_and_steps_agree_with_a_list_kept_beside(daemon):
    d = daemon("listen = {}\nmonitor host { enabled = false }\n")
    start = (time.time_ns() // 10**9 - 5000) * 10**9
    log = [(start + i * 10**9, (i * 37) % 101) for i in range(3000)]
    with Monitor(d.socket, "m", [Metric("x", scale=1)], period=0).connect() as m, d.client() as c:
        for t, v in log:
            m.send({"x": v}, time=t)

        def points(**query):
            series = c.history("x", monitor="m", **query)
            return series[0].points if series else []

        wait_for(lambda: len(points()) == len(log), 20, "all of it")
        assert [(t, float(v)) for t, v in points()] == [(t, float(v)) for t, v in log]
        low, high = log[500][0], log[700][0]
        assert [t for t, _ in points(from_=low, to=high)] == [t for t, _ in log[500:700]]
        steps = {}
        for t, v in log:
            steps.setdefault(t // (60 * 10**9) * 60 * 10**9, []).append(v)
        got = {t: (n, float(mean), float(least), float(most)) for t, n, mean, least, most in points(step=60000)}
        assert set(got) == set(steps)
        for t, values in steps.items():
            n, mean, least, most = got[t]
            assert (n, least, most) == (len(values), min(values), max(values))
            assert abs(mean - sum(values) / len(values)) < 0.001


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mounted = []

    def make(size="4m"):
        path = tmp_path / "disk"
        path.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "vigia-test", str(path)], check=True)
        mounted.append(path)
        return str(path)

    yield make
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def on_disk(small_disk):
    started = []

    def start(prepare=lambda path: None):
        path = small_disk()
        prepare(path)
        d = Daemon(path, "listen = {}\nmonitor host { period = 200ms }\n")
        started.append(d)
        return d, path

    yield start
    for d in started:
        d.stop()


def fill(path):
    with open(f"{path}/filler", "wb", buffering=0) as f:
        try:
            while f.write(b"x" * 4096):
                pass
        except OSError:
            pass


def trouble(d):
    with d.client() as c:
        return [s.problem for s in c.status() if s.problem == "history"]


def live(d):
    with d.client() as c:
        before = wait_for(lambda: c.get("load/1min", monitor="host"), 5, "a value").one().sequence
        wait_for(lambda: c.get("load/1min", monitor="host").one().sequence > before, 5, "live values")


def kinds(d):
    with d.client() as c:
        return [e.event for e in c.events() if e.event.startswith("history")]


def kept_after(d, since):
    with d.client() as c:
        return [p for s in c.history("load/1min", monitor="host", from_=since) for p in s.points]


def test_a_full_disk_is_told_once_live_values_go_on_and_it_recovers(on_disk):
    d, path = on_disk()
    d.start()
    wait_for(lambda: kept_after(d, 0), 10)
    fill(path)
    wait_for(lambda: trouble(d), 20, "being told")
    live(d)
    os.unlink(f"{path}/filler")
    wait_for(lambda: not trouble(d), 20, "recovery")
    since = time.time_ns()
    wait_for(lambda: kept_after(d, since), 20, "history going on")
    assert kinds(d) == ["history-trouble", "history-recovered"]


def test_a_daemon_starts_on_a_full_disk(on_disk):
    d, path = on_disk()
    d.start()
    d.stop()
    os.unlink(f"{path}/n1/vigia/history.db")
    fill(path)
    d.start()
    live(d)
    wait_for(lambda: trouble(d), 20, "being told")
    os.unlink(f"{path}/filler")
    since = time.time_ns()
    wait_for(lambda: not trouble(d), 30, "recovery")
    wait_for(lambda: kept_after(d, since), 20, "history")


def test_a_read_only_disk_is_survived(on_disk, tmp_path):
    d, path = on_disk()
    d.start()
    wait_for(lambda: kept_after(d, 0), 10)
    d.stop()
    subprocess.run(["mount", "-o", "remount,ro", path], check=True)
    d.socket, d.log = f"{tmp_path}/run/vigia/vigiad.sock", f"{tmp_path}/log"
    elsewhere = dict(d.env(), XDG_RUNTIME_DIR=f"{tmp_path}/run")
    os.mkdir(f"{tmp_path}/run", mode=0o700)
    d.env = lambda: elsewhere
    d.start()
    wait_for(lambda: trouble(d), 20, "being told")
    live(d)
    subprocess.run(["mount", "-o", "remount,rw", path], check=True)
    since = time.time_ns()
    wait_for(lambda: not trouble(d), 20, "recovery")
    wait_for(lambda: kept_after(d, since), 20, "history")


def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(daemon):
    d = daemon()
    wait_for(lambda: kept_after(d, 0), 10)
    d.stop()
    file = f"{d.state}/history.db"
    with open(file, "r+b") as f:
        f.write(os.urandom(8192))
    d.start()
    live(d)
    since = time.time_ns()
    wait_for(lambda: kept_after(d, since), 20, "history in the new file")
    aside = glob.glob(f"{file}.damaged-*")
    assert aside and os.path.getsize(aside[0]) > 0


def test_a_file_of_a_newer_version_is_left_untouched(daemon):
    d = daemon()
    wait_for(lambda: kept_after(d, 0), 10)
    d.stop()
    file = f"{d.state}/history.db"
    subprocess.run(["sqlite3", file, "pragma user_version = 99"], check=True)
    with open(file, "rb") as f:
        before = f.read()
    d.start()
    live(d)
    wait_for(lambda: trouble(d), 10, "being told")
    with pytest.raises(HmonError, match="unavailable"):
        kept_after(d, 0)
    d.stop()
    with open(file, "rb") as f:
        assert f.read() == before


def test_sqlite3_reads_it(daemon):
    d = daemon()
    wait_for(lambda: kept_after(d, 0), 10)
    out = subprocess.run(["sqlite3", f"{d.state}/history.db", "select node, monitor from monitors order by monitor"],
                         check=True, capture_output=True, text=True).stdout.split()
    assert out == ["n1|host", "n1|vigia"]

# SPDX-License-Identifier: Apache-2.0
"""History: queries against an oracle, and a disk that is full, read-only, or damaged."""
import contextlib
import glob
import os
import random
import re
import shutil
import subprocess
import time
from decimal import Decimal

import pytest

from cluster import Daemon, SOAK, wait_for
from hmon_peer import HmonError, Metric, Monitor, Node

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

    def start(conf="listen = {}\nmonitor host { period = 200ms }\n"):
        path = small_disk()
        d = Daemon(path, conf)
        started.append(d)
        return d, path

    yield start
    for d in started:
        d.stop()


def run_elsewhere(d, tmp_path):
    """Its socket and log are not on the disk, only its state."""
    d.socket, d.log = f"{tmp_path}/run/vigia/vigiad.sock", f"{tmp_path}/log"
    elsewhere = dict(d.env(), XDG_RUNTIME_DIR=f"{tmp_path}/run")
    os.mkdir(f"{tmp_path}/run", mode=0o700)
    d.env = lambda: elsewhere


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


def kept_aside(file):
    """Databases that were; what SQLite had beside them went along."""
    return [f for f in glob.glob(f"{file}.damaged-*") if not f.endswith(("-wal", "-shm"))]


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
    run_elsewhere(d, tmp_path)
    d.start()
    wait_for(lambda: trouble(d), 20, "being told")
    live(d)
    subprocess.run(["mount", "-o", "remount,rw", path], check=True)
    since = time.time_ns()
    wait_for(lambda: not trouble(d), 20, "recovery")
    wait_for(lambda: kept_after(d, since), 20, "history")


@pytest.fixture
def failing_disk(tmp_path):
    """A file system of its own that can be made to fail as a broken disk makes it: read-only at once, with files open."""
    image, path = f"{tmp_path}/image", f"{tmp_path}/disk"
    if not shutil.which("mkfs.ext4"):
        pytest.skip("e2fsprogs is not here")
    os.mkdir(path, mode=0o700)
    with open(image, "wb") as f:
        f.truncate(32 * MiB)
    made = subprocess.run(["mkfs.ext4", "-q", image], capture_output=True)
    if made.returncode or subprocess.run(["mount", "-o", "loop", image, path], capture_output=True).returncode:
        pytest.skip("no loop device can be mounted here")
    os.chmod(path, 0o700)
    yield image, path
    while os.path.ismount(path):
        subprocess.run(["umount", "-l", path], check=True)


def test_a_disk_that_fails_under_a_running_daemon_is_told_once_and_it_goes_on_when_mended(failing_disk, tmp_path):
    image, path = failing_disk
    # In the sandbox a file system that was mounted later is not the daemon's own (vigiad(8)).
    d = Daemon(path, "listen = {}\nsandbox = no\nmonitor host { period = 100ms }\n")
    run_elsewhere(d, tmp_path)
    d.start()
    try:
        wait_for(lambda: kept_after(d, 0), 10)
        assert subprocess.run(["mount", "-o", "remount,ro", path], capture_output=True).returncode, "it is in use"
        subprocess.run(["mount", "-o", "remount,abort", path], check=True)
        broken = time.time_ns()
        wait_for(lambda: trouble(d), 20, "being told")
        live(d)
        subprocess.run(["umount", "-l", path], check=True)  # the daemon's lock keeps it busy
        live(d)
        shutil.copyfile(image, f"{image}.mended")
        assert subprocess.run(["e2fsck", "-p", f"{image}.mended"], capture_output=True).returncode in (0, 1)
        subprocess.run(["mount", "-o", "loop", f"{image}.mended", path], check=True)
        wait_for(lambda: not trouble(d), 20, "recovery")
        since = time.time_ns()
        wait_for(lambda: kept_after(d, since), 20, "history going on")
        assert kinds(d) == ["history-trouble", "history-recovered"]
        with d.client() as c:
            told = [e.text for e in c.events() if e.event == "history-recovered"]
        assert told == ["0 periods were dropped meanwhile"]
        times = [t for t, _ in kept_after(d, broken)]
        gaps = [b - a for a, b in zip(times, times[1:])]
        assert max(gaps) < 1.5e9, "what was measured meanwhile is there"
        assert not glob.glob(f"{d.state}/history.db.damaged-*")
    finally:
        d.stop()


def test_what_a_full_disk_cost_is_told_with_the_ack_that_covers_it(on_disk):
    """More than the queue holds comes while the disk is full; what is acknowledged then, and not told as lost, is there."""
    d, path = on_disk('listen = {"127.0.0.1:0"}\nmonitor host { enabled = false }\n')
    d.start()
    port = int(wait_for(lambda: re.search(r"127.0.0.1 port (\d+)", d.read_log()), 5)[1])
    n = Node(("127.0.0.1", port), "talker", beat="none")
    talk = n.add("talk", [Metric(f"t{i}", "text") for i in range(60)])
    n.connect()

    def say():
        n.record("talk", [f"{talk.sequence} " + "x" * 1000] * 60)
        return talk.sequence

    def live_sequence():
        with d.client() as c:
            return c.get("t0", monitor="talk", node="talker").one().sequence

    def acked():
        return talk.acked and talk.acked[1]

    said = say()
    wait_for(lambda: acked() == said, 10, "the first ack")
    fill(path)
    while said < 2000:  # of sixty kilobytes each, and 64 MiB are kept waiting
        said = say()
    wait_for(lambda: live_sequence() == said, 20, "all being taken")
    assert talk.lost == 0 and acked() < said
    subprocess.run(["mount", "-o", "remount,size=400m", path], check=True)
    wait_for(lambda: not trouble(d), 20, "recovery")
    last = say()
    wait_for(lambda: acked() == last, 20, "the last ack")
    d.kill()
    n.close()
    d.start()
    with d.client() as c:
        points = c.history("t0", monitor="talk", node="talker")[0].points
    assert len(points) == last - talk.lost, (len(points), last, talk.lost)
    assert talk.lost > 10 and points[-1][1].startswith(f"{last - 1} ")


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
    aside = kept_aside(file)
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


@pytest.mark.parametrize("where", ["all of it", "its header", "its middle"])
def test_a_file_damaged_under_a_running_daemon_is_noticed_and_a_new_one_begun(daemon, where):
    """Bytes written over while it is in use; a reader or the writer meets them. One event, live values all along. Or the
    journal has all of the pages that were hit, and writes them anew: then nothing was lost."""
    d = daemon("listen = {}\nmonitor host { period = 50ms }\n")
    file = f"{d.state}/history.db"
    wait_for(lambda: len(kept_after(d, 0)) > 20, 10)
    before, after = {"all of it": (0, 0), "its header": (0, 4096), "its middle": (4096, 0)}[where]
    with open(file, "r+b") as f:
        size = os.path.getsize(file)
        assert size > 8192
        f.seek(before)
        f.write(os.urandom((after or size) - before))
    since = time.time_ns()

    def recovered():
        try:
            return kept_after(d, since)
        except HmonError as e:
            assert e.code in ("failed", "unavailable")

    def noticed():
        live(d)  # between two looks into the file, so that its log is not held by readers all the time
        with contextlib.suppress(HmonError):
            kept_after(d, 0)  # what nobody reads nobody misses
        return recovered() and (kept_aside(file) or healed())

    def healed():
        check = subprocess.run(["sqlite3", file, "pragma integrity_check"], capture_output=True, text=True)
        return check.stdout.strip() == "ok"

    wait_for(noticed, 25, "history going on")
    live(d)
    wait_for(lambda: not trouble(d), 10, "all well")
    assert d.process.poll() is None
    aside = kept_aside(file)
    if not aside:
        assert "history-trouble" not in kinds(d)
        d.stop()
        assert healed()
        return
    assert len(aside) == 1 and os.path.getsize(aside[0]) > 0
    assert kinds(d).count("history-trouble") == 1


def test_a_damaged_file_is_told_once(daemon):
    d = daemon()
    wait_for(lambda: kept_after(d, 0), 10)
    d.stop()
    with open(f"{d.state}/history.db", "r+b") as f:
        f.write(os.urandom(8192))
    d.start()
    since = time.time_ns()
    wait_for(lambda: kept_after(d, since), 20, "history in the new file")
    assert kinds(d).count("history-trouble") == 1 and not trouble(d)
    assert "damaged" in d.read_log()
    d.stop()
    d.start()
    live(d)
    assert len(kept_aside(f"{d.state}/history.db")) == 1, "and it is well from then on"


def test_queries_of_every_kind_agree_with_lists_kept_beside(daemon):
    """Numbers with gaps, states, texts; ranges that begin and end anywhere; steps that divide nothing."""
    d = daemon("listen = {}\nmonitor host { enabled = false }\n")
    dice = random.Random(7)
    metrics = [Metric("n", scale=2), Metric("c", "counter"), Metric("s", "state"), Metric("t", "text")]
    start, log, now, count = time.time_ns() - 4000 * 10**9, [], 0, 0
    for i in range(1500):
        now += dice.randrange(1, 4 * 10**9)
        count += dice.randrange(1000)
        log.append((start + now, {"n": None if dice.random() < 0.1 else f"{dice.randrange(-10**6, 10**6) / 100:.2f}",
                                  "c": str(count), "s": dice.choice(["on", "off"]), "t": f"<{i // 50} & \"more\">"}))
    log = [(t, v) for t, v in log if t < time.time_ns()]
    with Monitor(d.socket, "m", metrics, period=0).connect() as m, d.client() as c:
        for t, v in log:
            m.send(v, time=t)

        def points(metric, **query):
            series = c.history(metric, monitor="m", **query)
            return series[0].points if series else []

        def oracle(metric, low, high):
            return [(t, v[metric]) for t, v in log if low <= t < high]

        wait_for(lambda: len(points("c")) == len(log), 20, "all of it")
        for _ in range(60 if not SOAK else 2000):
            low, high = sorted(dice.choice([dice.choice(log)[0] + dice.choice([-1, 0, 1]), start + dice.randrange(4000 * 10**9)])
                               for _ in range(2))
            metric = dice.choice("ncst")
            want = oracle(metric, low, high)
            got = points(metric, from_=low, to=high)
            assert [p for p in got if p[1] is not None] == [p for p in want if p[1] is not None], (metric, low, high)
            assert {t for t, _ in got} <= {t for t, _ in want}
            step = dice.choice([1, 7, 1000, 60000, 333333, 86400000])
            got = points(metric, from_=low, to=high, step=step)
            if metric in "st":
                last = {t - t % (step * 10**6): v for t, v in want}
                assert got == sorted(last.items()), (metric, low, high, step)
                continue
            steps = {}
            for t, v in want:
                if v is not None:
                    steps.setdefault(t - t % (step * 10**6), []).append(Decimal(v))
            assert [(t, n, Decimal(least), Decimal(most)) for t, n, _, least, most in got] == \
                [(t, len(v), min(v), max(v)) for t, v in sorted(steps.items())], (metric, low, high, step)
            for t, n, mean, _, _ in got:
                exact = sum(steps[t]) / len(steps[t])
                assert abs(Decimal(mean) - exact) <= max(abs(exact) * Decimal("1e-9"), Decimal("0.006" if metric == "n" else "0.51"))
        for bad in ({"step": -1}, {"from_": -1}, {"from_": "yesterday"}, {"to": "1e9"}):
            with pytest.raises(HmonError, match="bad-argument"):
                points("n", **bad)

# SPDX-License-Identifier: Apache-2.0
"""vigia-root, the only part that is root: what it does for users, and that nobody gets more from it, whoever he has taken over."""
import contextlib
import errno
import glob
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from cluster import PREFIX, wait_for
from frames_peer import Program, Refused
from hmon_peer import HmonError
from root_helper import (GROUPS, JANE, JOE, ROOT, SERVICE, SIGNAL, START, STARTED, VIGIA, Door, alive, as_user,  # noqa: F401
                         connection_of, listener_of, place, planted)

SOURCE = os.path.join(os.path.dirname(__file__), "..")
SETUID = ["/usr/bin/python3", "-c", f"import ctypes, os, time; os.setresuid({JANE}, {JANE}, 0); ctypes.CDLL(None).prctl(4, 1); time.sleep(1000)"]
GUARDED = ["/usr/bin/python3", "-c", "import ctypes, time; ctypes.CDLL(None).prctl(4, 0); time.sleep(1000)"]
NOTHING = "0" * 16


@pytest.fixture(params=[VIGIA, ROOT], ids=["vigia", "root"])
def served(request, place):
    """vigia-root and a daemon, which runs as vigia or as root."""
    place.start()
    place.daemon_as(request.param)
    return place


def test_an_entry_runs_as_who_asks(served):
    with served.asking(JANE) as c:
        first, last = c.ask("process", "run", entry="facts", input="d2hvPw==").all(20)
    assert (first.get("state"), last.get("state"), last.get("code")) == ("started", "ended", "0")
    facts = served.facts()
    assert facts["input"] == "who?" and facts["arguments"] == []
    assert set(facts["Uid"].split() + facts["Gid"].split()) == {str(JANE)}
    assert {int(g) for g in facts["Groups"].split()} == GROUPS
    assert facts["environment"] == {"HOME": served.home("jane"), "USER": "jane", "LOGNAME": "jane", "SHELL": "/bin/sh",
                                    "PATH": "/usr/local/bin:/usr/bin:/bin"}
    assert facts["NoNewPrivs"] == "1" and {facts[k] for k in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {NOTHING}
    assert facts["directory"] == served.home("jane") and facts["session"] and facts["umask"] == "0022"
    assert facts["SigBlk"] == NOTHING


def test_root_names_whom_and_is_nobody_himself(served):
    with served.asking(ROOT) as c:
        assert c.ask("process", "run", entry="seven", uid=JANE).all(20)[-1].get("code") == "7"
        for words in ({}, {"uid": ROOT}, {"uid": VIGIA + 900000}, {"uid": 700}):
            with pytest.raises(HmonError) as e:
                c.ask("process", "run", entry="seven", **words).all(20)
            assert e.value.code == ("failed" if words.get("uid") == VIGIA + 900000 else "not-permitted"), words


@pytest.mark.parametrize("words, code, says", [
    ({"entry": "seven", "uid": JOE}, "not-permitted", "only root"),
    ({"entry": "none"}, "failed", "none: is no file of root's alone where vigia-root looks: No such file"),
    ({"entry": "../seven"}, "bad-argument", "must be up to 31 of a-z, 0-9 and -"),
    ({"entry": "Seven"}, "bad-argument", "must be up to 31 of a-z, 0-9 and -"),
    ({"entry": "s" * 32}, "bad-argument", "must be up to 31 of a-z, 0-9 and -"),
    ({"entry": "joes"}, "not-permitted", "can't be executed"),
    ({"entry": "broken"}, "failed", "can't be executed"),
])
def test_what_is_not_done_is_told(served, words, code, says):
    served.entry("joes", "#!/bin/sh\n", 0o700)
    served.entry("broken", "no program")
    with served.asking(JANE) as c, pytest.raises(HmonError) as e:
        c.ask("process", "run", **words).all(20)
    assert e.value.code == code and says in e.value.text


def test_more_input_than_a_pipe_holds_is_refused(served):
    served.entry("wait", "#!/bin/sh\nwc -c > ~/pid.new; mv ~/pid.new ~/pid\n")
    with as_user(JANE):
        p = Program(served.daemon.socket)
    with p:
        with pytest.raises(Refused) as e:
            p.ask("process.run", entry="wait", input=bytes(65537)).all()
        assert e.value.code == "too-large" and "65536" in e.value.text
        p.ask("process.run", entry="wait", input=bytes(65536)).all()
    assert served.pid_of_stay() == 65536
    os.unlink(f"{served.home('jane')}/pid")


def test_one_user_leaves_room_for_another(place):
    place.entry("idle", "#!/bin/sh\nexec sleep 1000\n")
    place.start()
    place.daemon_as(VIGIA)
    pids = []
    with contextlib.ExitStack() as stack:
        try:
            for i in range(8):
                c = stack.enter_context(place.asking(JANE))
                pids += [int(c.ask("process", "run", entry="idle").next(20).get("pid")) for _ in range(32)]
            with place.asking(JANE) as c:
                assert ask_refused(c, "run", entry="idle") == "too-many"
                c.ask("process", "signal", pid=pids.pop(), signal="KILL").all(20)
            with place.asking(JOE) as c:
                assert c.ask("process", "run", entry="seven").all(20)[-1].get("code") == "7"
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)


def test_without_vigia_root_it_is_said(place):
    place.daemon_as(VIGIA)
    with place.asking(JANE) as c, pytest.raises(HmonError) as e:
        c.ask("process", "run", entry="seven").all(20)
    assert e.value.code == "unavailable" and "there is no vigia-root" in e.value.text


def test_both_are_in_the_audit_log_with_who_asked_and_input_only_as_its_size(place):
    place.start()
    d = place.daemon_as(ROOT)
    sleeper = place.sleeper(JANE)
    with place.asking(JANE) as c:
        c.ask("process", "run", entry="seven", input="c2VjcmV0").all(20)
        c.ask("process", "signal", pid=sleeper.pid).all(20)
        ask_refused(c, "run", entry="seven", uid=JOE)

    def recorded():
        found = [(r["what"], r["uid"], r["result"], r["arguments"]) for r in json.loads(d.vigia("audit", "--json").stdout)
                 if r["what"].startswith("process.")]
        return len(found) == 4 and found

    started, ended, signalled, refused = wait_for(recorded, 10, "four records")
    assert started[:2] == ended[:2] == ("process.run", JANE) and "seven" in started[3] and "secret" not in str(started) + str(ended)
    assert signalled[:3] == ("process.signal", JANE, "done") and refused[:3] == ("process.run", JANE, "refused")


def test_a_signal_is_sent_as_who_asks(served):
    his = served.sleeper(JANE)
    with served.asking(JANE) as c:
        c.ask("process", "signal", pid=his.pid, signal="TERM").all(20)
    assert his.wait(10) == -signal.SIGTERM


# ---------------------------------------------------------------------------------------------- restarts

def test_what_was_started_survives_a_restart_of_both(served):
    with served.asking(JANE) as c:
        assert c.ask("process", "run", entry="stay").next(20).get("state") == "started"
        pid = served.pid_of_stay()
        assert served.end() == -signal.SIGTERM
        served.daemon.stop()
    assert alive(pid)
    served.start()
    served.start_daemon()
    assert alive(pid)
    with served.asking(JANE) as c:
        assert c.ask("process", "info", pid=pid).all(20)[0].get("uid") == str(JANE)
        c.ask("process", "signal", pid=pid, signal="KILL").all(20)
        wait_for(lambda: not alive(pid), 10, "its end")


def test_when_vigia_root_is_killed_ends_are_told_all_the_same_and_the_next_one_serves(served):
    with served.asking(JANE) as c:
        watched = c.ask("process", "run", entry="stay")
        watched.next(20)
        pid = served.pid_of_stay()
        served.end(signal.SIGKILL)
        served.start()
        assert c.ask("process", "run", entry="seven").all(20)[-1].get("code") == "7"
        os.kill(pid, signal.SIGKILL)
        last = watched.next(20)
        assert last.get("state") == "ended" and last.get("signal") is None, "nobody could see how"


# ---------------------------------------------------------------------------------------------- attacks on the daemon

def ask_refused(c, verb, **words):
    with pytest.raises(HmonError) as e:
        c.ask("process", verb, **words).all(20)
    return e.value.code


def test_nobody_signals_what_is_not_his_alone(served):
    """Each by the kernel or the daemon, and nothing by its number."""
    setuid = served.sleeper(ROOT, SETUID, becomes=JANE)
    guarded = served.sleeper(JANE, GUARDED)
    joes, roots = served.sleeper(JOE), served.sleeper(ROOT)
    everybodys = [setuid.pid, joes.pid, roots.pid, 1, served.daemon.pid, served.process.pid]
    wait_for(lambda: os.stat(f"/proc/{guarded.pid}/stat").st_uid == 0, 10, "it being guarded")
    with served.asking(JANE) as c:
        for pid in [*everybodys, guarded.pid]:
            assert ask_refused(c, "signal", pid=pid, signal="KILL") == "not-permitted", pid
        for pid in ("0", "-1", f"-{joes.pid}", f"-{os.getpgrp()}", "99999999999"):
            assert ask_refused(c, "signal", pid=pid, signal="KILL") in ("not-found", "bad-argument"), pid
    assert all(p.poll() is None for p in (setuid, guarded, joes, roots, served.daemon.process, served.process))


def test_a_number_that_another_process_has_now_is_not_signalled(served):
    old, began = served.sleeper(JANE), time.monotonic()
    with served.asking(JANE) as c:
        wait_for(lambda: time.monotonic() > began + 0.1, what="the kernel's clock, which tells one start from another, going on")
        start = c.ask("process", "info", pid=old.pid).all(20)[0].get("start")
        old.kill()
        old.wait()
        new = served.sleeper_with(JANE, old.pid)
        assert ask_refused(c, "signal", pid=old.pid, start=start, signal="KILL") == "not-found"
        assert alive(new)
        c.ask("process", "signal", pid=old.pid, signal="KILL").all(20)
        wait_for(lambda: not alive(new), 10, "its end")


def test_a_vigia_root_that_another_user_planted_is_told_nothing(place, tmp_path):
    with planted(place) as listener:
        place.daemon_as(VIGIA)
        with place.asking(JANE) as c:
            assert ask_refused(c, "run", entry="seven") == "unavailable"
        listener.setblocking(False)
        heard, _ = listener.accept()
        with heard:
            assert heard.recv(100) == b""


# ------------------------------------------------------------------ attacks on vigia-root: a daemon that was taken over

@pytest.fixture
def rooted(place):
    return place.start()


@pytest.mark.parametrize("name", [b"", b"..", b".", b"../run.d/seven", b"/bin/sh", b"a/b", b"Seven", b"se ven", b"seven.sh", b"s" * 32,
                                  b"seven\0x", b"\xff", b"*"])
def test_a_name_that_is_none_starts_nothing(rooted, name):
    with Door(rooted) as d:
        assert d.start(name) == (-errno.EINVAL, None)
        assert d.start("seven")[0] > 0, "and it serves on"


@pytest.mark.parametrize("uid", [ROOT, 1, SERVICE, 999, 65535, 2**32 - 1, 2**31])
def test_nothing_is_done_as_root_or_below_the_bound(rooted, uid):
    with Door(rooted) as d, connection_of(ROOT) as roots:
        started = d.start("seven", uid, proof=roots)
        assert started == ((-errno.EACCES, None) if uid != 2**31 else (started[0], (errno.ENOENT, "user")))
        pidfd = os.pidfd_open(rooted.sleeper(ROOT).pid)
        assert d.signal(pidfd, signal.SIGKILL, uid, proof=roots) == -(errno.EPERM if uid == 2**31 else errno.EACCES)
        os.close(pidfd)
    assert rooted.sleepers[0].poll() is None


def test_who_is_not_connected_is_nobody_to_act_for(rooted, tmp_path):
    with Door(rooted, VIGIA) as d, connection_of(JOE) as joes, listener_of(rooted, JANE) as (janes, path):
        with as_user(VIGIA):
            pair = socket.socketpair()
            own = socket.socket(socket.AF_UNIX)
            own.connect(path)  # the kernel says of it that she is at the other end
            tcp = socket.create_server(("127.0.0.1", 0))
        for proof in (joes, janes, own, *pair, tcp, open(os.devnull)):
            assert d.start("seven", JANE, proof) == (-errno.EACCES, None), proof
            proof.close()
        assert d.start("seven", JANE)[0] > 0
        assert "refused" in rooted.log() and "start seven for uid 64002: done" in rooted.log()


def test_another_user_is_not_even_heard(rooted):
    with pytest.raises(PermissionError):
        Door(rooted, JOE)
    os.chmod(rooted.door, 0o666)
    with Door(rooted, JOE) as d, contextlib.suppress(BrokenPipeError):
        assert d.start("seven", JOE) == ("closed", None)
    with Door(rooted, VIGIA) as d:
        assert d.start()[0] > 0


def test_what_is_not_roots_alone_is_not_run(rooted):
    unsafe = {"theirs": 0o755, "group": 0o775, "all": 0o757, "link": 0, "pipe": 0, "directory": 0}
    for name, mode in unsafe.items():
        if mode:
            rooted.entry(name, "#!/bin/sh\ntouch ~/ran\n", mode)
    os.chown(f"{rooted.entries}/theirs", JANE, 0)
    os.symlink("/bin/true", f"{rooted.entries}/link")
    os.mkfifo(f"{rooted.entries}/pipe", 0o755)
    os.mkdir(f"{rooted.entries}/directory")
    with Door(rooted) as d:
        assert {n: d.start(n)[1] for n in unsafe} == {n: (errno.EPERM, "entry") for n in unsafe}
        assert d.start("none")[1] == (errno.ENOENT, "entry")
    assert not os.path.exists(f"{rooted.home('jane')}/ran")


def test_neither_from_a_directory_that_is_not(rooted):
    def said():
        with Door(rooted) as d:
            return d.start("seven")[1]

    top, entries = rooted.top, rooted.entries
    assert said() is None
    for path in (entries, top):
        for change, back in ((lambda p: os.chown(p, JANE, 0), lambda p: os.chown(p, 0, 0)),
                             (lambda p: os.chmod(p, 0o775), lambda p: os.chmod(p, 0o755)),
                             (lambda p: os.chmod(p, 0o757), lambda p: os.chmod(p, 0o755))):
            change(path)
            assert said() == (errno.EPERM, "entry"), path
            back(path)
            assert said() is None
    os.chmod(entries, 0o1777)
    assert said() == (errno.EPERM, "entry"), "sticky is enough on the way alone"
    os.chmod(entries, 0o755)
    os.rename(entries, f"{top}/other")
    os.symlink(f"{top}/other", entries)
    assert said() == (errno.EPERM, "entry")
    os.unlink(entries)
    assert said() == (errno.ENOENT, "entry")


def test_nothing_of_roots_environment_is_handed_on(place):
    with open("/etc/shadow") as shadow:
        place.start(env=dict(os.environ, LD_PRELOAD="", BASH_ENV="/tmp/x", SECRET="1"), pass_fds=[shadow.fileno()])
    assert "/etc/shadow" in [os.readlink(f"/proc/{place.process.pid}/fd/{n}") for n in os.listdir(f"/proc/{place.process.pid}/fd")]
    with Door(place) as d:
        assert d.start("facts")[0] > 0
    assert set(place.facts()["environment"]) == {"HOME", "USER", "LOGNAME", "SHELL", "PATH"}
    assert all(f.startswith(("/dev/null", place.entries, "/proc/", "pipe:")) for f in place.facts()["descriptors"])


@pytest.mark.parametrize("number", [0, -1, -9, 32, 64, 65, 2**31 - 1, -2**31])
def test_a_number_that_is_no_signal(rooted, number):
    p = rooted.sleeper(JANE)
    pidfd = os.pidfd_open(p.pid)
    with Door(rooted) as d:
        assert d.signal(pidfd, number) == -errno.EINVAL
        assert d.signal(pidfd, signal.SIGTERM) == 0
    os.close(pidfd)
    assert p.wait(10) == -signal.SIGTERM


def test_the_kernel_decides_whom_a_user_signals(rooted):
    joes, roots = rooted.sleeper(JOE), rooted.sleeper(ROOT)
    with Door(rooted) as d:
        for pid in (joes.pid, roots.pid, 1, rooted.process.pid, os.getpid()):
            pidfd = os.pidfd_open(pid)
            assert d.signal(pidfd, signal.SIGKILL) == -errno.EPERM, pid
            os.close(pidfd)
        with open(os.devnull) as f:
            assert d.signal(f.fileno(), signal.SIGKILL) == -errno.EBADF
        mine = rooted.sleeper(JANE)
        pidfd = os.pidfd_open(mine.pid)
        mine.kill()
        mine.wait()
        new = rooted.sleeper_with(JANE, mine.pid)
        assert d.signal(pidfd, signal.SIGKILL) == -errno.ESRCH
        os.close(pidfd)
        assert alive(new)
    assert joes.poll() is None and roots.poll() is None


def test_nonsense_ends_the_connection_and_nothing_else(rooted):
    with open(os.devnull) as null, Door(rooted) as good:
        assert good.start()[0] > 0
        few = 6  # its own four, the listener, and us
        wait_for(lambda: len(os.listdir(f"/proc/{rooted.process.pid}/fd")) == few, 10, "its descriptors being few")
        n = null.fileno()
        for kind, fds, size in ((START, [n] * 5, 47), (START, [n] * 5, 49), (START, [n] * 5, 4000), (START, [n] * 5, 1), (START, [n] * 4, 48),
                                (START, [n] * 6, 48), (START, [n] * 200, 48), (START, [], 48), (SIGNAL, [n], 48), (SIGNAL, [n] * 3, 48),
                                (0, [n] * 5, 48), (10, [n] * 5, 48), (STARTED, [], 48), (2**32 - 1, [n] * 2, 48)):
            with Door(rooted, VIGIA) as d:
                d.send(kind, fds, entry=b"seven", size=size)
                assert d.hear(STARTED) is None, (kind, len(fds), size)
        assert good.start()[0] > 0
        wait_for(lambda: len(os.listdir(f"/proc/{rooted.process.pid}/fd")) == few, 10, "no descriptor staying")


def test_more_connections_than_it_has_room_for(rooted):
    with contextlib.ExitStack() as stack:
        some = [stack.enter_context(Door(rooted)) for _ in range(8)]
        assert all(d.start()[0] > 0 for d in some)
        assert stack.enter_context(Door(rooted)).hear(STARTED) is None
        some[0].socket.close()
        wait_for(rooted.has_room, 10, "room for another one")


def test_who_does_not_listen_is_left_and_holds_up_nobody(rooted):
    with Door(rooted, VIGIA) as deaf, Door(rooted) as d, connection_of(JANE) as proof:
        deaf.socket.settimeout(5)
        pidfd = os.pidfd_open(os.getpid())
        with pytest.raises(OSError):
            while True:
                deaf.send(SIGNAL, [proof.fileno(), pidfd], JANE, signal.SIGCONT)
        os.close(pidfd)
        assert d.start()[0] > 0


# ---------------------------------------------------------------------------------------------- the unit, and how much it is

def test_what_it_started_goes_on_when_systemd_starts_it_anew():
    with open(f"{PREFIX}/lib/systemd/system/vigia-root.service") as f:
        lines = f.read().splitlines()
    assert {"KillMode=process", "Restart=always", "OOMPolicy=continue", "NoNewPrivileges=yes"} <= set(lines)
    command, = (line.split("=", 1)[1].split() for line in lines if line.startswith("ExecStart="))
    assert os.path.basename(command[0]) == "vigia-root" and command[1:] == ["vigia", "1000", "/run/vigia-root/socket", "/etc/vigia/run.d"]


@pytest.mark.parametrize("words, says", [
    (["vigia"], "usage"), (["no-such-user", "1000", "/x", "/y"], "there is no such user"), (["root", "0", "/x", "/y"], "from 1 to 65534"),
    (["root", "x", "/x", "/y"], "from 1 to 65534"), (["root", "1000", "/no/such/place/socket", "/y"], "No such file"),
    (["root", "1000", "/" + "x" * 200, "/y"], "too long")])
def test_what_is_wrong_with_its_arguments_is_said(words, says):
    p = subprocess.run([f"{PREFIX}/libexec/vigia/vigia-root", *words], capture_output=True, text=True, timeout=20)
    assert p.returncode == 1 and says in p.stderr



def test_it_is_under_600_lines():
    files = [f for f in glob.glob(f"{SOURCE}/src/root/*.[ch]") if not f.endswith(("_test.c", "_fuzz.c"))]
    files += [f"{SOURCE}/src/os/root_wire.h"]
    lines = sum(len(open(f).readlines()) for f in files)
    assert len(files) > 5 and lines < 600

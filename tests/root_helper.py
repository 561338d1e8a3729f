# SPDX-License-Identifier: Apache-2.0
"""vigia-root with users, entries and a daemon of a test's own, and whoever speaks to it directly."""
import array
import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

import pytest

from cluster import PREFIX, Daemon, is_gone, wait_for
from hmon_peer import Client

VIGIA, JANE, JOE, SERVICE, ROOT = 64001, 64002, 64003, 700, 0
GROUPS = {64002, 64010, 64011}  # Jane's
START, SIGNAL, STARTED, ENDED, SIGNALLED = 8, 9, 4, 5, 10
STEPS = ["prepare", "directory", "program", "entry", "user"]
NO_MONITORS = "listen = {}\ndefault_monitors = false\n"
FACTS = """#!/usr/bin/python3
import json, os, sys
status = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
keys = ["Uid", "Gid", "Groups", "NoNewPrivs", "CapInh", "CapPrm", "CapEff", "CapAmb", "SigBlk"]
json.dump({"input": sys.stdin.read(), "environment": dict(s.split("=", 1) for s in open("/proc/self/environ").read().split("\\0") if s), "directory": os.getcwd(), "arguments": sys.argv[1:],
           "session": os.getsid(0) == os.getpid(), "umask": status["Umask"],
           "descriptors": sorted(os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                                 if os.path.lexists(f"/proc/self/fd/{n}")), **{k: status[k] for k in keys}},
          open(os.path.expanduser("~/facts.new"), "w"))
os.rename(os.path.expanduser("~/facts.new"), os.path.expanduser("~/facts"))
"""


@contextlib.contextmanager
def as_user(uid):
    """Connections made in here are his."""
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


class Place:
    """Where all of it is: root's alone but for the homes, and everybody may look."""

    def __init__(self, top):
        self.top, self.entries, self.door = top, f"{top}/run.d", f"{top}/door/socket"
        self.process, self.daemon, self.sleepers = None, None, []
        os.chmod(top, 0o755)
        for d in (self.entries, f"{top}/door"):
            os.mkdir(d, 0o755)
        for part in ("sbin", "libexec"):
            shutil.copytree(f"{PREFIX}/{part}", f"{top}/{part}")
        users = [("vigia-test", VIGIA), ("jane", JANE), ("joe", JOE), ("service", SERVICE), ("roots-twin", ROOT)]
        with open("/etc/passwd") as real, open(f"{top}/passwd", "w") as passwd:
            passwd.write(real.read() + "".join(f"{n}:x:{u}:{u}::{self.home(n)}:/bin/sh\n" for n, u in users))
        with open("/etc/group") as real, open(f"{top}/group", "w") as group:
            group.write(real.read() + "crew:x:64010:jane\ndesk:x:64011:jane,joe\n")
        for name, uid in users[:4]:
            os.makedirs(self.home(name))
            os.chown(self.home(name), uid, uid)
        self.entry("facts", FACTS)
        self.entry("stay", "#!/bin/sh\necho $$ > ~/pid.new; mv ~/pid.new ~/pid\nexec sleep 1000\n")
        self.entry("seven", "#!/bin/sh\nexit 7\n")

    def home(self, name):
        return f"{self.top}/home/{name}"

    def entry(self, name, script, mode=0o755):
        path = f"{self.entries}/{name}"
        with open(path, "w") as f:
            f.write(script)
        os.chmod(path, mode)
        return path

    def facts(self, name="jane"):
        path = f"{self.home(name)}/facts"
        wait_for(lambda: os.path.exists(path), 20, "what it finds")
        with open(path) as f:
            return json.load(f)

    def pid_of_stay(self, name="jane"):
        path = f"{self.home(name)}/pid"
        wait_for(lambda: os.path.exists(path), 20, "its start")
        with open(path) as f:
            return int(f.read())

    # ------------------------------------------------------------------------------------------------ vigia-root

    def start(self, user="vigia-test", lowest=1000, entries=None, env=None, pass_fds=()):
        """In a mount namespace where there are our users."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.door)
        script = 'mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && exec "$0/libexec/vigia/vigia-root" "$@"'
        command = ["unshare", "--mount", "sh", "-c", script, self.top, user, str(lowest), self.door, entries or self.entries]
        with open(f"{self.top}/log", "a") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, env=env or os.environ, pass_fds=pass_fds)
        wait_for(self.listens, 10, "vigia-root listening")
        return self

    def listens(self):
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(OSError), Door(self):
            return True

    def log(self):
        with open(f"{self.top}/log") as f:
            return f.read()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(10)

    # ------------------------------------------------------------------------------------------------ the daemon

    def daemon_as(self, uid, conf=""):
        at = f"{self.top}/{uid}"
        os.makedirs(at, exist_ok=True)
        before = [] if uid == ROOT else ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        d = self.daemon = Daemon(at, f'{NO_MONITORS}root_helper = "{self.door}"\n{conf}', prefix=self.top, before=before)
        for path in (at, d.directory):
            os.chown(path, uid, uid)
            os.chmod(path, 0o711)
        os.chmod(d.conf, 0o644)
        return self.start_daemon()

    def start_daemon(self):
        self.daemon.start()
        os.chmod(os.path.dirname(self.daemon.socket), 0o711)
        return self.daemon

    @contextlib.contextmanager
    def asking(self, uid):
        with as_user(uid):
            c = Client(self.daemon.socket).connect()
        with c:
            yield c

    # ------------------------------------------------------------------------------------------------ and the rest

    def sleeper(self, uid, command=("sleep", "1000"), becomes=None):
        p = subprocess.Popen(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command])
        self.sleepers.append(p)
        wait_for(lambda: Daemon.name_of(p.pid) == os.path.basename(command[0]) and
                 os.stat(f"/proc/{p.pid}").st_uid == (uid if becomes is None else becomes), 10, "it being his")
        return p

    def sleeper_with(self, uid, pid):
        """Another process of his that has this number."""
        for _ in range(1000):
            with open("/proc/sys/kernel/ns_last_pid", "w") as f:
                f.write(str(pid - 1))
            p = self.sleeper(uid)
            if p.pid == pid:
                return pid
            p.kill()
        raise AssertionError(f"no other process got {pid}")

    def has_room(self):
        with contextlib.suppress(OSError, TypeError), Door(self) as d:
            return d.start()[0] > 0

    def close(self):
        if self.daemon:
            self.daemon.stop()
        if self.process and self.process.poll() is None:
            self.end(signal.SIGKILL)
        for p in self.sleepers:
            p.kill()
            p.wait()
        for name in ("jane", "joe"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                os.kill(self.pid_of_stay(name) if os.path.exists(f"{self.home(name)}/pid") else 1 << 22, signal.SIGKILL)


@pytest.fixture
def place():
    if os.geteuid():
        pytest.skip("vigia-root needs root")
    with tempfile.TemporaryDirectory(prefix="vigia-") as top:
        p = Place(top)
        yield p
        p.close()


class Door:
    """Who speaks to vigia-root himself, as a vigiad that was taken over would."""

    def __init__(self, place, uid=ROOT):
        self.place, self.last = place, 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        try:
            with as_user(uid):
                self.socket.connect(place.door)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, kind, fds, uid=JANE, number=0, entry=b"", size=48):
        self.last += 1
        bytes_ = struct.pack("=IIIi32s", kind, self.last, uid, number, entry).ljust(size, b"\0")[:size]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([bytes_], rights)

    def hear(self, kind=None):
        """Kind, id and result of the next answer, or of the next of that kind; None: it has closed."""
        while True:
            try:
                answer = self.socket.recv(4096)
            except ConnectionResetError:
                return None
            if not answer:
                return None
            found = struct.unpack_from("=IIi", answer)
            if kind in (None, found[0]):
                return found

    def start(self, entry="seven", uid=JANE, proof=None):
        """Its process id, or negative errno; and (errno, step) of what the status pipe says, or None."""
        with open(os.devnull, "r+") as null, contextlib.nullcontext(proof) if proof else connection_of(uid) as own:
            status, theirs = os.pipe()
            fds = [own.fileno(), theirs, null.fileno(), null.fileno(), null.fileno()]
            self.send(START, fds, uid, entry=entry if isinstance(entry, bytes) else entry.encode())
            os.close(theirs)
            with os.fdopen(status, "rb") as pipe:
                said = pipe.read()
        answer = self.hear(STARTED) or (None, None, "closed")
        failure = struct.unpack("=iI", said) if said else None
        return answer[2], failure and (failure[0], STEPS[failure[1]])

    def signal(self, pidfd, number, uid=JANE, proof=None):
        with contextlib.nullcontext(proof) if proof else connection_of(uid) as own:
            self.send(SIGNAL, [own.fileno(), pidfd], uid, number)
        return self.hear(SIGNALLED)[2]


@contextlib.contextmanager
def listener_of(place, uid):
    """A socket that this user listens on, and its path."""
    path = f"{place.top}/listener"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        os.chmod(path, 0o666)
        with as_user(uid):
            s.listen()
        yield s, path


@contextlib.contextmanager
def planted(place):
    """Another user's, where vigia-root should be."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.bind(place.door)
        os.chmod(place.door, 0o666)
        with as_user(JOE):
            s.listen()
        yield s


@contextlib.contextmanager
def connection_of(uid):
    """One that a process of this user made, as seen by who listened."""
    with tempfile.TemporaryDirectory() as top, socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as his:
        os.chmod(top, 0o777)
        listener.bind(f"{top}/s")
        os.chmod(f"{top}/s", 0o666)
        listener.listen()
        with as_user(uid):
            his.connect(f"{top}/s")
        mine, _ = listener.accept()
        with mine:
            yield mine


def alive(pid):
    return not is_gone(pid)

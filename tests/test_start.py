# SPDX-License-Identifier: Apache-2.0
"""A daemon of one's own: started where there is none, and beside the system's."""
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

import pytest

from cluster import PREFIX, Daemon, is_gone, wait_for
from terminal import Terminal
from test_operations import LIB, build, operations

NOBODY = pwd.getpwnam("nobody").pw_uid
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", "--clear-groups"]
CONF = "default_monitors = false\n"


class Place:
    """Directories and configuration of a user, who has no daemon yet."""

    def __init__(self, directory, name, conf=CONF):
        self.daemon = Daemon(str(directory), conf, name)
        config = os.path.join(self.daemon.directory, "vigia")
        os.makedirs(config, mode=0o700, exist_ok=True)
        os.replace(self.daemon.conf, f"{config}/vigia.conf")
        self.env = {k: v for k, v in self.daemon.env().items() if k != "VIGIA_SOCKET"} | {
            "XDG_CONFIG_HOME": self.daemon.directory, "HOME": self.daemon.directory, "LD_LIBRARY_PATH": LIB}

    def pid(self):
        with open(f"{self.daemon.state}/vigiad.pid") as f:
            return int(f.read())

    def end(self):
        try:
            pid = self.pid()
            os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):
            return
        wait_for(lambda: is_gone(pid), 20, "its end")


@pytest.fixture
def place():
    made = []
    with tempfile.TemporaryDirectory(prefix="vigia-") as top:
        os.chmod(top, 0o711)

        def make(name="n1", conf=CONF):
            made.append(Place(top, name, conf))
            return made[-1]

        yield make
        for p in made:
            p.end()


@pytest.fixture
def prefix():
    """What is installed, where every user comes to."""
    with tempfile.TemporaryDirectory(prefix="vigia-") as top:
        os.chmod(top, 0o755)
        shutil.copytree(PREFIX, f"{top}/local", symlinks=True)
        yield f"{top}/local"


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    return build("tests/third_party/start.c", tmp_path_factory.mktemp("start") / "start")


def test_a_program_starts_one_and_keeps_nothing_of_it(place, program):
    p = place(conf=CONF + "listen = {}\n")
    said = subprocess.run([program], env=p.env, capture_output=True, text=True, timeout=60)
    assert (said.stdout, said.returncode) == ("n1 signals=0 children=0\n", 0)
    first = p.pid()
    said = subprocess.run([program], env=p.env, capture_output=True, text=True, timeout=60)
    assert said.stdout.startswith("n1 ") and p.pid() == first, "where one is, that is it"
    assert [os.readlink(f"/proc/{first}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3


def test_what_keeps_it_from_starting_is_said_in_its_own_words(place, program):
    p = place(conf="nonsense = 1\n")
    said = subprocess.run([program], env=p.env, capture_output=True, text=True, timeout=60)
    assert said.returncode == 1 and "sbin/vigiad can't be started: " in said.stdout
    assert 'vigia.conf:2: found "nonsense"' in said.stdout


def test_the_console_of_a_user_starts_one_and_says_so(place, prefix):
    if os.geteuid():
        pytest.skip("playing another user needs root")
    p = place(conf=CONF + "listen = {}\n")
    subprocess.run(["chown", "-R", str(NOBODY), p.daemon.directory], check=True)
    t = Terminal(p.env, user=NOBODY, program=f"{prefix}/bin/vigia")
    try:
        t.wait("^vigia: no vigiad was there: one of your own is, from now on$", 20)
        t.wait("^n1> $|^n1>$", 20)
        t.type("quit\r")
        wait_for(t.ended, 10)
        assert subprocess.run([*AS_NOBODY, f"{prefix}/bin/vigia", "host.info"], env=p.env, timeout=20).returncode == 0, "it stays"
    finally:
        t.close()


def test_two_users_have_one_each_on_one_host_and_neither_is_in_the_others_way(place, prefix):
    """Both listen where nobody said: the second has its socket alone."""
    if os.geteuid():
        pytest.skip("playing another user needs root")
    space = f"vt{os.getpid() % 65536:x}start"
    subprocess.run(["ip", "netns", "add", space], check=True)
    try:
        subprocess.run(["ip", "-n", space, "link", "set", "lo", "up"], check=True)
        system, users = place("system"), place("users")
        subprocess.run(["chown", "-R", str(NOBODY), users.daemon.directory], check=True)
        for p, words in ((system, []), (users, AS_NOBODY)):
            begun = subprocess.run(["ip", "netns", "exec", space, *words, f"{prefix}/sbin/vigiad", "--daemon"], env=p.env,
                                   capture_output=True, text=True, timeout=60)
            assert begun.returncode == 0, begun.stderr
        said = [subprocess.run([*words, f"{prefix}/bin/vigia", "host.info", "--json"], env=p.env, check=True, capture_output=True,
                               text=True, timeout=20).stdout
                for p, words in ((system, []), (users, AS_NOBODY))]
        (mine,), (his,) = map(json.loads, said)
        assert mine["name"] == "system" and his["name"] == "users", "one's own comes first"
        assert mine["id"] != his["id"]
    finally:
        users.end()
        system.end()
        subprocess.run(["ip", "netns", "del", space], check=True)

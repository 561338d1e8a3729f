# SPDX-License-Identifier: Apache-2.0
"""What an attacker would try, each by its own: all of it fails, and is told."""
import os
import subprocess
import sys
import tempfile

import pytest

from cluster import PREFIX
from test_operations import LIB, build

NOBODY = 65534
PLANTED = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print("listens", flush=True)
while True:
    c, _ = s.accept()
    print("heard", len(c.recv(100)), flush=True)
"""


@pytest.fixture
def planted():
    """A socket that another user listens on, where one's daemon should be."""
    if os.geteuid():
        pytest.skip("playing another user needs root")
    with tempfile.TemporaryDirectory(prefix="vigia-") as place:
        os.chmod(place, 0o777)
        at = f"{place}/vigiad.sock"
        p = subprocess.Popen(["setpriv", f"--reuid={NOBODY}", "--clear-groups", "/usr/bin/python3", "-c", PLANTED, at],
                             stdout=subprocess.PIPE, text=True)
        assert p.stdout.readline() == "listens\n"
        yield at, p
        p.kill()
        p.communicate()


@pytest.mark.parametrize("who", ["command", "library", "python"])
def test_nothing_is_said_to_a_socket_that_another_user_planted(planted, tmp_path, who):
    at, listener = planted
    env = dict(os.environ, VIGIA_SOCKET=at, LD_LIBRARY_PATH=LIB, PYTHONPATH=f"{PREFIX}/lib/python3/dist-packages")
    command = {"command": lambda: [f"{PREFIX}/bin/vigia", "list"],
               "library": lambda: [build("tests/third_party/channel.c", tmp_path / "channel"), at, "put", "k", "x"],
               "python": lambda: [sys.executable, "-c", "import vigia; vigia.open()"]}[who]()
    p = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20)
    assert p.returncode and f"who listens at {at} is uid {NOBODY}: neither root, nor vigia, nor yourself" in p.stderr, p.stderr
    assert listener.stdout.readline() == "heard 0\n"

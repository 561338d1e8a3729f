# SPDX-License-Identifier: Apache-2.0
"""An OpenSSH server on each host of a test, as Debian packs it, unpacked and not installed: keys, accounts and /run are
the test's own, and it listens in the host's network namespace alone."""
import glob
import os
import subprocess

import pytest

from cluster import UNPACKED, wait_for

SSHD = os.path.join(UNPACKED, "usr/sbin/sshd")


def need():
    if not os.path.exists(SSHD):
        pytest.skip("there is no sshd")


def key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


class Server:
    """sshd on one host, root's, for one key."""

    def __init__(self, directory, netns, address):
        self.directory = directory
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self.log = os.path.join(directory, "log")
        self._write("config", f"""
            ListenAddress {address}
            HostKey {directory}/../host_key
            AuthorizedKeysFile {directory}/../key.pub
            StrictModes no
            UsePAM no
            PermitRootLogin prohibit-password
            PasswordAuthentication no
            PidFile none
            """)
        self._write("passwd", "root:*:0:0::/root:/bin/sh\nsshd:*:65533:65534::/run/sshd:/usr/sbin/nologin\n")
        inside = (f"mount -t tmpfs -o mode=755 run /run && mkdir /run/sshd && mount --bind {directory}/passwd /etc/passwd"
                  f" && exec {SSHD} -D -e -f {directory}/config")
        libraries = ":".join(glob.glob(UNPACKED + "/usr/lib/*-linux-*"))
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(["ip", "netns", "exec", netns, "unshare", "-m", "sh", "-c", inside],
                                            env=dict(os.environ, LD_LIBRARY_PATH=libraries), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        wait_for(lambda: "Server listening" in self.read_log() or self.process.poll() is not None, 20, "sshd")
        assert self.process.poll() is None, self.read_log()

    def _write(self, name, text):
        with open(os.path.join(self.directory, name), "w") as f:
            f.write(text)

    def read_log(self):
        with open(self.log) as f:
            return f.read()

    def close(self):
        self.process.terminate()
        self.process.wait(10)

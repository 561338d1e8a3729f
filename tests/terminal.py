# SPDX-License-Identifier: Apache-2.0
"""A terminal for the command `vigia`, to type at and to look at."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios

import pyte
from cluster import PREFIX, wait_for

VIGIA = f"{PREFIX}/bin/vigia"


class Terminal:
    """A program on a terminal of its own, seen as a person sees it."""

    def __init__(self, env, *arguments, columns=100, lines=24, user=None, program=VIGIA, **more):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            try:
                if user:
                    os.setgroups([])
                    os.setuid(user)
                os.execve(program, ["vigia", *arguments], dict(env, TERM="xterm-256color", LC_ALL="C.UTF-8", **more))
            finally:
                os._exit(127)
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.status = None
        self.resize(columns, lines)

    def resize(self, columns, lines):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def pump(self):
        """Takes what has come."""
        while select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # the other end is closed
                return
            self.raw += data
            self.stream.feed(data)

    def lines(self):
        self.pump()
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def wait(self, pattern, timeout=10):
        """The screen, once it matches."""
        try:
            return wait_for(lambda: re.search(pattern, self.text(), re.M) and self.text(), timeout)
        except AssertionError:
            raise AssertionError(f"{pattern!r} was not shown:\n{self.text()}") from None

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def ended(self):
        self.pump()
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                self.pump()  # its last words
        return self.status is not None

    def close(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            wait_for(self.ended, 5)
        os.close(self.fd)

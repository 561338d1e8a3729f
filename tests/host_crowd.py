# SPDX-License-Identifier: Apache-2.0
"""Many hosts as bare sockets on one thread: nodes that register with a master, say which host they are on, answer beats, and
count what they are told of the others."""
import re
import resource
import select
import socket
import threading
import time

from cluster import wait_for


class Host:
    """What one was told: `tables` how many rows each had, `changes` whose rows came alone, `octets` of all that."""

    def __init__(self, name, socket):
        self.name, self.socket, self.rest, self.greeted, self.ready = name, socket, b"", False, False
        self.tables, self.changes, self.octets, self.inside = [], [], 0, False

    def hear(self, text):
        for m in re.finditer(rb"<(/?)(hosts?)\b([^>]*)>", text):
            end, element, rest = m.groups()
            if element == b"hosts":
                self.inside = not end and not rest.endswith(b"/")
                self.tables += [] if end else [0]
            elif self.inside:
                self.tables[-1] += 1
            else:
                self.changes.append(re.search(rb' name="([^"]*)"', rest)[1].decode())
            self.octets += len(m[0])


class HostCrowd:
    def __init__(self, port):
        self.port, self.hosts, self.links, self.why, self.ended = port, {}, {}, None, False
        self.poll, self.thread = select.epoll(), threading.Thread(target=self._run)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.thread.start()

    def add(self, *names, timeout=60):
        """All dial at once; returns when each has been told of all."""
        for name in names:
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.port))
            self.hosts[name] = self.links[s.fileno()] = Host(name, s)
            self.poll.register(s, select.EPOLLOUT)
        wait_for(lambda: self.why or all(self.hosts[n].ready for n in names), timeout, "all have the table")
        assert not self.why, self.why

    def announce(self, name, number):
        """It says that it is on another host now."""
        self.hosts[name].socket.sendall(f'<host query="announce" id="3" host="{number:032x}" port="9"/>'.encode())

    def forget_what_was_told(self):
        for h in self.hosts.values():
            h.tables, h.changes, h.octets = [], [], 0

    def _run(self):
        try:
            while not self.ended:
                for fd, _ in self.poll.poll(0.05, 512):
                    (self._hear if self.links[fd].greeted else self._greet)(self.links[fd])
        except Exception as e:
            self.why = e

    def _greet(self, h):
        number = list(self.hosts).index(h.name) + 1
        h.socket.sendall((f'<hmon version="1" role="node" beat="in-band"><node query="register" id="1" name="{h.name}" '
                          f'boot="{time.time_ns()}"/><host query="announce" id="2" host="{number:032x}" port="9"/>').encode())
        h.greeted = True
        self.poll.modify(h.socket, select.EPOLLIN)

    def _hear(self, h):
        data = h.socket.recv(262144)
        assert data, f"{h.name}'s connection ended: {h.rest}"
        whole, mark, h.rest = (h.rest + data).rpartition(b">")
        whole += mark
        assert b"<error" not in whole, whole
        for n in re.findall(rb'<beat n="(\d+)"', whole):
            h.socket.sendall(b'<beat answer="%s"/>' % n)
        h.hear(whole)
        h.ready = h.ready or b'<end answer="2"' in whole

    def close(self):
        self.ended = True
        self.thread.join()
        for h in self.links.values():
            h.socket.close()
        self.poll.close()

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

    def __init__(self, name, number, secret=""):
        self.name, self.number, self.secret, self.rest, self.socket = name, number, secret, b"", socket.socket()
        self.greeted = self.ready = self.left = False
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
            self._dial(Host(name, len(self.hosts) + 1))
        wait_for(lambda: self.why or all(self.hosts[n].ready for n in names), timeout, "all have the table")
        assert not self.why, self.why

    def set_up_anew(self, name, number):
        """It comes back, and is another host now."""
        before = self.hosts[name]
        before.left = True
        self._dial(Host(name, number, before.secret))
        wait_for(lambda: self.why or self.hosts[name].ready, 20, "it is back")
        assert not self.why, self.why

    def forget_what_was_told(self):
        for h in self.hosts.values():
            h.tables, h.changes, h.octets = [], [], 0

    def _dial(self, h):
        h.socket.setblocking(False)
        h.socket.connect_ex(("127.0.0.1", self.port))
        self.hosts[h.name] = self.links[h.socket.fileno()] = h
        self.poll.register(h.socket, select.EPOLLOUT)

    def _run(self):
        try:
            while not self.ended:
                for fd, _ in self.poll.poll(0.05, 512):
                    (self._hear if self.links[fd].greeted else self._greet)(self.links[fd])
        except Exception as e:
            self.why = e

    def _greet(self, h):
        secret = f' secret="{h.secret}"' if h.secret else ""
        h.socket.sendall((f'<hmon version="1" role="node" beat="in-band"><node query="register" id="1" name="{h.name}" '
                          f'boot="{time.time_ns()}"{secret}/><host query="announce" id="2" host="{h.number:032x}" port="9"/>').encode())
        h.greeted = True
        self.poll.modify(h.socket, select.EPOLLIN)

    def _hear(self, h):
        data = h.socket.recv(262144)
        if h.left:
            return data or self.poll.unregister(h.socket)
        assert data, f"{h.name}'s connection ended: {h.rest}"
        whole, mark, h.rest = (h.rest + data).rpartition(b">")
        whole += mark
        assert b"<error" not in whole, whole
        for n in re.findall(rb'<beat n="(\d+)"', whole):
            h.socket.sendall(b'<beat answer="%s"/>' % n)
        h.hear(whole)
        if secret := re.search(rb' secret="([^"]*)"', whole):
            h.secret = secret[1].decode()
        h.ready = h.ready or b'<end answer="2"' in whole

    def close(self):
        self.ended = True
        self.thread.join()
        for h in self.links.values():
            h.socket.close()
        self.poll.close()

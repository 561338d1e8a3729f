# SPDX-License-Identifier: Apache-2.0
"""A nats-server with a user for each host, as docs/platform-nats.md says: who a message is from is then what the server vouches for."""
import json
import re
import signal
import socket
import struct

import pytest

from cluster import NatsServer, free_port, need_nats, wait_for

STRANGER, NOBODY = "a0" * 16, "a2" * 16  # both are in no vigiad's hands
ASK = 2

USER = """
    {{ user: "{name}", password: "{name}-secret", permissions: {{
        publish: {{ allow: ["vigia.default.host.*.{id}"] }}
        subscribe: {{ allow: ["vigia.default.host.{id}.*", "vigia.default.nobody.{id}.*"] }}
    }} }}"""


class Line:
    """A connection of the NATS protocol."""

    def __init__(self, port, name):
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.file = self.socket.makefile("rb")
        self.errors, self.subjects = [], []
        assert self.file.readline().startswith(b"INFO")
        self.put("CONNECT " + json.dumps({"verbose": False, "headers": True, "no_responders": True, "user": name,
                                          "pass": f"{name}-secret"}))

    def put(self, line, data=None):
        self.socket.sendall(line.encode() + b"\r\n" + (data + b"\r\n" if data is not None else b""))

    def ask(self, to, sender):
        """An ask that says it is from this sender, in a life of its own."""
        message = struct.pack(">BB6xQQQQQ", 1, ASK, 0, 1 + int(sender[:4], 16), 0, 0, 0)
        self.put(f"PUB vigia.default.host.{to}.{sender} {len(message)}", message)

    def hear(self):
        words = self.file.readline().split()
        assert words, f"the server hung up: {self.errors}"
        if words[0] == b"-ERR":
            self.errors.append(b" ".join(words[1:]).decode())
        elif words[0] in (b"MSG", b"HMSG"):
            self.file.read(int(words[-1]) + 2)
            self.subjects.append(words[1].decode())
        return words[0]

    def until(self, condition):
        while not condition():
            self.hear()

    def settle(self):
        """All that was said before is done with."""
        self.put("PING")
        while self.hear() != b"PONG":
            pass

    def close(self):
        self.file.close()
        self.socket.close()


class Hosts:
    """Two vigiads and a stranger, each with a user of its own, and an administrator's who reads all."""

    def __init__(self, daemon, tmp_path):
        self.listens, self.lines = free_port(), []
        self.server = NatsServer(arguments=("-c", str(tmp_path / "nats.conf")))
        self.daemons = [daemon(self.conf(name, more), name) for name, more in
                        (("h1", f'listen = {{"127.0.0.1:{self.listens}"}}\n'),
                         ("h2", f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{self.listens}"}} }}\n'))]
        self.ids = [next(h["id"] for h in json.loads(d.vigia("host.list", "--json").stdout) if h["name"] == d.name) for d in self.daemons]
        self.users = [USER.format(name=n, id=i) for n, i in (("h1", self.ids[0]), ("h2", self.ids[1]), ("stranger", STRANGER))]
        self.users.append('\n    { user: "reader", password: "reader-secret", permissions: { publish: { deny: ">" } } }')
        self.conf_path = tmp_path / "nats.conf"
        self.let_in(lambda user: True)
        self.server.start()

    def let_in(self, who):
        self.conf_path.write_text("authorization { users: [" + "".join(filter(who, self.users)) + "\n] }\n")
        if self.server.process:
            self.server.process.send_signal(signal.SIGHUP)

    def conf(self, name, more):
        return (f'platform = nats\nnats {{ server = "nats://{name}:{name}-secret@127.0.0.1:{self.server.port}" }}\n'
                f"default_monitors = false\n{more}")

    def line(self, name):
        self.lines.append(Line(self.server.port, name))
        return self.lines[-1]

    def answers(self, d, name):
        return name in d.vigia("host.info", f"at={name}", check=False).stdout

    def close(self):
        for line in self.lines:
            line.close()
        self.server.kill()


@pytest.fixture
def hosts(daemon, tmp_path):
    need_nats()
    h = Hosts(daemon, tmp_path)
    yield h
    h.close()


def test_hosts_ask_each_other_with_no_more_rights_than_the_document_says(hosts):
    h1, h2 = hosts.daemons
    wait_for(lambda: hosts.answers(h1, "h2") and hosts.answers(h2, "h1"), 30, "both being asked")


def test_who_publishes_as_another_is_refused_and_nobody_hears_it(hosts):
    h1 = hosts.ids[0]
    reader, stranger = hosts.line("reader"), hosts.line("stranger")
    reader.put(f"SUB vigia.default.host.{h1}.* 1")
    reader.put(f"SUB vigia.default.host.*.{h1} 2")
    reader.settle()
    wait_for(lambda: "no nats-server" not in hosts.daemons[0].vigia("status", check=False).stdout, 30, "h1 being connected")
    for other in (NOBODY, hosts.ids[1]):
        stranger.ask(h1, other)
    stranger.settle()
    assert [re.search(r'Violation for Publish to "([^"]*)"', e)[1] for e in stranger.errors] == [
        f"vigia.default.host.{h1}.{other}" for other in (NOBODY, hosts.ids[1])]
    stranger.ask(h1, STRANGER)
    reader.until(lambda: f"vigia.default.host.{STRANGER}.{h1}" in reader.subjects)
    assert f"vigia.default.host.{h1}.{STRANGER}" in reader.subjects
    assert not [s for s in reader.subjects if NOBODY in s], "what was refused came nowhere, and h1 answered nobody"


def test_who_listens_to_what_is_said_to_another_is_refused(hosts):
    h1, h2 = hosts.daemons
    stranger = hosts.line("stranger")
    for subject in (f"vigia.default.host.{hosts.ids[0]}.*", f"vigia.default.nobody.{hosts.ids[0]}.*", "vigia.>"):
        stranger.put(f"SUB {subject} 1")
    stranger.settle()
    assert len(stranger.errors) == 3 and all("Violation for Subscription" in e for e in stranger.errors)
    wait_for(lambda: hosts.answers(h2, "h1"), 30, "h1 being asked")
    stranger.settle()
    assert not stranger.subjects


def test_a_host_whose_user_is_taken_out_is_out_after_a_reload_and_comes_back_with_it(hosts):
    h1, h2 = hosts.daemons
    wait_for(lambda: hosts.answers(h1, "h2"), 30, "h2 being asked")
    hosts.let_in(lambda user: '"h2"' not in user)
    wait_for(lambda: "no nats-server answers" in h2.vigia("status", check=False).stdout, 30, "h2 being out")
    assert not hosts.answers(h1, "h2")
    assert "no nats-server answers" not in h1.vigia("status", check=False).stdout, "h1 is not"
    hosts.let_in(lambda user: True)
    wait_for(lambda: hosts.answers(h1, "h2"), 30, "h2 being back")

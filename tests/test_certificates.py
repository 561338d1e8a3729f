# SPDX-License-Identifier: Apache-2.0
"""Certificates for those who are no hosts: what each role may, and that it may nothing else."""
import os
import re
import subprocess
import time

import pytest

from cluster import PREFIX, wait_for
from test_cluster_keys import Keyed, refusals
from test_operations import operations


class Given(Keyed):
    """A cluster of two; the third party has the network of h2, a directory of its own, and nothing of Vigia's but the command."""

    def __init__(self, tmp_path):
        super().__init__(tmp_path, 2)
        self.home = str(tmp_path)
        self.all_join()

    def directory(self, name):
        return f"{self.home}/{name}.cert"

    def give(self, name, role, *more):
        self[1].vigia("cert", name, role, "--to", self.directory(name), *more)
        return self.directory(name)

    def address(self, i=1):
        return f"{self.network.address(i)}:7660"

    def start(self, words, **more):
        return subprocess.Popen(["ip", "netns", "exec", self.network.space(2), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                stdin=subprocess.PIPE, text=True, **more)

    def runs(self, words, said=None, **more):
        p = self.start(words, **more)
        out, err = p.communicate(said, timeout=30)
        return p.returncode, out, err

    def env(self):
        return {k: v for k, v in os.environ.items() if not k.startswith(("VIGIA_", "XDG_"))}

    def ask(self, name, *words, at=1):
        return self.runs([f"{PREFIX}/bin/vigia", "--at", self.address(at), "--cert", self.directory(name), *words], env=self.env())

    def audit(self, i=1):
        return self[i].vigia("audit").stdout


@pytest.fixture
def given(tmp_path):
    made = []
    made.append(Given(tmp_path))
    yield made[0]
    made[0].close()


def outcome(answer):
    code, out, err = answer
    return "yes" if not code else "no" if re.search(r"certificate says|not for other hosts|takes your own key|only for the daemon", err) else err


# What is asked, and what becomes of it: of a reader, of an operator.
TABLE = [
    (["host.list"], "yes", "yes"),
    (["node.list"], "yes", "yes"),
    (["monitor.get", "node=h1"], "yes", "yes"),
    (["host.info"], "yes", "yes"),
    (["host.info", "at=h2"], "yes", "yes"),
    (["service.describe"], "yes", "yes"),
    (["channel.list"], "yes", "yes"),
    (["process.list"], "no", "no"),
    (["process.list", "at=h2"], "no", "no"),
    (["process.info", "1"], "no", "no"),
    (["process.signal", "1", "15"], "no", "no"),
    (["process.start", "/bin/true"], "no", "no"),
    (["lease.list"], "no", "no"),
    (["channel.create", "x"], "no", "no"),
    (["service.get", "host"], "no", "no"),
    (["audit.list"], "no", "no"),
    (["cluster.token"], "no", "no"),
    (["cluster.certify", "evil", "operator", "x"], "no", "no"),
    (["cluster.login", "x"], "no", "no"),
    (["cluster.revoke", "name=robot"], "no", "no"),
    (["cluster.rotate"], "no", "no"),
    (["cluster.leave"], "no", "no"),
    (["host.add", "h3"], "no", "no"),
    (["host.remove", "h2"], "no", "no"),
    (["monitor.restart", "host", "at=h2"], "no", "no"),
    (["monitor.stop", "host"], "no", "yes"),
    (["monitor.start", "host"], "no", "yes"),
    (["monitor.restart", "host"], "no", "yes"),
    (["master.reload"], "no", "yes"),
]


def test_each_role_does_what_it_may_and_is_refused_the_rest(given):
    given[1].configure("monitor host { }\n")
    given[1].vigia("reload")
    wait_for(lambda: any(m["monitor"] == "host" for m in operations(given[1], "monitor.list", "node=h1")), 20, "its monitor")
    for name, role in (("eye", "reader"), ("robot", "operator")):
        given.give(name, role)
    for n, name in enumerate(("eye", "robot"), 1):
        got = {" ".join(row[0]): outcome(given.ask(name, *row[0])) for row in TABLE}
        assert got == {" ".join(row[0]): row[n] for row in TABLE}
    audit = given.audit()
    assert re.search(r'certificate .*cluster\.token .*refused.* certificate="?eye', audit), audit
    assert re.search(r'certificate .*monitor\.stop .*done.* certificate="?robot', audit), audit

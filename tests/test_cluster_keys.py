# SPDX-License-Identifier: Apache-2.0
"""A cluster with keys: made, joined, over TLS alone, and who is out of it is out."""
import os
import re
import subprocess
import time

import pytest

import sshd
from cluster import PREFIX, Daemon, Network, wait_for
from test_add_hosts import Hosts, steps
from test_operations import operations


class Keyed:
    """Hosts in namespaces, without any configuration; h1 makes the cluster."""

    def __init__(self, tmp_path, n):
        self.network = Network(n)
        self.hosts = {i: Daemon(str(tmp_path), "monitor host { enabled = false }\n", f"h{i}", self.network.space(i)) for i in range(1, n + 1)}
        for d in self.hosts.values():
            d.start()

    def __getitem__(self, i):
        return self.hosts[i]

    def token(self):
        return self[1].vigia("token").stdout.strip()

    def join(self, i, token=None, check=True):
        d = self[i]
        p = subprocess.run([f"{PREFIX}/bin/vigia", "join"], env=d.env(), input=(token or self.token()) + "\n", capture_output=True,
                           text=True, timeout=60)
        assert not check or (p.returncode == 0 and f"h{i} is in the cluster " in p.stdout), (p.stdout, p.stderr)
        return p

    def all_join(self):
        self[1].vigia("cluster", "init")
        for i in self.hosts:
            if i > 1:
                self.join(i)
        wait_for(lambda: all(self.view(i) == self.view(1) and len(self.view(i)) == len(self.hosts) for i in self.hosts), 30, "one view")

    def view(self, i):
        return {h["name"]: h["state"] for h in operations(self[i], "host.list")}

    def close(self):
        for d in self.hosts.values():
            d.stop()
        self.network.close()


@pytest.fixture
def keyed(tmp_path):
    made = []

    def make(n):
        made.append(Keyed(tmp_path, n))
        return made[-1]

    yield make
    for k in made:
        k.close()


def test_a_cluster_is_made_and_joined_and_hosts_ask_each_other(keyed):
    k = keyed(3)
    assert "no cluster" in k[1].vigia("cluster", "status", check=False).stderr
    k.all_join()
    assert set(k.view(3).values()) == {"up"}
    assert operations(k[3], "host.info", "at=h2")[0]["name"] == "h2"
    known = {c["host"] for c in operations(k[1], "cluster.status")}
    assert known == {"h1", "h2", "h3"}
    assert len({operations(k[i], "cluster.status")[0]["cluster"] for i in k.hosts}) == 1
    for i in k.hosts:
        k[i].stop()
    for i in k.hosts:
        k[i].start()
    wait_for(lambda: all(set(k.view(i).values()) == {"up"} and len(k.view(i)) == 3 for i in k.hosts), 30, "all back")


class OverSsh(Hosts):
    """Without any of what is insecure; h1 has made a cluster."""

    arguments = ""

    def conf(self, i):
        return ""


@pytest.fixture
def over_ssh():
    sshd.need()
    h = OverSsh(4)
    h.vigia("cluster", "init")
    yield h
    h.close()


def test_hosts_are_added_over_ssh_in_one_command_and_have_keys_then(over_ssh):
    h = over_ssh
    told = steps(h.vigia("add", "h2", "h3", "h4", "--json"))
    assert {n: s[-1][0] for n, s in told.items()} == {"h2": "joined", "h3": "joined", "h4": "joined"}
    h.agree(h1="up", h2="up", h3="up", h4="up")
    assert {c["host"] for c in operations(h["h1"], "cluster.status")} == {"h1", "h2", "h3", "h4"}
    assert operations(h["h2"], "host.info", "at=h4")[0]["name"] == "h4"
    told = steps(h.vigia("add", "h3", "--json"))
    assert told["h3"][-1][0] == "joined", "it can be repeated"
    h.vigia("del", "h4", check=False)
    text = "".join(open(f"/proc/{p}/cmdline").read() for p in [h.pid("h2"), h["h1"].pid])
    assert "vigia1." not in text, "no token in arguments"


# ------------------------------------------------------------------------------------------------------- outsiders

def certificate(directory, name, signer=None, days=1, subject=None):
    """A key and a certificate of somebody's own making: paths of both."""
    key, pem = f"{directory}/{name}.key", f"{directory}/{name}.pem"
    how = ["-x509"] if not signer else ["-x509", "-CA", signer[1], "-CAkey", signer[0]]
    subprocess.run(["openssl", "req", *how, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", pem,
                    "-days", str(days), "-subj", subject or f"/CN={name}"], check=True, capture_output=True)
    return key, pem


class Outsider:
    """Somebody on the network, in the namespace of a host."""

    def __init__(self, k, at):
        self.k, self.at = k, at

    def says(self, code, *arguments):
        p = subprocess.run(["ip", "netns", "exec", self.k.network.space(self.at), "/usr/bin/python3", "-c", code, self.k.network.address(1),
                            *arguments], capture_output=True, text=True, timeout=30)
        return p.stdout + p.stderr


TLS = """
import socket, ssl, sys
address, cert, key, version, alpn = sys.argv[1:6]
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
if version == "1.2":
    c.maximum_version = ssl.TLSVersion.TLSv1_2
if cert:
    c.load_cert_chain(cert, key)
if alpn:
    c.set_alpn_protocols([alpn])
s = socket.create_connection((address, 7660), 10)
try:
    t = c.wrap_socket(s)
    t.sendall(b"<hmon version='1' role='client'><master query='info' id='1'/>")
    print("heard", t.recv(1000))
except (ssl.SSLError, OSError) as e:
    print("refused", e)
"""

PLAIN = """
import socket, sys
s = socket.create_connection((sys.argv[1], 7660), 10)
s.sendall(sys.argv[2].encode("latin-1"))
s.settimeout(10)
try:
    print("heard", len(s.recv(1000)))
except OSError as e:
    print("refused", e)
"""


def refusals(d):
    return re.findall(r"tls: \S+: refused: (.*)", d.read_log())


@pytest.mark.parametrize("what, says", [
    ("none", "certificate"), ("own", "certificate"), ("forged", "certificate"), ("old", "TLS"), ("http", "protocol"), ("no protocol", "protocol")])
def test_who_has_no_certificate_of_the_cluster_gets_in_nowhere(keyed, tmp_path, what, says):
    k = keyed(2)
    k.all_join()
    own = certificate(tmp_path, "own")
    forged = certificate(tmp_path, "forged", own, subject=f"/O={operations(k[1], 'cluster.status')[0]['cluster']}/OU=node/CN={'0' * 31}7")
    key, pem = {"own": own, "forged": forged}.get(what, ("", ""))
    before = len(refusals(k[1]))
    said = Outsider(k, 2).says(TLS, pem, key, "1.2" if what == "old" else "1.3",
                               {"http": "http/1.1", "no protocol": ""}.get(what, "hmon"))
    assert said.startswith("refused") or said == "heard b''\n", said
    wait_for(lambda: len(refusals(k[1])) > before, 10, "its one line")
    assert says in refusals(k[1])[-1], refusals(k[1])
    assert len(refusals(k[1])) == before + 1


@pytest.mark.parametrize("text", ["<hmon version='1' role='client'><master query='info' id='1'/>", "\x89VIGIA1\n", "GET / HTTP/1.1\r\n\r\n"])
def test_plain_text_is_not_answered(keyed, text):
    k = keyed(2)
    k.all_join()
    said = Outsider(k, 2).says(PLAIN, text)
    assert said == "heard 0\n" or said.startswith("refused") or (said.startswith("heard ") and int(said.split()[1]) <= 7), said
    wait_for(lambda: refusals(k[1]), 10, "its line")
    assert "TLS" in refusals(k[1])[-1] or "HTTP" in refusals(k[1])[-1]


COMPROMISED = """
import socket, ssl, sys
address, key, pem, other = sys.argv[1:5]
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
c.load_cert_chain(pem, key)
c.set_alpn_protocols(["hmon"])
t = c.wrap_socket(socket.create_connection((address, 7660), 10))
t.sendall(b"<hmon version='1' role='%s'>" % sys.argv[5].encode())
t.sendall(b"<node query='register' id='1' name='evil' boot='1'/>" + b"<host query='announce' id='2' host='%s' port='1'/>" % other.encode())
said = b""
while b'answer="2"' not in said and (more := t.recv(4096)):
    said += more
print(said.decode())
"""


def test_a_compromised_node_speaks_for_no_other(keyed):
    k = keyed(3)
    k.all_join()
    other = operations(k[1], "host.find", "h3")[0]
    vault = f"{k[2].state}/cluster"
    said = Outsider(k, 2).says(COMPROMISED, f"{vault}/host.key", f"{vault}/host.pem", other["id"], "node")
    assert "the certificate of this connection is another host" in said, said
    assert operations(k[1], "host.find", "h3")[0] == other
    said = Outsider(k, 2).says(COMPROMISED, f"{vault}/host.key", f"{vault}/host.pem", other["id"], "monitor")
    assert 'code="bad-role"' in said and "is not what your certificate says" in said, said


def test_a_token_is_taken_once(keyed):
    k = keyed(3)
    k[1].vigia("cluster", "init")
    token = k.token()
    k.join(2, token)
    p = k.join(3, token, check=False)
    assert p.returncode == 1 and "the master says: " in p.stderr, p.stderr
    p = k.join(3, token[:-2], check=False)
    assert p.returncode == 1 and "token" in p.stderr
    assert token not in k[1].read_log() + k[2].read_log() + k[1].vigia("audit").stdout
    k.join(3)


def test_a_host_that_is_revoked_is_out_everywhere_and_stays_out(keyed):
    k = keyed(4)
    k.all_join()
    assert operations(k[3], "host.ping", "at=h4") and operations(k[2], "host.ping", "at=h4")
    begun = time.monotonic()
    k[1].vigia("cluster", "revoke", "h4")
    for i in (1, 2, 3):
        wait_for(lambda: k[i].vigia("host.ping", "at=h4", "x", check=False).returncode, 15, f"h{i} not reaching it")  # noqa: B023
        wait_for(lambda: k[4].vigia("host.ping", f"at=h{i}", "x", check=False).returncode, 15, f"it not reaching h{i}")  # noqa: B023
    assert time.monotonic() - begun < 15, "three times the 5 s that it may take"
    wait_for(lambda: k.view(2)["h4"] != "up", 30, "its being down")
    assert k.view(2)["h3"] == "up" and operations(k[2], "host.ping", "at=h3")
    k[4].stop()
    k[4].start()
    wait_for(lambda: any("revoked" in r for r in refusals(k[1])), 20, "its being refused")
    assert k.view(1)["h4"] != "up"


# ------------------------------------------------------------------------------------------------------ anew

def own(d):
    return operations(d, "cluster.status")[0]


def test_certificates_are_renewed_and_keys_replaced_without_a_restart(keyed):
    k = keyed(3)
    k.all_join()
    pids = [k[i].pid for i in k.hosts]
    for i in k.hosts:
        k[i].vigia("cluster", "renew")
        wait_for(lambda: "this host has a new certificate" in k[i].read_log(), 10, f"h{i}'s new one")  # noqa: B023
    before = own(k[1])["cluster"]
    k[1].vigia("cluster", "rotate")
    wait_for(lambda: len({own(k[i])["cluster"] for i in k.hosts} | {before}) == 2 and own(k[3])["cluster"] != before, 30, "the new key everywhere")
    assert operations(k[3], "host.info", "at=h2")[0]["name"] == "h2"
    assert set(k.view(2).values()) == {"up"} and [k[i].pid for i in k.hosts] == pids
    for i in k.hosts:
        k[i].stop()
    for i in k.hosts:
        k[i].start()
    wait_for(lambda: all(set(k.view(i).values()) == {"up"} and len(k.view(i)) == 3 for i in k.hosts), 30, "all back, with it")


def test_who_leaves_has_no_key_any_more(keyed):
    k = keyed(2)
    k.all_join()
    p = k[1].vigia("cluster", "leave", check=False)
    assert p.returncode == 1 and "authority" in p.stderr
    k[2].vigia("cluster", "leave")
    assert "no cluster" in k[2].vigia("cluster", "status", check=False).stderr
    assert not [f for f in os.listdir(f"{k[2].state}/cluster") if "key" in f or "pem" in f]
    k.join(2)
    wait_for(lambda: k.view(2) == {"h1": "up", "h2": "up"}, 30, "its being back")

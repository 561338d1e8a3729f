# SPDX-License-Identifier: Apache-2.0
"""Certificates for those who are no hosts: what each role may, and that it may nothing else."""
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

import pytest

from cluster import PREFIX, wait_for
from hmon_peer import HmonError
from test_audit import as_other
from test_cluster_keys import Keyed, certificate, refusals
from test_documents import blocks
from test_frames import EVENT, HELLO, QUERY, frame_bytes
from test_operations import PREFACE, operations


class Given(Keyed):
    """A cluster of two; the third party has the network of h2, a directory of its own, and nothing of Vigia's but the command."""

    def __init__(self, home):
        super().__init__(home, 2)
        self.home = home
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

    def audit(self):
        return self[1].vigia("audit").stdout

    def told(self, what):
        """A line of the audit log: a worker writes it."""
        wait_for(lambda: re.search(what, self.audit()), 10, f"a record of {what}")


@pytest.fixture
def given():
    with tempfile.TemporaryDirectory(prefix="vigia-") as home:
        g = Given(home)
        yield g
        g.close()


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
    (["settings.get"], "no", "no"),
    (["settings.set", "history.keep", "10d"], "no", "no"),
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
    given.told(r'certificate .*cluster\.token .*refused.* certificate="eye"')
    given.told(r'certificate .*monitor\.stop .*done.* certificate="robot"')


# ------------------------------------------------------------------------------------------- by hand, in TLS

class Wire:
    """Python's own TLS from the network of h2, with what a directory has."""

    def __init__(self, given, directory, alpn="hmon", at=1):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.check_hostname = False
        c.load_verify_locations(f"{given.directory('eye') if not os.path.exists(f'{directory}/authority.pem') else directory}/authority.pem")
        c.load_cert_chain(f"{directory}/client.pem", f"{directory}/client.key")
        c.set_alpn_protocols([alpn])
        plain = given.network.inside(2, lambda: socket.create_connection((given.network.address(at), 7660), 10))
        plain.settimeout(20)
        self.tls = c.wrap_socket(plain)
        self.heard = b""

    def say(self, data):
        self.tls.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def hear(self, what=None):
        """Until that has come; without: until the end."""
        try:
            while (not what or what not in self.heard) and (more := self.tls.recv(65536)):
                self.heard += more
        except ConnectionError:
            pass
        except ssl.SSLError as e:
            self.heard += str(e).encode()
        return self.heard.decode("utf-8", "replace")


def config(name, value=7, secret=""):
    return (f'<config monitor="{name}" period="1000"{secret}><metric name="x" type="gauge" unit="1">x</metric></config>'
            f'<monitor><v n="x">{value}</v></monitor>')


def hello(role):
    return f'<hmon version="1" role="{role}">'


def test_a_monitor_delivers_what_is_its_own_and_nothing_else(given):
    probe = given.give("probe", "monitor")
    w = Wire(given, probe).say(hello("monitor") + config("probe"))
    wait_for(lambda: "7" in given[1].vigia("get", "h1/probe/x", check=False).stdout, 10, "its value")
    said = Wire(given, probe).say(hello("monitor") + config("other")).hear()
    assert 'code="not-permitted"' in said and "is that of probe, not of other" in said, said
    assert not [m for m in operations(given[1], "monitor.list", "node=h1") if m["monitor"] == "other"]
    given.told(r'connection\.open +refused +not-permitted +certificate="probe"')
    for role in ("client", "node"):
        said = Wire(given, probe).say(hello(role)).hear()
        assert 'code="bad-role"' in said and "is not what your certificate says" in said, said
    said = w.say('<node query="list" id="5"/>').hear(b'answer="5"')
    assert "is not for a monitor" in said, said


@pytest.mark.parametrize("role", ["reader", "operator"])
def test_who_reads_or_operates_is_nothing_else(given, role):
    eye = given.give("eye", role)
    for other in ("monitor", "node"):
        said = Wire(given, eye).say(hello(other) + config("eye")).hear()
        assert 'code="bad-role"' in said, said


def frames(*all):
    return PREFACE + b"".join(map(frame_bytes, all))


def met(fields):
    return (HELLO, 0, 0, ["hello", {"version": 1, **fields}, "", []])


def asked(n, noun, **fields):
    return (QUERY, 0, n, (["", 0, []], [noun, fields, "", []]))


def test_frames_are_for_clients_of_these_roles_and_for_no_host(given):
    for name, role in (("probe", "monitor"), ("eye", "reader"), ("robot", "operator")):
        given.give(name, role)
    made, = operations(given[1], "channel.create", "news", "public=yes")
    w = Wire(given, given.directory("eye"), "vigia-frames").say(frames(
        met({}), asked(1, "host", query="list"), asked(2, "channel", query="create", key="e"), asked(3, "process", query="list"),
        (EVENT, 0, int(made["number"]), (0, 0, 1, (bytes(16), 0, 0), [], b"planted"))))
    said = w.hear(b"only users of this host put")
    assert "10.77.0.2:7660" in said or "h2" in said, said
    for refused in ("channel.create", "process.list"):
        assert f"{refused} is not for eye: the certificate says reader" in said, said
    assert operations(given[1], "channel.info", "news")[0]["sequence"] == "0"
    said = Wire(given, given.directory("probe"), "vigia-frames").say(frames(met({}))).hear()
    assert "your certificate is not a client's" in said, said
    other = operations(given[1], "host.find", "h2")[0]
    for name in ("probe", "eye", "robot"):
        who = {"id": other["id"], "name": "h2", "boot": time.time_ns(), "era": 0}
        said = Wire(given, given.directory(name), "vigia-frames").say(frames(met(who))).hear()
        assert "vigiad" not in said and f"its certificate is another's, {name}" in given[1].read_log() + said, said
        assert operations(given[1], "host.find", "h2")[0] == other and given.view(1)["h2"] == "up"


# ------------------------------------------------------------------------------------------- being out

def sign(given, name, role, begins, ends):
    """As the authority would, but with times of our own: what is in its vault signs."""
    to, vault = given.directory(name), f"{given[1].state}/cluster"
    os.makedirs(f"{to}/ca", mode=0o700)
    os.chmod(to, 0o700)
    cluster = operations(given[1], "cluster.status")[0]["cluster"]

    def run(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=to)

    with open(f"{to}/ca/conf", "w") as f:
        f.write("[ca]\ndefault_ca=a\n[a]\ndatabase=ca/index\nnew_certs_dir=ca\nserial=ca/serial\ndefault_md=sha256\npolicy=p\n"
                "preserve=yes\nunique_subject=no\nx509_extensions=x\n[p]\nO=supplied\nCN=supplied\nOU=supplied\n[x]\n"
                "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"
                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n")
    open(f"{to}/ca/index", "w").close()
    with open(f"{to}/ca/serial", "w") as f:
        f.write("42" + os.urandom(15).hex().upper() + "\n")
    run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "client.key")
    run("req", "-new", "-utf8", "-key", "client.key", "-subj", f"/O={cluster}/CN={name}/OU={role}", "-out", "ca/req")
    run("ca", "-config", "ca/conf", "-batch", "-notext", "-in", "ca/req", "-out", "client.pem", "-cert", f"{vault}/authority.pem", "-keyfile",
        f"{vault}/authority.key", "-preserveDN", "-startdate", stamp(begins), "-enddate", stamp(ends))
    shutil.copy(f"{vault}/authority.pem", to)
    for f in ("client.key", "client.pem", "authority.pem"):
        os.chmod(f"{to}/{f}", 0o600)
    return to


def stamp(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))


@pytest.mark.parametrize("begins, ends, says", [(-7200, -3600, "expired"), (3600, 7200, "not yet valid")])
def test_who_is_too_late_or_early_does_not_get_in(given, begins, ends, says):
    sign(given, "fine", "reader", -60, 3600)
    assert outcome(given.ask("fine", "host.list")) == "yes", "what is made here is good but for its times"
    sign(given, "odd", "reader", begins, ends)
    before = len(refusals(given[1]))
    code, _, err = given.ask("odd", "host.list")
    assert code == 3 and "the host refuses this certificate" in err, err
    wait_for(lambda: len(refusals(given[1])) > before, 10, "its line")
    assert says in refusals(given[1])[-1] and "odd" in refusals(given[1])[-1] and len(refusals(given[1])) == before + 1


def test_one_that_expires_in_mid_connection_is_out(given):
    sign(given, "short", "reader", -60, 8)
    w = Wire(given, given.directory("short")).say(hello("client") + '<node query="events" follow="yes" id="1"/>')
    w.hear(b"vigiad")
    w.hear()
    wait_for(lambda: "short's certificate is over" in given[1].read_log(), 10, "its line")
    assert outcome(given.ask("short", "host.list")) != "yes"


@pytest.mark.parametrize("role, at", [("reader", 1), ("operator", 1), ("reader", 2), ("monitor", 1)])
def test_one_that_is_revoked_in_mid_connection_is_out(given, role, at):
    for name in ("bad", "good"):
        given.give(name, role)
    kind = "monitor" if role == "monitor" else "client"
    both = {n: Wire(given, given.directory(n), at=at).say(hello(kind)) for n in ("bad", "good")}
    for name, w in both.items():
        w.say(config(name) if kind == "monitor" else '<master query="info" id="1"/>')
        w.hear(b"secret=" if kind == "monitor" else b'end answer="1"')
    begun = time.monotonic()
    given[1].vigia("cert", "--revoke", "bad")
    both["bad"].hear()
    assert time.monotonic() - begun < 15, "three times the 5 s that it may take"
    wait_for(lambda: any("bad's certificate has been revoked" in r for r in refusals(given[at])), 10, "its line")
    both["good"].say('<beat n="9"/>').hear(b'answer="9"')
    assert b'answer="9"' in both["good"].heard, "who was not meant stays"
    said = Wire(given, given.directory("bad"), at=at).say(hello(kind)).hear()
    assert "<hmon" not in said, said
    if kind == "client":
        code, _, err = given.ask("bad", "host.list", at=at)
        assert code == 3 and "revoked" in err, err


def test_the_authority_s_next_key_is_believed_by_who_knows_the_one_before(given):
    given.give("old", "reader")
    given[2].vigia("cluster", "renew")
    wait_for(lambda: "this host has a new certificate" in given[2].read_log(), 10, "its link with the authority")
    before = operations(given[2], "cluster.status")[0]["cluster"]
    given[1].vigia("cluster", "rotate")
    wait_for(lambda: before not in {operations(given[i], "cluster.status")[0]["cluster"] for i in (1, 2)}, 30, "the new key everywhere")
    given.give("new", "reader")
    for name in ("old", "new"):
        for at in (1, 2):
            assert outcome(given.ask(name, "host.list", at=at)) == "yes"


# ------------------------------------------------------------------------------------------- giving

def test_a_key_is_made_here_once_and_for_nobody_else(given):
    d = given.give("eye", "reader", "--days", "2")
    assert sorted(os.listdir(d)) == ["authority.pem", "client.key", "client.pem", "revoked.crl"]
    assert os.stat(d).st_mode & 0o777 == 0o700 and {os.stat(f"{d}/{f}").st_mode & 0o777 for f in os.listdir(d)} == {0o600}
    kept = open(f"{d}/client.key").read()
    p = given[1].vigia("cert", "eye", "reader", "--to", d, check=False)
    assert p.returncode == 1 and "client.key is there already" in p.stderr and open(f"{d}/client.key").read() == kept
    row, = operations(given[1], "cert", "--list")
    assert (row["name"], row["role"], row["revoked"]) == ("eye", "reader", None)
    assert kept.split("\n")[1] not in given[1].read_log() + given.audit()
    given[1].vigia("cert", "--revoke", "eye")
    assert operations(given[1], "cert", "--list")[0]["revoked"]
    p = given[1].vigia("cert", "--revoke", "eye", check=False)
    assert p.returncode == 1 and "no certificate that is not over or revoked already" in p.stderr


@pytest.mark.parametrize("words, says", [
    (["eye", "node"], "role must be monitor, reader or operator"), (["eye", "master"], "role must be"), (["eye", "user"], "role must be"),
    (["eye", "reader,operator"], "role must be"), (["h2", "reader"], "h2 is a host of the cluster"), (["0" * 31 + "7", "reader"], "is a host"),
    (["uid.1000@vigia", "reader"], "without @"), (["Eye", "reader"], "a name is"), (["eye", "reader", "--days", "0"], "days must be"),
    (["eye", "reader", "--days", "3651"], "days must be"), (["eye", "reader", "--days", "x"], "days must be"), (["eye"], "takes NAME and ROLE")])
def test_what_is_not_given(given, words, says):
    to = given.directory("eye")
    p = given[1].vigia("cert", *words, "--to", to, check=False)
    assert p.returncode in (1, 2) and says in p.stderr, p.stderr
    assert not os.path.exists(f"{to}/client.key") and not operations(given[1], "cert", "--list")


def test_only_who_runs_the_authority_s_host_gives_them(given):
    p = given[2].vigia("cert", "eye", "reader", "--to", given.directory("eye"), check=False)
    assert p.returncode == 1 and "the cluster's authority is not on this host" in p.stderr
    p = given[2].vigia("cluster.certify", "at=h1", "eye", "operator", "x", check=False)
    assert p.returncode == 1 and "only for the daemon's own user" in p.stderr, p.stderr
    for at in (given.home, given[1].directory, os.path.dirname(given[1].socket)):
        os.chmod(at, 0o711)
    with as_other(), given[1].client() as c, pytest.raises(HmonError) as e:
        c.ask("cluster", "certify", name="eye", role="operator", request="eA==").all(10)
    assert e.value.code == "not-permitted"
    assert not operations(given[1], "cert", "--list")


def test_a_host_that_lets_nobody_control_it_lets_no_operator(given):
    given.give("robot", "operator")
    given[1].configure("monitor host { enabled = false }\ncontrol = no\n")
    given[1].vigia("reload")
    code, _, err = given.ask("robot", "master.reload")
    assert code == 1 and "nothing is changed here from other hosts" in err, err
    assert outcome(given.ask("robot", "host.list")) == "yes"


# ------------------------------------------------------------------------------------------- others' programs

def as_written(given, source):
    return source.replace("ssh master vigia", f"VIGIA_SOCKET={given[1].socket} {PREFIX}/bin/vigia")


def test_a_request_is_answered_and_others_programs_use_what_comes(given):
    """The page's own lines."""
    make, use = [b for b in blocks("hmon.md", "sh") if "eye.key" in b]
    subprocess.run(["sh", "-e", "-c", as_written(given, make)], cwd=given.home, check=True, capture_output=True)
    assert open(f"{given.home}/eye.pem").read().count("BEGIN CERTIFICATE") == 2
    code, out, err = given.runs(["sh", "-c", use], cwd=given.home)
    assert 'answer="1"' in out and 'name="h2"' in out, (out, err)
    p = subprocess.run([f"{PREFIX}/bin/vigia", "cert", "eye", "reader"], env=given[1].env(), input="nothing\n", capture_output=True, text=True)
    assert p.returncode == 2 and "no request" in p.stderr
    subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "rsa.key", "-subj", "/CN=x", "-out", "rsa.csr"],
                   cwd=given.home, check=True, capture_output=True)
    with open(f"{given.home}/rsa.csr") as f:
        p = subprocess.run([f"{PREFIX}/bin/vigia", "cert", "eye", "reader"], env=given[1].env(), stdin=f, capture_output=True, text=True)
    assert p.returncode == 1 and "P-256" in p.stderr, p.stderr


def test_the_page_s_monitor_with_a_certificate_works(given):
    source = next(b for b in blocks("hmon.md", "python") if "load_cert_chain" in b)
    given[1].vigia("cert", "load", "monitor", "--to", f"{given.home}/load")
    p = given.start(["/usr/bin/python3", "-c", source], cwd=given.home)
    try:
        wait_for(lambda: given[1].vigia("get", "h1/load/load/1min", check=False).returncode == 0, 20, "its values")
    finally:
        p.kill()
        p.communicate()


def test_the_command_asks_hosts_of_its_cluster_alone(given, tmp_path):
    eye = given.give("eye", "reader")
    code, out, err = given.runs([f"{PREFIX}/bin/vigia", "--at", given.address(), "host.list", "--json"], env={**given.env(), "VIGIA_CERT": eye})
    assert code == 0 and {h["name"] for h in json.loads(out)} == {"h1", "h2"}, err
    code, _, err = given.runs([f"{PREFIX}/bin/vigia", "--at", given.address(), "host.list"], env=given.env())
    assert code, "without one it gets nowhere"
    key, pem = certificate(tmp_path, "planted")
    server = given.start(["openssl", "s_server", "-accept", "7999", "-key", key, "-cert", pem, "-alpn", "hmon", "-tls1_3"])
    try:
        wait_for(lambda: given.network.inside(2, lambda: not socket.socket().connect_ex(("127.0.0.1", 7999))), 10, "it there")
        code, _, err = given.runs([f"{PREFIX}/bin/vigia", "--at", "127.0.0.1:7999", "--cert", eye, "host.list"], env=given.env())
    finally:
        server.kill()
        said = server.communicate()[0]
    assert code == 3 and "who answers there is not believed" in err and "hmon version" not in said, (err, said)
    os.chmod(f"{eye}/client.key", 0o644)
    code, _, err = given.ask("eye", "host.list")
    assert code == 3 and "client.key" in err, err
    code, _, err = given.runs([f"{PREFIX}/bin/vigia", "--at", given.address(), "--cert", f"{given.home}/none", "host.list"], env=given.env())
    assert code == 3 and f"{given.home}/none" in err, err

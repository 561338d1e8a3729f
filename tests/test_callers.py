# SPDX-License-Identifier: Apache-2.0
"""Who may do what on another host of a cluster with keys: read by his daemon's word, change by his own signature."""
import base64
import os
import re
import socket
import subprocess
import tempfile
import threading

import pytest

from cluster import wait_for
from hmon_peer import HmonError
from test_cluster_keys import Keyed
from test_operations import operations
from test_start import prefix  # noqa: F401

UID, OTHER = 54321, 54322  # users who own nothing here


class User:
    """Of these hosts, with a place of his own for his key."""

    def __init__(self, top, program, uid):
        self.uid, self.program, self.place = uid, program, f"{top}/{uid}"
        os.mkdir(self.place, 0o700)
        os.chown(self.place, uid, uid)

    def vigia(self, d, *words, check=True, via=None):
        """On this daemon's host; via: the socket that he takes for its own."""
        env = {k: v for k, v in d.env().items() if k != "LD_PRELOAD"} | {"XDG_RUNTIME_DIR": self.place, "VIGIA_SOCKET": via or d.socket}
        p = subprocess.run([self.program, *words], env=env, cwd="/", user=self.uid, group=self.uid, extra_groups=[], capture_output=True,
                           text=True, timeout=30)
        assert not check or p.returncode == 0, (p.stdout, p.stderr)
        return p


class Cluster(Keyed):
    def open_to_users(self):
        for d in self.hosts.values():
            for at in (d.directory, os.path.dirname(d.socket)):
                os.chmod(at, 0o711)

    def say(self, i, conf):
        """More in the configuration of host i, from now on."""
        self[i].configure("monitor host { enabled = false }\n" + conf)
        self[i].vigia("reload")

    def channels(self, i):
        return {c["key"]: int(c["owner"]) for c in operations(self[i], "channel.list")}


@pytest.fixture
def place():
    if os.geteuid():
        pytest.skip("only root can be other users")
    with tempfile.TemporaryDirectory(prefix="vigia-") as top:
        os.chmod(top, 0o711)
        yield top


@pytest.fixture
def cluster(place):
    k = Cluster(place, 3)
    try:
        k.all_join()
        k.open_to_users()
        yield k
    finally:
        k.close()


@pytest.fixture
def user(place, prefix):  # noqa: F811
    return User(place, f"{prefix}/bin/vigia", UID)


@pytest.fixture
def other(place, prefix):  # noqa: F811
    return User(place, f"{prefix}/bin/vigia", OTHER)


def test_by_his_daemons_word_a_user_reads_and_changes_nothing(cluster, user):
    k = cluster
    assert any(p["program"] == "vigiad" for p in operations(k[2], "process.list", "at=h3"))
    assert "vigiad" in user.vigia(k[2], "ps", "h3").stdout
    for words in (["channel", "create", "news"], ["process", "signal", "1"], ["lease", "take", "observe", "process=1"]):
        p = user.vigia(k[2], *words, "at=h3", check=False)
        assert p.returncode == 1 and "on another host takes your own key: `vigia login`" in p.stderr, p
    assert "news" not in k.channels(3)
    p = k[2].vigia("channel", "create", "news", "at=h3", check=False)
    assert p.returncode == 1 and "takes your own key" in p.stderr, "root of another host is nobody here"


def test_with_his_own_key_he_acts_as_himself_everywhere(cluster, user, other):
    k = cluster
    said = user.vigia(k[1], "login").stdout
    assert re.match(rf"logged in as uid\.{UID}@cluster until ", said)
    assert [oct(os.stat(f"{user.place}/vigia/login/{f}").st_mode & 0o777) for f in ("key", "certificate")] == ["0o600", "0o600"]
    for i in (2, 3):
        user.vigia(k[1], "channel", "create", f"his-{i}", f"at=h{i}")
        assert k.channels(i)[f"his-{i}"] == UID
    user.vigia(k[2], "channel", "put", "his-3", "1", "x", "at=h3")
    other.vigia(k[1], "login")
    p = other.vigia(k[2], "channel", "delete", "his-3", "at=h3", check=False)
    assert p.returncode == 1 and f"channel his-3 belongs to uid {UID}" in p.stderr
    for words in (["process", "start", "true"], ["master", "reload"]):
        p = user.vigia(k[1], *words, "at=h2", check=False)
        assert p.returncode == 1 and "only for the daemon's own user and root" in p.stderr, "what is the daemon's stays so"
    user.vigia(k[2], "channel", "delete", "his-3", "at=h3")
    r = [r for r in operations(k[3], "audit", "--operation", "channel.*") if r["result"] == "done"]
    assert [(r["uid"], r["how"], r["what"]) for r in r] == [(UID, "signature", f"channel.{w}") for w in ("create", "put", "delete")]
    user.vigia(k[1], "logout")
    assert "takes your own key" in user.vigia(k[1], "channel", "create", "more", "at=h2", check=False).stderr


def test_the_key_is_given_on_the_authoritys_host_by_its_kernels_word(cluster, user):
    k = cluster
    p = user.vigia(k[2], "login", check=False)
    assert p.returncode == 1 and "the cluster's authority is not on this host" in p.stderr
    p = k[1].vigia("login", check=False)
    assert p.returncode == 1 and "root has no key of his own" in p.stderr
    request = subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null",
                              "-subj", "/CN=uid.1@cluster", "-outform", "DER"], capture_output=True, check=True).stdout
    with k[1].client() as c, pytest.raises(HmonError, match="uid 0 acts on no other host"):
        c.ask("cluster", "login", request=base64.b64encode(request).decode()).all()
    with k[2].client() as c, pytest.raises(HmonError, match="not-permitted"):
        c.ask("cluster", "login", at="h1", request=base64.b64encode(request).decode()).all()
    # Over a way that ssh would be, to where the authority is.
    way = f"env VIGIA_SOCKET={k[1].socket} HOST=%h sh -c %c"
    said = user.vigia(k[2], "login", "h1", "--ssh", way, "--command", user.program).stdout
    assert said.startswith(f"logged in as uid.{UID}@cluster until ")
    user.vigia(k[2], "channel", "create", "his", "at=h3")
    assert k.channels(3)["his"] == UID
    p = user.vigia(k[2], "login", "h1", "--ssh", "false %h %c", check=False)
    assert p.returncode == 1 and "h1 gave no certificate" in p.stderr


# --- attacks ---

class Listener:
    """Between a program and its daemon: as the daemon of a host that was taken over it hears all, and keeps what it likes."""

    def __init__(self, top, d):
        self.path, self.to, self.signed = f"{top}/listener", d.socket, None
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                a, _ = self.socket.accept()
            except OSError:
                return
            b = socket.socket(socket.AF_UNIX)
            b.connect(self.to)
            threading.Thread(target=self._pass, args=(a, b, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(b, a, False), daemon=True).start()

    def _pass(self, a, b, listens):
        try:
            while data := a.recv(65536):
                found = re.search(rb'signed="([^"]+)"', data) if listens else None
                if found:
                    self.signed = found[1].decode()
                    break  # it never gets there
                b.sendall(data)
        except OSError:
            pass
        a.close()
        b.close()

    def close(self):
        self.socket.close()


@pytest.fixture
def caught(cluster, user, place):
    """An order of the user's for h2 that has not got there: channel.create key=news."""
    user.vigia(cluster[1], "login")
    listener = Listener(place, cluster[1])
    user.vigia(cluster[1], "channel", "create", "news", "at=h2", via=listener.path, check=False)
    wait_for(lambda: listener.signed, 5, "the order")
    listener.close()
    return listener.signed


def ask(d, at, key, signed, **more):
    with d.client() as c:
        return c.ask("channel", "create", at=at, key=key, signed=signed, **more).all()


def refused(d, at, key, signed, says, **more):
    with pytest.raises(HmonError, match=says):
        ask(d, at, key, signed, **more)


def test_an_order_is_taken_once(cluster, caught):
    k = cluster
    ask(k[3], "h2", "news", caught)
    assert k.channels(2)["news"] == UID
    k[2].vigia("channel", "delete", "news")
    refused(k[3], "h2", "news", caught, "this order was taken already")
    refused(k[1], "h2", "news", caught, "this order was taken already")
    assert "news" not in k.channels(2)


def test_an_order_is_for_one_query_and_one_host(cluster, caught):
    k = cluster
    refused(k[1], "h2", "olds", caught, "signed for another query, another host")
    refused(k[1], "h2", "news", caught, "signed for another query", public="yes")
    refused(k[1], "h3", "news", caught, "another host")
    refused(k[1], "h2", "news", caught[:-8] + "AAAAAAA=", "not-permitted")
    refused(k[1], "h2", "news", "AAAA", "this is no signed order")
    refused(k[1], "h2", "news", "***", "what it is signed with is no order")
    assert not {"news", "olds"} & set(k.channels(2)) | {"news"} & set(k.channels(3))
    refusals = [r for r in operations(k[2], "audit", "--operation", "channel.create") if r["result"] == "refused"]
    assert len(refusals) >= 5 and {r["code"] for r in refusals} == {"not-permitted"}


def test_an_order_does_not_outlive_the_daemon_it_is_for(cluster, caught):
    k = cluster
    k[2].stop()
    k[2].start()
    wait_for(lambda: k.view(1)["h2"] == "up", 30, "its return")
    refused(k[1], "h2", "news", caught, "another life of its daemon")


def test_who_is_revoked_is_nobody_and_so_is_who_was_never_one(cluster, caught, user):
    k = cluster
    k[1].vigia("cluster", "revoke", f"uid.{UID}@cluster")
    wait_for(lambda: "revoked" in user.vigia(k[3], "channel", "create", "olds", "at=h2", check=False).stderr, 15, "the news there")
    refused(k[1], "h2", "news", caught, "revoked")


@pytest.mark.parametrize("conf, says", [
    ("control = no\n", "nothing is changed here from other hosts"),
    ("realm = \"lab\"\n", f"uid {UID} is of the realm cluster, and this host of lab: there it is somebody else")])
def test_a_host_may_refuse_all_that_changes_it(cluster, caught, conf, says):
    k = cluster
    k.say(2, conf)
    refused(k[1], "h2", "news", caught, says)
    assert operations(k[1], "host.info", "at=h2")[0]["name"] == "h2", "and is read as before"
    k[2].vigia("channel", "create", "own")
    k.say(2, "")
    ask(k[1], "h2", "news", caught)


def test_nodes_may_be_trusted_to_name_their_users_but_never_root(cluster, user):
    k = cluster
    k.say(3, 'trust_nodes = "control"\n')
    user.vigia(k[2], "channel", "create", "his", "at=h3")
    assert k.channels(3)["his"] == UID
    p = k[2].vigia("channel", "create", "roots", "at=h3", check=False)
    assert p.returncode == 1 and "takes your own key" in p.stderr
    k.say(3, "")
    p = user.vigia(k[2], "channel", "create", "more", "at=h3", check=False)
    assert p.returncode == 1 and "takes your own key" in p.stderr


# --- operators ---

def test_operators_run_a_daemon_from_other_hosts_and_start_nothing_there(cluster, user, other):
    k = cluster
    k.say(3, f'operators = {{"{UID}"}}\n')
    user.vigia(k[1], "login")
    other.vigia(k[1], "login")
    user.vigia(k[2], "config", "h3", "set", "audit.files", "9")
    assert {o["option"]: o["value"] for o in operations(k[3], "config", "get")}["audit.files"] == "9"
    assert "audit.files" in user.vigia(k[2], "config", "h3", "get", "audit.*").stdout
    user.vigia(k[2], "master", "reload", "at=h3")
    for who, words, at in [(user, ["process", "start", "true"], "h3"), (other, ["settings", "set", "audit.files", "8"], "h3"),
                           (user, ["settings", "set", "audit.files", "8"], "h2"), (user, ["cluster", "leave"], "h3")]:
        p = who.vigia(k[1], *words, f"at={at}", check=False)
        assert p.returncode == 1 and "only for the daemon's own user and root" in p.stderr, (words, p.stderr)
    r = [r for r in operations(k[3], "audit", "--operation", "settings.set") if r["result"] == "done"]
    assert [(r["uid"], r["how"]) for r in r] == [(UID, "signature")]
    user.vigia(k[3], "config", "unset", "audit.files")  # here, too
    user.vigia(k[2], "host.remove", "h3", "at=h3")
    wait_for(lambda: set(k.view(1)) == {"h1", "h2"}, 20, "its leaving")


@pytest.mark.parametrize("who, says", [("nobody-of-that-name", "expected a user of /etc/passwd or a uid"), ("root", "not root"), ("0", "not root")])
def test_who_is_no_operator_is_said(daemon, who, says):
    d = daemon()
    d.configure(f'listen = {{}}\nmonitor host {{ }}\noperators = {{"{who}"}}\n')
    p = d.vigia("reload", check=False)
    assert p.returncode == 1 and says in p.stderr

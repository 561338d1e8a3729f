# SPDX-License-Identifier: Apache-2.0
"""The view of hosts outlives the daemons that have it: whoever dies and comes back, all agree on who there is."""
import contextlib
import itertools
import json
import os
import random
import subprocess

import pytest

from cluster import SOAK, wait_for
from hmon_peer import HmonError, Node

GRACE = "master { grace = 3s }\n"
NOBODY_MEASURES = "monitor host { enabled = false }\n"


def operations(d, *words):
    return json.loads(d.vigia(*words, "--json").stdout or "[]")


def dice_of(seed=os.environ.get("VIGIA_SEED")):
    seed = int(seed or random.randrange(1 << 30))
    print("VIGIA_SEED =", seed)
    return random.Random(seed)


def view(d, *words):
    return {h["name"]: (h["id"], h["state"]) for h in operations(d, "host.list", *words)}


def states(d, *words):
    return {name: state for name, (_, state) in view(d, *words).items()}


def ids(d):
    return {name: id for name, (id, _) in view(d).items()}


def alive(cluster):
    return [d for d in cluster.daemons.values() if d.process.poll() is None]


def all_see(cluster, **expected):
    """Every daemon that lives lists just these hosts, in these states."""
    return wait_for(lambda: all(states(d) == expected for d in alive(cluster)) or None, 40,
                    f"{expected} instead of {[states(d) for d in alive(cluster)]}")


def is_kept(d):
    """What it lists is in its file, which follows by some milliseconds."""
    with open(f"{d.state}/view") as f:
        kept = {words[0]: words[1] for words in (line.split() for line in f) if len(words) > 4}
    return all(kept.get(id) == {"unknown": "up"}.get(state, state) for id, state in view(d, "all=yes").values())


def kill_all(cluster):
    for d in alive(cluster):
        wait_for(lambda: is_kept(d), 20, f"{d.name} has its view on disk")
    for d in alive(cluster):
        d.kill()


def up(*numbers):
    return {f"h{i}": "up" for i in numbers}


@pytest.fixture
def hosts(make_cluster):
    """Four hosts that have one view."""
    c = make_cluster(4, master=GRACE, monitors=NOBODY_MEASURES)
    all_see(c, **up(1, 2, 3, 4))
    return c


def test_all_die_and_come_back_one_by_one_and_nobody_is_forgotten(hosts):
    dice, before = dice_of(), ids(hosts[1])
    for _ in range(10 if SOAK else 2):
        kill_all(hosts)
        for i in dice.sample([1, 2, 3, 4], 4):
            hosts[i].start()
            assert ids(hosts[i]) == before, "before anybody was heard of"
            assert states(hosts[i])[f"h{i}"] == "up"
        all_see(hosts, **up(1, 2, 3, 4))
        assert all(ids(d) == before for d in alive(hosts))


def test_who_is_not_heard_of_yet_is_not_called_up(hosts):
    kill_all(hosts)
    hosts[3].start()
    assert states(hosts[3]) == {"h1": "unknown", "h2": "unknown", "h3": "up", "h4": "unknown"}
    with hosts[3].client() as c:
        changes = iter(c.ask("channel", "subscribe", channel="hosts"))
        next(changes)
        hosts[1].start()
        assert next(changes).get("tag") == "4", "heard of: up"
    hosts[2].start()
    all_see(hosts, **up(1, 2, 3), h4="down")


def test_a_host_that_is_down_is_listed_as_down_until_it_is_back(hosts):
    before = ids(hosts[1])
    hosts[4].kill()
    all_see(hosts, **up(1, 2, 3), h4="down")
    kill_all(hosts)
    for i in dice_of().sample([1, 2, 3], 3):
        hosts[i].start()
        assert states(hosts[i])["h4"] == "down"
    all_see(hosts, **up(1, 2, 3), h4="down")
    hosts[4].start()
    all_see(hosts, **up(1, 2, 3, 4))
    assert ids(hosts[2]) == before


def test_a_host_that_was_removed_stays_so(hosts):
    before = ids(hosts[1])
    hosts[4].stop()
    all_see(hosts, **up(1, 2, 3), h4="left")
    hosts[1].vigia("forget", "h4")
    all_see(hosts, **up(1, 2, 3))
    kill_all(hosts)
    for i in dice_of().sample([1, 2, 3], 3):
        hosts[i].start()
        assert "h4" not in states(hosts[i])
    all_see(hosts, **up(1, 2, 3))
    assert all(states(d, "all=yes")["h4"] == "removed" for d in alive(hosts))
    hosts[4].start()
    all_see(hosts, **up(1, 2, 3, 4))
    assert ids(hosts[2]) == before, "it was added again, and is itself"


def test_who_was_away_brings_nobody_back(hosts):
    hosts[2].kill()
    hosts[4].stop()
    hosts[1].vigia("forget", "h4")
    all_see(hosts, **up(1, 3), h2="down")
    hosts[2].start()
    all_see(hosts, **up(1, 2, 3))


def test_a_restarted_host_finds_the_others_with_the_master_dead(hosts):
    kill_all(hosts)
    hosts[2].start()
    hosts[3].start()
    assert operations(hosts[2], "host.info", "at=h3")[0]["name"] == "h3"


def test_a_damaged_file_is_told_and_what_can_be_read_is_read(hosts):
    before = ids(hosts[1])
    kill_all(hosts)
    path = f"{hosts[2].state}/view"
    with open(path) as f:
        lines = f.readlines()
    damaged = next(i for i, line in enumerate(lines) if " h3 " in line)
    lines = [line.replace(" h3 ", " h9 ") for line in lines]
    with open(path, "w") as f:
        f.writelines(lines)
    hosts[2].start()
    assert "h3" not in states(hosts[2]) and "h4" in states(hosts[2])
    told = hosts[2].vigia("status", check=False).stdout
    assert f"{path}:{damaged + 1}: expected a host's line" in told and f"kept as {path}.bad" in told
    hosts[1].start()
    hosts[3].start()
    wait_for(lambda: ids(hosts[2]) == before, 30, "h3 was heard of again")


def announce(n, id):
    return n.ask("host", "announce", host=f"{id:032x}", port=7660).all()


def test_a_node_speaks_for_one_host_at_a_time(daemon):
    d = daemon("listen = {}\n")
    with Node(d.socket, "n2").connect() as n:
        announce(n, 1)
        with pytest.raises(HmonError, match="host: this connection has said another one before"):
            announce(n, 2)
        announce(n, 1)
        secret = n.secret
    for id in range(2, 10):
        with Node(d.socket, "n2", secret=secret).connect() as n:
            announce(n, id)
            assert ids(d)["n2"] == f"{id:032x}" and len(view(d)) == 2
    assert len(view(d, "all=yes")) == 2, "by name"
    removed = [h for h in operations(d, "host.list", "all=yes") if h["state"] == "removed"]
    assert sorted(h["id"] for h in removed) == [f"{id:032x}" for id in range(1, 9)]


@pytest.fixture
def full_disk(tmp_path):
    """The state directory of n1 on a disk of its own; fill() and free()."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    state = tmp_path / "n1" / "vigia"
    state.mkdir(parents=True, mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "vigia-test", str(state)], check=True)

    class Disk:
        @staticmethod
        def fill():
            with open(state / "full", "wb", buffering=0) as f, contextlib.suppress(OSError):
                while f.write(bytes(4096)):
                    pass

        @staticmethod
        def free():
            (state / "full").unlink()

    yield Disk
    subprocess.run(["umount", "-l", str(state)], check=True)


def test_a_full_disk_is_told_and_all_is_kept_once_there_is_room(full_disk, daemon):
    d = daemon("listen = {}\nhistory { enabled = false }\nmonitor host { enabled = false }\n")
    with Node(d.socket, "n2").connect() as n:
        secret = n.secret
    full_disk.fill()
    last = itertools.count(1)

    def another_host():
        nonlocal id
        with Node(d.socket, "n2", secret=secret).connect() as n:
            announce(n, id := next(last))
        return "the file of the hosts: " in told() and "No space left on device" in told()

    id, told = 0, lambda: d.vigia("status", check=False).stdout
    wait_for(another_host, 30, "a full disk is told")
    assert ids(d)["n2"] == f"{id:032x}"
    full_disk.free()
    wait_for(lambda: "the file of the hosts" not in told(), 20, "it is written again")
    d.kill()
    d.start()
    assert ids(d)["n2"] == f"{id:032x}"

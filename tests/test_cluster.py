# SPDX-License-Identifier: Apache-2.0
"""Five hosts in network namespaces: who notices what, and how soon."""
import os
import random
import signal
import socket
import time

import pytest

from cluster import Network, SOAK, wait_for
from hmon_peer import Metric, Monitor, Node

SLACK = 3  # a limit's test allows three times the figure; the figure itself is a bench result


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def states_of(c):
    return {n.name: n.state for n in c.nodes()}


def when(client, node, state, timeout):
    """How long until the master shows `node` as `state`."""
    begun = time.monotonic()
    while True:
        seen = states_of(client)[node]
        if seen == state:
            return time.monotonic() - begun
        assert time.monotonic() - begun < timeout, f"{node} is {seen}, not {state}, after {timeout} s"
        time.sleep(0.002)


@pytest.fixture
def five(make_cluster):
    return make_cluster(5)


def test_five_hosts_register_with_urgent_beats_and_show_values(five):
    with five.master.client() as c:
        assert {n.transport for n in c.nodes() if n.name != "h1"} == {"urgent"}
        wait_for(lambda: len(c.get("load/1min", node="h*")) == 5, 5, "a value of each")


def test_a_killed_node_is_known_at_once(five):
    with five.master.client() as c:
        five[3].kill()
        assert when(c, "h3", "down", 1) < 0.05 * SLACK
        node = c.nodes("h3").one()
        assert node.reason == "connection closed"
        assert all(m.state == "old" for m in c.monitors(node="h3"))


def test_a_stopped_node_is_busy_then_down_and_comes_back(five):
    with five.master.client() as c:
        five[2].kill(signal.SIGSTOP)
        assert when(c, "h2", "busy", 6) < 1 * SLACK
        assert when(c, "h2", "down", 12) < 3 * SLACK
        assert "host answers" in c.nodes("h2").one().reason
        five[2].kill(signal.SIGCONT)
        when(c, "h2", "up", 10)


def test_a_cut_link_is_late_then_down_and_comes_back(five):
    with five.master.client() as c:
        five.network.cut(4)
        assert when(c, "h4", "late", 6) < 1 * SLACK
        assert when(c, "h4", "down", 12) < 3 * SLACK
        five.network.mend(4)
        when(c, "h4", "up", 40)


def test_a_node_that_is_ended_has_left(five):
    with five.master.client() as c:
        five[5].stop()
        when(c, "h5", "left", 3)
        assert [e for e in c.events() if e.event == "node-left" and e.node == "h5"]


def test_a_node_that_is_gone_for_good_is_forgotten_and_may_come_anew(five):
    with five.master.client() as c:
        five[5].kill()
        when(c, "h5", "down", 3)
        assert five.master.vigia("forget", "h2", check=False).returncode != 0, "it is connected"
        five.master.vigia("forget", "h5")
        assert "h5" not in states_of(c)
        five.master.kill()
        five.master.start()
    with five.master.client() as c:
        assert "h5" not in states_of(c), "forgotten for good"
        five[5].start()
        wait_for(lambda: states_of(c).get("h5") == "up", 10, "a newcomer again")


def test_a_break_of_the_link_leaves_no_gap_and_no_duplicate(five):
    """A monitor on h2 counts, 20 values fifty times a second; its own log is the oracle."""
    log = []
    metrics = [Metric("n", "counter")] + [Metric(f"n{i}", "counter") for i in range(1, 20)]
    with Monitor(five[2].socket, "count", metrics, period=20).connect() as m:
        def feed(seconds):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                m.send_row([len(log) * (i + 1) for i in range(20)])
                log.append(len(log))
                time.sleep(0.02)

        feed(2)
        five.network.cut(2)
        feed(30 if SOAK else 6)
        five.network.mend(2)
        feed(2)
        with five.master.client() as c:
            def complete():
                series = c.history("n", node="h2", monitor="count")
                points = [int(v) for _, v in series[0].points] if series else []
                return points and points[-1] == log[-1] and points

            points = wait_for(complete, 60, "all of it on the master")
            others = {s.metric: [int(v) for _, v in s.points] for s in c.history("n?*", node="h2", monitor="count")}
    assert points == log
    assert others == {f"n{i}": [n * (i + 1) for n in log] for i in range(1, 20)}


def test_a_monitor_on_one_host_feeds_the_node_of_another(five):
    def connect():
        return Monitor((Network.address(3), 7660), "far", [Metric("x")], period=0).connect()

    m = five.network.inside(2, connect)
    m.send({"x": 5})
    with five.master.client() as c:
        wait_for(lambda: c.get("x", node="h3"), 5)
        assert c.get("x", node="h3").one().number("x") == 5
    m.close()


def test_an_update_disturbs_only_whom_it_means(five):
    asked = {i: [] for i in (2, 3, 4)}
    monitors = []
    for i in asked:
        def answer(pattern, i=i):
            asked[i].append(pattern)
            return [i * 10 + len(asked[i])]
        m = Monitor(five[i].socket, "probe", [Metric("x")], period=0, update=answer).connect()
        m.send_row([0])
        monitors.append(m)
    with five.master.client() as c:
        wait_for(lambda: len(c.get("x", monitor="probe")) == 3, 5)
        got = c.get("x", node="h3", monitor="probe", update=True).one()
        assert got.number("x") == 31
        assert {i: len(a) for i, a in asked.items()} == {2: 0, 3: 1, 4: 0}
        assert sorted(r.number("x") for r in c.get("x", update=True)) == [21, 32, 41]
        assert {i: len(a) for i, a in asked.items()} == {2: 1, 3: 2, 4: 1}
    for m in monitors:
        m.close()


def test_metrics_that_come_and_go_reach_the_master_and_disturb_nothing(five):
    with Monitor(five[2].socket, "m", [Metric("a"), Metric("b")], period=0).connect() as m, five.master.client() as c:
        m.send_row([1, 2])
        wait_for(lambda: c.get("b", node="h2", monitor="m"), 5)
        m.reconfigure([Metric("a"), Metric("c")])
        m.send_row([3, 4])
        wait_for(lambda: any(r.text("c") == "4" for r in c.get("c", node="h2", monitor="m")), 5)
        got = c.get(node="h2", monitor="m").one()
        assert {n: v.text for n, v in got.values.items()} == {"a": "3", "c": "4"}
        assert c.nodes("h2").one().state == "up"
        points = lambda name: [v for s in c.history(name, node="h2", monitor="m") for _, v in s.points]
        wait_for(lambda: points("a") == ["1", "3"], 5, "one series through both configs")
        assert points("b") == ["2"] and points("c") == ["4"]


def secret_of(d):
    """What its master gave this node."""
    name = next(f for f in os.listdir(d.state) if f.startswith("master.") and f.endswith(".secret"))
    with open(os.path.join(d.state, name)) as f:
        return f.read().split()[0]


def test_a_node_whose_state_was_set_back_comes_back_by_itself(daemon):
    """Its master has seen a later life of it: it is told so, and takes the number after that one."""
    port = free_port()
    master = daemon(f'listen = {{"127.0.0.1:{port}"}}\n', name="m")
    conf = f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\n'
    node = daemon(conf, name="n")
    up = lambda: master.node("n") and master.node("n").state == "up"
    wait_for(up, 10, "n up")
    node.stop()
    later = time.time_ns() + 3600 * 10**9
    with Node(("127.0.0.1", port), "n", secret=secret_of(node), boot=later) as ghost:
        ghost.add("host", [Metric("load/1min", scale=2)])
        ghost.connect()
        node.start()
        wait_for(lambda: "another vigiad" in node.vigia("status", "--brief", check=False).stdout, 10, "a cause")
        assert master.node("n").state == "up" and not ghost.closed, "whoever is connected stays"
    wait_for(up, 10, "n up again")
    with node.client() as c, master.client() as m:
        assert c.info().boot == later + 1
        wait_for(lambda: m.monitors(node="n", monitor="host").one().state == "current", 10, "its values at the master")
    node.kill()
    node.start()
    with node.client() as c:
        assert c.info().boot > later + 1, "kept on disk"


def test_what_a_node_wants_no_more_leaves_its_masters_views_too(daemon):
    port = free_port()
    master = daemon(f'listen = {{"127.0.0.1:{port}"}}\nmonitor host {{ }}\n', name="m")
    conf = f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} send = 100ms }}\nmonitor host {{ }}\n'
    more = 'monitor second { program = "host" }\nmonitor third { program = "host" }\n'
    node = daemon(conf + more, name="n")

    def shown():
        with master.client() as c:
            return {m.monitor for m in c.monitors(node="n*") if m.node == "n" and m.state == "current"}

    wait_for(lambda: shown() == {"host", "vigia", "second", "third"}, 10, "all of n's at the master")
    node.configure(conf + 'monitor third { program = "host" }\n')
    node.vigia("reload")
    wait_for(lambda: listed(master, "n") == {"host", "vigia", "third"}, 5, "the second leaving")
    node.stop()
    node.configure(conf)
    master.kill()
    master.start()
    node.start()
    wait_for(lambda: listed(master, "n") == {"host", "vigia"}, 10, "the third leaving, told at registration")
    wait_for(lambda: not [line for line in master.vigia("status", "--brief", check=False).stdout.splitlines()[1:]], 10)
    assert "node" in master.vigia("forget", "n/third", check=False).stderr, "that is the node's"


def test_a_monitor_that_dies_on_its_node_is_gone_and_back_in_the_masters_events(daemon):
    port = free_port()
    master = daemon(f'listen = {{"127.0.0.1:{port}"}}\ndefault_monitors = false\n', name="m")
    node = daemon(f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\n', name="n")

    def told():
        with master.client() as c:
            return [e.event for e in c.events() if e.node == "n" and getattr(e, "monitor", "") == "host"]

    wait_for(lambda: "host" in listed(master, "n"), 10)
    assert told() == [], "that it came with its node says nothing new"
    os.kill(node.child("host"), signal.SIGKILL)
    wait_for(lambda: told() == ["monitor-gone", "monitor-connected"], 10)


def test_a_monitor_that_is_gone_still_is_no_news_when_its_node_comes_back(daemon):
    port = free_port()
    master = daemon(f'listen = {{"127.0.0.1:{port}"}}\ndefault_monitors = false\n', name="m")
    node = daemon(f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\n', name="n")
    state = lambda: next((m.state for m in master_monitors() if m.monitor == "mine"), None)

    def master_monitors():
        with master.client() as c:
            return [m for m in c.monitors(node="n*") if m.node == "n"]  # a name alone must be known

    def told():
        with master.client() as c:
            return [e.event for e in c.events() if e.node == "n" and getattr(e, "monitor", "") == "mine"]

    mine = Monitor(node.socket, "mine", [Metric("a")], period=0).connect()
    mine.send({"a": 1})
    wait_for(lambda: state() == "current", 10)
    mine.close()
    wait_for(lambda: state() == "gone", 10)
    node.stop()
    wait_for(lambda: state() == "old", 10)
    node.start()
    wait_for(lambda: state() == "gone", 10)
    with Monitor(node.socket, "mine", [Metric("a")], period=0, secret=mine.secret).connect():
        wait_for(lambda: told() == ["monitor-gone", "monitor-connected"], 10)


def test_a_node_whose_disk_keeps_no_secret_comes_back_to_its_master_all_the_same(daemon, tmp_path):
    port = free_port()
    master = daemon(f'listen = {{"127.0.0.1:{port}"}}\ndefault_monitors = false\n', name="m")
    (tmp_path / "n").mkdir(mode=0o700)
    (tmp_path / "n/vigia").mkdir(mode=0o700)
    (tmp_path / f"n/vigia/master.127.0.0.1_{port}.secret/in the way").mkdir(parents=True)
    daemon(f'listen = {{}}\nnode {{ masters = {{"127.0.0.1:{port}"}} }}\n', name="n")
    up = lambda: master.node("n") and master.node("n").state == "up"
    wait_for(up, 10, "n up")
    master.stop()
    master.start()
    wait_for(up, 20, "n up again")


def listed(d, node):
    with d.client() as c:
        return {m.monitor for m in c.monitors(node=f"{node}*") if m.node == node}


def numbers(d, node):
    with d.client() as c:
        return [int(v) for s in c.history("n", node=node) for _, v in s.points]


def dice_of(seed=os.environ.get("VIGIA_SEED")):
    seed = int(seed or random.randrange(1 << 30))
    print("VIGIA_SEED =", seed)
    return random.Random(seed)


def test_killed_at_random_both_agree_and_keep_what_was_measured(make_cluster):
    """Node and master are killed -9, whichever, whenever. What the node had not committed (50 ms) may be lost, nothing else."""
    cluster = make_cluster(2, monitors="monitor host { enabled = false }\n")
    dice, log, at_risk, killed, secret = dice_of(), [], set(), [], None
    victims = [cluster[1], cluster[2]] * (500 if SOAK else 4)
    dice.shuffle(victims)
    for victim in victims:
        with Monitor(cluster[2].socket, "count", [Metric("n", "counter")], period=10, secret=secret).connect() as m:
            secret = m.secret or secret
            for _ in range(dice.randrange(1, 50)):
                m.send_row([len(log)])
                log.append(len(log))
                time.sleep(dice.random() / 50)
            victim.kill()
            killed.append((victim.name, len(log)))
            if victim is cluster[2]:
                at_risk.update(log[-20:])
        victim.start()
    print("killed, and how much had been measured:", killed)
    wait_for(lambda: set(log) - set(numbers(cluster[2], "h2")) <= at_risk, 2, "all that was not at risk being kept")
    kept = numbers(cluster[2], "h2")
    print(len(log), "measured,", len(log) - len(kept), "not kept, at risk were", len(at_risk))
    assert kept == sorted(set(kept)), "in order, no duplicate"
    wait_for(lambda: set(kept) <= set(numbers(cluster.master, "h2")), 60, "the master having what the node has")
    there = numbers(cluster.master, "h2")
    assert there == sorted(set(there)) and set(there) - set(kept) <= at_risk, "and what was sent before it was committed"


def test_what_a_master_acknowledged_survives_its_death(daemon):
    """A node of the test's own keeps count of the acks, of which one comes a second; after each kill -9 all of that is
    there."""
    conf = 'listen = {"127.0.0.1:%d"}\nmonitor host { enabled = false }\n'
    port, dice, log, told = free_port(), dice_of(), [], set()
    master = daemon(conf % port)
    node = Node(("127.0.0.1", port), "gen")
    node.add("count", [Metric("n", "counter")], period=10)
    for _ in range(500 if SOAK else 5):
        node.connect()
        enough = time.monotonic() + 0.2 + dice.random() * 1.6
        first = len(told) == 1 and node.monitors["count"].acked
        while time.monotonic() < enough + (20 if node.monitors["count"].acked == first else 0):
            node.record("count", [len(log)])
            log.append(len(log))
            time.sleep(0.01)
        master.kill()
        node.wait(lambda: node.closed)
        acked = node.monitors["count"].acked or (0, 0)
        told.add(acked)
        master.start()
        sent_before_ack = [p for p in node.monitors["count"].periods if (p.boot, p.sequence) <= acked]
        have = numbers(master, "gen")
        assert have == sorted(set(have))
        assert len(sent_before_ack) <= len(have), "everything acknowledged is there"
        assert have[: len(sent_before_ack)] == log[: len(sent_before_ack)]
    print(len(log), "sent,", len(told), "acks,", len(have), "there")
    assert len(told) > 1
    node.close()


def test_a_period_larger_than_a_stanza_is_told_as_lost_and_those_after_it_arrive(make_cluster):
    """Said by name it fits, in order and whole it does not: the master would refuse it, and all that come after it."""
    cluster = make_cluster(2, monitors="monitor host { enabled = false }\n")
    metrics = [Metric(f"t{i}", "text") for i in range(1100)]
    with Monitor(cluster[2].socket, "wordy", metrics, period=0).connect() as m, cluster.master.client() as c:
        m.send({x.name: "short" for x in metrics})
        wait_for(lambda: c.get("t0", node="h2", monitor="word?"), 5, "a small one")
        m.send({x.name: "x" * 1000 for x in metrics})
        with cluster[2].client() as node:
            lost = wait_for(lambda: [e for e in node.events() if e.event == "periods-lost"], 5, "the loss being told").pop()
        assert lost.monitor == "wordy" and "larger than a stanza" in lost.text
        m.send({x.name: "short again" for x in metrics})
        wait_for(lambda: c.get("t7", node="h2", monitor="wordy").one().text("t7") == "short again", 5, "the next one")


def test_a_stalled_reader_of_everything_is_told_what_it_missed(make_cluster):
    """Everything of many monitors, unread for a while: each comes whole with the number of its periods left out."""
    cluster = make_cluster(2, monitors="monitor host { enabled = false }\n")
    many = [Monitor(cluster[2].socket, f"m{i}", [Metric("x"), Metric("pad", "text")], period=0).connect() for i in range(60)]
    rounds = 120
    for m in many:
        m.send({"x": 0, "pad": "p" * 1000})
    with cluster.master.client() as c:
        wait_for(lambda: len(c.get("x", node="h?", monitor="m*")) == len(many), 10, "all monitors")
        sub = c.subscribe("*", node="h2", monitor="m*")
        for k in range(1, rounds + 1):
            for m in many:
                m.send({"x": k, "pad": str(k % 10) * 1000})
        with cluster.master.client() as other:
            wait_for(lambda: all(r.number("x") == rounds for r in other.get("x", node="h2", monitor="m*")), 20, "all sent")
        names = [f"m{i}" for i in range(len(many))]
        told = dict.fromkeys(names, 0)
        last = {}
        while set(last.values()) != {rounds} or len(last) < len(many):
            s = sub.next(10)
            told[s.monitor] += 1 + (s.lost or 0)
            last[s.monitor] = s.number("x")
    assert told == dict.fromkeys(names, rounds + 1)
    for m in many:
        m.close()

# SPDX-License-Identifier: Apache-2.0
"""Nodes that send only what they are asked for."""
import time

import pytest

from cluster import Cluster, wait_for

BEAT_BYTES = 2 * 4 * 90  # a second: two beats a second, each a byte there, a byte back, and what TCP acknowledges
ARP_BYTES = 200


@pytest.fixture
def quiet(make_cluster):
    cluster = make_cluster(3, node='node { masters = {"10.77.0.1:7660"}\n send = "on-request" }\n')
    wait_for(lambda: cluster[3].child("host"), 5)
    return cluster


def moved(cluster, i, seconds):
    """Bytes on host i's link in so many seconds."""
    before, end = cluster.network.bytes_of(i), time.monotonic() + seconds
    wait_for(lambda: time.monotonic() > end, seconds + 5)
    return cluster.network.bytes_of(i) - before


def test_an_idle_cluster_sends_nothing_but_beats(quiet):
    moved(quiet, 2, 1)  # what the start still had to say
    assert 0 < moved(quiet, 2, 4) < 4 * BEAT_BYTES + ARP_BYTES
    with quiet.master.client() as c:
        assert not c.get(node="h2"), "the master has only what it asked for"


def test_an_update_moves_bytes_on_one_link_only(quiet):
    with quiet.master.client() as c:
        wait_for(lambda: c.configs(node="h2", monitor="host"), 5)
        moved(quiet, 3, 1)
        begun = time.monotonic()
        two, three = quiet.network.bytes_of(2), quiet.network.bytes_of(3)
        for _ in range(20):
            assert c.get("load/1min", node="h2", monitor="host", update=True).one().number("load/1min") is not None
        seconds = time.monotonic() - begun
        assert quiet.network.bytes_of(2) - two > 20 * 500
        assert quiet.network.bytes_of(3) - three < (seconds + 1) * BEAT_BYTES + ARP_BYTES
        with quiet[2].client() as own:
            newest = own.get("load/1min", monitor="host").one()
        assert c.get("load/1min", node="h2", monitor="host").one().sequence <= newest.sequence

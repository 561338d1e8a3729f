# SPDX-License-Identifier: Apache-2.0
"""vigia-root, the only part that is root: what it does for users, and that nobody gets more from it, whoever he has taken over."""
import os
import signal

import pytest

from root_helper import GROUPS, JANE, JOE, NO_MONITORS, ROOT, VIGIA, alive, place  # noqa: F401
from cluster import wait_for
from hmon_peer import HmonError

NOTHING = "0" * 16


@pytest.fixture(params=[VIGIA, ROOT], ids=["vigia", "root"])
def served(request, place):
    """vigia-root and a daemon, which runs as vigia or as root."""
    place.start()
    place.daemon_as(request.param)
    return place


def test_an_entry_runs_as_who_asks(served):
    with served.asking(JANE) as c:
        first, last = c.ask("process", "run", entry="facts", input="d2hvPw==").all(20)
    assert (first.get("state"), last.get("state"), last.get("code")) == ("started", "ended", "0")
    facts = served.facts()
    assert facts["input"] == "who?" and facts["arguments"] == []
    assert set(facts["Uid"].split() + facts["Gid"].split()) == {str(JANE)}
    assert {int(g) for g in facts["Groups"].split()} == GROUPS
    assert facts["environment"] == {"HOME": served.home("jane"), "USER": "jane", "LOGNAME": "jane", "SHELL": "/bin/sh",
                                    "PATH": "/usr/local/bin:/usr/bin:/bin"}
    assert facts["NoNewPrivs"] == "1" and {facts[k] for k in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {NOTHING}
    assert facts["directory"] == served.home("jane") and facts["session"] and facts["umask"] == "0022"
    assert facts["SigBlk"] == NOTHING

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


def test_root_names_whom_and_is_nobody_himself(served):
    with served.asking(ROOT) as c:
        assert c.ask("process", "run", entry="seven", uid=JANE).all(20)[-1].get("code") == "7"
        for words in ({}, {"uid": ROOT}, {"uid": VIGIA + 900000}, {"uid": 700}):
            with pytest.raises(HmonError) as e:
                c.ask("process", "run", entry="seven", **words).all(20)
            assert e.value.code == ("failed" if words.get("uid") == VIGIA + 900000 else "not-permitted"), words


@pytest.mark.parametrize("words, code, says", [
    ({"entry": "seven", "uid": JOE}, "not-permitted", "only root"),
    ({"entry": "none"}, "failed", "none: is no file of root's alone where vigia-root looks: No such file"),
    ({"entry": "../seven"}, "bad-argument", "must be up to 31 of a-z, 0-9 and -"),
    ({"entry": "Seven"}, "bad-argument", "must be up to 31 of a-z, 0-9 and -"),
    ({"entry": "s" * 32}, "bad-argument", "must be up to 31 of a-z, 0-9 and -"),
    ({"entry": "seven", "input": "AAAA" * 30000}, "too-large", "more input than a pipe holds"),
    ({"entry": "joes"}, "not-permitted", "can't be executed"),
    ({"entry": "broken"}, "failed", "can't be executed"),
])
def test_what_is_not_done_is_told(served, words, code, says):
    served.entry("joes", "#!/bin/sh\n", 0o700)
    served.entry("broken", "no program")
    with served.asking(JANE) as c, pytest.raises(HmonError) as e:
        c.ask("process", "run", **words).all(20)
    assert e.value.code == code and says in e.value.text


def test_without_vigia_root_it_is_said(place):
    place.daemon_as(VIGIA)
    with place.asking(JANE) as c, pytest.raises(HmonError) as e:
        c.ask("process", "run", entry="seven").all(20)
    assert e.value.code == "unavailable" and "there is no vigia-root" in e.value.text


def test_a_signal_is_sent_as_who_asks(served):
    his = served.sleeper(JANE)
    with served.asking(JANE) as c:
        c.ask("process", "signal", pid=his.pid, signal="TERM").all(20)
    assert his.wait(10) == -signal.SIGTERM


# ---------------------------------------------------------------------------------------------- restarts

def test_what_was_started_survives_a_restart_of_both(served):
    with served.asking(JANE) as c:
        assert c.ask("process", "run", entry="stay").next(20).get("state") == "started"
        pid = served.pid_of_stay()
        assert served.end() == -signal.SIGTERM
        served.daemon.stop()
    assert alive(pid)
    served.start()
    served.start_daemon()
    assert alive(pid)
    with served.asking(JANE) as c:
        assert c.ask("process", "info", pid=pid).all(20)[0].get("uid") == str(JANE)
        c.ask("process", "signal", pid=pid, signal="KILL").all(20)
        wait_for(lambda: not alive(pid), 10, "its end")


def test_when_vigia_root_is_killed_ends_are_told_all_the_same_and_the_next_one_serves(served):
    with served.asking(JANE) as c:
        watched = c.ask("process", "run", entry="stay")
        watched.next(20)
        pid = served.pid_of_stay()
        served.end(signal.SIGKILL)
        served.start()
        assert c.ask("process", "run", entry="seven").all(20)[-1].get("code") == "7"
        os.kill(pid, signal.SIGKILL)
        last = watched.next(20)
        assert last.get("state") == "ended" and last.get("signal") is None, "nobody could see how"

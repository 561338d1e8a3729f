# SPDX-License-Identifier: Apache-2.0
"""`vigia` alone: the console, on a terminal played with a pty, and from a pipe."""
import os
import random
import re
import signal
import stat
import subprocess
import termios

import pytest
from cluster import PREFIX, wait_for
from terminal import VIGIA, Terminal


@pytest.fixture
def console(tmp_path):
    """A console on a terminal, with a history of its own: `console(daemon)` opens one, all share the history."""
    made = []
    state = tmp_path / "state"

    def open_one(daemon, *arguments, prompt=r"^n1> $", **options):
        t = Terminal(daemon.env() | {"XDG_STATE_HOME": str(state), "HOME": str(tmp_path)}, *arguments, **options)
        made.append(t)
        if prompt:
            wait_prompt(t, prompt)
        return t

    open_one.file = state / "vigia" / "history"
    yield open_one
    for t in made:
        t.close()


def last_line(t):
    return next((line for line in reversed(t.lines()) if line), "")


def wait_prompt(t, prompt=r"^n1> ?$"):
    """Nothing but the prompt on the last line: the command before is over."""
    try:
        wait_for(lambda: re.search(prompt.replace(" $", " ?$"), last_line(t)), 10)
    except AssertionError:
        raise AssertionError(f"no prompt:\n{t.text()}") from None


def command(t, line):
    """Types a line, and the screen once the prompt is back."""
    t.type("\x0c")  # Ctrl-L: an empty screen
    wait_for(lambda: t.lines()[0].startswith("n1>") and not any(t.lines()[1:]), 5, "an empty screen")
    t.type(line + "\r")
    wait_for(lambda: any(t.lines()[1:]) and re.fullmatch("n1> ?", last_line(t)), 10, f"{line!r} being over")
    return t.text()


def in_write(pid):
    with open(f"/proc/{pid}/wchan") as f:
        return f.read() in ("n_tty_write", "wait_woken")


def cooked(fd):
    """As a shell leaves a terminal whose program was stopped."""
    attributes = termios.tcgetattr(fd)
    attributes[3] |= termios.ICANON | termios.ECHO
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def leave(t, keys="quit\r"):
    t.type(keys)
    wait_for(t.ended, 5, "its end")
    assert t.status == 0


def script(daemon, text, *arguments, check=None, timeout=20):
    p = subprocess.run([VIGIA, *arguments], input=text if isinstance(text, bytes) else text.encode(), env=daemon.env(),
                       capture_output=True, timeout=timeout)
    p.stdout, p.stderr = p.stdout.decode(), p.stderr.decode()
    assert check is None or p.returncode == check, (p.returncode, p.stdout, p.stderr)
    return p


def a_node_that_knows(d, path):
    wait_for(lambda: d.vigia("get", path, check=False).returncode == 0, 5, f"a value of {path}")
    return d


# --- on a terminal ---

def test_commands_operations_and_help(daemon, console):
    t = console(daemon())
    assert re.search(r"^n1 +up", command(t, "status"), re.M)
    assert re.search(r"^channel +n1 ", command(t, "slist"), re.M)
    assert "news" in command(t, "channel.create news")
    assert re.search(r"^news ", command(t, "channel.list"), re.M)
    assert "did you mean `status`?" in command(t, "statsu")
    assert "`help` takes [COMMAND|SERVICE|NOUN.VERB]" in command(t, "help | head")
    shown = command(t, "help status")
    assert "usage: status" in shown
    assert "usage: channel.put channel" in command(t, "help channel.put")
    leave(t)


@pytest.mark.parametrize("keys", ["quit\r", "  quit \r", "\x04"])
def test_ways_out(daemon, console, keys):
    t = console(daemon())
    leave(t, keys)
    assert t.raw.endswith(b"\n")


def test_what_was_typed_is_there_in_the_next_session(daemon, console):
    d = daemon()
    t = console(d)
    command(t, "channel.create news")
    command(t, "info")
    command(t, "info")
    leave(t)
    assert stat.S_IMODE(os.stat(console.file).st_mode) == 0o600
    t = console(d)
    t.type("\x1b[A\x1b[A")
    t.wait(r"^n1> info$")
    t.type("\x1b[A")
    t.wait(r"^n1> channel.create news$")
    t.type("\x03")
    wait_prompt(t)
    leave(t)


def test_two_consoles_keep_both_histories(daemon, console):
    d = daemon()
    first, second = console(d), console(d)
    command(first, "info")
    command(second, "list")
    command(first, "slist")
    leave(first)
    leave(second)
    assert console.file.read_text().splitlines() == ["info", "list", "slist", "quit", "quit"]


def test_a_history_is_cut_and_what_makes_no_sense_left_out(daemon, console):
    d = daemon()
    console.file.parent.mkdir(parents=True, mode=0o700)
    console.file.write_bytes(b"\x00\xff\n\x1b[2J\n" + b"x" * 100000 + b"\n" + b"".join(b"line %d\n" % i for i in range(3000)))
    t = console(d)
    t.type("\x1b[A")
    t.wait(r"^n1> line 2999$")
    t.type("\x03")
    wait_prompt(t)
    leave(t)
    lines = console.file.read_text().splitlines()
    assert lines == [f"line {i}" for i in range(2000, 3000)] + ["quit"]


@pytest.mark.parametrize("spoil", [lambda f: f.mkdir(), lambda f: f.symlink_to("/dev/full"), os.mkfifo])
def test_a_history_that_can_not_be_used_is_done_without(daemon, console, spoil):
    console.file.parent.mkdir(parents=True, mode=0o700)
    spoil(console.file)
    t = console(daemon())
    assert "up" in command(t, "status")
    leave(t)


def completed(t, typed, expected):
    """What Tab makes of a line; then the line is thrown away."""
    t.type(typed + "\t")
    t.wait(rf"^n1> {expected}$")
    t.type("\x15")
    wait_prompt(t)


def test_tab_completes_what_there_is(daemon, console):
    d = daemon()
    a_node_that_knows(d, "n1/host/load/1min")
    d.vigia("channel.create", "news")
    t = console(d)
    for typed, expected in [("stat", "status"), ("channel.cr", "channel.create"), ("get --upd", "get --update"),
                            ("get n", "get n1/"), ("get n1/ho", "get n1/host/"), ("get n1/host/load/1m", "get n1/host/load/1min"),
                            ("get 'n1/ho", "get 'n1/host/"), ("find n", "find n1"), ("help relo", "help reload"),
                            ("help channel.cr", "help channel.create"),
                            ("channel.put ch", "channel.put channel="), ("channel.put channel=news d", "channel.put channel=news data="),
                            ("channel.create public=y", "channel.create public=yes"), ("--js", "--json"),
                            ("--at /nowhere get n", "--at /nowhere get n"), ("xyzzy", "xyzzy"), ("get # n", "get # n")]:
        completed(t, typed, expected)
    t.type("get n1/host/load/\t")
    t.wait(r"^1min +5min +15min .*\n(.*\n)*?n1> get n1/host/load/$")
    t.type("1m\t\r")
    t.wait(r"^n1/host/load/1min +\d")
    wait_prompt(t)
    leave(t)


def test_ctrl_c_at_the_prompt_clears_the_line(daemon, console):
    t = console(daemon())
    t.type("status")
    t.wait("^n1> status$")
    t.type("\x03")
    t.wait(r"^n1> status\^C\nn1>")
    wait_prompt(t)
    assert "NODE" not in t.text()
    leave(t)


@pytest.mark.parametrize("line, shown", [("watch", r"n1/host/"), ("events --follow", r"^TIME"), ("channel.subscribe news", r"news"),
                                         ("top --plain", r"^TIME")])
def test_ctrl_c_ends_what_goes_on_and_not_the_console(daemon, console, line, shown):
    d = daemon()
    d.vigia("channel.create", "news")
    a_node_that_knows(d, "n1/host/load/1min")
    t = console(d)
    for _ in range(2):
        t.type(line + "\r")
        t.wait(shown)
        t.type("\x03")
        wait_prompt(t)
        assert re.search(r"^n1 +up", command(t, "status"), re.M)
    leave(t)


def test_what_was_ended_is_no_longer_subscribed(daemon, console):
    d = daemon()
    d.vigia("channel.create", "news")

    def subscribers():
        head, row = d.vigia("channel.list", "news", "--csv").stdout.splitlines()
        return int(dict(zip(head.split(","), row.split(",")))["subscribers"])

    t = console(d)
    t.type("channel.subscribe news\r")
    wait_for(lambda: subscribers() == 1, 5, "a subscriber")
    t.type("\x03")
    wait_for(lambda: subscribers() == 0, 5, "none")
    wait_prompt(t)
    leave(t)


def test_ctrl_c_at_any_time(daemon, console):
    d = a_node_that_knows(daemon(), "n1/host/load/1min")
    t = console(d)
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    dice = random.Random(seed)
    for _ in range(40):
        line = dice.choice(["watch", "status", "get n1 --rate", "history n1/host/load/", "top", "events --follow", "list", "get n1/host/\t"])
        t.type(line + dice.choice(["", "\r"]))
        for _ in range(dice.randrange(200)):
            t.pump()
        t.type("\x03")
    t.type("\x03")
    wait_for(lambda: re.fullmatch(r"(\^C)*n1> ?", last_line(t)), 10, "the prompt")
    t.type("\x15info\r")
    t.wait("^n1> info$")
    assert re.search(r"^n1 +up", command(t, "status"), re.M)
    leave(t)


def test_ctrl_c_while_the_terminal_takes_no_more(daemon, console):
    t = console(a_node_that_knows(daemon(), "n1/host/load/1min"))
    t.type("get n1\r")
    for _ in range(3):  # the first may end a write that is half done, the next has one of which nothing is
        wait_for(lambda: in_write(t.pid), 10, "a full terminal")
        os.kill(t.pid, signal.SIGINT)
    wait_prompt(t)
    assert re.search(r"^n1 +up", command(t, "status"), re.M)
    leave(t)  # a write that a signal broke off is none that failed


def test_a_daemon_that_was_started_anew_is_said_once(daemon, console):
    d = daemon()
    t = console(d)
    d.stop()
    assert "no vigiad answers" in command(t, "status") or "no daemon" in t.text()
    d.start()
    assert re.search(r"^n1 +up", command(t, "status"), re.M)
    assert "new one" not in t.text()
    d.stop()
    d.start()
    shown = command(t, "status")
    assert shown.count("this is a new one") == 1 and re.search(r"^n1 +up", shown, re.M)
    assert "new one" not in command(t, "status")
    leave(t)


def test_a_daemon_that_dies_in_a_watch(daemon, console):
    d = daemon()
    t = console(d)
    t.type("events --follow\r")
    t.wait("^TIME")
    d.kill()
    t.wait("the daemon closed the connection")
    wait_prompt(t)
    d.start()
    assert re.search(r"^n1 +up", command(t, "status"), re.M)
    leave(t)


def test_a_console_without_a_daemon_waits_for_one(daemon, console):
    d = daemon(wait=False)
    d.kill()
    t = console(d, prompt=r"^vigia> $")
    d.start()
    t.type("status\r")
    t.wait(r"^n1 +up[\s\S]*^n1>$")
    leave(t)


def test_top_and_back(daemon, console):
    d = daemon()
    t = console(d)
    for end in ("q", "\x03"):
        t.type("top\r")
        t.wait(r"^n1 +up[\s\S]*^q quit")
        t.resize(70, 20)
        t.wait(r"^q quit")
        t.type(end)
        wait_for(lambda: "n1>" in last_line(t), 5, "the prompt")
        assert re.search(r"^n1 +up", command(t, "status"), re.M)
        t.resize(100, 24)
    completed(t, "stat", "status")
    leave(t)


def test_a_terminal_that_changes_its_size_keeps_the_line(daemon, console):
    t = console(daemon())
    t.type("stat")
    t.wait("^n1> stat$")
    t.resize(60, 15)
    t.type("us\r")
    t.wait(r"^n1 +up")
    wait_prompt(t)
    leave(t)


def test_signals_that_end_programs_end_it_in_good_order(daemon, console):
    t = console(daemon())
    t.type("sta")
    t.wait("^n1> sta$")
    os.kill(t.pid, signal.SIGTERM)
    wait_for(t.ended, 5)
    assert t.status == 0 and t.raw.endswith(b"\n")


def test_stopped_and_continued_it_shows_the_line_again(daemon, console):
    t = console(daemon())
    t.type("stat")
    t.wait("^n1> stat$")
    os.kill(t.pid, signal.SIGSTOP)
    os.waitpid(t.pid, os.WUNTRACED)
    cooked(t.fd)
    os.kill(t.pid, signal.SIGCONT)
    wait_for(lambda: not termios.tcgetattr(t.fd)[3] & termios.ICANON, 5, "its taking the terminal again")
    t.type("us\r")
    t.wait(r"^n1 +up")
    wait_prompt(t)
    leave(t)


def test_at_another_daemon(daemon, console):
    d, other = daemon(), daemon(name="other")
    t = console(d)
    assert re.search(r"^other +up", command(t, f"status --at {other.socket}"), re.M)
    assert re.search(r"^n1 +up", command(t, "status"), re.M)
    leave(t)
    t = console(d, "--at", other.socket, prompt=r"^other> $")
    leave(t)


# --- from a pipe ---

def test_a_script_is_a_command_a_line(daemon):
    p = script(daemon(), """
        # what is there
        channel.create 'two words'   # a comment
        channel.create "a\\"b\\\\c" log=1000000
        channel.create d\\ e#f
        channel.list --csv
        quit
        status nothing
    """, check=0)
    keys = [line.split(",")[0] for line in p.stdout.splitlines()]
    assert "two words" in keys and '"a""b\\c"' in keys and "d e#f" in keys, p.stdout
    assert not p.stderr and ">" not in p.stdout


def test_nothing_ends_well_without_a_daemon_even(daemon):
    d = daemon()
    d.stop()
    for text in ("", "\n\n", "# nothing\n", "quit", "help\n"):
        assert not script(d, text, check=0).stderr
    assert script(d, "info\nhelp\n", check=3).stdout.startswith("A command a line")


@pytest.mark.parametrize("text, code, said", [
    ("info\n", 0, ""), ("get n1/nothing\ninfo\n", 1, "line 1: no monitor"), ("get n1/nothing\nstatsu\ninfo\n", 2, "line 2: there is no command"),
    ("channel.list too=much x\n", 2, "line 1: "), ("\n\n'get n1\n", 2, "line 3: the ' at column 1 is not closed"),
    ('info "a', 2, 'the " at column 6 is not closed'), ("info \\", 2, "nothing follows the \\"), ("--json\n", 2, "no command"),
    ("\x00\x01\x02\n", 2, "a NUL byte at column 1"), ("a " * 1000, 2, "more than"), ("find h9\n", 1, "no host is named h9"),
    ("ps h9\n", 1, "no host is named h9"), ("find\n", 2, "`find` takes NAME")])
def test_the_exit_code_is_the_worst(daemon, text, code, said):
    p = script(daemon(), text, check=code)
    assert said in p.stderr and bool(p.stderr) == bool(code), p.stderr


def test_a_line_too_long_is_refused_and_the_next_one_is_not(daemon):
    p = script(daemon(), "info " + "x" * (1 << 20) + "\ninfo\n", check=2)
    assert p.stderr == "vigia: line 1: longer than 65536 bytes\n" and "n1" in p.stdout


def test_binary_junk_is_harmless(daemon):
    d = daemon()
    junk = bytes(range(256)) * 64 + b"\n\xff\xfe\x1b[2J\ninfo\n"
    p = script(d, junk, check=2)
    assert "\x1b" not in p.stderr and "n1" in p.stdout
    assert d.vigia("status").returncode == 0


def test_lines_are_answered_as_they_come(daemon):
    d = daemon()
    with subprocess.Popen([VIGIA, "--csv"], env=d.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        for _ in range(3):
            p.stdin.write("service.list channel\n")
            p.stdin.flush()
            assert [p.stdout.readline()[:8] for _ in range(2)] == ["name,hos", "channel,"]
        p.stdin.close()
        assert p.wait(5) == 0


def test_the_words_are_commands_of_the_shell_too(daemon):
    d = daemon()
    assert re.search(r"^channel +n1 ", d.vigia("slist").stdout, re.M)
    assert re.search(r"^n1 +[0-9a-f]{32} +up", d.vigia("find", "n1").stdout, re.M)
    assert re.search(r" vigiad ", d.vigia("ps").stdout)
    assert d.vigia("quit").stdout == ""


# ------------------------------------------------------------------------------------------- the shells' completion

def tab_of_bash(d, *words):
    """What Tab offers for the last of these words; bash has `name=` as two."""
    script = ('eval "$(vigia completion bash)"; compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vigia; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    env = dict(d.env(), PATH=f"{PREFIX}/bin:{os.environ['PATH']}")
    return subprocess.run(["bash", "-c", script, "bash", "vigia", *words], env=env, capture_output=True, text=True,
                          check=True).stdout.split()


@pytest.mark.parametrize("words, offered", [
    (["stat"], {"status"}), (["channel.cr"], {"channel.create"}), (["host."], {"host.list", "host.find", "host.info"}),
    (["help", "service.de"], {"service.describe", "service.delete"}), (["help", "stat"], {"status"}),
    (["channel.create", "pub"], {"public="}), (["channel.create", "public", "=", "y"], set()), (["no.such", ""], set()),
    (["find", "n"], {"n1"}), (["channel.create", "--js"], {"--json"})])
def test_tab_of_a_shell_completes_operations_and_their_arguments(daemon, words, offered):
    got = tab_of_bash(daemon(), *words)
    assert offered <= set(got) and all(w.startswith(words[-1]) for w in got) and (offered or not got)


def test_tab_of_a_shell_without_a_daemon_offers_commands(daemon):
    d = daemon()
    d.stop()
    assert {"status", "stubs"} <= set(tab_of_bash(d, "s"))
    assert tab_of_bash(d, "channel.create", "k") == []

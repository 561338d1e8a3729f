# SPDX-License-Identifier: Apache-2.0
"""Typed functions for programs, written from the tables of services: C, Python, and what else comes from them."""
import glob
import os
import random
import re
import socket
import subprocess
import sys
import threading

import cbor2
import pytest

from cluster import PREFIX, wait_for
from test_operations import LIB, build, counter, counter_program  # noqa: F401

PACKAGE = next(iter(glob.glob(f"{PREFIX}/lib/python3*/*-packages")), None)


@pytest.fixture(scope="session")
def vigia():
    sys.path.insert(0, PACKAGE)
    import vigia as package
    return package


@pytest.fixture
def connection(daemon, vigia):
    d = daemon()
    with vigia.open(d.socket) as v:
        yield d, v


def all_operations(d):
    with d.client() as c:
        return [o.get("name") for o in c.ask("service", "describe")]


# --- C ---

@pytest.mark.parametrize("compiler", [["gcc", "-std=c99"], ["clang++", "-xc++"]])
def test_the_header_is_clean_c_and_cpp(tmp_path, compiler):
    source = tmp_path / "one.c"
    source.write_text("#include <vigia/operations.h>\nint main() { return 0; }\n")
    subprocess.run([*compiler, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{PREFIX}/include", source], check=True)


def test_the_header_and_the_package_have_every_operation(connection):
    d, v = connection
    with open(f"{PREFIX}/include/vigia/operations.h") as f:
        header = f.read()
    names = [o.replace(".", "_").replace("-", "_") for o in all_operations(d)]
    assert [n for n in names if f" *vigia_{n}_query(" not in header or not callable(getattr(v, n, None))] == []


def test_a_strangers_program_asks_by_typed_functions(daemon, tmp_path):
    d = daemon()
    program = build("tests/third_party/typed.c", tmp_path / "typed")
    said = subprocess.run([program, d.socket, "n1"], env=dict(os.environ, LD_LIBRARY_PATH=LIB), capture_output=True, text=True)
    assert said.stderr == "" and said.returncode == 0
    lines = said.stdout.splitlines()
    assert lines[0] == f"n1 {sys.byteorder} made of something"
    assert "typed 1 for all" in lines and lines[-2:] == ["started 0", "ended 7"]


def test_a_programs_own_service_has_typed_functions_too(daemon, counter, tmp_path):
    d = daemon()
    counter(d)
    wait_for(lambda: "counter.add" in all_operations(d), 5, "the service")
    (tmp_path / "counter.h").write_text(d.vigia("stubs", "c", "counter").stdout)
    (tmp_path / "use.c").write_text("""
#include "counter.h"
#include <stdio.h>
static int show(void *data, const struct vigia_message *m) { return printf("%lld", (long long)vigia_counter_add_read(m).value) < 0; }
int main(int argc, char **argv)
{
	struct vigia *v;
	struct vigia_counter_add_options o = {.by = &(int64_t){5}};
	return vigia_open(&v, argv[1], NULL) || vigia_call(v, NULL, vigia_counter_add_query(&o), 0, show, NULL, NULL);
}
""")
    program = build(str(tmp_path / "use.c"), tmp_path / "use")
    said = subprocess.run([program, d.socket], env=dict(os.environ, LD_LIBRARY_PATH=LIB), capture_output=True, text=True)
    assert (said.stdout, said.returncode) == ("5", 0)


# --- what strangers describe ---

NASTY = 'a "quote" \\ */ **// /* \n# a line\t.TH *b* _u_ ??/ %s'


def described(v, vigia, *operations):
    """A service that is offered under the name `nasty`, as long as v is open."""
    message = vigia.Message("service", {"query": "register", "name": "nasty", "doc": NASTY}, children=operations)
    v._waiting[99] = []
    v._send(vigia.frames.query(99, message))
    wait_for(lambda: next(v.service_list(service="nasty"), None), 5, "the service")


@pytest.fixture
def nasty(connection, vigia):
    M = vigia.Message
    d, v = connection
    described(v, vigia, M("operation", {"name": "import", "doc": NASTY}, children=[
        *[M("argument", {"name": name, "type": type, "doc": NASTY, "required": required}) for name, type, required in [
            ("class", "text", True), ("o", "bytes", True), ("self", "words", True), ("m", "flag", True), ("linux", "words", False),
            ("None", "bytes", False), ("at-all", "integer", False), ("w", "words", False)]],
        *[M("field", {"name": name, "type": type, "doc": NASTY}) for name, type in [
            ("r", "words"), ("linux", "span"), ("def", "bytes"), ("operator", "text")]]]),
        M("operation", {"name": "words", "doc": ""}, children=[M("field", {"name": "all", "type": "words"})]))
    return d


@pytest.mark.parametrize("compiler", [["gcc", "-std=c99"], ["gcc", "-std=gnu11"], ["clang++", "-xc++"]])
def test_whatever_a_service_says_of_itself_is_clean_c(nasty, tmp_path, compiler):
    (tmp_path / "nasty.h").write_text(nasty.vigia("stubs", "c", "nasty").stdout)
    (tmp_path / "one.c").write_text('#include "nasty.h"\nint main() { return !vigia_nasty_words_query(); }\n')
    subprocess.run([*compiler, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{PREFIX}/include", tmp_path / "one.c"], check=True)


def test_whatever_a_service_says_of_itself_is_python(nasty, vigia):
    made = {}
    exec(nasty.vigia("stubs", "python", "nasty").stdout, made)
    asked = []
    made["Operations"].ask = lambda self, *arguments, **more: asked.append((arguments, more))
    made["Operations"]().nasty_import("c", b"o", ["s"], True, at="h", None_=b"n")
    assert asked == [(("nasty.import", {"class": "c", "o": b"o", "self": ["s"], "m": True, "linux": None, "None": b"n", "at-all": None,
                                        "w": None}), {"at": "h", "deadline": None})]


def test_whatever_a_service_says_of_itself_is_a_page(nasty):
    page = nasty.vigia("stubs", "manual", "nasty").stdout
    assert page.count("\n#") == 6 and "\\*b\\* \\_u\\_" in page


# --- Python ---

def test_python_asks_by_typed_methods(connection):
    d, v = connection
    assert v.host == "n1"
    (info,) = v.host_info()
    assert info["name"] == "n1" and isinstance(info["memory"], int)
    assert [h["name"] for h in v.host_list(host="n*")] == ["n1"]
    assert [p["state"] for p in v.process_start(["sh", "-c", "exit 7"], deadline=20)] == ["started", "ended"]
    assert any(p["pid"] == d.pid for p in v.process_list(program="vigiad", at="n1"))


def test_python_puts_events_and_hears_them(connection):
    d, v = connection
    news = v.channel("news", public=True)
    for i in range(3):
        v.put(news, 1 + i, b"event %d" % i)
    v.put(news, 0, b"\xff\0")
    events = v.subscribe("news", after=0, mask=2 | 4)
    assert [(e.sequence, e.tag, e.data) for _, e in zip(range(3), events)] == [
        (2, 2, b"event 1"), (3, 3, b"event 2"), (4, 0, b"\xff\0")]
    events.close()
    assert next(v.host_info())["name"] == "n1", "and goes on"


def test_python_lets_go_of_what_it_asked_and_never_read(connection):
    d, v = connection
    v.channel("news")
    going = v.ask("channel.subscribe", {"channel": "news"})
    subscribers = lambda: next(v.channel_info("news"))["subscribers"]
    assert subscribers() == 1
    del going
    wait_for(lambda: subscribers() == 0, 5, "the end of a subscription that nobody wants")


def test_python_hears_that_a_channel_is_deleted(connection, vigia):
    d, v = connection
    news = v.channel("news")
    events = v.subscribe("news", after=0)
    v.put(news, 1, b"x")
    assert next(events).data == b"x"
    d.vigia("channel.delete", "news")
    with pytest.raises(vigia.Error, match="^deleted: "):
        next(events)
    v.put(news, 1, b"late")
    assert next(v.host_info()) and [e.code for e in v.refused] == ["event"]


@pytest.mark.parametrize("ask, says", [
    (lambda v: v.host_find("h9"), "not-found: no host is named h9"),
    (lambda v: v.host_info(at="h9"), "not-found: no host is named h9"),
    (lambda v: v.ask("nothing.here"), "unknown-query: there is no nothing.here"),
    (lambda v: v.process_info(-1), "bad-argument: process.info: pid must be a whole number from 0"),
])
def test_python_is_told_what_is_wrong(connection, vigia, ask, says):
    with pytest.raises(vigia.Error, match=says):
        list(ask(connection[1]))


def test_python_finds_no_daemon(vigia, tmp_path):
    with pytest.raises(vigia.Error, match=f"no vigiad answers at {tmp_path}/none"):
        vigia.open(f"{tmp_path}/none")


def test_python_says_what_is_no_daemon(vigia, tmp_path):
    """Frames that are none, and events that are too short, end the connection with an error that says so."""
    hello = vigia.frames.frame(vigia.frames.HELLO, payload=vigia.frames.encode(["hello", {"name": "x"}]))
    for junk in (b"HTTP/1.1 400 Bad Request\r\n\r\n", vigia.frames.frame(vigia.frames.EVENT, 1, b"short"),
                 vigia.frames.frame(vigia.frames.ANSWER, 1, b"\x9f"), vigia.frames.frame(vigia.frames.ERROR, 0, b"")):
        at = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(at)
            s.listen()

            def answer():
                c, _ = s.accept()
                with c:
                    c.sendall(hello)
                    came = b""
                    while b"list" not in came:  # its hello, its query, in however many pieces
                        came += c.recv(4096)
                    c.sendall(junk)
                    while c.recv(4096):
                        pass

            t = threading.Thread(target=answer)
            t.start()
            with vigia.open(at) as v:
                with pytest.raises(vigia.Error, match="what came is not from vigiad: "):
                    list(v.host_list())
                with pytest.raises(vigia.Error, match="the connection to vigiad is gone"):
                    list(v.host_list())
            t.join()
        os.unlink(at)


def a_value(dice, depth=3):
    kind = dice.randrange(7 if depth else 5)
    if kind < 2:
        return dice.choice([1, -1]) * dice.getrandbits(dice.choice([3, 8, 16, 32, 63]))
    if kind < 5:
        return [dice.random() < 0.5, dice.randbytes(dice.choice([0, 5, 300])), "größe" * dice.choice([0, 1, 40])][kind - 2]
    if kind == 5:
        return [a_value(dice, depth - 1) for _ in range(dice.randrange(30))]
    return {f"k{i}": a_value(dice, depth - 1) for i in range(dice.randrange(30))}


def test_python_reads_what_it_writes_and_what_is_broken_is_said_to_be(vigia):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    for _ in range(300):
        value = a_value(dice)
        data = vigia.frames.encode(value)
        assert vigia.frames.decode(data) == (value, len(data)) and cbor2.loads(data) == value
        for _ in range(10):
            bad = bytearray(data)
            bad[dice.randrange(len(bad))] = dice.randrange(256)
            del bad[dice.randrange(len(bad) + 1):]
            try:
                vigia.frames.read_message(bytes(bad))
            except vigia.frames.Broken:
                pass


# --- the rest ---

def test_the_manual_tells_of_every_operation(daemon):
    with open(f"{PREFIX}/share/man/man7/vigia-operations.7") as f:
        page = f.read().replace("\\-", "-").replace("\\&.", ".")
    assert [o for o in all_operations(daemon()) if o not in page] == []


def test_the_fuzzers_have_the_words_of_every_operation(daemon):
    words = daemon().vigia("stubs", "dictionary").stdout.splitlines()
    assert '"subscribe"' in words and '"<channel query=\\"put\\" id=\\"1\\"/>"' in words and '"mask"' in words
    assert all(re.fullmatch(r'"(?:[^"\\]|\\["\\])+"', w) for w in words)


def test_no_description_gets_a_word_of_its_own_into_what_is_written(daemon, tmp_path):
    d = daemon()
    hostile = tmp_path / "hostile.xml"
    one = '<operation service="{}" name="a.{}" doc="{}"><argument name="{}" type="text" doc="x"/></operation>'
    hostile.write_text('<hmon version="1" role="vigiad">' + one.format("a", "b", "*/ int bad; /* &#10;import os", "c") + "</hmon>")
    written = d.vigia("stubs", "c", "--from", hostile).stdout
    assert "*/ int" not in written and "bad; /*" not in written
    compile(d.vigia("stubs", "python", "--from", hostile).stdout, "stubs", "exec")
    for names in (("a", "b(", "", "c"), ("a", "b", "", 'c"'), ("a;", "b", "", "c"), ("a", "b", "", "")):
        hostile.write_text('<hmon version="1" role="vigiad">' + one.format(*(n.replace('"', "&quot;") for n in names)) + "</hmon>")
        p = d.vigia("stubs", "c", "--from", hostile, check=False)
        assert p.returncode == 1 and p.stdout == "" and "names that no operation can have" in p.stderr


@pytest.mark.parametrize("words, status, says", [
    (["rust"], 2, 'there is no form "rust": c (a header of typed functions over libvigia), python'),
    ([], 2, "stubs"),
    (["c", "nobody"], 1, "there are no operations of that"),
    (["c", "--from", "/no/such/file"], 1, "/no/such/file: No such file or directory"),
    (["c", "--from", "/etc/passwd"], 1, "/etc/passwd: "),
])
def test_stubs_of_nothing(daemon, words, status, says):
    p = daemon().vigia("stubs", *words, check=False)
    assert p.returncode == status and says in p.stderr

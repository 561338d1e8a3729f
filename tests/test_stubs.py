# SPDX-License-Identifier: Apache-2.0
"""Typed functions for programs, written from the tables of services: C, Python, and what else comes from them."""
import glob
import os
import re
import subprocess
import sys

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

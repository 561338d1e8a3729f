# SPDX-License-Identifier: Apache-2.0
"""One source, a service either way: a program of its own, and a module that the daemon has loaded."""
import os
import pathlib
import re
import subprocess

import pytest

from cluster import PREFIX, Daemon, wait_for
from frames_peer import Program, Refused
from hmon_peer import Client, HmonError
from test_operations import LIB, NOBODY, TREE, as_nobody, build, counter_program, operations  # noqa: F401

CONF = "listen = {}\nmonitor host { enabled = false }\ndefault_monitors = false\n"


def build_module(source, to):
    subprocess.run(["gcc", "-Wall", "-Werror", "-shared", "-fPIC", "-DVIGIA_MODULE", f"-I{PREFIX}/include", "-o", to,
                    os.path.join(TREE, source)], check=True)


def modules_of(place, name="n1"):
    """Where the daemon of this name with its places there looks for modules of its user's."""
    services = place / name / "vigia/services"
    services.mkdir(parents=True)
    for d in (place / name, place / name / "vigia"):
        d.chmod(0o700)
    return services


@pytest.fixture(scope="session")
def front_program(tmp_path_factory):
    return build("tests/third_party/front.c", tmp_path_factory.mktemp("front") / "front")


def serve(request, daemon, tmp_path, name, source, program):
    """The service, the one way or the other, in or beside a daemon; what is to be ended is yielded with it."""
    if request.param == "module":
        build_module(source, modules_of(tmp_path) / f"service-{name}.so")
        yield daemon(CONF + f"services = {{all, {name}}}\n")
        return
    d = daemon(CONF)
    p = subprocess.Popen([program], env=dict(d.env(), LD_LIBRARY_PATH=LIB), stderr=subprocess.DEVNULL)
    wait_for(lambda: operations(d, "service.list", name), 5, "its service")
    yield d
    p.kill()
    p.wait()


@pytest.fixture(params=["program", "module"])
def served(request, daemon, tmp_path, counter_program):  # noqa: F811
    yield from serve(request, daemon, tmp_path, "counter", "examples/counter/counter.c", counter_program)


@pytest.fixture(params=["program", "module"])
def fronted(request, daemon, tmp_path, front_program):
    yield from serve(request, daemon, tmp_path, "front", "tests/third_party/front.c", front_program)


def test_it_answers_and_keeps_its_state(served):
    assert operations(served, "counter.get") == [{"value": "0"}]
    with served.client() as a, served.client() as b:
        assert a.ask("counter", "add", by=5).all().one().get("value") == "5"
        assert b.ask("counter", "add").all().one().get("value") == "6", "several share it"
    assert operations(served, "counter.get", "at=n1") == [{"value": "6"}]


@pytest.mark.parametrize("words, says", [
    (["counter.add", "by=x"], 'counter.add: by must be a whole number from 0, not "x"'),
    (["counter.add", "by=9223372036854775807"], "9223372036854775807 more is more than it holds"),
    (["counter.take"], 'no operation "counter.take"'),
])
def test_what_is_wrong_is_said_alike(served, words, says):
    served.vigia("counter.add", "1")
    p = served.vigia(*words, check=False)
    assert p.returncode in (1, 2) and says in p.stderr


def test_it_is_described_alike(served):
    assert "usage: vigia counter.add [by]\n\n  makes it larger\n" in served.vigia("help", "counter.add").stdout
    assert "vigia_counter_add_query" in served.vigia("stubs", "c", "counter").stdout
    (listed,) = operations(served, "service.list", "counter")
    assert listed["doc"] == "a number for everybody"


@pytest.mark.parametrize("host, says, times", [
    ("n1", "front.go was handed on more than 4 times, at last to n1", 5),
    ("h9", "no host is named h9", 1),
    ("x" * 200, "no host is named xxx", 1),
])
def test_it_hands_clients_on_alike(fronted, host, says, times):
    p = fronted.vigia("front.go", host, check=False)
    assert p.returncode == 1 and says in p.stderr
    assert operations(fronted, "front.times") == [{"times": str(times)}]


# --- who asks ---

@pytest.fixture(scope="session")
def who_program(tmp_path_factory):
    return build("tests/third_party/who.c", tmp_path_factory.mktemp("who") / "who")


@pytest.fixture(params=["program", "module"])
def two(request, make_cluster, who_program):
    """h1, and h2, which has the service the one way or the other; all users reach both. Started with these options."""
    programs = []

    def start(options):
        c = make_cluster(2, monitors="default_monitors = false\n", options=options)
        if request.param == "module":
            build_module("tests/third_party/who.c", modules_of(pathlib.Path(c.directory), "h2") / "service-who.so")
            c[2].stop()
            with open(c[2].conf, "a") as f:
                f.write("services = {all, who}\n")
            c[2].start()
        else:
            programs.append(subprocess.Popen([who_program], env=dict(c[2].env(), LD_LIBRARY_PATH=LIB), stderr=subprocess.DEVNULL))
        wait_for(lambda: operations(c[2], "service.list", "who"), 5, "its service")
        for d in (c.directory, *(part for i in (1, 2) for part in (c[i].directory, c[i].state))):
            os.chmod(d, 0o711)
        return c.until_one_view()

    yield start
    for p in programs:
        p.kill()
        p.wait()


def taken_for(address, **route):
    """The uid that who asks there is taken for."""
    with Client(address).connect() as c:
        return int(c.ask("who", "am-i", **route).all().one().get("uid"))


@pytest.mark.parametrize("options", [(), ("--insecure-control",)])
def test_it_is_told_who_asks_alike_by_this_kernels_word_alone(two, options):
    c = two(options)
    assert taken_for(c[2].socket) == os.getuid() and as_nobody(lambda: taken_for(c[2].socket)) == NOBODY
    assert c.network.inside(2, lambda: taken_for(("10.77.0.2", 7660))) == -1, "who comes by network"
    others = [taken_for(c[1].socket, at="h2"), as_nobody(lambda: taken_for(c[1].socket, at="h2"))]
    assert others == ([os.getuid(), NOBODY] if options else [-1, -1]), "another host's word is taken with the switch only"


# --- modules that are none ---

def refused(tmp_path, conf):
    d = Daemon(str(tmp_path), CONF + conf)
    d.start(wait=False)
    try:
        assert d.process.wait(10) == 1
    finally:
        d.stop()
    return d.read_log()


@pytest.mark.parametrize("source, says", [
    ("int nothing;", "is no service's module"),
    ("#include <vigia/vigia.h>\nstatic const struct vigia_operation none[] = {{0}};\n"
     "static const struct vigia_service other = {\"other\", \"x\", none};\nVIGIA_OFFER(other, 0)", "is of the service other"),
    ("#include <vigia/vigia.h>\nint main(void) { struct vigia *v; return vigia_open(&v, 0, 0); }",
     "can't be loaded: .*undefined symbol: vigia_open"),
])
def test_a_module_that_is_none_is_refused_with_words(tmp_path, source, says):
    (tmp_path / "s.c").write_text(source)
    build_module(str(tmp_path / "s.c"), modules_of(tmp_path) / "service-counter.so")
    assert re.search(says, refused(tmp_path, "services = {counter}\n"))


def test_a_module_whose_noun_is_anothers_is_refused_with_words(tmp_path):
    (tmp_path / "s.c").write_text('#include <vigia/vigia.h>\nstatic const struct vigia_operation none[] = {{0}};\n'
                                  'static const struct vigia_service monitor = {"monitor", "x", none};\nVIGIA_OFFER(monitor, 0)')
    build_module(str(tmp_path / "s.c"), modules_of(tmp_path) / "service-monitor.so")
    assert "services: monitor is one too many, or there already" in refused(tmp_path, "services = {all, monitor}\n")


def test_a_service_that_nobody_knows_is_an_error_of_the_configuration(tmp_path):
    log = refused(tmp_path, "services = {nothing}\n")
    assert 'services: found "nothing", expected ' in log and "or the NAME of a service-NAME.so in " in log


@pytest.mark.parametrize("way", ["program", "module"])
def test_an_answer_that_is_too_large_is_told(daemon, tmp_path, way):
    if way == "module":
        build_module("tests/third_party/large.c", modules_of(tmp_path) / "service-large.so")
        d = daemon(CONF + "services = {all, large}\n")
    else:
        d = daemon(CONF)
        p = subprocess.Popen([build("tests/third_party/large.c", tmp_path / "large")], stderr=subprocess.DEVNULL,
                             env=dict(d.env(), LD_LIBRARY_PATH=LIB))
        wait_for(lambda: operations(d, "service.list", "large"), 5, "its service")
    with Program(d.socket) as tool:
        assert len(tool.ask("large.give", bytes=1000000).one()["data"]) == 1000000
        with pytest.raises(Refused, match="too-large: an answer is larger than a frame may be"):
            tool.ask("large.give", bytes=2000000).all()
        assert tool.ask("large.give", bytes=3).one() == {"data": bytes(3)}
    if way == "program":
        p.kill()
        p.wait()

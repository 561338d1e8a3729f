# SPDX-License-Identifier: Apache-2.0
"""What others need for the same: stores fed the same recording, agents that read the same files each second.

Debian's packages of packages.txt's section [peers]; who is not installed is left out.
"""
import contextlib
import http.client
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time


def cpu_ns(pid):
    """Of all threads of the process."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total


def bytes_in(directory, *but):
    """Of all files below it, but those in these folders of its own."""
    return sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(directory) for name in names
               if os.path.relpath(where, directory).split("/")[0] not in but)


def read_recording(path):
    """Names, and rows of time in ns and a number for each; what bench-history leaves out is left out here."""
    with open(path) as f:
        names = f.readline().split()[1:]
        rows = [[int(n) for n in line.split()] for line in f]
    return names, [row for row in rows if len(row) == len(names) + 1]


@contextlib.contextmanager
def serving(port, *command):
    """A server of this machine's, in a directory of its own, until it answers."""
    directory = tempfile.mkdtemp(prefix="vigia-peer.", dir="/var/tmp")
    p = subprocess.Popen([c.replace("DIRECTORY", directory) for c in command], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, cwd=directory)
    p.directory = directory
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert p.poll() is None, f"{command[0]} ended"
            time.sleep(0.05)
        yield p
    finally:
        p.terminate()
        p.wait()
        shutil.rmtree(directory)


def ask(port, method, path, body=None, headers={}):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status < 300, f"{path}: {answer.status} {text[:200]}"
    return text


# ------------------------------------------------------------------------------------------------ remote write, by hand

def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def label(name, value):
    return field(1, field(1, name.encode()) + field(2, value.encode()))


def sample(value, ms):
    return field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(ms))


def snappy(data):
    """The format's plain form, literals only; what is sent is not what is measured here."""
    out = [varint(len(data))]
    for at in range(0, len(data), 65536):
        part = data[at:at + 65536]
        out += [b"\xf4", struct.pack("<H", len(part) - 1), part]
    return b"".join(out)


REMOTE_WRITE = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
                "X-Prometheus-Remote-Write-Version": "0.1.0"}


def series_labels(names):
    return [label("__name__", "host_" + re.sub("[^a-z0-9]+", "_", n.lower()) + f"_{i}") + label("instance", "this")
            for i, n in enumerate(names)]


def remote_write(port, path, recording):
    names, rows = recording
    labels = series_labels(names)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for time_ns, *values in rows:
        body = snappy(b"".join(field(1, l + sample(v, time_ns // 10**6)) for l, v in zip(labels, values)))
        connection.request("POST", path, body, REMOTE_WRITE)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 300, f"{path}: {answer.status} {text[:200]}"


def fed(process, port, path, recording):
    """Processor time of the server a sample, in us."""
    before = cpu_ns(process.pid)
    remote_write(port, path, recording)
    time.sleep(2)
    return (cpu_ns(process.pid) - before) / 1e3 / (len(recording[0]) * len(recording[1]))


# --------------------------------------------------------------------------------------------------------------- stores

def settle(directory, seconds=3):
    """Until its files have stayed as they are: a merge is begun when asked for, and nothing tells its end."""
    before, since = None, 0
    while time.monotonic() - since < seconds or not before:
        now = bytes_in(directory)
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.1)


def victoria_metrics(recording):
    """All its files but caches, after flush and merge."""
    port, samples = 18428, len(recording[0]) * len(recording[1])
    with serving(port, "victoria-metrics", f"-httpListenAddr=127.0.0.1:{port}", "-storageDataPath=DIRECTORY",
                 "-retentionPeriod=10y") as p:
        cpu = fed(p, port, "/api/v1/write", recording)
        ask(port, "GET", "/internal/force_flush")
        ask(port, "GET", "/internal/force_merge")
        settle(p.directory)
        stored = int(float(re.search(rb'"value":\[[^,]*,"([0-9.e+]+)"', ask(port, "GET",
                     f"/api/v1/query?query=sum(count_over_time({{instance=%22this%22}}[3h]))&time={recording[1][-1][0] / 1e9 + 1}"))[1]))
        p.terminate()
        p.wait()
        size = bytes_in(p.directory, "cache", "tmp")
    assert stored == samples, f"VictoriaMetrics has {stored} of {samples}"
    return {"bytes_per_sample": round(size / samples, 3), "us_per_sample": round(cpu, 3)}


def write_openmetrics(recording, path):
    names, rows = recording
    with open(path, "w") as f:
        for i, n in enumerate(names):
            name = "host_" + re.sub("[^a-z0-9]+", "_", n.lower()) + f"_{i}"
            f.write(f"# TYPE {name} gauge\n")
            f.writelines(f'{name}{{instance="this"}} {row[i + 1]} {row[0] / 1e9:.3f}\n' for row in rows)
        f.write("# EOF\n")


def prometheus(recording):
    """Blocks as promtool makes them, index included; processor time of the server by remote write."""
    port, samples = 18429, len(recording[0]) * len(recording[1])
    directory = tempfile.mkdtemp(prefix="vigia-peer.", dir="/var/tmp")
    try:
        write_openmetrics(recording, f"{directory}/all")
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", f"{directory}/all", f"{directory}/blocks"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        size = bytes_in(f"{directory}/blocks")
        with open(f"{directory}/conf", "w") as f:
            f.write("scrape_configs: []\n")
        with serving(port, "prometheus", f"--config.file={directory}/conf", "--storage.tsdb.path=DIRECTORY/data",
                     f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver") as p:
            cpu = fed(p, port, "/api/v1/write", recording)
    finally:
        shutil.rmtree(directory)
    return {"bytes_per_sample": round(size / samples, 3), "us_per_sample": round(cpu, 3)}


STORES = {"victoria-metrics": victoria_metrics, "prometheus": prometheus}


# --------------------------------------------------------------------------------------------------------------- agents

def share(process, seconds, each_second=lambda: None):
    """Milliseconds of processor time a second."""
    before, begun = cpu_ns(process.pid), time.monotonic()
    for i in range(1, seconds + 1):
        each_second()
        time.sleep(max(0, begun + i - time.monotonic()))
    return round((cpu_ns(process.pid) - before) / 1e6 / (time.monotonic() - begun), 3)


def node_exporter(seconds=15):
    """Scraped each second, over one connection."""
    port = 18430
    collectors = [f"--collector.{c}" for c in ("meminfo", "vmstat", "cpu", "stat", "loadavg", "netdev", "diskstats")]
    with serving(port, "prometheus-node-exporter", "--collector.disable-defaults", "--collector.vmstat.fields=.*",
                 f"--web.listen-address=127.0.0.1:{port}", "--web.disable-exporter-metrics", *collectors) as p:
        connection, values = http.client.HTTPConnection("127.0.0.1", port), []

        def scrape():
            connection.request("GET", "/metrics")
            values.append(len(re.findall(rb"^[^#]", connection.getresponse().read(), re.M)))
        scrape()
        return {"ms_per_second": share(p, seconds, scrape), "values": values[-1]}


NETDATA = """[global]
 hostname = bench
[directories]
 config = {0}
 cache = {0}/cache
 lib = {0}/lib
 log = {0}/log
[db]
 mode = ram
 update every = 1
[web]
 bind to = 127.0.0.1:{1}
[health]
 enabled = no
[ml]
 enabled = no
[statsd]
 enabled = no
[plugins]
 {2}
[plugin:proc]
 {3}
"""


def netdata(seconds=15):
    """Its proc plugin alone, over the same files, into memory."""
    port = 18431
    off = "netdata_monitoring timex idlejitter cgroups checks tc diskspace statsd slabinfo perf nfacct xenstat python.d charts.d go.d node.d apps " \
          "ebpf freeipmi ioping".split()
    unread = "/proc/uptime /proc/pressure /proc/interrupts /proc/softirqs /sys/kernel/mm/ksm /sys/block/zram " \
             "/sys/devices/system/edac/mc /sys/devices/system/node /proc/net/wireless /proc/net/sockstat /proc/net/sockstat6 " \
             "/proc/net/netstat /proc/net/sctp/snmp /proc/net/softnet_stat /proc/net/ip_vs/stats /sys/class/infiniband " \
             "/proc/net/stat/conntrack /proc/net/stat/synproxy /proc/mdstat /proc/net/rpc/nfsd /proc/net/rpc/nfs " \
             "/proc/spl/kstat/zfs/arcstats /proc/spl/kstat/zfs/pool/state /sys/fs/btrfs ipc /sys/class/power_supply " \
             "/proc/sys/kernel/random/entropy_avail".split()
    conf = tempfile.NamedTemporaryFile("w", suffix=".conf")
    with conf, tempfile.TemporaryDirectory() as d:
        conf.write(NETDATA.format(d, port, "\n ".join(f"{o} = no".replace("_", " ") for o in off), "\n ".join(f"{u} = no" for u in unread)))
        conf.flush()
        for name in ("cache", "lib", "log"):
            os.mkdir(f"{d}/{name}")
        with serving(port, "netdata", "-D", "-c", conf.name, "-u", "root") as p:
            time.sleep(5)
            values = len(re.findall(rb"^[^#\s]", ask(port, "GET", "/api/v1/allmetrics?format=prometheus"), re.M))
            return {"ms_per_second": share(p, seconds), "values": values}


AGENTS = {"prometheus-node-exporter": node_exporter, "netdata": netdata}


def version(package):
    out = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return out.stdout if out.returncode == 0 else None


def installed(peers):
    return [name for name in peers if shutil.which(name)]

# SPDX-License-Identifier: Apache-2.0
"""What a running process makes, told by the kernel as it makes it: nothing that lives short is missed."""
import ctypes
import os
import signal
import threading
import time

PTRACE_CONT, PTRACE_SEIZE, PTRACE_LISTEN = 7, 0x4206, 0x4208
EVENTS = {1: "fork", 2: "vfork", 3: "thread", 4: "exec"}
TRACED = sum(1 << e for e in EVENTS)
WALL, NOTHREAD = 0x40000000, 0x20000000
EVENT_STOP = 128
libc = ctypes.CDLL(None, use_errno=True)


def ptrace(request, tid, data=0):
    if libc.ptrace(request, tid, None, ctypes.c_void_p(data)):
        raise OSError(ctypes.get_errno(), "ptrace", str(tid))


class Tracer:
    """`with Tracer(pid) as seen:` fills seen.events with (tid, "fork", "vfork", "thread" or "exec")."""

    def __init__(self, pid):
        self.pid, self.events, self.error = pid, [], None
        self.seized, self.over = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        self.seized.wait(10)
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()  # its end lets all go
        if self.error:
            raise self.error

    def _run(self):
        try:
            for tid in os.listdir(f"/proc/{self.pid}/task"):
                ptrace(PTRACE_SEIZE, int(tid), TRACED)
            self.seized.set()
            while not self.over.is_set():
                try:
                    tid, status = os.waitpid(-1, WALL | NOTHREAD | os.WNOHANG)
                except ChildProcessError:
                    break  # all have ended
                if tid == 0:
                    time.sleep(0.002)
                elif os.WIFSTOPPED(status):
                    self._go_on(tid, os.WSTOPSIG(status), status >> 16)
        except OSError as e:
            self.error = e
        self.seized.set()

    def _go_on(self, tid, number, event):
        if event in EVENTS:
            self.events.append((tid, EVENTS[event]))
        group_stop = event == EVENT_STOP and number != signal.SIGTRAP
        try:
            ptrace(PTRACE_LISTEN if group_stop else PTRACE_CONT, tid, 0 if event else number)
        except ProcessLookupError:
            pass  # killed meanwhile

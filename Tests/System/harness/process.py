"""One started process: its output is kept, and it never outlives the test."""

import ctypes
import pathlib
import re
import signal
import subprocess
import time

_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Process:
    """`log` gets standard output and error; with `output` the standard output goes to that file instead."""

    def __init__(self, name, command, log, output=None, stdin=subprocess.DEVNULL, environment=None):
        self.name, self.command, self.log = name, command, pathlib.Path(log)
        self.started = time.monotonic()
        with open(self.log, "wb") as errors:
            standard = open(output, "wb") if output else errors
            try:
                # A session of its own: a signal for the test's group reaches it through the test's clean-up only.
                self.popen = subprocess.Popen(
                    command, stdin=stdin, stdout=standard, stderr=subprocess.STDOUT if not output else errors,
                    start_new_session=True, preexec_fn=_die_with_parent, env=environment)
            finally:
                if output:
                    standard.close()
        self._kept = None

    @property
    def pid(self):
        return self.popen.pid

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kept_tail(self, lines=40):
        return self._kept if self._kept is not None else "\n".join(self.text().rstrip().split("\n")[-lines:])

    def running(self):
        return self.popen.poll() is None

    def state(self):
        status = self.popen.poll()
        return "running" if status is None else f"ended by signal {-status}" if status < 0 else f"exit status {status}"

    def wait(self, seconds):
        """The exit status; fails when the process still runs after `seconds`."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds} s:\n{self.kept_tail()}") from None

    def wait_for(self, pattern, seconds):
        """Waits for a line of output; fails when the process ends first."""
        deadline = time.monotonic() + seconds
        while True:
            if found := re.search(pattern, self.text(), re.M):
                return found
            if not self.running():
                raise AssertionError(f"{self.name}: {self.state()} before it said /{pattern}/:\n{self.kept_tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} did not say /{pattern}/ within {seconds} s:\n{self.kept_tail()}")
            time.sleep(0.03)

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def kill(self):
        """As a power cut would: no chance to clean up."""
        self.signal(signal.SIGKILL)
        self.popen.wait(5)

    def stop(self, patience=5):
        """Ends it in order, then by force. Returns the exit status."""
        self._kept = self.kept_tail()
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.signal(number)
            try:
                return self.popen.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        return self.popen.poll()

    def resident_bytes(self):
        return self._status("VmRSS") * 1024

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def scheduled_seconds(self):
        """Time its threads spent on a processor, to the nanosecond; for what is too little for `cpu_seconds`."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[0]) for path in tasks) / 1e9

    def session_cpu_seconds(self):
        """Of this process and all it started, for programs that are several processes."""
        total = 0
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.pid:
                total += int(fields[11]) + int(fields[12])
        return total / 100

    def _status(self, key):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1])

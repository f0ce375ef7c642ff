"""The base of every system test: a folder, processes that are always stopped, waiting with deadlines."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from .process import Process

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAMS = {
    "edge": pathlib.Path(os.environ.get("EDGE_PROGRAM", ROOT / ".build" / "release" / "edge")),
    "edge-rendezvous": pathlib.Path(
        os.environ.get("EDGE_RENDEZVOUS_PROGRAM", ROOT / ".build" / "release" / "edge-rendezvous")),
}


class Case(unittest.TestCase):
    """A test of the built programs. `seconds` is its deadline, `weight` the share of the machine it needs."""

    seconds = 120
    maxDiff = None
    # Namespaces, nftables and raw sockets.
    needs_root = True

    def setUp(self):
        self.notes = []
        self.processes = []
        if self.needs_root and os.geteuid() != 0:
            self.skipTest("needs root: it makes network namespaces")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="edge-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(self.stop_all)

    def run(self, result=None):
        """Prints what the processes said when the test did not pass."""
        before = len(result.failures) + len(result.errors) if result else 0
        try:
            return super().run(result)
        finally:
            if result and len(result.failures) + len(result.errors) > before:
                for process in getattr(self, "processes", []):
                    print(f"--- {process.name} ({process.state()}):\n{process.kept_tail()}", file=sys.stderr)

    def program(self, name):
        path = PROGRAMS[name]
        self.assertTrue(path.exists(), f"{path} was not built; `make build` builds it")
        return str(path)

    def start(self, name, command, namespace=None, **options):
        """Starts a process that is stopped when the test ends."""
        prefix = namespace.prefix() if namespace else []
        process = Process(name, [*prefix, *map(str, command)], self.folder / f"{name}.{len(self.processes)}.log", **options)
        self.processes.append(process)
        return process

    def complete(self, command, namespace=None, timeout=30, stdin=None, **options):
        """Runs a command to its end; its status, output and errors are the result."""
        prefix = namespace.prefix() if namespace else []
        text = [*prefix, *map(str, command)]
        done = subprocess.run(text, capture_output=True, timeout=timeout, input=stdin,
                              stdin=None if stdin is not None else subprocess.DEVNULL,
                              text=options.pop("text", True), **options)
        return done

    def stop_all(self):
        for process in reversed(self.processes):
            process.stop()

    def wait_until(self, condition, seconds, what):
        """Returns the first true value of `condition`; fails with `what` when there is none in time."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                self.fail(f"after {seconds} s: {what() if callable(what) else what}")
            time.sleep(0.05)

    def note(self, text):
        """A figure worth seeing in the summary of a run."""
        self.notes.append(text)

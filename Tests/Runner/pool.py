"""Runs the test methods of Python files, each in a process of its own, several at a time.

A test class may state `seconds` (its deadline, 120 unless said) and `weight` (how many of the
pool's places it takes; a virtual machine keeps a whole core busy, a namespace test mostly waits).
"""

import ast
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

PLACES = 4
HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Test:
    file: pathlib.Path
    group: str
    method: str
    seconds: int
    weight: int

    @property
    def name(self):
        return f"{self.file.stem}.{self.group}.{self.method}"


def find(folders):
    """Reads the files without importing them, so that a broken one is a failed test and not a broken run."""
    tests = []
    for folder in folders:
        for path in sorted(folder.glob("test_*.py")):
            try:
                tree = ast.parse(path.read_text())
            except SyntaxError:
                tests.append(Test(path, "-", "-", 60, 1))
                continue
            for group in tree.body:
                if not isinstance(group, ast.ClassDef):
                    continue
                numbers = {name.id: statement.value.value for statement in group.body
                           if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
                           for name in statement.targets if isinstance(name, ast.Name)}
                for method in group.body:
                    if isinstance(method, ast.FunctionDef) and method.name.startswith("test_"):
                        tests.append(Test(path, group.name, method.name, numbers.get("seconds", 120),
                                          min(PLACES, numbers.get("weight", 1))))
    return tests


def stop_group(process):
    """Ends a process and what it started: asks, gives it time to clean up, then insists."""
    for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
        try:
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue


def run(stage, folders, only, logs, places=PLACES):
    from stages import Outcome
    outcome = Outcome()
    tests = [test for test in find(folders) if only in test.name]
    folder = logs / stage
    folder.mkdir(parents=True, exist_ok=True)
    # The long ones first, so that the last one to end is a short one.
    waiting = sorted(tests, key=lambda test: -test.seconds * test.weight)
    running = {}
    try:
        while waiting or running:
            used = sum(test.weight for test, _, _ in running.values())
            fitting = next((test for test in waiting if not used or used + test.weight <= places), None)
            if fitting:
                waiting.remove(fitting)
                process = start(fitting, folder)
                running[process.pid] = (fitting, process, time.monotonic())
                continue
            time.sleep(0.05)
            for pid, (test, process, started) in list(running.items()):
                elapsed = time.monotonic() - started
                late = process.poll() is None and elapsed > test.seconds
                if late:
                    stop_group(process)
                if process.poll() is not None:
                    del running[pid]
                    settle(outcome, stage, test, process, folder, elapsed, late)
    finally:
        for _, process, _ in running.values():
            stop_group(process)
    return outcome


def start(test, folder):
    result = folder / f"{test.name}.json"
    result.unlink(missing_ok=True)
    with open(folder / f"{test.name}.log", "wb") as log:
        return subprocess.Popen(
            [sys.executable, str(HERE / "one.py"), str(test.file), f"{test.group}.{test.method}", str(result)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def settle(outcome, stage, test, process, folder, elapsed, late):
    result = folder / f"{test.name}.json"
    try:
        told = json.loads(result.read_text())
    except (OSError, ValueError):
        told = {"state": "failed", "text": f"exit status {process.returncode} and no result"}
    if late:
        told = {"state": "failed", "text": f"took longer than {test.seconds} s"}
    print(f"   {told['state']:7} {test.name} ({elapsed:.1f} s)", flush=True)
    for line in told.get("notes", []):
        print(f"           {line}")
    if told["state"] == "passed":
        outcome.passed += 1
    elif told["state"] == "skipped":
        outcome.skipped.append(f"{stage}: {test.name}: {told['text']}")
    else:
        outcome.failed.append(f"{stage}: {test.name}: {told['text']}")
        log = folder / f"{test.name}.log"
        lines = log.read_text(errors="replace").rstrip().split("\n")[-60:]
        print(f"--- the end of {log.name}\n" + "\n".join(lines) + "\n---", flush=True)

"""The stages of `make test`. Each returns an Outcome; Tests/run adds them up."""

import dataclasses
import hashlib
import os
import pathlib
import re
import subprocess
import sys

import pool

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS = ROOT / ".build" / "test-logs"

# Targets with tables whose order could show.
ORDERED = "RendezvousLogicTests|UserAgentTests|StatusModelTests|PIDFTests|TURNTests|NodeLogicTests"
# A sentence in quotes, or the name of a function.
TEST_NAME = r'("[^"]*"|\w+\([^)]*\))'


@dataclasses.dataclass
class Outcome:
    passed: int = 0
    failed: list = dataclasses.field(default_factory=list)
    skipped: list = dataclasses.field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def text(self):
        return f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"


def logged(name, command, timeout, environment=None):
    """Runs a command into its log. Returns its exit status (None when it took too long) and the log's text."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{name}.log"
    with open(path, "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT,
                                   env=dict(os.environ, **(environment or {})), start_new_session=True)
        try:
            status = process.wait(timeout)
        except BaseException as error:
            pool.stop_group(process)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            status = None
    return status, path.read_text(errors="replace")


def tail(name, text, lines=40):
    print(f"--- the end of {LOGS.relative_to(ROOT)}/{name}.log")
    print("\n".join(text.rstrip().split("\n")[-lines:]))
    print("---", flush=True)


def build_step(name, command, timeout, environment=None):
    """A command that must succeed; prints the end of its log when it does not. Returns an Outcome."""
    status, text = logged(name, command, timeout, environment)
    if status == 0:
        return Outcome(passed=1)
    tail(name, text)
    return Outcome(failed=[f"{name}: {'took longer than %d s' % timeout if status is None else 'exit status %d' % status}"])


def checks(only):
    return pool.run("checks", [ROOT / "Tests" / "Checks"], only, LOGS)


def unit(only):
    """`swift test`, with what Swift Testing reports counted."""
    outcome = build_step("unit-build", ["swift", "build", "--build-tests"], 1500)
    if outcome.failed:
        return outcome
    command = ["swift", "test", "--skip-build", "--disable-xctest"] + (["--filter", only] if only else [])
    status, text = logged("unit", command, 600)
    outcome = summarise_unit("unit", status, text)
    if not only:
        # Dictionaries come in another order in every process. Where one reached the wire, this one would tell.
        status, text = logged("unit-order", [*command, "--filter", ORDERED], 300, {"SWIFT_DETERMINISTIC_HASHING": "1"})
        outcome.add(summarise_unit("unit-order", status, text))
    return outcome


def summarise_unit(name, status, text):
    """Reads the report; anything but a whole, green one is a failure."""
    outcome = Outcome()
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    summary = re.search(r"Test run with (\d+) tests? (?:in \d+ suites? )?(passed|failed)", text)
    for line in text.splitlines():
        if found := re.match(rf"\S+ Test {TEST_NAME} (?:with \d+ test cases? )?failed after", line):
            outcome.failed.append(f"{name}: {found[1]}")
        elif found := re.match(rf"\S+ Test {TEST_NAME} skipped(.*)", line):
            outcome.skipped.append(f"{name}: {found[1]}{found[2] or ' (no reason given)'}")
    if summary:
        outcome.passed = int(summary[1]) - len(outcome.failed) - len(outcome.skipped)
    if status != 0 and not outcome.failed:
        last = [line for line in text.splitlines() if " started." in line][-2:]
        outcome.failed.append(f"{name}: exit status {status} without a failed test; last started: {' / '.join(last)}")
    if not summary:
        outcome.failed.append(f"{name}: there is no summary, so the run did not come to its end")
    if outcome.failed:
        tail(name, "\n".join(line for line in text.splitlines() if not re.match(r"\S+ (Test|Suite) .* (started|passed)", line)))
    return outcome


def firmware(only):
    """Both firmware binaries, then what is checked of them."""
    outcome = build_step("firmware", ["Firmware/build"], 1500)
    print((LOGS / "firmware.log").read_text() if not outcome.failed else "", end="")
    outcome.add(pool.run("firmware", [ROOT / "Tests" / "Firmware"], only, LOGS))
    return outcome


def programs():
    """The two programs for this machine, in release. A failed build is told once and fails each test by itself."""
    return build_step("programs", ["make", "build"], 1500)


def system(only):
    outcome = programs()
    outcome.add(pool.run("system", [ROOT / "Tests" / "System"], only, LOGS))
    return outcome


def qemu(only):
    outcome = programs()
    outcome.add(build_step("guests", ["Firmware/guest", "prepare"], 600))
    outcome.add(pool.run("qemu", [ROOT / "Tests" / "Machines"], only, LOGS))
    return outcome


def frame_benchmark():
    """The frame coder as a program: it times itself, and writes what it makes."""
    return build_step("frame-benchmark", ["swift", "build", "-c", "release", "--product", "frame-benchmark"], 900)


def peer_benchmark():
    """Two sessions in one program, over the loopback interface."""
    return build_step("peer-benchmark", ["swift", "build", "-c", "release", "--product", "peer-benchmark"], 900)


def interop(only):
    outcome = programs()
    outcome.add(frame_benchmark())
    outcome.add(environment())
    outcome.add(pool.run("interop", [ROOT / "Tests" / "Interop"], only, LOGS))
    return outcome


def bench(only):
    """Figures, held to their budgets. Not part of `make test`: a busy machine would spoil them."""
    outcome = programs()
    outcome.add(build_step("firmware", ["Firmware/build", "--arch", "x86_64"], 1500))
    outcome.add(frame_benchmark())
    outcome.add(peer_benchmark())
    if outcome.failed:
        return outcome
    outcome.add(pool.run("bench", [ROOT / "Tests" / "Benchmarks"], only, LOGS, places=1))
    return outcome


def fuzz(only, seconds=5):
    """Every fuzzer for a few seconds, after its kept inputs. Not part of `make test`: building them instrumented
    takes minutes. `Tests/Fuzz/run TARGET SECONDS` runs one for longer."""
    outcome = Outcome()
    script = ROOT / "Tests" / "Fuzz" / "run"
    names = subprocess.run([script], check=True, capture_output=True, text=True).stdout.split()
    for name in names:
        if only not in name:
            continue
        outcome.add(build_step(f"fuzz-{name}", [script, name, str(seconds)], 900))
        done = re.search(r"Done (\d+) runs in (\d+) second", (LOGS / f"fuzz-{name}.log").read_text(errors="replace"))
        print(f"   {name}: {done[1]} inputs in {done[2]} s" if done else f"   {name}: did not come to its end", flush=True)
    return outcome


def grid(only):
    """Every cell of the NAT grid, and the table of them. Takes some minutes, mostly of waiting."""
    outcome = programs()
    rows = LOGS / "grid" / "rows"
    for old in rows.glob("*.json"):
        old.unlink()
    outcome.add(pool.run("grid", [ROOT / "Tests" / "Grid"], only, LOGS))
    sys.path.insert(0, str(ROOT / "Tests" / "System"))
    from harness.grid import read, table
    if measured := read(rows):
        print(table(measured), flush=True)
    return outcome


def environment():
    """The pinned PyPI packages, in .venv."""
    wanted = (ROOT / "Tests" / "Interop" / "requirements.txt").read_bytes()
    stamp = ROOT / ".venv" / "requirements.sha256"
    key = hashlib.sha256(wanted + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == key:
        return Outcome()
    outcome = build_step("venv", ["python3", "-m", "venv", "--clear", ".venv"], 120)
    if not outcome.failed:
        outcome = build_step(
            "venv", [".venv/bin/pip", "install", "--quiet", "-r", "Tests/Interop/requirements.txt"], 600)
    if not outcome.failed:
        stamp.write_text(key)
    return outcome


def listing(name):
    if name == "fuzz":
        return subprocess.run([ROOT / "Tests" / "Fuzz" / "run"], check=True, capture_output=True, text=True).stdout.split()
    folder = {"checks": "Checks", "firmware": "Firmware", "system": "System", "qemu": "Machines",
              "interop": "Interop", "bench": "Benchmarks", "grid": "Grid"}.get(name)
    return [test.name for test in pool.find([ROOT / "Tests" / folder])] if folder else [f"{name}: swift test list"]


# Run when named.
EXTRA = {"bench": bench, "fuzz": fuzz, "grid": grid}
ALL = {"checks": checks, "unit": unit, "firmware": firmware, "system": system, "qemu": qemu, "interop": interop}

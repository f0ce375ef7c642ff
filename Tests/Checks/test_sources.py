"""What every file of the repository is held to."""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONGEST = 450


def tracked(*patterns):
    """Files git knows, or would if they were added."""
    output = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
                            cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in sorted(set(output.split("\n"))) if name and (ROOT / name).is_file()]


def matches(pattern, names):
    found = []
    for name in names:
        try:
            lines = (ROOT / name).read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{name}:{number}: {line.strip()[:100]}" for number, line in enumerate(lines, 1)
                  if re.search(pattern, line)]
    return found


class Sources(unittest.TestCase):
    seconds = 300

    def setUp(self):
        self.notes = []

    def nothing(self, found):
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_swift_files_are_formatted(self):
        names = tracked("*.swift")
        done = subprocess.run(["swift", "format", "lint", "--strict", "-p", *names], cwd=ROOT, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)[-4000:])

    def test_no_mark_of_unfinished_work(self):
        marks = r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "not imple" + "mented",
                                   "unimple" + "mented", "place" + "holder"]) + r")\b"
        self.nothing(matches(marks, tracked("Sources", "Firmware", "Config", "Makefile", "Package.swift", "*.md")))
        self.nothing(matches(r"\b(TO" + r"DO|FIX" + r"ME)\b", tracked("Tests")))

    def test_no_path_of_one_machine(self):
        self.nothing(matches(r"(?<![\w.])/(wo" + r"rk|fa" + r"rm|ro" + r"ot|home/[a-z]+)/", tracked()))

    def test_no_test_is_switched_off(self):
        switched = r"\.disa" + r"bled\(|XCTS" + r"kip|@unittest\.s" + r"kip\b"
        self.nothing(matches(switched, tracked("Tests")))

    def test_file_lengths_are_told(self):
        """Told, not judged: a long file is a question to its owner."""
        for name in tracked("Sources/*.swift", "Tests/*.swift", "*.py"):
            lines = len((ROOT / name).read_text().splitlines())
            if lines > LONGEST:
                self.notes.append(f"{name} has {lines} lines")

    def test_python_files_compile(self):
        found = []
        for name in tracked("*.py", "Tests/run", "Firmware/build", "Firmware/guest"):
            text = (ROOT / name).read_text()
            if name.endswith(".py") or text.startswith("#!/usr/bin/env python3"):
                try:
                    compile(text, name, "exec")
                except SyntaxError as error:
                    found.append(f"{name}: {error}")
        self.nothing(found)

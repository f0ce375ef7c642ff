"""The arrows between the targets."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import arrows  # noqa: E402


class Layers(unittest.TestCase):
    def nothing(self, found):
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_imports_point_down(self):
        self.nothing(arrows.wrong_imports())

    def test_pure_targets_take_no_clock_randomness_or_log(self):
        self.nothing(arrows.ambient_calls())

    def test_executables_only_start_the_glue(self):
        self.nothing(arrows.long_executables())

    def test_foundation_is_nowhere_in_sources(self):
        self.nothing([
            f"{path.relative_to(arrows.ROOT)}: imports {module}"
            for path in sorted(arrows.SOURCES.rglob("*.swift"))
            for module in arrows.IMPORT.findall(arrows.code_only(path.read_text()))
            if module.startswith(("Foundation", "Glibc", "Dispatch", "Musl"))])

    def test_c_code_is_header_shims_only(self):
        self.nothing([
            f"{path.relative_to(arrows.ROOT)}: C source in the tree"
            for path in sorted(arrows.SOURCES.rglob("*"))
            if path.suffix in (".c", ".cc", ".cpp", ".m", ".s", ".S", ".a", ".o", ".so")])

    def test_the_manifest_and_the_layer_table_agree(self):
        described = json.loads(subprocess.run(
            ["swift", "package", "describe", "--type", "json"], cwd=arrows.ROOT, check=True, capture_output=True,
            text=True).stdout)
        found = []
        for target in described["targets"]:
            name = target["name"]
            if not target["path"].startswith("Sources/") or target["type"] == "system-target":
                continue
            if name not in arrows.known():
                found.append(f"{name}: in the manifest, in no layer")
                continue
            for dependency in set(target.get("target_dependencies", [])) - arrows.allowed(name):
                found.append(f"{name}: the manifest lets it know {dependency}, its layer does not")
        self.nothing(sorted(found))

    def test_edge_targets_are_switched_on_for_embedded_and_server_targets_off(self):
        described = json.loads(subprocess.run(
            ["swift", "package", "--scratch-path", ".build-embedded", "describe", "--type", "json"], cwd=arrows.ROOT,
            check=True, capture_output=True, text=True, env=dict(os.environ, EDGE_EMBEDDED="1")).stdout)
        names = {target["name"] for target in described["targets"]}
        self.assertEqual(names & arrows.SERVER_ONLY, set())
        self.assertEqual(arrows.known() - arrows.SERVER_ONLY - names, set())

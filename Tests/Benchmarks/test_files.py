"""Files straight from program to program: how fast beside the bare data channel, and 1 GB with cuts."""

import hashlib
import json
import os
import pathlib
import subprocess
import time

from harness import Case, Viewer
from harness.case import ROOT
from harness.scenes import one_machine

MEGABYTE = 1 << 20
SIZE = int(os.environ.get("EDGE_FILE_MB", "1024")) * MEGABYTE
PROGRAM = ROOT / ".build" / "release" / "peer-benchmark"


def digest(path):
    hashed = hashlib.sha256()
    with open(path, "rb") as f:
        while data := f.read(MEGABYTE):
            hashed.update(data)
    return hashed.hexdigest()


class FileFigures(Case):
    seconds = 900

    def test_a_file_beside_the_bare_data_channel(self):
        done = subprocess.run([PROGRAM, self.folder, "200", "3"], capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        figures = json.loads(done.stdout)
        self.note("bare data channel %.1f MB/s, file with MSRP, hash and disk %.1f MB/s: %d %% of it, both ends on one core; "
                  "RSS %d MB" % (figures["raw_kB_s"] / 1000, figures["file_kB_s"] / 1000, figures["share_percent"],
                                 figures["resident_bytes"] >> 20))
        self.assertGreaterEqual(figures["share_percent"], 75, figures)

    def test_one_gigabyte_with_three_cuts_and_a_new_address(self):
        machine, server, node = one_machine(self)
        shared, target = self.folder / "recordings", self.folder / "got"
        shared.mkdir()
        target.mkdir()
        node.settings["files"] = {"share": str(shared)}
        node.ready()
        viewer = Viewer(self, machine, server)
        block = os.urandom(MEGABYTE)
        with open(shared / "big", "wb") as f:
            for number in range(SIZE // MEGABYTE):
                f.write(number.to_bytes(8, "big") + block[8:])
        expected = digest(shared / "big")
        runs = []

        def get():
            output = self.folder / f"get.{len(runs)}.json"
            process = self.start("get", [self.program("edge"), "get", "CAM-1", "big", "--output", target, "--json",
                                         *viewer.options()],
                                 machine, output=output, environment=viewer.environment())
            process.output = output
            runs.append(process)
            return process

        def reach(share, process):
            def there():
                return max([each.stat().st_size for each in target.glob(".edge-*.part")], default=0) >= SIZE * share
            self.wait_until(lambda: there() or not process.running(), 400, process.text)
            self.assertTrue(process.running(), process.text())

        def figures(resident, process, name):
            resident[name] = max(resident.get(name, 0), process.resident_bytes())

        resident = {}
        process = get()
        reach(0.2, process)
        figures(resident, process, "edge get")
        process.kill()
        process = get()
        reach(0.4, process)
        machine.run("ip", "address", "del", "192.168.77.1/24", "dev", "lan")
        machine.address("lan", "192.168.77.77/24")
        machine.default_route("192.168.77.254")
        reach(0.5, process)
        figures(resident, process, "edge get")
        figures(resident, node.process, "edge run")
        node.process.kill()
        time.sleep(0.5)
        node.ready()
        reach(0.7, process)
        process.kill()
        process = get()
        self.assertEqual(process.wait(400), 0, process.text())
        figures(resident, node.process, "edge run")
        result = json.loads(process.output.read_text())
        self.assertEqual(digest(target / "big"), expected)
        self.assertGreaterEqual(result["resumed_from"], SIZE * 0.65, process.text())
        self.assertEqual([each.name for each in target.iterdir()], ["big"])
        # Undisturbed, for the rate.
        process = get()
        self.assertEqual(process.wait(600), 0, process.text())
        whole = json.loads(process.output.read_text())
        self.assertEqual(digest(target / "big (1)"), expected)
        self.note(f"{SIZE >> 20} MB, killed twice, readdressed, node killed: the last run began at "
                  f"{result['resumed_from'] >> 20} MB; undisturbed {whole['transferred_bytes'] / whole['duration_ms'] / 1000:.1f} "
                  "MB/s; RSS " + ", ".join(f"{name} {size >> 20} MB" for name, size in resident.items()))
        self.assertLess(max(resident.values()), 64 * MEGABYTE, resident)

"""Every pair of routers, node behind the one and viewer behind the other, at two skews."""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "System"))

from harness import Case  # noqa: E402
from harness.grid import ROUTERS, Bench, table  # noqa: E402

SKEWS = (0, 0.3)
# Where the rows are left for the table of all of them.
ROWS = pathlib.Path(__file__).resolve().parents[2] / ".build" / "test-logs" / "grid" / "rows"
COLUMNS = os.environ.get("EDGE_GRID_COLUMNS", " ".join([*ROUTERS, "noudp"])).split()


class Grid(Case):
    seconds = 900

    def row(self, a):
        bench = Bench(self)
        results = [bench.cell(a, b, skew) for b in COLUMNS for skew in SKEWS]
        ROWS.mkdir(parents=True, exist_ok=True)
        (ROWS / f"{a}.json").write_text(json.dumps([vars(result) for result in results]))
        for result in results:
            print(result.line())
        print(table(results))
        self.assertEqual([result.line() for result in results if result.fault], [])

    def test_masq(self):
        self.row("masq")

    def test_masq_reject(self):
        self.row("masq_reject")

    def test_masq_persistent(self):
        self.row("masq_persistent")

    def test_masq_noindrop(self):
        self.row("masq_noindrop")

    def test_masq_random(self):
        self.row("masq_random")

    def test_masq_fullyrandom(self):
        self.row("masq_fullyrandom")

    def test_snat_range(self):
        self.row("snat_range")

    def test_jhash_eim(self):
        self.row("jhash_eim")

    def test_jhash_adm(self):
        self.row("jhash_adm")

    def test_jhash_apdm(self):
        self.row("jhash_apdm")

    def test_fullcone(self):
        self.row("fullcone")

    def test_restricted(self):
        self.row("restricted")

    def test_noudp(self):
        self.row("noudp")

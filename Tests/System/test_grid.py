"""A share of the NAT grid, small enough for every run; `Tests/run grid` measures all of it."""

from harness import Case
from harness.grid import Bench, table


class Grid(Case):
    seconds = 100
    weight = 2

    def check(self, cells):
        bench = Bench(self)
        results = [bench.cell(a, b, skew) for a, b, skew in cells]
        for result in results:
            self.note(result.line())
        print(table(results))
        self.assertEqual([result.line() for result in results if result.fault], [])

    def test_routers_that_let_two_homes_meet(self):
        self.check([("masq", "masq", 0), ("masq", "masq", 0.3), ("snat_range", "masq", 0),
                    ("fullcone", "jhash_apdm", 0), ("masq_random", "restricted", 0), ("jhash_adm", "fullcone", 0.3)])

    def test_routers_that_take_another_port_for_whom_they_heard_before(self):
        self.check([("masq_noindrop", "masq_noindrop", 0), ("masq_noindrop", "masq_noindrop", 0.3),
                    ("masq", "masq_noindrop", 0.3), ("masq_noindrop", "masq", 0)])

    def test_routers_that_only_a_relay_joins(self):
        self.check([("masq", "masq_random", 0), ("jhash_apdm", "jhash_adm", 0.3), ("noudp", "masq", 0),
                    ("fullcone", "noudp", 0)])

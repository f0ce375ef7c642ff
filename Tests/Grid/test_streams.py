"""Every width and loss of a path, steady and with a drop to a tenth in the middle: nothing stalls for longer than a second."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "System"))

from harness.streaming import LONGEST_STALL_MS, StreamingCase  # noqa: E402


class Streams(StreamingCase):
    seconds = 600
    weight = 4

    def row(self, megabits):
        _, (viewer, _) = self.scene()
        stalled = []
        for loss in (0, 0.01, 0.05):
            for drop in (False, True):
                for more in ((), ("--quality", "auto")):
                    name, figures = self.cell(viewer, megabits, loss, 18 if drop else 10, *more, drop=drop)
                    limit = LONGEST_STALL_MS
                    if drop and not more:
                        # Exact pictures cannot come faster than the tenth carries one of them.
                        limit += 1100 * figures["bytes"] / figures["frames"] / (megabits * 12_500)
                    if figures["longest_gap_ms"] > limit:
                        stalled.append(f"{name} {' '.join(more)}: {figures['longest_gap_ms']} ms")
        print("\n".join(self.notes))
        self.assertEqual(stalled, [])

    def test_2_megabits(self):
        self.row(2)

    def test_10_megabits(self):
        self.row(10)

    def test_50_megabits(self):
        self.row(50)

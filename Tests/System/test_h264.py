"""H.264 as the camera made it, for viewers whose path is too narrow for it and who come late."""

import subprocess
import time

from harness import Network, Node, Server, Viewer
from harness.nodes import DOMAIN, interrupt
from harness.streaming import StreamingCase

WIDTH, HEIGHT, INTERVAL, PICTURES = 320, 240, 25, 250
SETS = (7, 8)


def units(stream):
    """NAL units, each with its start code."""
    at, starts = 0, []
    while (at := stream.find(b"\0\0\1", at)) >= 0:
        starts.append(at - (at > 0 and stream[at - 1] == 0))
        at += 3
    return [stream[one:other] for one, other in zip(starts, [*starts[1:], len(stream)])]


def kind(unit):
    return unit[unit.index(1) + 1] & 0x1F


def access_units(stream):
    """Lists of NAL units: a picture begins with what follows a slice, or with another first slice."""
    found, has_slice = [[]], False
    for unit in units(stream):
        is_slice = kind(unit) in (1, 5)
        begins = unit[unit.index(1) + 2] & 0x80 if is_slice else 6 <= kind(unit) <= 9
        if has_slice and begins:
            found.append([])
            has_slice = False
        has_slice |= is_slice
        found[-1].append(unit)
    return found


def body(unit):
    """The picture's own bytes, without its parameter sets."""
    return b"".join(each for each in unit if kind(each) not in SETS)


class H264(StreamingCase):
    seconds = 180

    def clip(self):
        """Pictures of noise, some 4 Mbit/s, whose parameter sets come once, as some cameras send them."""
        path = self.folder / "clip.h264"
        subprocess.run(
            ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i",
             f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25,noise=alls=30:allf=t", "-frames:v", str(PICTURES), "-c:v", "libx264",
             "-preset", "ultrafast", "-g", str(INTERVAL), "-keyint_min", str(INTERVAL), "-sc_threshold", "0", "-bf", "0",
             "-pix_fmt", "yuv420p", "-b:v", "4M", "-maxrate", "4M", "-bufsize", "2M", "-f", "h264", path],
            check=True, timeout=60)
        made = access_units(path.read_bytes())
        self.assertEqual(len(made), PICTURES)
        once = made[0] + [unit for each in made[1:] for unit in each if kind(unit) not in SETS]
        path.write_bytes(b"".join(once))
        return path, {body(each): number for number, each in enumerate(made)}

    def scene(self):
        self.network = Network(self)
        machines = {label: self.network.host(label, last) for label, last in (("s", 10), ("n", 20), ("v", 30), ("w", 40))}
        for machine in machines.values():
            machine.hosts({DOMAIN: "203.0.113.10"})
        self.wire = self.network.core()
        server = Server(self, machines["s"]).start()
        path, self.numbers = self.clip()
        node = Node(self, machines["n"], server, cameras=[
            {"serial": "CAM-1", "source": "file", "path": str(path), "loop": True, "fps": 25, "size": f"{WIDTH}x{HEIGHT}"}])
        node.ready()
        return node, [Viewer(self, machines[label], server, name=name) for label, name in (("v", "anna"), ("w", "ben"))]

    def check(self, process):
        """Whole pictures of the camera's, in its order; each run begins with what decoding can begin with. Returns how
        many, and how many gaps."""
        received, last, gaps = access_units(process.picture.read_bytes()), None, -1
        for unit in received:
            number = self.numbers.get(body(unit))
            self.assertIsNotNone(number, "part of a picture, or none of the camera's")
            if last is None or number != (last + 1) % PICTURES:
                gaps += 1
                self.assertEqual([kind(each) for each in unit if kind(each) in (*SETS, 1, 5)], [*SETS, 5], number)
            last = number
        # Any decoder takes all of it.
        done = subprocess.run(["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-xerror", "-f", "h264", "-i", process.picture,
                               "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(len(done.stdout) // (WIDTH * HEIGHT), len(received))
        return len(received), gaps

    def test_a_viewer_on_a_narrow_path_gets_whole_pictures_and_goes_on_at_an_idr(self):
        node, (slow, fast) = self.scene()
        self.path("v", 1.5)
        self.path("w", 50)
        # Alone, when pictures are not even made while there is no room for them.
        alone = slow.view("CAM-1", "--duration", "12", form="h264")
        self.assertEqual(alone.wait(60), 0, alone.text())
        # Beside another, for whom all of them are made.
        beside = slow.view("CAM-1", "--duration", "12", form="h264")
        beside.wait_for("first picture", 30)
        # It comes between two IDR pictures, and need not wait for the next.
        time.sleep(0.5)
        other = fast.view("CAM-1", form="h264")
        other.wait_for("first picture", 30)
        self.assertEqual(beside.wait(60), 0, beside.text())
        self.assertEqual(interrupt(other), 0, other.text())
        for name, process in (("alone", alone), ("beside another", beside)):
            count, gaps = self.check(process)
            self.note(f"4 Mbit/s over 1.5, {name}: {count} whole pictures in 12 s, {gaps} gaps, each ended by an IDR")
            self.assertGreater(gaps, 1)
            self.assertGreater(count, 60)
        count, gaps = self.check(other)
        self.note(f"the other, over 50 Mbit/s: {count} whole pictures, {gaps} gaps")
        # A busy machine's wire may lose something; who has room is not held up by who has none.
        self.assertLess(gaps, 2)
        self.assertGreater(count, 200)

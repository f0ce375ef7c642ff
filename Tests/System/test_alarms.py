"""Alarms: from a changed block to the owner's terminal, and none where nothing happens."""

import json
import os
import pathlib
import queue
import random
import statistics
import struct
import threading
import time
import zlib

from harness import Case
from harness.nodes import Account, interrupt, terminal
from harness.scenes import one_machine

WIDTH, HEIGHT, RATE = 320, 240, 20


class Clip:
    """Pictures of a camera at rest, with a sensor's noise, and of a box that crosses them; from a seed."""

    def __init__(self, seed, sigma=2.0):
        generator = random.Random(seed)
        self.scene = bytes(min(220, 60 + (x // 20 * 23 + y // 24 * 31) % 120) for y in range(HEIGHT) for x in range(WIDTH))
        self.chroma = bytes([128]) * (WIDTH * HEIGHT // 2)
        # A few thousand samples of noise, read from another place for each row: no two pictures are alike.
        self.noise = [round(generator.gauss(0, sigma)) for _ in range(1 << 16)]
        self.generator = generator

    def picture(self, box=None):
        """`box`: where a dark 24x24 box is."""
        rows = []
        for y in range(HEIGHT):
            row = bytearray(self.scene[y * WIDTH:(y + 1) * WIDTH])
            if box and box[1] <= y < box[1] + 24:
                row[box[0]:box[0] + 24] = bytes([20]) * 24
            at = self.generator.randrange(len(self.noise) - WIDTH)
            rows.append(bytes(map(lambda v, n: max(0, min(255, v + n)), row, self.noise[at:at + WIDTH])))
        return b"FRAME\n" + b"".join(rows) + self.chroma

    @staticmethod
    def header(rate):
        return f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{rate}:1 Ip A1:1 C420jpeg\n".encode()


class LiveCamera:
    """A camera that shows what the test says, when the test says it: a named pipe that is played as a file."""

    def __init__(self, path, rest, moving):
        self.path, self.rest, self.moving = path, rest, moving
        os.mkfifo(path)
        self.left = 0
        self.shown = queue.Queue()
        self.is_open = True
        self.thread = threading.Thread(target=self.play, daemon=True)
        self.thread.start()

    def move(self, pictures):
        """Shows the box for so many pictures; the time the first was handed over is put into `shown`."""
        self.left = pictures

    def play(self):
        try:
            with open(self.path, "wb", buffering=0) as pipe:
                # The node takes each picture as soon as it is there: it believes that it is late.
                pipe.write(Clip.header(60))
                number, due, moved = 0, time.monotonic(), False
                while self.is_open:
                    moves = self.left > 0
                    if moves:
                        self.left -= 1
                    pictures = self.moving if moves else self.rest
                    now = time.time()
                    pipe.write(pictures[number % len(pictures)])
                    if moves and not moved:
                        self.shown.put(now)
                    moved = moves
                    number += 1
                    due += 1 / RATE
                    time.sleep(max(0, due - time.monotonic()))
        except OSError:
            pass


class Alarms(Case):
    seconds = 120

    def events(self, phone, *more):
        return self.complete([self.program("edge"), "events", "--json", *more, *phone.options()], phone.namespace,
                             env=phone.environment())

    def check_picture(self, path):
        data = pathlib.Path(path).read_bytes()
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        at, raw = 8, b""
        while at < len(data):
            length, kind = struct.unpack(">I4s", data[at:at + 8])
            if kind == b"IDAT":
                raw += data[at + 8:at + 8 + length]
            at += 12 + length
        self.assertEqual(len(zlib.decompress(raw)), height * (1 + 3 * width))
        self.assertIn((width, height), ((320, 240), (160, 120)))

    def test_motion_reaches_the_owner_at_once_or_at_log_in_and_a_still_scene_is_no_motion(self):
        clip = Clip(1)
        rest = [clip.picture() for _ in range(12)]
        moving = [clip.picture((40 + 12 * step, 100)) for step in range(16)]
        camera = LiveCamera(str(self.folder / "camera.y4m"), rest, moving)
        self.addCleanup(setattr, camera, "is_open", False)
        machine, server, node = one_machine(self, cameras=[{
            "serial": "CAM-1", "source": "file", "path": str(self.folder / "camera.y4m"), "name": "Gate",
            "alarms": {"motion": {"hold": 1}, "interval": 1}}])
        node.ready()
        anna = Account(server, "anna", server.account("anna"))
        server.grant("anna", "CAM-1")
        server.account("carl")
        phone = terminal(self, machine, server, anna, 1)
        following = self.start("events", [self.program("edge"), "events", "--follow", "--json", *phone.options()],
                               machine, environment=phone.environment())
        self.wait_until(lambda: (server.status() or {}).get("subscriptions", 0) >= 2, 15, "anna is not subscribed")
        arrivals = Arrivals(following)
        # Nobody views it, and nothing moves.
        time.sleep(4)
        self.assertEqual(arrivals.all(), [])
        latencies = []
        for number in range(8):
            camera.move(8)
            shown = camera.shown.get(timeout=5)
            when, event = arrivals.next("text", 10)
            self.assertEqual((event["kind"], event["phase"], event["serial"]), ("motion", "begin", "CAM-1"))
            latencies.append((when - shown) * 1000)
            picture = arrivals.next("picture", 10)[1]
            self.assertEqual(picture["id"], event["id"])
            if number == 0:
                self.assertIn("Gate (CAM-1): motion", event["text"])
                self.check_picture(picture["picture"])
            time.sleep(random.uniform(2.2, 2.5))
        self.assertEqual(len([each for _, each in arrivals.all() if "text" in each]), 8)
        latencies.sort()
        self.note(f"from a changed block to the owner's terminal: p50 {statistics.median(latencies):.0f} ms, p95 "
                  f"{latencies[round(0.95 * (len(latencies) - 1))]:.0f} ms ({len(latencies)} alarms, {RATE} pictures a second)")
        self.assertEqual(interrupt(following), 0)
        # Nobody is there: it waits, with its picture, and comes at log-in.
        camera.move(8)
        camera.shown.get(timeout=5)
        self.wait_until(lambda: node.process.text().count("phase=end") == 9, 15, "the last motion does not end")
        time.sleep(1)
        done = self.events(phone)
        self.assertEqual(done.returncode, 0, done.stderr)
        received = [json.loads(line) for line in done.stdout.splitlines()]
        last = received[-2:]
        self.assertEqual([("text" in each, "picture" in each) for each in last], [(True, False), (False, True)], received)
        self.assertEqual(last[0]["id"], last[1]["id"])
        self.check_picture(last[1]["picture"])
        # The node's own journal has the ends too.
        own = node.command("events", "--json")
        lines = [json.loads(line) for line in own.stdout.splitlines()]
        self.assertEqual(len([each for each in lines if each["phase"] == "end"]), 9, own.stdout)
        self.assertEqual(len({each["id"] for each in lines}), 9)
        self.assertTrue(all(pathlib.Path(each["picture"]).exists() for each in lines if "picture" in each))

    def test_a_lost_camera_is_told_and_that_it_is_back(self):
        clip = Clip(2)
        path = self.folder / "clip.y4m"
        content = Clip.header(RATE) + b"".join(clip.picture() for _ in range(20))
        path.write_bytes(content)
        machine, server, node = one_machine(self, cameras=[{
            "serial": "CAM-1", "source": "file", "path": str(path), "loop": True, "alarms": {"interval": 1}}])
        node.ready()
        anna = Account(server, "anna", server.account("anna"))
        server.grant("anna", "CAM-1")
        phone = terminal(self, machine, server, anna, 1)
        following = self.start("events", [self.program("edge"), "events", "--follow", *phone.options()],
                               machine, environment=phone.environment())
        self.wait_until(lambda: (server.status() or {}).get("subscriptions", 0) >= 2, 15, "anna is not subscribed")
        path.unlink()
        following.wait_for(r"CAM-1: the camera is lost", 15)
        path.write_bytes(content)
        following.wait_for(r"CAM-1: the camera is back", 30)
        self.assertEqual(interrupt(following), 0)


class Arrivals:
    """Lines of a program's log, with the time each was seen."""

    def __init__(self, process):
        self.process, self.seen, self.taken = process, [], set()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        position = 0
        while self.process.running():
            text = self.process.log.read_bytes()
            end = text.rfind(b"\n") + 1
            now = time.time()
            for line in text[position:end].splitlines():
                if line.startswith(b"{"):
                    self.seen.append((now, json.loads(line)))
            position = max(position, end)
            time.sleep(0.003)

    def all(self):
        return list(self.seen)

    def next(self, key, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for index, each in enumerate(self.seen):
                if key in each[1] and index not in self.taken:
                    self.taken.add(index)
                    return each
            time.sleep(0.005)
        raise AssertionError(f"no {key} came within {seconds} s: {self.seen} {self.process.kept_tail()}")

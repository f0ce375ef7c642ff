"""Pictures for people: the player in a terminal, the local page in a browser, snapshots."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
import zlib

from harness import Case, Viewer
from harness.case import ROOT
from harness.scenes import one_machine

SHOTS = ROOT / ".build" / "test-logs" / "screenshots"
# The test card's bars, from the left.
BARS = [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191)]
BROWSERS = ("chromium-headless-shell", "chromium")


def png(path, width, height, rows):
    """Writes RGB rows."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))) + chunk(b"IEND", b""))


def pixels(data):
    """Rows of (r, g, b) of an 8-bit RGB or RGBA PNG without interlacing."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    assert depth == 8 and colour in (2, 6)
    body, at = b"", 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            body += data[at + 8:at + 8 + length]
        at += 12 + length
    raw, step = zlib.decompress(body), 3 if colour == 2 else 4
    rows, last = [], bytearray(width * step)
    for row in range(height):
        start = row * (width * step + 1)
        kind, line = raw[start], bytearray(raw[start + 1:start + 1 + width * step])
        for i in range(len(line)):
            a = line[i - step] if i >= step else 0
            b, c = last[i], last[i - step] if i >= step else 0
            if kind == 1:
                line[i] = (line[i] + a) & 255
            elif kind == 2:
                line[i] = (line[i] + b) & 255
            elif kind == 3:
                line[i] = (line[i] + (a + b) // 2) & 255
            elif kind == 4:
                p = a + b - c
                near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))
                line[i] = (line[i] + near[2]) & 255
        rows.append([tuple(line[i:i + 3]) for i in range(0, len(line), step)])
        last = line
    return rows


def near(one, other, slack=12):
    return all(abs(a - b) <= slack for a, b in zip(one, other))


def shows_bars(row, slack=12):
    """Whether the colours of the bars come one after the other, each for a while."""
    found = []
    for pixel in row:
        for bar in BARS:
            if near(pixel, bar, slack) and (not found or found[-1] != bar):
                found.append(bar)
    return found == BARS


class Pictures(Case):
    seconds = 120

    def command(self, viewer, *more):
        return [self.program("edge"), "view", "CAM-1", *viewer.options(), *more]

    def test_a_terminal_shows_the_picture(self):
        if not shutil.which("tmux"):
            self.skipTest("tmux is not installed")
        machine, server, node = one_machine(self)
        node.ready()
        viewer = Viewer(self, machine, server)
        socket = self.folder / "tmux"
        tmux = ["tmux", "-S", str(socket), "-f", str(self.folder / "tmux.conf")]
        environment = dict(viewer.environment(), TERM="xterm-256color", LANG="C.UTF-8", LC_ALL="C.UTF-8")
        shell = " ".join(str(each) for each in [*machine.prefix(), *self.command(viewer, "--play", "--frames", "150")])
        # What the player says stays to be seen when it ends too soon.
        (self.folder / "tmux.conf").write_text("set -g remain-on-exit on\n")
        subprocess.run([*tmux, "new-session", "-d", "-x", "100", "-y", "32", shell], env=environment, check=True)
        self.addCleanup(lambda: subprocess.run([*tmux, "kill-server"], capture_output=True))
        colours = []

        def drawn():
            told = subprocess.run([*tmux, "capture-pane", "-e", "-p"], capture_output=True, text=True).stdout
            colours[:] = cells(told)
            return any(shows_bars([upper for upper, _ in row]) for row in colours)
        self.wait_until(drawn, 30, lambda: "no colour bars in the terminal:\n" + subprocess.run(
            [*tmux, "capture-pane", "-p"], capture_output=True, text=True).stdout)
        status = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True).stdout
        rows = []
        for row in [row for row in colours if row]:
            wide = row + [((0, 0, 0), (0, 0, 0))] * (100 - len(row))
            for half in (0, 1):
                rows += [b"".join(bytes(cell[half]) * 8 for cell in wide)] * 8
        png(SHOTS / "terminal.png", 800, len(rows), rows)
        self.note(f"screenshot {SHOTS.relative_to(ROOT)}/terminal.png, {len(colours)} rows of the terminal")
        self.assertGreater(len(rows), 16 * 15, status)
        # It ends by itself, and gives the terminal back.
        def ended():
            told = subprocess.run([*tmux, "list-panes", "-F", "#{pane_dead}"], capture_output=True, text=True).stdout
            return told.strip() == "1"
        self.wait_until(ended, 30, "the player does not end")

    def test_a_terminal_that_draws_sixel_gets_sixel(self):
        machine, server, node = one_machine(self)
        node.ready()
        viewer = Viewer(self, machine, server)
        terminal, other = pty.openpty()
        self.addCleanup(os.close, terminal)
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 80, 640, 496))
        command = [*machine.prefix(), *self.command(viewer, "--play")]
        player = subprocess.Popen(list(map(str, command)), stdin=other, stdout=other, stderr=other, start_new_session=True,
                                  env=dict(viewer.environment(), TERM="xterm"))
        self.addCleanup(player.kill)
        os.close(other)
        told, answered, deadline = b"", False, time.monotonic() + 40
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.2)[0]:
                if player.poll() is not None:
                    break
                continue
            try:
                told += os.read(terminal, 1 << 20)
            except OSError:
                break
            if not answered and b"\x1b[c" in told:
                # What xterm says with its decGraphics resource set: a VT220 with Sixel graphics.
                os.write(terminal, b"\x1b[?62;4;6c")
                answered = True
            if told.count(b"\x1b\\") >= 3:
                player.send_signal(signal.SIGINT)
        self.assertTrue(answered, told[-300:])
        self.assertEqual(player.wait(10), 0, told[-300:])
        pictures = re.findall(rb"\x1bP[0-9;]*q(.*?)\x1b\\", told, re.S)
        self.assertTrue(pictures, told[-300:])
        rows = sixel(pictures[-1].decode())
        self.assertTrue(any(shows_bars(row, 20) for row in rows), "no colour bars in the Sixel picture")
        png(SHOTS / "sixel.png", len(rows[0]), len(rows), [b"".join(map(bytes, row)) for row in rows])
        self.note(f"screenshot {SHOTS.relative_to(ROOT)}/sixel.png, {len(rows[0])}x{len(rows)} pixels, "
                  f"{len(pictures[-1]) // 1000} kB a picture")
        # The screen and the cursor are given back.
        self.assertIn(b"\x1b[?25h", told[told.rindex(b"\x1b\\"):])

    def test_a_page_shows_the_picture_and_the_figures_to_this_machine_only(self):
        machine, server, node = one_machine(self)
        node.ready()
        viewer = Viewer(self, machine, server)
        process = self.start("view", self.command(viewer, "--serve", "127.0.0.1:8088", "--stats", self.folder / "s.json"),
                             machine, environment=viewer.environment())
        process.wait_for("first picture", 30)

        def get(path, *more):
            return self.complete(["curl", "-sS", "-m", "10", *more, f"http://127.0.0.1:8088{path}"], machine, text=False)
        figures = json.loads(get("/stats.json").stdout)
        self.assertEqual(figures["serial"], "CAM-1")
        picture = pixels(get("/picture").stdout)
        self.assertTrue(any(map(shows_bars, picture)))
        self.assertIn(b"/stream", get("/").stdout)
        # A name that some other site had resolved to this address.
        refused = get("/stats.json", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: evil.example:8088")
        self.assertEqual(refused.stdout, b"403")
        stream = get("/stream", "-m", "2", "-D", "-").stdout
        self.assertIn(b"multipart/x-mixed-replace", stream)
        self.assertGreater(stream.count(b"--edge-picture"), 5)
        # Only loopback addresses are taken.
        done = self.complete(self.command(viewer, "--serve", "0.0.0.0:8089"), machine, env=viewer.environment())
        self.assertEqual(done.returncode, 64, done.stderr)
        self.browse(machine)
        process.signal(2)
        self.assertEqual(process.wait(10), 0, process.text())
        latency = json.loads((self.folder / "s.json").read_text())["latency"]
        self.note("median ms: " + ", ".join(f"{stage} {value['p50_ms']:.1f}" for stage, value in latency.items() if value))
        self.assertTrue(all(latency[stage] for stage in ("capture", "encode", "queue", "network", "decode")), latency)

    def browse(self, machine):
        browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
        self.assertTrue(browser, "no Chromium is installed: make packages")
        shot = SHOTS / "page.png"
        shot.parent.mkdir(parents=True, exist_ok=True)
        shot.unlink(missing_ok=True)
        # The stream never ends, so the time after which the browser looks is a budget.
        done = self.complete(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=900,700",
             f"--user-data-dir={self.folder}/browser", "--timeout=6000", f"--screenshot={shot}",
             "http://127.0.0.1:8088/"], machine, timeout=60)
        self.assertTrue(shot.exists(), done.stderr[-2000:])
        rows = pixels(shot.read_bytes())
        self.assertTrue(any(shows_bars(row) for row in rows), "no colour bars on the page")
        told = self.complete(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.folder}/browser",
             "--timeout=3000", "--dump-dom", "http://127.0.0.1:8088/"], machine, timeout=60).stdout
        for name, value in (("camera", "CAM-1"), ("size", "320x240"), ("path", "host"), ("pictures/s", r"[0-9.]+")):
            self.assertRegex(told, rf"<td>{name}</td><td>{value}</td>")
        self.note(f"screenshot {shot.relative_to(ROOT)}")

    def test_a_snapshot_is_one_picture(self):
        machine, server, node = one_machine(self)
        node.ready()
        viewer = Viewer(self, machine, server)
        file = self.folder / "gate.png"
        done = self.complete(self.command(viewer, "--snapshot", file), machine, env=viewer.environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(any(map(shows_bars, pixels(file.read_bytes()))), [row[::20] for row in pixels(file.read_bytes())[100:101]])

    def test_a_window_player_gets_a_stream_it_can_play(self):
        machine, server, node = one_machine(self)
        node.ready()
        viewer = Viewer(self, machine, server)
        # In the player's place: keeps what it is fed.
        tools = self.folder / "tools"
        tools.mkdir()
        kept = self.folder / "kept.y4m"
        fake = tools / "mpv"
        fake.write_text(f"#!/bin/sh\nfor last; do :; done\nexec head -c 1200000 \"$last\" > {kept}\n")
        fake.chmod(0o755)
        environment = dict(viewer.environment(), DISPLAY=":7", XDG_RUNTIME_DIR=str(self.folder))
        environment["PATH"] = f"{tools}:{environment['PATH']}"
        done = self.complete(self.command(viewer, "--play", "--quality", "camera"), machine, env=environment, timeout=60)
        # The player's window was closed: the end, and no error.
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(kept.read_bytes().startswith(b"YUV4MPEG2 W320 H240"))

    def test_a_camera_without_settings_says_so(self):
        machine, server, node = one_machine(self)
        node.ready()
        viewer = Viewer(self, machine, server)
        done = self.complete([self.program("edge"), "camera", "CAM-1", "list", *viewer.options()], machine,
                             env=viewer.environment())
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("test card has no settings", done.stderr)


def sixel(text):
    """Rows of (r, g, b) of a Sixel picture (DEC STD 070)."""
    size = re.match(r'"1;1;(\d+);(\d+)', text)
    width, height = int(size[1]), int(size[2])
    rows = [[(0, 0, 0)] * width for _ in range(height)]
    palette, colour, x, top = {}, (0, 0, 0), 0, 0
    for found in re.finditer(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)([?-~])|([?-~])|(\$)|(-)", text[size.end():]):
        if found[1]:
            palette[int(found[1])] = tuple(int(found[part]) * 255 // 100 for part in (2, 3, 4))
        elif found[5]:
            colour = palette[int(found[5])]
        elif found[9]:
            x = 0
        elif found[10]:
            x, top = 0, top + 6
        else:
            count, bits = int(found[6] or 1), ord(found[7] or found[8]) - 63
            for row in range(6):
                if bits >> row & 1:
                    rows[top + row][x:x + count] = [colour] * count
            x += count
    return rows


def cells(text):
    """The two colours of each half block of a captured terminal, row by row."""
    rows, fore, back = [], None, None
    for line in text.split("\n"):
        row = []
        for found in re.finditer(r"\x1b\[([0-9;]*)m|(.)", line):
            if found[1] is not None:
                codes = [int(code or 0) for code in found[1].split(";")]
                at = 0
                while at < len(codes):
                    if codes[at] in (38, 48) and codes[at + 1:at + 2] == [2]:
                        colour = tuple(codes[at + 2:at + 5])
                        fore, back = (colour, back) if codes[at] == 38 else (fore, colour)
                        at += 5
                    else:
                        at += 1
            elif found[2] == "\u2580" and fore and back:
                row.append((fore, back))
        rows.append(row)
    return rows

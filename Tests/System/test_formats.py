"""What cameras deliver, as it comes out: compressed pictures as they were made, near-lossless ones within their bound."""

import json
import subprocess

from harness import Case, Viewer
from harness.nodes import interrupt
from harness.scenes import one_machine

CODERS = {"mjpeg": ["-c:v", "mjpeg", "-q:v", "12", "-pix_fmt", "yuvj420p"],
          "h264": ["-c:v", "libx264", "-g", "25", "-bf", "0", "-pix_fmt", "yuv420p"]}
WIDTH, HEIGHT = 160, 120


def ffmpeg(*arguments, stdin=None):
    done = subprocess.run(["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)],
                          capture_output=True, input=stdin, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"ffmpeg {' '.join(map(str, arguments))}: {done.stderr.decode()}")
    return done


class Formats(Case):
    seconds = 180

    def clip(self, kind, seconds=1):
        path = self.folder / f"clip.{kind}"
        ffmpeg("-f", "lavfi", "-i", f"testsrc=size={WIDTH}x{HEIGHT}:rate=25", "-t", seconds, *CODERS[kind], "-f", kind, path)
        return path

    def scene(self):
        """A machine with a camera of each compressed kind, and one with raw pictures."""
        self.clips = {kind: self.clip(kind) for kind in CODERS}
        machine, server, node = one_machine(self, cameras=[
            {"serial": "CAM-J", "source": "file", "path": str(self.clips["mjpeg"]), "loop": True},
            {"serial": "CAM-H", "source": "file", "path": str(self.clips["h264"]), "loop": True, "fps": 25,
             "size": f"{WIDTH}x{HEIGHT}"},
            {"serial": "CAM-R", "source": "testcard", "size": "320x240", "fps": 15}])
        node.ready()
        return machine, Viewer(self, machine, server, serials=("CAM-J", "CAM-H", "CAM-R"))

    def command(self, serial, viewer, *more):
        return [self.program("edge"), "view", serial, *viewer.options(), *map(str, more)]

    def levels(self, path, kind):
        """How many different levels each decoded picture has."""
        raw = ffmpeg("-f", kind, "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-").stdout
        size = WIDTH * HEIGHT
        return [len(set(raw[at:at + size])) for at in range(0, len(raw) - size + 1, size)]

    def test_compressed_pictures_pass_untouched_and_a_camera_that_is_gone_has_a_placeholder(self):
        _, viewer = self.scene()
        for kind, serial in (("mjpeg", "CAM-J"), ("h264", "CAM-H")):
            done = viewer.view(serial, "--frames", "30", form=kind)
            self.assertEqual(done.wait(30), 0, done.text())
            clip = self.clips[kind].read_bytes()
            self.assertIn(done.picture.read_bytes(), clip * 4, f"{kind} was changed on its way")
            self.assertEqual(len(self.levels(done.picture, kind)), 30)
            # The camera goes away, and comes back.
            process = viewer.view(serial, form=kind)
            process.wait_for("first picture", 30)
            away = self.clips[kind].rename(self.folder / "away")
            process.wait_for("camera: .* does not exist", 20)
            self.wait_until(lambda: min(self.levels(process.picture, kind)) <= 40, 20, "no placeholder")
            away.rename(self.clips[kind])
            self.wait_until(lambda: self.levels(process.picture, kind)[-1] > 40, 20, "no picture again")
            self.assertEqual(interrupt(process), 0, process.text())
            self.assertNotIn("connecting again", process.text())
            levels = self.levels(process.picture, kind)
            gone = [level for level in levels if level <= 40]
            self.note(f"{kind}: {len(levels)} pictures, {len(gone)} of them the placeholder")
            self.assertGreater(len(levels) - len(gone), 10)

    def test_a_camera_that_makes_jpeg_gives_jpeg_snapshots_and_a_page(self):
        machine, viewer = self.scene()
        jpeg = self.folder / "gate.jpg"
        done = self.complete(self.command("CAM-J", viewer, "--snapshot", jpeg), machine, env=viewer.environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(jpeg.read_bytes(), self.clips["mjpeg"].read_bytes())
        # What cannot be is told with what can.
        for serial, name, words in (("CAM-J", "gate.png", "name a .jpg file"), ("CAM-R", "other.jpg", "--format y4m or png"),
                                    ("CAM-H", "gate.png", "--format h264")):
            done = self.complete(self.command(serial, viewer, "--snapshot", self.folder / name), machine,
                                 env=viewer.environment())
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(words, done.stderr)
        process = self.start("view", self.command("CAM-J", viewer, "--serve", "127.0.0.1:8188"), machine,
                             environment=viewer.environment())
        process.wait_for("first picture", 30)
        picture = self.complete(["curl", "-sS", "-m", "10", "http://127.0.0.1:8188/picture"], machine, text=False).stdout
        self.assertIn(picture, self.clips["mjpeg"].read_bytes())
        self.assertEqual(interrupt(process), 0, process.text())

    def test_ffmpeg_makes_matroska_of_what_is_piped_to_it(self):
        machine, viewer = self.scene()
        for serial, form, coder in (("CAM-R", "y4m", ["-c:v", "ffv1"]), ("CAM-J", "mjpeg", ["-c:v", "copy"]),
                                    ("CAM-H", "h264", ["-c:v", "copy"])):
            file = self.folder / f"{form}.mkv"
            view = subprocess.Popen(
                [*machine.prefix(), *self.command(serial, viewer, "--frames", "30", "--format", form, "--output", "-")],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=viewer.environment())
            self.addCleanup(view.kill)
            made = subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-f", {"y4m": "yuv4mpegpipe"}.get(form, form),
                                   "-i", "-", *coder, "-y", str(file)], stdin=view.stdout, capture_output=True, timeout=60)
            self.assertEqual(made.returncode, 0, made.stderr)
            self.assertEqual(view.wait(10), 0)
            told = subprocess.run(
                ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,width,height,nb_read_frames",
                 "-of", "json", str(file)], capture_output=True, text=True, timeout=30)
            stream = json.loads(told.stdout)["streams"][0]
            self.assertEqual(stream["codec_name"], {"y4m": "ffv1"}.get(form, form))
            self.assertEqual(stream["nb_read_frames"], "30")
        self.note("y4m, MJPEG and H.264 piped to ffmpeg: Matroska files of 30 pictures each")


class NearLossless(Case):
    seconds = 120

    def test_the_camera_and_the_viewer_each_say_how_exact(self):
        from harness.streaming import HEIGHT, WIDTH, clip
        pictures = clip(self.folder / "clip.y4m")
        common = {"source": "file", "path": str(self.folder / "clip.y4m"), "loop": True}
        machine, server, node = one_machine(self, cameras=[
            {"serial": "CAM-1", **common}, {"serial": "CAM-2", **common, "max-error": 2},
            {"serial": "CAM-3", **common, "gate": "auto"}])
        node.ready()
        viewer = Viewer(self, machine, server, serials=("CAM-1", "CAM-2", "CAM-3"))
        size, sizes = WIDTH * HEIGHT * 3 // 2, {}
        # What is asked of each camera, and how far off the worst sample may be.
        for serial, quality, bound in (("CAM-1", None, 0), ("CAM-1", "max-error:1", 1), ("CAM-1", "max-error:4", 4),
                                       ("CAM-2", None, 2), ("CAM-2", "lossless", 0), ("CAM-3", None, None)):
            figures = viewer.frames(20, serial, 40, *(["--quality", quality] if quality else []))
            with open(self.folder / f"anna.{viewer.count}.raw", "rb") as file:
                made = [file.read(size) for _ in range(20)]
            self.assertTrue(all(len(each) == size for each in made))
            worst = max(min(max(abs(a - b) for a, b in zip(each[:4000], source[:4000])) for source in pictures)
                        for each in made)
            sizes[serial, quality] = figures["bytes"]
            if bound is not None:
                self.assertLessEqual(worst, bound, f"{serial} {quality}")
            if bound != 0:
                self.assertGreater(worst, 0, f"{serial} {quality}: nothing was saved")
                self.assertLess(figures["bytes"], sizes["CAM-1", None])
        self.note("20 pictures of noise, kB: " + ", ".join(
            f"{serial} {quality or 'as configured'} {count // 1000}" for (serial, quality), count in sizes.items()))
        # Two viewers of one quality are served by one encoder, and told so.
        both = [viewer.view("CAM-2", output="/dev/null") for _ in range(2)]
        for process in both:
            process.wait_for("first picture", 30)
        self.assertEqual([each["rendition"] for each in node.status()["sessions"]], ["max-error:2"] * 2)
        for process in both:
            self.assertEqual(interrupt(process), 0, process.text())

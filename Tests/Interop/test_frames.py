"""Streams of the Swift encoder through decoders it shares no line with.

For every raw format and quality a short clip is encoded. Its pictures are rebuilt with frame_decoder.py,
which was written from docs/frame-format.md, and compared with the source; every stream is inflated with
Python's zlib and with libdeflate.
"""

import ctypes
import ctypes.util
import os
import pathlib
import random
import struct
import subprocess
import unittest
import tempfile
import zlib

import frame_decoder

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("EDGE_FRAME_BENCHMARK", ROOT / ".build" / "release" / "frame-benchmark"))
FORMATS = {"YUYV": 2, "UYVY": 2, "NV12": 1.5, "YU12": 1.5, "YV12": 1.5, "GREY": 1, "RGB24": 3, "BGR24": 3, "Y16": 2}
# Largest error promised by each quality; the gate's is in the header.
QUALITIES = {"lossless": 0, "1": 1, "4": 4, "gate": None}
FRAMES = 5


def clip(size, seed):
    """Gradients with a moving bright patch: temporal, spatial and unchanged blocks."""
    noise = random.Random(seed)
    frames = []
    for number in range(FRAMES):
        frame = bytearray((index * 3 // 7 + number // 2) & 255 for index in range(size))
        length = min(600, size // 4)
        start = (size // 3 + number * 997) % (size - length)
        frame[start:start + length] = bytes(noise.randrange(256) for _ in range(length))
        frames.append(bytes(frame))
    return frames


class LibDeflate:
    def __init__(self):
        self.library = ctypes.CDLL(ctypes.util.find_library("deflate"))
        self.library.libdeflate_alloc_decompressor.restype = ctypes.c_void_p
        self.library.libdeflate_zlib_decompress.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
            ctypes.POINTER(ctypes.c_size_t)]
        self.handle = self.library.libdeflate_alloc_decompressor()

    def inflate(self, stream, size):
        """Returns what came out, or the number of the error."""
        out = ctypes.create_string_buffer(size)
        written = ctypes.c_size_t()
        code = self.library.libdeflate_zlib_decompress(
            self.handle, stream, len(stream), out, size, ctypes.byref(written))
        return out.raw[:written.value] if code == 0 else code


def largest_error(name, a, b):
    if name == "Y16":
        a, b = (struct.unpack("<%dH" % (len(x) // 2), x) for x in (a, b))
    return max(abs(x - y) for x, y in zip(a, b))


class Frames(unittest.TestCase):
    seconds = 240

    def encoded(self, name, width, height, quality, frames):
        """What the encoder makes of the pictures: its parts, each behind its length."""
        with tempfile.TemporaryDirectory() as folder:
            source, parts = pathlib.Path(folder, "clip"), pathlib.Path(folder, "parts")
            source.write_bytes(b"".join(frames))
            subprocess.run(
                [PROGRAM, source, name, f"{width}x{height}", str(FRAMES), "0", "--quality", quality, "--write-parts",
                 parts], check=True, stdout=subprocess.DEVNULL)
            return parts.read_bytes()

    def check(self, width, height, qualities):
        deflate = LibDeflate()
        streams = pictures = 0
        for name, bytes_per_pixel in FORMATS.items():
            frames = clip(int(width * height * bytes_per_pixel), name)
            for quality in qualities:
                data = self.encoded(name, width, height, quality, frames)
                for part in frame_decoder.read_parts(data):
                    stream = part[44 + struct.unpack_from(">H", part, 40)[0]:]
                    payload = zlib.decompress(stream)
                    self.assertEqual(deflate.inflate(stream, len(payload) + 1), payload)
                    streams += 1
                rebuilt = list(frame_decoder.decode(data))
                self.assertEqual(len(rebuilt), FRAMES)
                for index, (fields, picture) in enumerate(rebuilt):
                    pictures += 1
                    told = f"{name} {width}x{height} {quality}: frame {index}"
                    self.assertEqual(zlib.adler32(picture), fields["checksum"], told)
                    error = largest_error(name, picture, frames[index])
                    self.assertLessEqual(error, fields["max_error"], told)
                    if QUALITIES[quality] is not None:
                        self.assertLessEqual(error, QUALITIES[quality], told)
        self.notes = [f"{width}x{height}: {pictures} pictures rebuilt, {streams} streams inflated by zlib and libdeflate"]

    def test_every_format_and_quality_is_rebuilt_from_the_documented_format(self):
        self.check(150, 82, QUALITIES)

    def test_the_smallest_pictures_are_rebuilt(self):
        self.check(16, 16, ["lossless", "1"])


if __name__ == "__main__":
    unittest.main()

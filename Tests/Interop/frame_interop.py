#!/usr/bin/env python3
"""Streams of the Swift encoder through decoders it shares no line with.

    frame_interop.py FRAME_BENCHMARK    the built benchmark program, which writes parts

For every raw format and quality a short clip is encoded; its pictures are rebuilt with
frame_decoder.py (Python's zlib) and compared with the source, and every stream is
inflated with libdeflate as well where that library is installed. Exits 1 on a difference.
"""

import ctypes
import ctypes.util
import os
import random
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import frame_decoder

FORMATS = {"YUYV": 2, "UYVY": 2, "NV12": 1.5, "YU12": 1.5, "YV12": 1.5, "GREY": 1, "RGB24": 3, "BGR24": 3, "Y16": 2}
WIDTH, HEIGHT, FRAMES = 150, 82, 5


def clip(size, seed):
    """Gradients with a moving bright patch: temporal, spatial and unchanged blocks."""
    noise = random.Random(seed)
    frames = []
    for number in range(FRAMES):
        frame = bytearray((index * 3 // 7 + number // 2) & 255 for index in range(size))
        start = (size // 3 + number * 997) % (size - 600)
        frame[start:start + 600] = bytes(noise.randrange(256) for _ in range(600))
        frames.append(bytes(frame))
    return frames


def load_libdeflate():
    name = ctypes.util.find_library("deflate")
    if not name:
        print("libdeflate is not installed: streams checked with Python's zlib only")
        return None
    library = ctypes.CDLL(name)
    library.libdeflate_alloc_decompressor.restype = ctypes.c_void_p
    library.libdeflate_zlib_decompress.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
        ctypes.POINTER(ctypes.c_size_t)]
    handle = library.libdeflate_alloc_decompressor()

    def inflate(stream, size):
        out = ctypes.create_string_buffer(size)
        written = ctypes.c_size_t()
        code = library.libdeflate_zlib_decompress(handle, stream, len(stream), out, size, ctypes.byref(written))
        assert code == 0, "libdeflate refuses a stream: %d" % code
        return out.raw[:written.value]

    return inflate


def largest_error(name, a, b):
    if name == "Y16":
        a, b = (struct.unpack("<%dH" % (len(x) // 2), x) for x in (a, b))
    return max(abs(x - y) for x, y in zip(a, b))


def main():
    program, libdeflate = sys.argv[1], load_libdeflate()
    failures = streams = pictures = 0
    with tempfile.TemporaryDirectory() as directory:
        source, parts = os.path.join(directory, "clip"), os.path.join(directory, "parts")
        for name, bytes_per_pixel in FORMATS.items():
            frames = clip(int(WIDTH * HEIGHT * bytes_per_pixel), name)
            with open(source, "wb") as file:
                file.write(b"".join(frames))
            for quality in ("lossless", "2", "gate"):
                subprocess.run(
                    [program, source, name, "%dx%d" % (WIDTH, HEIGHT), str(FRAMES), "0", "--quality", quality,
                     "--write-parts", parts], check=True, stdout=subprocess.DEVNULL)
                with open(parts, "rb") as file:
                    data = file.read()
                for part in frame_decoder.read_parts(data):
                    stream = part[44 + struct.unpack_from(">H", part, 40)[0]:]
                    payload = zlib.decompress(stream)
                    assert not libdeflate or libdeflate(stream, len(payload) + 1) == payload
                    streams += 1
                for index, (fields, picture) in enumerate(frame_decoder.decode(data)):
                    pictures += 1
                    error = largest_error(name, picture, frames[index])
                    if zlib.adler32(picture) != fields["checksum"] or error > fields["max_error"]:
                        failures += 1
                        print("%s %s: frame %d differs by %d" % (name, quality, index, error))
    print("%d pictures rebuilt, %d streams inflated, %d wrong" % (pictures, streams, failures))
    return 1 if failures or pictures != len(FORMATS) * 3 * FRAMES else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The frame coder against zlib, ffv1, huffyuv, utvideo and x264 -qp 0, in one run on one core.

    run.py FRAME_BENCHMARK VTEST.AVI [--frames N] [--only 480|1080] [--repeat R] [--json FILE]

VTEST.AVI is the surveillance clip of Debian's opencv-doc; ffmpeg must be installed. Times are user CPU
milliseconds per frame: the machine may be shared, so only ratios between lines of one table
mean anything. All take turns in R rounds, and medians are told: what disturbs the machine for a while disturbs all of them.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

CODERS = [("ffv1", ["-c:v", "ffv1"]), ("huffyuv", ["-c:v", "huffyuv"]), ("utvideo", ["-c:v", "utvideo"]),
          ("x264 -qp 0 ultrafast", ["-c:v", "libx264", "-qp", "0", "-preset", "ultrafast"]),
          ("x264 -qp 0 superfast", ["-c:v", "libx264", "-qp", "0", "-preset", "superfast"])]
SIZES = {"480": ("640x480", "crop=640:480", 100), "1080": ("1920x1080", "crop=768:432,scale=1920:1080:flags=lanczos", 30)}


# Memory that was freed stays with the program, as it does with the other coders' pools, of which only user time is
# counted: fresh pages are the kernel's time.
POOLED = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=1073741824"}
# What was asked for, by size and noise: times in huffyuv's at the same size and noise, ratios of sizes. A C program that was
# written first to see what is possible took 0.73 and 0.16 of huffyuv's time at 640x480, 0.59 and 0.17 at 1920x1080.
AT_MOST = {"480 s1": {"encode": 0.65, "decode": 0.2, "common_encode": 1.25},
           "1080 s1": {"encode": 0.65, "decode": 0.2, "common_encode": 1.25}}
AT_LEAST = {"480 s0": {"ratio": 9.5}, "480 s1": {"ratio": 3.2, "zlib6_time": 30, "zlib6_ratio": 2.2}, "480 s2": {"ratio": 2.45}}
C_PROGRAM = {"480 s1": (0.53 / 0.73, 0.45 / 2.8), "1080 s1": (3.05 / 5.2, 3.11 / 18)}


def has_v3():
    with open("/proc/cpuinfo") as file:
        return " avx2 " in file.read()


def ffmpeg(*arguments):
    """Runs on one core; returns user seconds."""
    run = subprocess.run(
        ["taskset", "-c", "1", "ffmpeg", "-nostdin", "-y", "-hide_banner", "-benchmark", *arguments],
        capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)
    return float(re.findall(r"utime=([\d.]+)s", run.stderr)[-1])


def clip(options, size, crop, count, directory):
    path = os.path.join(directory, "clip-" + size)
    ffmpeg("-v", "info", "-i", options.footage, "-frames:v", str(count), "-vf", crop, "-pix_fmt", "yuyv422", "-f",
           "rawvideo", path)
    return path


def ours(options, source, size, count, sigma, extra=()):
    """The coder under test goes through the clip twice and tells the median over the frames of the better time."""
    out = subprocess.run(
        ["taskset", "-c", "1", options.program, source, "YUYV", size, str(count), str(sigma), "--repeat",
         "2", *extra], capture_output=True, text=True, check=True, env={**os.environ, **POOLED}).stdout
    return json.loads(out)


def other(options, name, arguments, planar, size, count, directory):
    coded = os.path.join(directory, "coded.mkv" if "x264" in name else "coded.avi")
    raw_bytes = os.path.getsize(planar)
    source = ["-f", "rawvideo", "-pix_fmt", "yuv422p", "-s", size, "-i", planar]
    # Reading the raw pictures is not the coder's time.
    reading = ffmpeg(*source, "-threads", "1", "-c:v", "rawvideo", "-f", "null", "-")
    encode = ffmpeg(*source, "-threads", "1", *arguments, coded) - reading
    decode = ffmpeg("-threads", "1", "-i", coded, "-f", "null", "-")
    return raw_bytes / os.path.getsize(coded), 1000 * encode / count, 1000 * decode / count


def medians(options, measure):
    """Of R rounds the medians: what `measure` returns, by name a ratio and two times."""
    rounds = [measure() for _ in range(options.repeat)]
    return {name: (ratio, statistics.median(one[name][1] for one in rounds), statistics.median(one[name][2] for one in rounds))
            for name, (ratio, _, _) in rounds[0].items()}


def times(figures):
    return figures["encode_least_ms"], figures["decode_least_ms"]


def row(name, ratio, encode, decode, base=None):
    relative = "" if base is None else "   %5.2f   %5.2f" % (encode / base[0], decode / base[1])
    print("  %-34s x%-6.2f %8.2f %8.2f%s" % (name, ratio, encode, decode, relative), flush=True)


def scene(options, size, count, sigma, source, directory):
    """One table; returns what is held to budgets."""
    planar = os.path.join(directory, "planar")
    print("%s, surveillance, noise sigma %d, %d frames" % (size, sigma, count))
    print("  %-34s %-7s %8s %8s   (to huffyuv)" % ("", "ratio", "encode", "decode"))
    common = ours(options, source, size, count, sigma, ["--write", planar] + (["--zlib"] if sigma == 1 else []))

    def measure():
        """One round, in which all take their turns."""
        kinds = [("common", [])] + ([("v3", ["--v3"])] if has_v3() else [])
        told = {name: ours(options, source, size, count, sigma, extra) for name, extra in kinds}
        return {**{name: (one["ratio"], *times(one)) for name, one in told.items()},
                **{name: other(options, name, arguments, planar, size, count, directory)
                   for name, arguments in (CODERS if sigma == 1 else CODERS[1:2])}}

    measured = medians(options, measure)
    edge = measured["v3" if has_v3() else "common"]
    rows = [(name, *figures) for name, figures in measured.items() if name not in ("common", "v3")]
    base = next(line[2:] for line in rows if line[0] == "huffyuv")
    if has_v3():
        row("edge, lossless, AVX2", *edge, base)
    row("edge, lossless, common instructions", *measured["common"], base)
    figures = {"ratio": edge[0], "encode": edge[1] / base[0], "decode": edge[2] / base[1],
               "common_encode": measured["common"][1] / base[0], "common_decode": measured["common"][2] / base[1]}
    if sigma == 1:
        for level in (1, 6):
            row("raw + zlib %d" % level, common["zlib%d_ratio" % level], common["zlib%d_encode_ms" % level],
                common["zlib%d_decode_ms" % level], base)
        figures["zlib6_time"] = common["zlib6_encode_ms"] / edge[1]
        figures["zlib6_ratio"] = common["ratio"] / common["zlib6_ratio"]
    for line in rows:
        row(*line, base)
    if sigma == 1:
        v3_flag = ["--v3"] if has_v3() else []
        still = ours(options, source, size, count, 1, ["--static", *v3_flag])
        row("edge, lossless, static scene", still["ratio"], *times(still), base)
        for quality in ("1", "2", "gate"):
            near = ours(options, source, size, count, 1, ["--quality", quality, *v3_flag])
            name = "gate" if quality == "gate" else "max error " + quality
            row("edge, %s, %.1f dB" % (name, near["psnr_db"]), near["ratio"], *times(near), base)
    os.remove(planar)
    return figures


def print_targets(key, figures):
    for word, sign, targets in (("at most", 1, AT_MOST), ("at least", -1, AT_LEAST)):
        for name, target in targets.get(key, {}).items():
            print("  %-34s %7.2f   %s %.2f: %s" % (
                name, figures[name], word, target, "reached" if sign * (figures[name] - target) <= 0 else "MISSED"))
    if key in C_PROGRAM:
        print("  to the C program                   %7.2f / %.2f   at most 1.2" % (
            figures["encode"] / C_PROGRAM[key][0], figures["decode"] / C_PROGRAM[key][1]), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("footage")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--only", choices=SIZES)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", help="file for the figures that budgets are for")
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as directory:
        for key, (size, crop, count) in SIZES.items():
            if options.only not in (None, key):
                continue
            count = options.frames or count
            source = clip(options, size, crop, count, directory)
            for sigma in (0, 1, 2):
                name = "%s s%d" % (key, sigma)
                figures[name] = scene(options, size, count, sigma, source, directory)
                print_targets(name, figures[name])
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()

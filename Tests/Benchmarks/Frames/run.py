#!/usr/bin/env python3
"""The frame coder against zlib, ffv1, huffyuv, utvideo and x264 -qp 0, in one run on one core.

    run.py FRAME_BENCHMARK VTEST.AVI [--frames N] [--only 480|1080] [--repeat R] [--json FILE]

VTEST.AVI is the surveillance clip of Debian's opencv-doc; ffmpeg must be installed. Times are user CPU
milliseconds per frame: the machine may be shared, so only ratios between lines of one table
mean anything. Other programs are run R times and the least time is taken; the coder under test
goes through the clip R times and reports the median over frames.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

CODERS = [("ffv1", ["-c:v", "ffv1"]), ("huffyuv", ["-c:v", "huffyuv"]), ("utvideo", ["-c:v", "utvideo"]),
          ("x264 -qp 0 ultrafast", ["-c:v", "libx264", "-qp", "0", "-preset", "ultrafast"]),
          ("x264 -qp 0 superfast", ["-c:v", "libx264", "-qp", "0", "-preset", "superfast"])]
SIZES = {"480": ("640x480", "crop=640:480", 100), "1080": ("1920x1080", "crop=768:432,scale=1920:1080:flags=lanczos", 30)}


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
    """The coder under test goes through the clip R times itself and tells medians."""
    out = subprocess.run(
        ["taskset", "-c", "1", options.program, source, "YUYV", size, str(count), str(sigma), "--repeat",
         str(options.repeat), *extra], capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def other(options, name, arguments, planar, size, count, directory):
    coded = os.path.join(directory, "coded.mkv" if "x264" in name else "coded.avi")
    raw_bytes = os.path.getsize(planar)
    source = ["-f", "rawvideo", "-pix_fmt", "yuv422p", "-s", size, "-i", planar]
    encode, decode = [], []
    for _ in range(options.repeat):
        # Reading the raw pictures is not the coder's time.
        reading = ffmpeg(*source, "-threads", "1", "-c:v", "rawvideo", "-f", "null", "-")
        encode.append(ffmpeg(*source, "-threads", "1", *arguments, coded) - reading)
        decode.append(ffmpeg("-threads", "1", "-i", coded, "-f", "null", "-"))
    return raw_bytes / os.path.getsize(coded), 1000 * min(encode) / count, 1000 * min(decode) / count


def row(name, ratio, encode, decode, base=None):
    relative = "" if base is None else "   %5.2f   %5.2f" % (encode / base[0], decode / base[1])
    print("  %-34s x%-6.2f %8.2f %8.2f%s" % (name, ratio, encode, decode, relative), flush=True)


def scene(options, size, count, sigma, source, directory):
    """One table; returns what is held to budgets."""
    planar = os.path.join(directory, "planar")
    print("%s, surveillance, noise sigma %d, %d frames" % (size, sigma, count))
    print("  %-34s %-7s %8s %8s   (to huffyuv)" % ("", "ratio", "encode", "decode"))
    common = ours(options, source, size, count, sigma, ["--write", planar] + (["--zlib"] if sigma == 1 else []))
    v3 = ours(options, source, size, count, sigma, ["--v3"]) if has_v3() else common
    rows = [(name,) + other(options, name, arguments, planar, size, count, directory)
            for name, arguments in (CODERS if sigma == 1 else CODERS[1:2])]
    base = next(line[2:] for line in rows if line[0] == "huffyuv")
    if has_v3():
        row("edge, lossless, AVX2", v3["ratio"], v3["encode_ms"], v3["decode_ms"], base)
    row("edge, lossless, common instructions", common["ratio"], common["encode_ms"], common["decode_ms"], base)
    figures = {"ratio": common["ratio"], "encode": v3["encode_ms"] / base[0], "decode": v3["decode_ms"] / base[1],
               "common_encode": common["encode_ms"] / base[0], "common_decode": common["decode_ms"] / base[1]}
    if sigma == 1:
        for level in (1, 6):
            row("raw + zlib %d" % level, common["zlib%d_ratio" % level], common["zlib%d_encode_ms" % level],
                common["zlib%d_decode_ms" % level], base)
        figures["zlib6_time"] = common["zlib6_encode_ms"] / v3["encode_ms"]
        figures["zlib6_ratio"] = common["ratio"] / common["zlib6_ratio"]
    for line in rows:
        row(*line, base)
    if sigma == 1:
        v3_flag = ["--v3"] if has_v3() else []
        still = ours(options, source, size, count, 1, ["--static", *v3_flag])
        row("edge, lossless, static scene", still["ratio"], still["encode_ms"], still["decode_ms"], base)
        for quality in ("1", "2", "gate"):
            near = ours(options, source, size, count, 1, ["--quality", quality, *v3_flag])
            name = "gate" if quality == "gate" else "max error " + quality
            row("edge, %s, %.1f dB" % (name, near["psnr_db"]), near["ratio"], near["encode_ms"], near["decode_ms"], base)
    os.remove(planar)
    return figures


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
                figures["%s s%d" % (key, sigma)] = scene(options, size, count, sigma, source, directory)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()

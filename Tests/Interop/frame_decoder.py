#!/usr/bin/env python3
"""Rebuilds pictures from frame parts as docs/frame-format.md describes them.

Written from the document alone, for clarity and not for speed; needs nothing but
Python's own zlib. The entry points for parallel lanes are skipped: zlib needs none.

    frame_decoder.py PARTS             PARTS: every part with its length, 4 bytes,
                                       highest first, in front
    frame_decoder.py PARTS --raw FILE  also writes the pictures one after the other

Prints one line per picture: sequence, format, size, Adler-32. Exits 1 if a picture
does not have the checksum its parts carry.
"""

import struct
import sys
import zlib

HEADER = struct.Struct(">BBBBIQHHHHIIBBBx")
BODY = struct.Struct(">HHHxx")
NAMES = {1: "YUYV", 2: "UYVY", 3: "NV12", 4: "YU12", 5: "YV12", 6: "GREY",
         7: "RGB24", 8: "BGR24", 9: "Y16", 64: "MJPEG", 65: "H264"}


class Plane:
    """Where a component's samples lie in the picture."""

    def __init__(self, offset, width, height, step, row_bytes):
        self.offset, self.width, self.height = offset, width, height
        self.step, self.row_bytes = step, row_bytes


def planes_of(name, w, h):
    luma = w * h
    full = lambda offset, step: Plane(offset, w, h, step, w * step)
    chroma = lambda offset, step: Plane(offset, w // 2, h // 2, step, w // 2 * step)
    packed = lambda offset: Plane(offset, w // 2, h, 4, w * 2)
    return {
        "YUYV": lambda: [full(0, 2), packed(1), packed(3)],
        "UYVY": lambda: [full(1, 2), packed(0), packed(2)],
        "NV12": lambda: [full(0, 1), chroma(luma, 2), chroma(luma + 1, 2)],
        "YU12": lambda: [full(0, 1), chroma(luma, 1), chroma(luma + luma // 4, 1)],
        "YV12": lambda: [full(0, 1), chroma(luma + luma // 4, 1), chroma(luma, 1)],
        "GREY": lambda: [full(0, 1)],
        "RGB24": lambda: [full(1, 3), full(0, 3), full(2, 3)],
        "BGR24": lambda: [full(1, 3), full(2, 3), full(0, 3)],
        "Y16": lambda: [full(0, 2), full(1, 2)],
    }[name]()


class Sequence:
    """The reference, and the samples of the picture being rebuilt."""

    def __init__(self, name, width, height):
        self.name, self.width, self.height = name, width, height
        self.planes = planes_of(name, width, height)
        self.strides = [(p.width + 31) // 32 * 32 for p in self.planes]
        self.rows = [(p.height + 7) // 8 * 8 for p in self.planes]
        self.current = [bytearray(s * r) for s, r in zip(self.strides, self.rows)]
        # 16-bit fixed point: a sample is its high byte.
        self.reference = [[0] * (s * r) for s, r in zip(self.strides, self.rows)]
        self.units = self.list_units()

    def list_units(self):
        band_height = 8 if all(p.height == self.height for p in self.planes) else 16
        units = []
        for band in range((self.height + band_height - 1) // band_height):
            for index, plane in enumerate(self.planes):
                rows = band_height * plane.height // self.height
                for row in range(band * rows // 8, (band + 1) * rows // 8):
                    if row * 8 < plane.height:
                        units.append((index, row))
        return units

    def begin(self, is_key):
        if is_key:
            for plane in self.reference:
                plane[:] = [128 << 8 | 128] * len(plane)

    def use_fractions(self):
        """When averaging begins, every reference sample is its high byte and a half."""
        for plane in self.reference:
            plane[:] = [value & 0xFF00 | 128 for value in plane]

    def decode(self, first, count, payload, step, shift):
        units = self.units[first:first + count]
        blocks = sum(self.strides[plane] // 32 for plane, _ in units)
        block_map = payload[:blocks]
        size = lambda kind: 0 if kind == 0 else 64 if kind < 7 else 128 if kind < 20 else 256
        starts, at = {}, blocks
        for kind in range(32):
            starts[kind] = at
            at += size(kind) * sum(1 for value in block_map if value & 31 == kind)
        if at != len(payload):
            raise ValueError("payload has %d bytes, its map says %d" % (len(payload), at))
        index = 0
        for plane, row in units:
            scale = 1 if self.name == "Y16" and plane == 1 else step
            corner = self.reference[plane][row * 8 * self.strides[plane]] >> 8
            for column in range(self.strides[plane] // 32):
                value = block_map[index]
                index += 1
                kind, mode = value & 31, value >> 5
                packed = payload[starts[kind]:starts[kind] + size(kind)]
                starts[kind] += size(kind)
                self.block(plane, row, column, unpack(kind, packed), mode, kind, scale, shift, corner)

    def block(self, plane, row, column, residual, mode, kind, scale, shift, corner):
        stride = self.strides[plane]
        current, reference = self.current[plane], self.reference[plane]
        for y in range(8):
            line = (row * 8 + y) * stride
            for x in range(column * 32, column * 32 + 32):
                at = line + x
                r = residual[y * 32 + x - column * 32]
                if mode == 1:
                    left = current[at - 1] if x else None
                    if y == 0:
                        predicted = corner if left is None else left
                    else:
                        above = current[at - stride]
                        if left is None:
                            predicted = above
                        else:
                            between = current[at - stride - 1]
                            predicted = sorted((left, above, left + above - between))[1]
                    sample = predicted + r & 255
                elif scale == 1:
                    sample = (reference[at] >> 8) + r & 255
                else:
                    sample = max(0, min(255, (reference[at] >> 8) + r * scale))
                current[at] = sample
                if mode == 2:
                    old = reference[at]
                    reference[at] = old - (old >> shift) + ((sample << 8 | 128) >> shift)
                elif value_replaces(mode, kind):
                    reference[at] = sample << 8 | 128

    def picture(self, decorrelated):
        size = max(p.offset + (p.height - 1) * p.row_bytes + (p.width - 1) * p.step + 1 for p in self.planes)
        out = bytearray(size)
        for index, plane in enumerate(self.planes):
            for y in range(plane.height):
                start = y * self.strides[index]
                samples = self.current[index][start:start + plane.width]
                if decorrelated and index > 0:
                    green = self.current[0][start:start + plane.width]
                    samples = bytes(s + g + 128 & 255 for s, g in zip(samples, green))
                begin = plane.offset + y * plane.row_bytes
                out[begin:begin + (plane.width - 1) * plane.step + 1:plane.step] = samples
        return bytes(out)


def value_replaces(mode, kind):
    """A block of class 0 and mode 0 leaves the reference as it is."""
    return not (mode == 0 and kind == 0)


def unpack(kind, packed):
    """256 residuals, row by row."""
    if kind == 0:
        return [0] * 256
    if kind >= 20:
        return [b - 256 if b > 127 else b for b in packed]
    bits, per_byte = (2, 4) if kind < 7 else (4, 2)
    mask, bias = (1 << bits) - 1, 1 << bits - 1
    out = [0] * 256
    for index, byte in enumerate(packed):
        group, x = divmod(index, 32)
        for k in range(per_byte):
            out[(group * per_byte + k) * 32 + x] = (byte >> bits * k & mask) - bias
    return out


def read_parts(data):
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4:at + 4 + length]
        at += 4 + length


class FrameDecoder:
    """Takes the parts of one stream in order."""

    def __init__(self):
        self.sequence, self.averaged, self.last, self.received = None, False, None, 0

    def receive(self, part):
        """(header fields, picture) when `part` was the last one of its frame, else None."""
        (version, codec, flags, pixel_format, number, time, width, height, index, count, checksum, base, max_error,
         shift, step) = HEADER.unpack_from(part)
        if version != 2 or codec != 0:
            raise ValueError("only version 2 of the planes codec")
        name, is_key = NAMES[pixel_format], bool(flags & 1)
        if number != self.last:
            if not is_key and base != self.last:
                raise ValueError("frame %d builds on %d, which is not the last" % (number, base))
            kept = self.sequence
            if kept is None or (kept.name, kept.width, kept.height) != (name, width, height):
                self.sequence = Sequence(name, width, height)
            self.sequence.begin(is_key)
            if shift > 0 and not self.averaged and not is_key:
                self.sequence.use_fractions()
            self.averaged, self.last, self.received = shift > 0, number, 0
        first, units, entry_bytes = BODY.unpack_from(part, HEADER.size)
        stream = part[HEADER.size + BODY.size + entry_bytes:]
        inflater = zlib.decompressobj()
        payload = inflater.decompress(stream)
        if not inflater.eof or inflater.unused_data:
            raise ValueError("not one whole zlib stream")
        self.sequence.decode(first, units, payload, step, shift)
        self.received += 1
        if self.received < count:
            return None
        picture = self.sequence.picture(bool(flags & 4))
        fields = {"sequence": number, "format": name, "width": width, "height": height, "key": is_key,
                  "exact": bool(flags & 2), "max_error": max_error, "time_us": time, "checksum": checksum}
        return fields, picture


def decode(data):
    """Yields (header fields, picture) for every frame in a file of parts."""
    decoder = FrameDecoder()
    for part in read_parts(data):
        frame = decoder.receive(part)
        if frame:
            yield frame


def main():
    if len(sys.argv) not in (2, 4):
        print(__doc__.strip(), file=sys.stderr)
        return 64
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    raw = open(sys.argv[3], "wb") if len(sys.argv) == 4 else None
    good = True
    for fields, picture in decode(data):
        same = zlib.adler32(picture) == fields["checksum"]
        good = good and same
        print("frame %(sequence)d %(format)s %(width)dx%(height)d" % fields,
              "key" if fields["key"] else "    ", "%08x" % zlib.adler32(picture), "ok" if same else "WRONG")
        if raw:
            raw.write(picture)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

internal import FrameKernels

/// Bits on their way out, first bit lowest. At most 7 wait between calls. The owner has made room.
@safe struct BitSink {
  var out: Kernel.MutableBytes
  var waiting: UInt64 = 0
  var bits: UInt64 = 0
  private let start: Kernel.MutableBytes

  init(_ start: Kernel.MutableBytes) {
    unsafe out = start
    unsafe self.start = start
  }

  /// Bits written so far.
  var position: Int { unsafe (out - start) * 8 + Int(bits) }

  /// Appends up to 56 bits; the others of `value` are 0. Writes up to 8 bytes beyond its end.
  @inline(__always) mutating func append(_ value: UInt64, _ count: UInt64) {
    waiting |= value &<< bits
    bits &+= count
    unsafe UnsafeMutableRawPointer(out).storeBytes(of: waiting.littleEndian, as: UInt64.self)
    let whole = bits &>> 3
    unsafe out += Int(truncatingIfNeeded: whole)
    waiting = waiting &>> (whole &* 8)
    bits &= 7
  }

  /// Appends zero bits up to a byte.
  mutating func align() {
    if bits > 0 { append(0, 8 - bits) }
  }
}

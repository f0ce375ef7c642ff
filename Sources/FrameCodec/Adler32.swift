internal import FrameKernels

/// The checksum of RFC 1950 §8.2 (`zlib.adler32`): the end of every zlib stream, and the
/// checksum of raw pictures, because it costs a fraction of a CRC-32 at the same length.
public struct Adler32 {
  private let kernels: Kernels
  /// Of all bytes appended so far.
  public private(set) var value: UInt32 = 1

  public init(instructions: InstructionSet = .common) { kernels = Kernels(instructions) }

  init(_ kernels: Kernels) { self.kernels = kernels }

  public static func checksum(_ bytes: RawSpan) -> UInt32 {
    var sum = Self()
    sum.append(bytes)
    return sum.value
  }

  public static func checksum(_ bytes: [UInt8]) -> UInt32 { unsafe checksum(bytes.span.bytes) }

  public mutating func append(_ bytes: RawSpan) {
    unsafe bytes.withUnsafeBytes { buffer in
      guard let start = buffer.baseAddress else { return }
      unsafe append(start.assumingMemoryBound(to: UInt8.self), buffer.count)
    }
  }

  mutating func append(_ start: Kernel.Bytes, _ count: Int) { unsafe value = kernels.adler(value, start, count) }
}

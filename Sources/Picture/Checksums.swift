/// The checksum of RFC 1950 §8.2 (`zlib.adler32`): the end of every zlib stream, and the
/// checksum of raw pictures, because it costs a fraction of a CRC-32 at the same length.
public struct Adler32: Hashable, Sendable {
  private var a: UInt32 = 1
  private var b: UInt32 = 0

  public init() {}

  public var value: UInt32 { b << 16 | a }

  public static func checksum(_ bytes: RawSpan) -> UInt32 {
    var sum = Self()
    sum.append(bytes)
    return sum.value
  }

  public static func checksum(_ bytes: [UInt8]) -> UInt32 { unsafe checksum(bytes.span.bytes) }

  public mutating func append(_ bytes: RawSpan) {
    unsafe bytes.withUnsafeBytes { buffer in
      guard let start = buffer.baseAddress else { return }
      var at = 0
      while at < buffer.count {
        let block = min(Self.blockBytes, buffer.count &- at)
        unsafe appendBlock((start + at).assumingMemoryBound(to: UInt8.self), block)
        at &+= block
      }
    }
  }

  private mutating func appendBlock(_ bytes: UnsafePointer<UInt8>, _ count: Int) {
    // Eight lanes of the two sums, each over every eighth byte, put together at the end: b counts a
    // byte once for itself and once for every byte after it.
    let raw = unsafe UnsafeRawPointer(bytes)
    var sums = SIMD8<UInt32>(repeating: 0)
    var prefixes = SIMD8<UInt32>(repeating: 0)
    let whole = count & ~7
    var index = 0
    while index < whole {
      let eight = unsafe raw.loadUnaligned(fromByteOffset: index, as: SIMD8<UInt8>.self)
      prefixes &+= sums
      sums &+= SIMD8<UInt32>(truncatingIfNeeded: eight)
      index &+= 8
    }
    var low = a
    var high = b &+ a &* UInt32(truncatingIfNeeded: whole)
    var lane = 0
    while lane < 8 {
      high &+= prefixes[lane] &* 8 &+ sums[lane] &* UInt32(truncatingIfNeeded: 8 &- lane)
      low &+= sums[lane]
      lane &+= 1
    }
    while index < count {
      unsafe low &+= UInt32(bytes[index])
      high &+= low
      index &+= 1
    }
    a = low % 65521
    b = high % 65521
  }

  /// The most bytes whose sums cannot pass 32 bits (RFC 1950 §9, NMAX).
  private static let blockBytes = 5552
}

/// The CRC of PNG and gzip (ISO 3309, `zlib.crc32`).
public struct CRC32: Sendable {
  private let table: [UInt32]
  private var state: UInt32 = 0xFFFF_FFFF

  public init() {
    table = (0..<256).map { index in
      var value = UInt32(index)
      for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
      return value
    }
  }

  public var value: UInt32 { ~state }

  public mutating func append(_ bytes: [UInt8]) {
    for byte in bytes { state = table[Int((state ^ UInt32(byte)) & 255)] ^ state >> 8 }
  }

  public static func checksum(_ bytes: [UInt8]) -> UInt32 {
    var crc = Self()
    crc.append(bytes)
    return crc.value
  }
}

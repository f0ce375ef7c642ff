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

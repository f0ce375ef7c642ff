/// Builds a packet. Numbers are written in network byte order.
public struct ByteWriter {
  public private(set) var bytes: [UInt8] = []

  public init(reserving capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  public var count: Int { bytes.count }

  public mutating func write(_ value: UInt8) { bytes.append(value) }

  public mutating func write(_ value: UInt16) {
    bytes.append(UInt8(truncatingIfNeeded: value >> 8))
    bytes.append(UInt8(truncatingIfNeeded: value))
  }

  public mutating func write(_ value: UInt32) {
    write(UInt16(truncatingIfNeeded: value >> 16))
    write(UInt16(truncatingIfNeeded: value))
  }

  public mutating func write(_ value: UInt64) {
    write(UInt32(truncatingIfNeeded: value >> 32))
    write(UInt32(truncatingIfNeeded: value))
  }

  public mutating func write(_ value: [UInt8]) { bytes += value }

  public mutating func write(_ value: ArraySlice<UInt8>) { bytes += value }

  public mutating func write(_ text: String) { bytes += text.utf8 }

  public mutating func writeZeros(_ count: Int) { bytes += repeatElement(0, count: count) }

  /// Overwrites two bytes written earlier, for a length that was not known yet.
  public mutating func patch(_ value: UInt16, at offset: Int) {
    bytes[offset] = UInt8(truncatingIfNeeded: value >> 8)
    bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
  }

  /// Overwrites four bytes written earlier.
  public mutating func patch(_ value: UInt32, at offset: Int) {
    patch(UInt16(truncatingIfNeeded: value >> 16), at: offset)
    patch(UInt16(truncatingIfNeeded: value), at: offset + 2)
  }
}

internal import EdgeCore

/// The short frame around data of a bound peer (RFC 8656 §12.4): channel number, length, data.
public enum ChannelData {
  public static let headerByteCount = 4
  /// RFC 8656 §12: the numbers a channel may have.
  public static let numbers: ClosedRange<UInt16> = 0x4000...0x4FFF
  /// RFC 5766 §11: what they could be before. RFC 8656 §12 took the rest away for protocols a client may mix in.
  public static let oldNumbers: ClosedRange<UInt16> = 0x4000...0x7FFF

  /// `nil` when it is shorter than it says or its number is none. Bytes behind it are padding.
  public static func parse(
    _ bytes: RawSpan, numbers: ClosedRange<UInt16> = numbers
  ) -> (number: UInt16, payload: Range<Int>)? {
    var reader = ByteReader(bytes)
    guard let number = try? reader.readUInt16(), let length = try? reader.readUInt16(), numbers.contains(number),
      Int(length) <= reader.remaining
    else { return nil }
    return (number, headerByteCount..<headerByteCount + Int(length))
  }

  /// Appends the header of a frame with `count` bytes of data, at most 65,535.
  public static func writeHeader(_ number: UInt16, count: Int, to bytes: inout [UInt8]) {
    bytes.append(UInt8(truncatingIfNeeded: number >> 8))
    bytes.append(UInt8(truncatingIfNeeded: number))
    bytes.append(UInt8(truncatingIfNeeded: count >> 8))
    bytes.append(UInt8(truncatingIfNeeded: count))
  }
}

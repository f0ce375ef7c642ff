/// Takes JPEG pictures or H.264 access units that follow one another apart, fed in pieces of any length.
///
/// Holds what was fed and not yet taken: at most ``longestPicture`` and one piece more.
public struct CompressedReader {
  public enum Failure: Error, Hashable, Sendable {
    /// What follows is no picture of the kind.
    case malformed
    /// Longer than any camera's.
    case tooLong
  }

  public static let longestPicture = 16 << 20

  /// ``PixelFormat/mjpeg`` or ``PixelFormat/h264``.
  public let kind: PixelFormat
  private var buffer: [UInt8] = []
  /// Up to here the picture at the begin was looked at; H.264: and whether a slice was among it.
  private var scanned = 0
  private var hasSlice = false

  /// `nil` for anything else, by the first bytes.
  public static func kind(of bytes: [UInt8]) -> PixelFormat? {
    if bytes.starts(with: [0xFF, 0xD8, 0xFF]) { return .mjpeg }
    return bytes.starts(with: [0, 0, 1]) || bytes.starts(with: [0, 0, 0, 1]) ? .h264 : nil
  }

  public init(_ kind: PixelFormat) { self.kind = kind }

  public mutating func feed(_ bytes: [UInt8]) { buffer += bytes }

  /// The next whole picture; `nil` if more bytes are needed. At the end of the input the rest of an access unit is one.
  public mutating func next(isEnd: Bool) throws(Failure) -> [UInt8]? {
    if let end = kind == .mjpeg ? try jpegEnd() : accessUnitEnd() { return take(end) }
    guard buffer.count <= Self.longestPicture else { throw .tooLong }
    return isEnd && kind == .h264 && hasSlice ? take(buffer.count) : nil
  }

  /// The sides a JPEG's frame header tells (ITU-T T.81 B.2.2).
  public static func jpegSize(_ picture: [UInt8]) -> (width: Int, height: Int)? {
    var at = 2
    while at + 9 <= picture.count, picture[at] == 0xFF {
      let marker = picture[at + 1]
      // SOF0 to SOF15; the three in between are tables.
      if marker & 0xF0 == 0xC0, ![0xC4, 0xC8, 0xCC].contains(marker) {
        return (Int(picture[at + 7]) << 8 | Int(picture[at + 8]), Int(picture[at + 5]) << 8 | Int(picture[at + 6]))
      }
      at += 2 + (Int(picture[at + 2]) << 8 | Int(picture[at + 3]))
    }
    return nil
  }

  private mutating func take(_ end: Int) -> [UInt8] {
    let picture = Array(buffer[..<end])
    buffer.removeFirst(end)
    scanned = 0
    hasSlice = false
    return picture
  }

  /// Segment by segment: a thumbnail in one of them has an end of its own.
  private mutating func jpegEnd() throws(Failure) -> Int? {
    if scanned == 0 {
      guard buffer.count >= 2 else { return nil }
      guard buffer[0] == 0xFF, buffer[1] == 0xD8 else { throw .malformed }
      scanned = 2
    }
    while scanned + 4 <= buffer.count {
      // Coded data, in which 0xFF is followed by 0 or a restart marker.
      guard buffer[scanned] == 0xFF, buffer[scanned + 1] != 0, buffer[scanned + 1] & 0xF8 != 0xD0 else {
        guard hasSlice else { throw .malformed }
        scanned += 1
        continue
      }
      switch buffer[scanned + 1] {
      case 0xD9: return scanned + 2
      case 0xFF: scanned += 1
      case let marker:
        hasSlice = marker == 0xDA
        scanned += 2 + (Int(buffer[scanned + 2]) << 8 | Int(buffer[scanned + 3]))
      }
    }
    let count = buffer.count
    return count >= 2 && scanned <= count - 2 && buffer[count - 2] == 0xFF && buffer[count - 1] == 0xD9 ? count : nil
  }

  /// Where a unit begins that no longer belongs to the picture (ITU-T H.264 7.4.1.2.3).
  private mutating func accessUnitEnd() -> Int? {
    while scanned + 5 <= buffer.count {
      guard buffer[scanned] == 0, buffer[scanned + 1] == 0, buffer[scanned + 2] == 1 else {
        scanned += 1
        continue
      }
      let type = buffer[scanned + 3] & 0x1F
      let isSlice = type == 1 || type == 5
      // first_mb_in_slice is 0: its code is one bit.
      let begins = isSlice ? buffer[scanned + 4] & 0x80 != 0 : (6...9).contains(type)
      if hasSlice, begins { return scanned > 0 && buffer[scanned - 1] == 0 ? scanned - 1 : scanned }
      if isSlice { hasSlice = true }
      scanned += 4
    }
    return nil
  }
}

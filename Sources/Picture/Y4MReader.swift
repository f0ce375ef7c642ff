import EdgeCore

/// Why a y4m stream was refused.
public enum Y4MError: Error, Hashable, Sendable {
  /// Does not begin with `YUV4MPEG2 `.
  case notY4M
  /// A header line is longer than any real one, or is not what the format allows.
  case malformedHeader
  /// A size out of range or odd, an interlaced stream, or a chroma layout other than 420*, 422, mono
  /// and mono16.
  case unsupported
  /// A picture does not begin with `FRAME`.
  case malformedFrame
}

/// Reads YUV4MPEG2 in pieces of any length.
///
/// Pictures come out in the nearest camera format with the same samples: `420*` as YU12, `422` as
/// YUYV, `mono` as GREY, `mono16` as Y16. Holds what was fed and not yet taken, so feed no
/// more than a picture at a time.
public struct Y4MReader {
  public struct Header: Hashable, Sendable {
    public let format: PictureFormat
    /// Frames per second, as a fraction; 25:1 where the stream does not say.
    public let rateNumerator: Int
    public let rateDenominator: Int
  }

  /// Known once the first line was fed and ``nextFrame()`` was called.
  public private(set) var header: Header?
  private var buffer: [UInt8] = []
  private var consumed = 0

  public init() {}

  /// Bytes fed and not yet taken as pictures.
  public var bufferedBytes: Int { buffer.count - consumed }

  public mutating func feed(_ bytes: [UInt8]) {
    if consumed > 0 {
      buffer.removeFirst(consumed)
      consumed = 0
    }
    buffer += bytes
  }

  /// The next whole picture; `nil` if more bytes are needed. After an error the stream is of no use.
  public mutating func nextFrame() throws(Y4MError) -> [UInt8]? {
    if header == nil {
      guard let line = try line(orThrow: .malformedHeader) else { return nil }
      header = try Self.parse(buffer[line])
      consumed = line.upperBound + 1
    }
    guard let format = header?.format else { return nil }
    guard let line = try line(orThrow: .malformedFrame) else { return nil }
    guard buffer[line].starts(with: Self.frameMagic),
      line.count == Self.frameMagic.count || buffer[line.lowerBound + Self.frameMagic.count] == UInt8(ascii: " ")
    else { throw .malformedFrame }
    let start = line.upperBound + 1
    guard buffer.count - start >= format.byteCount else { return nil }
    consumed = start + format.byteCount
    let picture = buffer[start..<consumed]
    return format.pixelFormat == .yuyv ? Self.pack(picture, format) : Array(picture)
  }

  /// The range of the next line without its end, `nil` if its end was not fed yet.
  private func line(orThrow error: Y4MError) throws(Y4MError) -> Range<Int>? {
    let limit = min(buffer.count, consumed + Self.longestLine)
    var index = consumed
    while index < limit {
      if buffer[index] == UInt8(ascii: "\n") { return consumed..<index }
      index += 1
    }
    if limit - consumed == Self.longestLine { throw error }
    return nil
  }

  private static func parse(_ line: ArraySlice<UInt8>) throws(Y4MError) -> Header {
    guard line.starts(with: magic) else { throw .notY4M }
    var width = 0
    var height = 0
    var rate = (25, 1)
    var kind = PixelFormat.yu12
    for field in line.dropFirst(magic.count).split(separator: UInt8(ascii: " ")) {
      let value = field.dropFirst()
      switch field.first {
      case UInt8(ascii: "W"): width = Int(ASCII.decimal(value, max: 65535) ?? 0)
      case UInt8(ascii: "H"): height = Int(ASCII.decimal(value, max: 65535) ?? 0)
      case UInt8(ascii: "F"): rate = try parseRate(value)
      case UInt8(ascii: "I"): guard value.first.map({ $0 == 0x70 || $0 == 0x3F }) == true else { throw .unsupported }
      case UInt8(ascii: "C"): kind = try parseColour(value)
      default: break
      }
    }
    guard let format = PictureFormat(width: width, height: height, pixelFormat: kind) else { throw .unsupported }
    return Header(format: format, rateNumerator: rate.0, rateDenominator: rate.1)
  }

  private static func parseRate(_ value: ArraySlice<UInt8>) throws(Y4MError) -> (Int, Int) {
    let parts = value.split(separator: UInt8(ascii: ":"))
    guard parts.count == 2, let numerator = ASCII.decimal(parts[0], max: 1_000_000_000),
      let denominator = ASCII.decimal(parts[1], max: 1_000_000_000)
    else { throw .malformedHeader }
    // 0:0 means unknown.
    guard numerator > 0, denominator > 0 else { return (25, 1) }
    return (Int(numerator), Int(denominator))
  }

  private static func parseColour(_ value: ArraySlice<UInt8>) throws(Y4MError) -> PixelFormat {
    if value.elementsEqual("422".utf8) { return .yuyv }
    if value.elementsEqual("mono".utf8) { return .grey }
    if value.elementsEqual("mono16".utf8) { return .y16 }
    for same in ["420", "420jpeg", "420mpeg2", "420paldv"] where value.elementsEqual(same.utf8) { return .yu12 }
    throw .unsupported
  }

  /// Planar 4:2:2 to YUYV.
  private static func pack(_ planar: ArraySlice<UInt8>, _ format: PictureFormat) -> [UInt8] {
    let luma = format.width * format.height
    let start = planar.startIndex
    var packed: [UInt8] = []
    packed.reserveCapacity(luma * 2)
    for pair in 0..<luma / 2 {
      packed.append(planar[start + pair * 2])
      packed.append(planar[start + luma + pair])
      packed.append(planar[start + pair * 2 + 1])
      packed.append(planar[start + luma + luma / 2 + pair])
    }
    return packed
  }

  private static let magic = Array("YUV4MPEG2 ".utf8)
  private static let frameMagic = Array("FRAME".utf8)
  /// Bytes; real headers have fewer than 100.
  private static let longestLine = 512
}

/// The input ended inside a field. Both values are in bytes.
public struct ShortRead: Error, Hashable, Sendable {
  /// Where in the input the field began.
  public let offset: Int
  /// How many bytes the field needs.
  public let wanted: Int

  public init(offset: Int, wanted: Int) {
    self.offset = offset
    self.wanted = wanted
  }
}

/// A forward-only cursor over bytes that came off the wire.
///
/// Every read is bounds-checked and throws ``ShortRead`` with the offset where
/// the input ran out, so a parser needs no index arithmetic of its own. Numbers are
/// in network byte order. It is `~Escapable`: it cannot outlive the buffer it borrows.
public struct ByteReader: ~Escapable {
  private let bytes: RawSpan
  public private(set) var offset = 0

  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) { self.bytes = bytes }

  public var remaining: Int { bytes.byteCount - offset }

  @_lifetime(self: copy self)
  public mutating func readUInt8() throws(ShortRead) -> UInt8 {
    unsafe bytes.unsafeLoad(fromByteOffset: try advance(by: 1), as: UInt8.self)
  }

  @_lifetime(self: copy self)
  public mutating func readUInt16() throws(ShortRead) -> UInt16 {
    let at = try advance(by: 2)
    return UInt16(bigEndian: unsafe bytes.unsafeLoadUnaligned(fromByteOffset: at, as: UInt16.self))
  }

  @_lifetime(self: copy self)
  public mutating func readUInt32() throws(ShortRead) -> UInt32 {
    let at = try advance(by: 4)
    return UInt32(bigEndian: unsafe bytes.unsafeLoadUnaligned(fromByteOffset: at, as: UInt32.self))
  }

  @_lifetime(self: copy self)
  public mutating func readUInt64() throws(ShortRead) -> UInt64 {
    let at = try advance(by: 8)
    return UInt64(bigEndian: unsafe bytes.unsafeLoadUnaligned(fromByteOffset: at, as: UInt64.self))
  }

  /// The next `count` bytes, copied.
  @_lifetime(self: copy self)
  public mutating func readBytes(_ count: Int) throws(ShortRead) -> [UInt8] {
    let at = try advance(by: count)
    return [UInt8](copying: bytes.extracting(at..<at + count))
  }

  /// The next `count` bytes, borrowed from the same buffer.
  @_lifetime(self: copy self)
  @_lifetime(copy self)
  public mutating func readSpan(_ count: Int) throws(ShortRead) -> RawSpan {
    let at = try advance(by: count)
    return bytes.extracting(at..<at + count)
  }

  @_lifetime(self: copy self)
  public mutating func skip(_ count: Int) throws(ShortRead) { _ = try advance(by: count) }

  @_lifetime(self: copy self)
  private mutating func advance(by count: Int) throws(ShortRead) -> Int {
    guard count >= 0, count <= remaining else { throw ShortRead(offset: offset, wanted: count) }
    defer { offset += count }
    return offset
  }
}

extension [UInt8] {
  /// Copies the bytes of a span.
  public init(copying span: RawSpan) {
    self = unsafe span.withUnsafeBytes { unsafe [UInt8]($0) }
  }
}

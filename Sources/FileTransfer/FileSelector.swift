internal import EdgeCore

/// What tells a file from others (RFC 5547 §6, `file-selector`). Every part may be missing.
public struct FileSelector: Hashable, Sendable {
  /// As the sender calls it: what a peer says here is looked at by ``SafeName`` or ``SharedPath`` before it is used.
  public var name: String?
  /// Type and subtype, lower case, without parameters.
  public var type: String?
  /// Bytes of the whole file, also when a part of it is asked for.
  public var size: UInt64?
  /// 32 bytes. Other hash functions are passed over.
  public var sha256: [UInt8]?

  public init(name: String? = nil, type: String? = nil, size: UInt64? = nil, sha256: [UInt8]? = nil) {
    self.name = name
    self.type = type
    self.size = size
    self.sha256 = sha256
  }

  /// The longest name understood, in bytes: longer ones make no selector.
  public static let maximumName = 1024

  public var text: String {
    var parts: [String] = []
    if let name {
      // RFC 5547 §6: filename-char leaves out NUL, CR, LF, the quotation mark and the percent sign.
      parts.append("name:\"" + Percent.encode(name) { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\"") } + "\"")
    }
    if let type { parts.append("type:" + type) }
    if let size { parts.append("size:\(size)") }
    if let sha256 { parts.append("hash:sha-256:" + Self.colons(sha256)) }
    var text = ""
    for part in parts { text += text.utf8.isEmpty ? part : " " + part }
    return text
  }

  /// `nil` for what breaks the grammar; selectors nobody has defined are passed over.
  public init?(_ text: String) {
    self.init()
    var rest = Array(text.utf8)[...]
    while let first = rest.first {
      if first == 0x20 {
        rest = rest.dropFirst()
        continue
      }
      guard let colon = rest.firstIndex(of: UInt8(ascii: ":")) else { return nil }
      let key = ASCII.lowercased(String(decoding: rest[..<colon], as: UTF8.self))
      rest = rest[(colon + 1)...]
      guard let value = Self.takeValue(&rest) else { return nil }
      switch key {
      case "name":
        guard name == nil, value.first == UInt8(ascii: "\""), let bytes = Percent.decode(value.dropFirst().dropLast()),
          1...Self.maximumName ~= bytes.count, let decoded = String(validating: bytes, as: UTF8.self)
        else { return nil }
        name = decoded
      case "type": guard type == nil, takeType(value) else { return nil }
      case "size":
        guard size == nil, let number = ASCII.decimal(value, max: 1 << 62) else { return nil }
        size = number
      case "hash": guard takeHash(value) else { return nil }
      default: break
      }
    }
  }

  /// To the next space that is not in quotation marks; these stay where they are.
  private static func takeValue(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    var isQuoted = false
    var end = rest.startIndex
    while end < rest.endIndex, isQuoted || rest[end] != 0x20 {
      if rest[end] == UInt8(ascii: "\"") { isQuoted.toggle() }
      end += 1
    }
    guard !isQuoted, end > rest.startIndex else { return nil }
    let value = rest[..<end]
    rest = rest[end...]
    // A name ends with its closing mark.
    if value.first == UInt8(ascii: "\"") {
      guard value.count >= 2, value.last == UInt8(ascii: "\""),
        !value.dropFirst().dropLast().contains(UInt8(ascii: "\""))
      else { return nil }
    }
    return value
  }

  private mutating func takeType(_ value: ArraySlice<UInt8>) -> Bool {
    let plain = value.prefix { $0 != UInt8(ascii: ";") }
    let halves = plain.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard halves.count == 2, plain.count <= 127, halves.allSatisfy({ !$0.isEmpty && $0.allSatisfy(Self.isTokenByte) })
    else { return false }
    type = ASCII.lowercased(String(decoding: plain, as: UTF8.self))
    return true
  }

  private mutating func takeHash(_ value: ArraySlice<UInt8>) -> Bool {
    guard let colon = value.firstIndex(of: UInt8(ascii: ":")) else { return false }
    guard ASCII.equalIgnoringCase(String(decoding: value[..<colon], as: UTF8.self), "sha-256") else { return true }
    let digits = value[(colon + 1)...]
    // 32 pairs of digits and the colons between them.
    guard digits.count == 95, sha256 == nil else { return false }
    var bytes: [UInt8] = []
    for pair in digits.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false) {
      guard pair.count == 2, let byte = Hex.decode(String(decoding: pair, as: UTF8.self)) else { return false }
      bytes += byte
    }
    guard bytes.count == 32 else { return false }
    sha256 = bytes
    return true
  }

  /// RFC 2045 §5.1, as far as registered types go (RFC 6838 §4.2).
  private static func isTokenByte(_ byte: UInt8) -> Bool {
    ASCII.isAlpha(byte) || ASCII.isDigit(byte) || "!#$&-^_.+*".utf8.contains(byte)
  }

  /// RFC 5547 §6: two upper-case digits for each byte, colons between them.
  private static func colons(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    for byte in bytes {
      if !text.isEmpty { text.append(UInt8(ascii: ":")) }
      for nibble in [byte >> 4, byte & 15] { text.append(nibble < 10 ? nibble + 0x30 : nibble - 10 + 0x41) }
    }
    return String(decoding: text, as: UTF8.self)
  }
}

/// The part of a file that is transferred (RFC 5547 §6, `file-range`). The first byte has number 1, both ends are in it.
public struct FileRange: Hashable, Sendable {
  public var first: UInt64
  /// `nil`: to the end of the file.
  public var last: UInt64?

  public init(first: UInt64, last: UInt64? = nil) {
    self.first = first
    self.last = last
  }

  public static let whole = FileRange(first: 1)

  public var text: String { "\(first)-" + (last.map { "\($0)" } ?? "*") }

  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard let dash = bytes.firstIndex(of: UInt8(ascii: "-")),
      let first = ASCII.decimal(bytes[..<dash], max: 1 << 62), first > 0
    else { return nil }
    let end = bytes[(dash + 1)...]
    if end.elementsEqual("*".utf8) {
      self.init(first: first)
    } else {
      // A range of an empty file is 1-0.
      guard let last = ASCII.decimal(end, max: 1 << 62), last + 1 >= first else { return nil }
      self.init(first: first, last: last)
    }
  }

  /// The offsets, counted from 0, of a file of `size` bytes that the range stands for; `nil` when it goes beyond.
  public func offsets(in size: UInt64) -> Range<UInt64>? {
    let end = last ?? size
    guard end <= size, first - 1 <= end else { return nil }
    return first - 1..<end
  }
}

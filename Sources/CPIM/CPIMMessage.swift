import EdgeCore

/// An instant message with who wrote it, for whom and when, whatever carries it (RFC 3862), and the name that tells it
/// from all others of its sender (RFC 5438 §6.3).
public struct CPIMMessage: Hashable, Sendable {
  /// URIs, without display names.
  public var from: String
  public var to: String
  /// RFC 3339; empty when it is not known.
  public var dateTime: String
  /// `imdn.Message-ID`; empty when there is none.
  public var messageID: String
  /// With its parameters, such as `text/plain; charset=utf-8`.
  public var contentType: String
  public var body: [UInt8]

  public static let mediaType = "message/cpim"
  public static let plainText = "text/plain; charset=utf-8"
  /// Longest Message-ID taken, in bytes.
  public static let maximumID = 128
  /// Header lines of both parts together; more are refused.
  private static let maximumLines = 64

  public init(from: String, to: String, dateTime: String, messageID: String, contentType: String, body: [UInt8]) {
    self.from = from
    self.to = to
    self.dateTime = dateTime
    self.messageID = messageID
    self.contentType = contentType
    self.body = body
  }

  public var serialized: [UInt8] {
    var text = "From: <\(from)>\r\nTo: <\(to)>\r\n"
    if !dateTime.utf8.isEmpty { text += "DateTime: \(dateTime)\r\n" }
    if !messageID.utf8.isEmpty { text += "NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: \(messageID)\r\n" }
    // RFC 3862 §2: an empty line between the message's headers and those of its content.
    text += "\r\nContent-Type: \(contentType)\r\n\r\n"
    return Array(text.utf8) + body
  }

  /// `nil` for what is no message of this kind. Headers this version does not know are ignored, as RFC 3862 §2.3 asks
  /// unless a `Require` names them: then the message is refused.
  public init?(_ bytes: [UInt8]) {
    self.init(from: "", to: "", dateTime: "", messageID: "", contentType: "", body: [])
    // The prefix the sender gave the namespace of RFC 5438 §9.
    var imdn = "imdn"
    var rest = bytes[...]
    var lines = 0
    var isContent = false
    while true {
      guard let line = Self.takeLine(&rest), lines < Self.maximumLines else { return nil }
      lines += 1
      if line.isEmpty {
        if isContent { break }
        isContent = true
        continue
      }
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else { return nil }
      guard let name = String(validating: line[..<colon], as: UTF8.self),
        let value = String(validating: Self.trimmed(line[(colon + 1)...]), as: UTF8.self)
      else { return nil }
      if isContent {
        // MIME's names have no case (RFC 2045 §1), those of RFC 3862 have.
        if ASCII.equalIgnoringCase(name, "Content-Type") { contentType = value }
        continue
      }
      switch name {
      case "From": from = Self.address(value)
      case "To": to = Self.address(value)
      case "DateTime": dateTime = value
      case "NS":
        let prefix = value.utf8.prefix { $0 != 0x20 && $0 != UInt8(ascii: "<") }
        if Self.address(value) == "urn:ietf:params:imdn" { imdn = String(prefix) ?? imdn }
      case "Require": return nil
      default:
        guard name == imdn + ".Message-ID" else { continue }
        guard value.utf8.count <= Self.maximumID else { return nil }
        messageID = value
      }
    }
    guard !from.utf8.isEmpty, !to.utf8.isEmpty, !contentType.utf8.isEmpty else { return nil }
    body = Array(rest)
  }

  /// Type and subtype of the content, in lower case.
  public var contentMediaType: String {
    let type = contentType.utf8.prefix { $0 != UInt8(ascii: ";") && $0 != 0x20 }
    return ASCII.lowercased(String(type) ?? "")
  }

  /// Up to CRLF, or a bare LF; `nil` when no line ends.
  private static func takeLine(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard let end = rest.firstIndex(of: 0x0A) else { return nil }
    var line = rest[..<end]
    if line.last == 0x0D { line.removeLast() }
    rest = rest[(end + 1)...]
    // What would end a line or a text elsewhere has no place in one.
    return line.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F }) ? nil : line
  }

  private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var bytes = bytes
    while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
    while let last = bytes.last, last == 0x20 || last == 0x09 { bytes.removeLast() }
    return bytes
  }

  /// What stands between the angle brackets, or all of it.
  private static func address(_ value: String) -> String {
    let bytes = Array(value.utf8)
    guard let open = bytes.lastIndex(of: UInt8(ascii: "<")), bytes.last == UInt8(ascii: ">") else { return value }
    return String(decoding: bytes[(open + 1)..<(bytes.count - 1)], as: UTF8.self)
  }
}

internal import EdgeCore

extension Presence {
  public var serialized: String { serialized(limit: .max).text }

  /// As many tuples, from the first on, as keep the document within `limit` bytes, and how many were left out.
  public func serialized(limit: Int) -> (text: String, leftOut: Int) {
    var head = Markup()
    head.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<presence xmlns=\"\(Self.namespace)\"")
    head.raw(" xmlns:e=\"\(Self.resourceNamespace)\" entity=\"")
    head.escaped(entity, isAttribute: true)
    head.raw("\">\r\n")
    let tail = "</presence>\r\n"
    var bytes = head.bytes
    for (index, tuple) in tuples.enumerated() {
      let written = tuple.markup
      guard bytes.count + written.count + tail.utf8.count <= limit else {
        return (String(decoding: bytes, as: UTF8.self) + tail, tuples.count - index)
      }
      bytes += written
    }
    return (String(decoding: bytes, as: UTF8.self) + tail, 0)
  }
}

extension Presence.Tuple {
  /// In the order of the schema (RFC 3863 §4.4): status, others' elements, contact, timestamp.
  fileprivate var markup: [UInt8] {
    var text = Markup()
    text.raw("<tuple id=\"")
    text.escaped(id, isAttribute: true)
    text.raw("\"><status><basic>\(isOpen ? "open" : "closed")</basic></status>")
    text.element("e:serial", serial)
    text.element("e:type", type)
    text.element("e:ip", ip)
    if let port { text.element("e:port", "\(port)") }
    text.element("e:name", name)
    var words = ""
    for format in formats { words += words.utf8.isEmpty ? format : " " + format }
    text.element("e:formats", words)
    text.element("e:relation", relation)
    if let contact { text.element("contact", contact) }
    if let timestamp { text.element("timestamp", Timestamp.text(timestamp)) }
    text.raw("</tuple>\r\n")
    return text.bytes
  }
}

/// XML 1.0 text under construction.
struct Markup {
  private(set) var bytes: [UInt8] = []

  mutating func raw(_ text: String) { bytes += Array(text.utf8) }

  mutating func element(_ name: String, _ value: String) {
    guard !value.utf8.isEmpty else { return }
    raw("<\(name)>")
    escaped(value, isAttribute: false)
    raw("</\(name)>")
  }

  /// What XML 1.0 §2.2 has no way to write (other control characters, U+FFFE, U+FFFF) is left out.
  mutating func escaped(_ value: String, isAttribute: Bool) {
    for scalar in value.unicodeScalars {
      switch scalar.value {
      case 0x26: raw("&amp;")
      case 0x3C: raw("&lt;")
      case 0x3E: raw("&gt;")
      case 0x22: raw("&quot;")
      // Parsers turn a bare CR into LF, and in attributes all three into spaces (XML 1.0 §2.11, §3.3.3).
      case 0x0D: raw("&#13;")
      case 0x09 where isAttribute: raw("&#9;")
      case 0x0A where isAttribute: raw("&#10;")
      case 0x09, 0x0A: bytes.append(UInt8(truncatingIfNeeded: scalar.value))
      case 0..<0x20, 0xFFFE, 0xFFFF: continue
      default: bytes += Array(String(scalar).utf8)
      }
    }
  }
}

/// An element of an XML document, its names resolved to namespaces.
public struct XMLElement: Hashable, Sendable {
  public struct Attribute: Hashable, Sendable {
    public var namespace: String
    public var name: String
    public var value: String
  }

  /// "" for an element in none.
  public var namespace: String
  public var name: String
  public var attributes: [Attribute] = []
  public var children: [XMLElement] = []
  /// All character data directly inside the element, in order.
  public var text = ""

  init(namespace: String, name: String) {
    self.namespace = namespace
    self.name = name
  }

  public func isNamed(_ name: String, in namespace: String) -> Bool {
    self.name == name && self.namespace == namespace
  }

  /// The first child of this name.
  public func child(_ name: String, in namespace: String) -> XMLElement? {
    for child in children where child.isNamed(name, in: namespace) { return child }
    return nil
  }

  /// The value of an attribute that has no namespace prefix.
  public func attribute(_ name: String) -> String? {
    for attribute in attributes where attribute.name == name && attribute.namespace.utf8.isEmpty {
      return attribute.value
    }
    return nil
  }

  /// ``text`` without the white space around it.
  public var trimmedText: String {
    var bytes = Array(text.utf8)[...]
    while let first = bytes.first, Self.isSpace(first) { bytes = bytes.dropFirst() }
    while let last = bytes.last, Self.isSpace(last) { bytes = bytes.dropLast() }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// XML 1.0 §2.3: `S`.
  static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
}

/// Why a document was refused.
public enum XMLError: Error, Hashable, Sendable {
  /// Not well-formed, or not UTF-8. The line is counted from 1.
  case malformed(line: Int)
  /// A document type declaration: the way to entities that expand without end or fetch files.
  case documentType
  case tooLarge(Limit)

  public enum Limit: Hashable, Sendable { case bytes, depth, elements, attributes }
}

/// What a parser takes before it gives up.
public enum XMLLimits {
  /// The largest body a SIP message may have.
  public static let bytes = 65_535
  public static let depth = 24
  public static let elements = 5_000
  /// Of one element.
  public static let attributes = 32
}

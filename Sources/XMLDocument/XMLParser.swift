internal import CExpat
internal import EdgeCore

extension XMLElement {
  /// Parses a document in UTF-8 with libexpat.
  public init(parsing bytes: [UInt8]) throws(XMLError) {
    guard bytes.count <= XMLLimits.bytes else { throw .tooLarge(.bytes) }
    // A byte order mark would make expat read UTF-16 all the same.
    guard UTF8Text.isValid(bytes[...]) else { throw .malformed(line: 1) }
    // The separator cannot be part of a namespace name that expat accepts.
    guard let parser = XML_ParserCreateNS("UTF-8", XML_Char(bitPattern: TreeBuilder.separator)) else {
      throw .tooLarge(.bytes)
    }
    defer { XML_ParserFree(parser) }
    let builder = TreeBuilder(parser)
    XML_SetUserData(parser, Unmanaged.passUnretained(builder).toOpaque())
    XML_SetElementHandler(
      parser,
      { context, name, attributes in
        guard let context, let name else { return }
        TreeBuilder.from(context).start(name, attributes)
      },
      { context, _ in
        guard let context else { return }
        TreeBuilder.from(context).end()
      })
    XML_SetCharacterDataHandler(parser) { context, text, count in
      guard let context, let text else { return }
      TreeBuilder.from(context).add(text, Int(count))
    }
    XML_SetStartDoctypeDeclHandler(parser) { context, _, _, _, _ in
      guard let context else { return }
      TreeBuilder.from(context).refuse(.documentType)
    }
    let status = bytes.withUnsafeBytes { buffer in
      XML_Parse(parser, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(buffer.count), 1)
    }
    // Keeps the builder alive while expat holds its address.
    let result = withExtendedLifetime(builder) { builder.result }
    if let refusal = builder.refusal { throw refusal }
    guard status == XML_STATUS_OK, let result else {
      throw .malformed(line: Int(XML_GetCurrentLineNumber(parser)))
    }
    self = result
  }
}

/// Collects what expat reports; stops it at the first thing we do not take.
private final class TreeBuilder {
  /// Between namespace and local name in the names that expat hands over.
  static let separator = UInt8(ascii: "\n")

  private let parser: XML_Parser
  private var open: [XMLElement] = []
  private var elements = 0
  private(set) var result: XMLElement?
  private(set) var refusal: XMLError?

  init(_ parser: XML_Parser) { self.parser = parser }

  static func from(_ context: UnsafeMutableRawPointer) -> TreeBuilder {
    Unmanaged<TreeBuilder>.fromOpaque(context).takeUnretainedValue()
  }

  func refuse(_ error: XMLError) {
    if refusal == nil { refusal = error }
    XML_StopParser(parser, 0)
  }

  func start(_ name: UnsafePointer<XML_Char>, _ attributes: UnsafeMutablePointer<UnsafePointer<XML_Char>?>?) {
    // Expat may report a little more after it was told to stop.
    guard refusal == nil else { return }
    elements += 1
    guard elements <= XMLLimits.elements else { return refuse(.tooLarge(.elements)) }
    guard open.count < XMLLimits.depth else { return refuse(.tooLarge(.depth)) }
    let (namespace, local) = Self.split(name)
    var element = XMLElement(namespace: namespace, name: local)
    if let attributes {
      var index = 0
      while let name = attributes[index], let value = attributes[index + 1] {
        guard element.attributes.count < XMLLimits.attributes else { return refuse(.tooLarge(.attributes)) }
        let (namespace, local) = Self.split(name)
        element.attributes.append(.init(namespace: namespace, name: local, value: String(cString: value)))
        index += 2
      }
    }
    open.append(element)
  }

  func end() {
    guard refusal == nil, let done = open.popLast() else { return }
    if open.isEmpty {
      result = done
    } else {
      open[open.count - 1].children.append(done)
    }
  }

  func add(_ text: UnsafePointer<XML_Char>, _ count: Int) {
    guard refusal == nil, !open.isEmpty else { return }
    let bytes = UnsafeRawBufferPointer(start: text, count: count)
    open[open.count - 1].text += String(decoding: bytes, as: UTF8.self)
  }

  private static func split(_ name: UnsafePointer<XML_Char>) -> (namespace: String, name: String) {
    let bytes = Array(String(cString: name).utf8)
    guard let separator = bytes.lastIndex(of: separator) else { return ("", String(decoding: bytes, as: UTF8.self)) }
    return (
      String(decoding: bytes[..<separator], as: UTF8.self), String(decoding: bytes[(separator + 1)...], as: UTF8.self)
    )
  }
}

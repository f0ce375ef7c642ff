internal import EdgeCore
public import PIDF

/// Why a body is no presence document.
public enum PresenceError: Error, Hashable, Sendable {
  case xml(XMLError)
  /// The root is not RFC 3863's `presence` with an `entity`.
  case notPresence
  /// A tuple without an id or with one that came before, without a readable status, or with a port that is none.
  case badTuple
  case tooManyTuples
}

extension Presence {
  /// More resources than any node has.
  public static let maximumTuples = 256

  /// Reads a PIDF body. Elements it does not know are skipped (RFC 3863 §4.2.3).
  public init(parsing body: [UInt8]) throws(PresenceError) {
    let root: XMLElement
    do throws(XMLError) {
      root = try XMLElement(parsing: body)
    } catch {
      throw .xml(error)
    }
    // RFC 3863 §4.1.1: "The <presence> element MUST have an 'entity' attribute."
    guard root.isNamed("presence", in: Self.namespace), let entity = root.attribute("entity") else {
      throw .notPresence
    }
    self.init(entity: entity)
    var ids: Set<String> = []
    for child in root.children where child.isNamed("tuple", in: Self.namespace) {
      guard tuples.count < Self.maximumTuples else { throw .tooManyTuples }
      guard let tuple = Tuple(child), ids.insert(tuple.id).inserted else { throw .badTuple }
      tuples.append(tuple)
    }
  }
}

extension Presence.Tuple {
  fileprivate init?(_ element: XMLElement) {
    // RFC 3863 §4.1.2: a tuple has an id, unique in the document, and a status.
    guard let id = element.attribute("id"), !id.utf8.isEmpty,
      let status = element.child("status", in: Presence.namespace)
    else { return nil }
    var isOpen = false
    if let basic = status.child("basic", in: Presence.namespace) {
      switch basic.trimmedText {
      case "open": isOpen = true
      case "closed": isOpen = false
      default: return nil
      }
    }
    func text(_ name: String) -> String {
      element.child(name, in: Presence.resourceNamespace)?.trimmedText ?? ""
    }
    var port: UInt16?
    let portText = text("port")
    if !portText.utf8.isEmpty {
      guard let number = ASCII.decimal(portText, max: 65_535) else { return nil }
      port = UInt16(number)
    }
    var formats: [String] = []
    for word in Array(text("formats").utf8).split(whereSeparator: { XMLElement.isSpace($0) }) {
      formats.append(String(decoding: word, as: UTF8.self))
    }
    self.init(
      serial: text("serial"), type: text("type"), ip: text("ip"), port: port, name: text("name"), formats: formats,
      relation: text("relation"), isOpen: isOpen,
      contact: element.child("contact", in: Presence.namespace)?.trimmedText,
      timestamp: element.child("timestamp", in: Presence.namespace).flatMap { Timestamp.parse($0.trimmedText) },
      id: id)
  }
}

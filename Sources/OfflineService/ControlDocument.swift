/// One request or response between the application server and a media server, an XML document:
/// `<request><RestoreMsg from-uri="..." to-uri="..." connection-id="..."/></request>`.
///
/// `RestoreMsg` has a media server store what comes over a connection, `SendMsg` has it send what it holds over one;
/// `MsgRestored` and `MsgSended` say how that went. docs/messages.md is the definition.
public struct ControlDocument: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    case restoreMessage = "RestoreMsg"
    case messageRestored = "MsgRestored"
    case sendMessage = "SendMsg"
    case messageSent = "MsgSended"

    var isRequest: Bool { self == .restoreMessage || self == .sendMessage }
  }

  public var kind: Kind
  /// Who wrote the messages; empty in a ``Kind/sendMessage`` that only asks.
  public var from = ""
  /// Whose the messages are.
  public var to = ""
  /// Names the SIP dialog and with it the MSRP session, as `TAG:TAG`; empty in a ``Kind/sendMessage`` that only asks.
  public var connection = ""
  /// The device of the receiver.
  public var terminal = ""
  /// Of a response: 200, or what went wrong in the terms of SIP.
  public var status: Int?
  /// Messages stored or sent.
  public var count: Int?
  /// Unix seconds at which the oldest message was taken.
  public var accepted: Int64?

  public init(_ kind: Kind, from: String = "", to: String = "", connection: String = "") {
    self.kind = kind
    self.from = from
    self.to = to
    self.connection = connection
  }

  public static let mediaType = "application/offline-messages+xml"

  public var xml: String {
    var text = kind.isRequest ? "<request><" : "<response><"
    text += kind.rawValue
    for (name, value) in attributes { text += " \(name)=\"\(Self.escaped(value))\"" }
    return text + (kind.isRequest ? "/></request>" : "/></response>")
  }

  private var attributes: [(String, String)] {
    var list: [(String, String)] = []
    for (name, value) in [
      ("from-uri", from), ("to-uri", to), ("connection-id", connection), ("terminal", terminal),
      ("status", status.map { "\($0)" } ?? ""), ("count", count.map { "\($0)" } ?? ""),
      ("accepted", accepted.map { "\($0)" } ?? ""),
    ] where !value.isEmpty { list.append((name, value)) }
    return list
  }

  /// What an XML parser found: the name of the document's element, that of its only child, and the child's attributes.
  public init?(root: String, element: String, attributes: [String: String]) {
    guard let kind = Kind(rawValue: element), root == (kind.isRequest ? "request" : "response") else { return nil }
    self.init(
      kind, from: attributes["from-uri"] ?? "", to: attributes["to-uri"] ?? "",
      connection: attributes["connection-id"] ?? "")
    terminal = attributes["terminal"] ?? ""
    status = attributes["status"].flatMap { Int($0) }
    count = attributes["count"].flatMap { Int($0) }
    accepted = attributes["accepted"].flatMap { Int64($0) }
  }

  static func escaped(_ text: String) -> String {
    var out = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "\u{0}"..<" ": out += " "
      default: out.unicodeScalars.append(character)
      }
    }
    return out
  }
}

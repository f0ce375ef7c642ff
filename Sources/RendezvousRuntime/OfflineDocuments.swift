import OfflineService
import SIP
import XMLDocument

extension ControlDocument {
  /// Reads a body of a control channel.
  init?(parsing body: [UInt8]) {
    guard let root = try? XMLElement(parsing: body), root.children.count == 1 else { return nil }
    let element = root.children[0]
    var attributes: [String: String] = [:]
    for attribute in element.attributes { attributes[attribute.name] = attribute.value }
    self.init(root: root.name, element: element.name, attributes: attributes)
  }
}

extension Registration {
  private static let namespace = "urn:ietf:params:xml:ns:reginfo"

  /// Reads an `application/reginfo+xml` body (RFC 3680 §5); none for what is none.
  static func all(in body: [UInt8]) -> [Registration] {
    guard let root = try? XMLElement(parsing: body), root.isNamed("reginfo", in: namespace) else { return [] }
    var found: [Registration] = []
    for element in root.children where element.isNamed("registration", in: namespace) {
      guard let account = element.attribute("aor").flatMap({ URI($0)?.decodedUser }) else { continue }
      var registration = Registration(account: account, terminals: [])
      for contact in element.children where contact.isNamed("contact", in: namespace) {
        guard contact.attribute("state") == "active", let uri = contact.child("uri", in: namespace)?.trimmedText else {
          continue
        }
        var terminal = Terminal(name: uri, contact: uri, path: "")
        for parameter in contact.children where parameter.isNamed("unknown-param", in: namespace) {
          switch parameter.attribute("name") {
          case "+sip.instance": terminal.name = parameter.trimmedText
          case "path": terminal.path = parameter.trimmedText
          default: continue
          }
        }
        registration.terminals.append(terminal)
      }
      found.append(registration)
    }
    return found
  }
}

import EdgeCore

extension URI {
  /// RFC 3261 §19.1.4: whether both name the same resource.
  public func isEquivalent(to other: URI) -> Bool {
    // "A SIP and SIPS URI are never equivalent."
    guard scheme == other.scheme else { return false }
    guard isSIP else { return opaque == other.opaque }
    // "Comparison of the userinfo of SIP and SIPS URIs is case-sensitive."
    guard Self.sameBytes(user, other.user), Self.sameBytes(password, other.password) else { return false }
    guard ASCII.equalIgnoringCase(host, other.host), port == other.port else { return false }
    guard sharedParametersMatch(other), other.sharedParametersMatch(self) else { return false }
    return headersMatch(other)
  }

  private static func sameBytes(_ a: String?, _ b: String?) -> Bool {
    guard let a, let b else { return a == nil && b == nil }
    return Escape.decodedBytes(a) == Escape.decodedBytes(b)
  }

  private func sharedParametersMatch(_ other: URI) -> Bool {
    for parameter in parameters.items {
      let name = Escape.decode(parameter.name) ?? parameter.name
      let counterpart = other.parameters.items.first { candidate in
        ASCII.equalIgnoringCase(Escape.decode(candidate.name) ?? candidate.name, name)
      }
      guard let counterpart else {
        // "A URI omitting any component with a default value will not match a URI explicitly containing
        // that component with its default value. [...] The same is true for the transport-parameter,
        // ttl-parameter, user-parameter, and method components", and for maddr. "All other
        // uri-parameters appearing in only one URI are ignored."
        switch ASCII.lowercased(name) {
        case "user", "ttl", "method", "maddr", "transport": return false
        default: continue
        }
      }
      let mine = parameter.rawValue.map { Escape.decodedBytes($0).map { ASCII.lowercased($0) } }
      let theirs = counterpart.rawValue.map { Escape.decodedBytes($0).map { ASCII.lowercased($0) } }
      guard mine == theirs else { return false }
    }
    return true
  }

  /// "URI header components are never ignored. Any present header component MUST be present in both
  /// URIs and match for the URIs to match", in any order.
  private func headersMatch(_ other: URI) -> Bool {
    Self.sortedHeaders(headers) == Self.sortedHeaders(other.headers)
  }

  private static func sortedHeaders(_ text: String?) -> [[UInt8]] {
    guard let text else { return [] }
    let fields = Array(text.utf8).split(separator: UInt8(ascii: "&")).map { field in
      let sides = field.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      let name = Escape.decodedBytes(String(decoding: sides[0], as: UTF8.self)).map { ASCII.lowercased($0) }
      let value = sides.count == 2 ? Escape.decodedBytes(String(decoding: sides[1], as: UTF8.self)) : []
      return name + [UInt8(ascii: "=")] + value
    }
    return fields.sorted { $0.lexicographicallyPrecedes($1) }
  }
}

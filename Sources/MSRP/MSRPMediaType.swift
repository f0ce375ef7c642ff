import EdgeCore

/// Media types as `a=accept-types` lists them (RFC 4975 §8.6).
public enum MSRPMediaType {
  /// `type/subtype` in lower case, without parameters.
  public static func essence(_ contentType: String) -> String {
    let bytes = Array(contentType.utf8).prefix { $0 != UInt8(ascii: ";") && $0 != 0x20 }
    return ASCII.lowercased(String(decoding: bytes, as: UTF8.self))
  }

  /// `*` and `type/*` match too; parameters never matter.
  public static func accepts(_ list: [String], _ contentType: String) -> Bool {
    let wanted = essence(contentType)
    for entry in list {
      let type = essence(entry)
      if type == "*" || type == wanted { return true }
      guard type.utf8.count > 2, Array(type.utf8).suffix(2).elementsEqual("/*".utf8) else { continue }
      if Array(wanted.utf8).starts(with: Array(type.utf8).dropLast()) { return true }
    }
    return false
  }
}

/// Why a key, certificate or context could not be made or loaded. Always something on this machine, never the peer's doing.
public enum SecureTransportError: Error, Hashable, Sendable {
  /// OpenSSL refused; the cause comes first. An empty list means memory ran out.
  case refused(doing: String, faults: [OpenSSLFault])
  /// A file or directory could not be read or written.
  case file(path: String, doing: String, errno: Int32)
  /// The bytes are not what they should be: text for the person who configured them.
  case unusable(String)
}

extension SecureTransportError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .refused(let doing, let faults):
      var text = "cannot \(doing)"
      for fault in faults { text += ": \(fault)" }
      return text
    case .file(let path, let doing, let errno): return "cannot \(doing) \(path): errno \(errno)"
    case .unusable(let text): return text
    }
  }
}

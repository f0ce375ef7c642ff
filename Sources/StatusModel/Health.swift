/// One thing that is wrong, and what to do about it.
public struct Health: Hashable, Sendable {
  public enum Severity: String, Hashable, Sendable {
    /// Worth knowing; nothing to do.
    case info
    /// Something works less well than it could.
    case warning
    /// Something does not work.
    case error
  }

  /// Stable, for scripts: `camera-busy`, `clock-wrong`.
  public var code: String
  public var severity: Severity
  /// For people: what is wrong, then what to do.
  public var text: String

  public init(code: String, severity: Severity, text: String) {
    self.code = code
    self.severity = severity
    self.text = text
  }
}

extension Health {
  var json: JSONValue {
    .object([.init("code", .string(code)), .init("severity", .string(severity.rawValue)), .init("text", .string(text))])
  }

  init?(_ json: JSONValue) {
    guard let code = json["code"]?.text, let text = json["text"]?.text else { return nil }
    let severity = json["severity"]?.text.flatMap { Severity(rawValue: $0) } ?? .warning
    self.init(code: code, severity: severity, text: text)
  }
}

extension [Health] {
  /// Whether anything is more than information.
  public var hasProblems: Bool { contains { $0.severity != .info } }

  /// The closing lines of every status text; "" if there is nothing to say.
  var textLines: String {
    guard !isEmpty else { return "" }
    var text = "\n# Health check:\n"
    for item in self { text += "#   - \(item.severity.rawValue) \(Plain.text(item.code)): \(Plain.text(item.text))\n" }
    return text
  }
}

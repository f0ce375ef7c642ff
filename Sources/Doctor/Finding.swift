public import StatusModel

/// One thing that was looked at, what was found, and what the person can do about it.
public struct Finding: Hashable, Sendable {
  public enum State: String, Hashable, Sendable {
    case ok
    /// Works, but less well than it could.
    case warning
    case problem
    /// Could not be looked at; ``Finding/text`` says why.
    case unknown
  }

  /// Stable, for scripts: `tls`, `udp`, `nat`, `camera`.
  public var code: String
  public var state: State
  /// What was found.
  public var text: String
  /// What to do; empty when there is nothing to do.
  public var remedy: String

  public init(_ code: String, _ state: State, _ text: String, remedy: String = "") {
    self.code = code
    self.state = state
    self.text = text
    self.remedy = remedy
  }
}

/// Everything `edge doctor` has to say.
public struct DoctorReport: Hashable, Sendable {
  public var findings: [Finding]

  public init(findings: [Finding]) { self.findings = findings }

  /// 0: nothing is wrong. 1: something does not work. 2: it works, less well than it could.
  public var exitCode: ExitCode {
    if findings.contains(where: { $0.state == .problem }) { return .no }
    return findings.contains { $0.state == .warning } ? .problems : .fine
  }

  /// One line a finding, and indented below it what to do.
  public var text: String {
    var text = ""
    for finding in findings {
      let mark =
        switch finding.state {
        case .ok: "ok      "
        case .warning: "warning "
        case .problem: "PROBLEM "
        case .unknown: "unknown "
        }
      text += mark + Plain.text(finding.code) + ": " + Plain.text(finding.text) + "\n"
      if !finding.remedy.utf8.isEmpty { text += "          -> " + Plain.text(finding.remedy) + "\n" }
    }
    return text + summary + "\n"
  }

  private var summary: String {
    var problems = 0
    var warnings = 0
    for finding in findings {
      if finding.state == .problem { problems += 1 }
      if finding.state == .warning { warnings += 1 }
    }
    if problems + warnings == 0 { return "Nothing is wrong." }
    return "\(problems) problem\(problems == 1 ? "" : "s"), \(warnings) warning\(warnings == 1 ? "" : "s")."
  }

  /// Fields are added, never renamed or reordered.
  public var json: JSONValue {
    .object([
      .init("ok", .bool(exitCode == .fine)),
      .init(
        "findings",
        .array(
          findings.map {
            .object([
              .init("code", .string($0.code)), .init("state", .string($0.state.rawValue)),
              .init("text", .string($0.text)), .init("remedy", .string($0.remedy)),
            ])
          })),
    ])
  }
}

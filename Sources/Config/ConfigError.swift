/// Everything that is wrong with a configuration file, found in one pass.
public struct ConfigError: Error, Hashable, Sendable {
  public struct Problem: Hashable, Sendable {
    /// Counted from 1.
    public var line: Int
    /// Where in the tree: `cameras[0].format`; "" for the file as a whole.
    public var path: String
    public var message: String
  }

  /// Problems beyond this many are counted only.
  public static let maximumProblems = 20

  public var file: String
  /// In the order of their lines.
  public var problems: [Problem]
  /// How many more there are.
  public var omitted = 0

  init(file: String, line: Int, _ message: String) {
    self.file = file
    problems = [Problem(line: line, path: "", message: message)]
  }

  init(file: String, problems: [Problem], omitted: Int) {
    self.file = file
    self.problems = problems
    self.omitted = omitted
  }
}

extension ConfigError: CustomStringConvertible {
  /// One line for each problem: `edge.yaml:12: cameras[0].format: unknown format 'YUVY'; did you mean YUYV?`
  public var description: String {
    var text = ""
    for problem in problems {
      if !text.utf8.isEmpty { text += "\n" }
      text += "\(file):\(problem.line): "
      if !problem.path.utf8.isEmpty { text += problem.path + ": " }
      text += problem.message
    }
    if omitted > 0 { text += "\n\(file): \(omitted) more" }
    return text
  }
}

/// A value from the file made fit for a line on a terminal: short, and without control characters.
func printable(_ text: String) -> String {
  var bytes: [UInt8] = []
  for byte in text.utf8 {
    guard bytes.count < 60 else {
      bytes += Array("...".utf8)
      break
    }
    bytes.append(byte < 0x20 || byte == 0x7F || byte >= 0x80 ? UInt8(ascii: "?") : byte)
  }
  return String(decoding: bytes, as: UTF8.self)
}

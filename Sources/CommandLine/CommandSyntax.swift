/// What a command takes: the one source of its parsing and its help text.
public struct CommandSyntax: Sendable {
  public struct Argument: Sendable {
    /// In capitals: `SERIAL`.
    public var name: String
    public var help: String
    /// May be left out; such arguments come last.
    public var isOptional: Bool

    public init(_ name: String, _ help: String, isOptional: Bool = false) {
      self.name = name
      self.help = help
      self.isOptional = isOptional
    }
  }

  public struct Option: Sendable {
    /// With its dashes: `--config`.
    public var name: String
    /// What stands for the value, in capitals; `nil` for a switch.
    public var value: String?
    /// States the default.
    public var help: String

    public init(_ name: String, _ value: String? = nil, _ help: String) {
      self.name = name
      self.value = value
      self.help = help
    }
  }

  public var name: String
  /// For the list of commands: a few words.
  public var summary: String
  /// For the command's own help: what it does and what it prints.
  public var discussion: String
  public var arguments: [Argument]
  public var options: [Option]

  public init(
    _ name: String, summary: String, discussion: String, arguments: [Argument] = [], options: [Option] = []
  ) {
    self.name = name
    self.summary = summary
    self.discussion = discussion
    self.arguments = arguments
    self.options = options
  }
}

extension CommandSyntax {
  static let help = Option("--help", nil, "print this help (-h does too)")

  /// Plain ASCII, lines of at most 96 characters.
  public func helpText(program: String) -> String {
    var usage = "usage: \(program) \(name)"
    for argument in arguments { usage += argument.isOptional ? " [\(argument.name)]" : " " + argument.name }
    var text = usage + (options.isEmpty ? "\n" : " [options]\n") + "\n" + Columns.wrap(discussion, indent: 0, width: 96)
    if !arguments.isEmpty {
      text += "\nArguments:\n" + Columns.text(arguments.map { ($0.name, $0.help) })
    }
    let all = options + [Self.help]
    return text + "\nOptions:\n"
      + Columns.text(all.map { ($0.value == nil ? $0.name : "\($0.name) \($0.value ?? "")", $0.help) })
  }
}

/// Lays out help text.
enum Columns {
  /// `  left   right`, right wrapped under itself.
  static func text(_ rows: [(String, String)]) -> String {
    var width = 0
    for (left, _) in rows { width = max(width, left.utf8.count) }
    var text = ""
    for (left, right) in rows {
      let lines = wrap(right, indent: width + 4, width: 96)
      text += "  " + left + String(repeating: " ", count: width - left.utf8.count + 2)
      // The first line's indent is where the left column stands.
      text += String(decoding: Array(lines.utf8).dropFirst(width + 4), as: UTF8.self)
    }
    return text
  }

  /// Words in lines of `width`; "\n" in `text` is kept.
  static func wrap(_ text: String, indent: Int, width: Int) -> String {
    let margin = String(repeating: " ", count: indent)
    var result = ""
    for paragraph in text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false) {
      var line = ""
      for word in paragraph.split(separator: 0x20) {
        let word = String(decoding: Array(word), as: UTF8.self)
        if !line.utf8.isEmpty, indent + line.utf8.count + 1 + word.utf8.count > width {
          result += margin + line + "\n"
          line = ""
        }
        line += line.utf8.isEmpty ? word : " " + word
      }
      result += line.utf8.isEmpty ? "\n" : margin + line + "\n"
    }
    return result
  }
}

internal import EdgeCore

/// The command line is wrong; exit code 64. The text says how, and what was probably meant.
public struct UsageError: Error, Hashable, Sendable {
  public var message: String

  public init(_ message: String) { self.message = message }
}

/// The words of a command line, sorted into a command's arguments and options.
public struct ParsedArguments: Sendable {
  public var arguments: [String] = []
  /// `--help` or `-h` was there: nothing else counts then.
  public var wantsHelp = false
  private var values: [(name: String, value: String)] = []

  public func has(_ option: String) -> Bool { value(option) != nil }

  /// "" for a switch that is there.
  public func value(_ option: String) -> String? {
    for item in values where item.name == option { return item.value }
    return nil
  }

  /// - Parameter words: what follows the command's name.
  ///
  /// `--name value` and `--name=value` are the same; after `--` nothing is an option; `-` is an
  /// ordinary word. An option given twice is an error, since one of the two would be ignored.
  public init(_ words: [String], syntax: CommandSyntax) throws(UsageError) {
    if Self.asksForHelp(words) {
      wantsHelp = true
      return
    }
    var index = 0
    var onlyArguments = false
    while index < words.count {
      let word = words[index]
      index += 1
      if onlyArguments || word == "-" || word.utf8.first != UInt8(ascii: "-") {
        arguments.append(word)
      } else if word == "--" {
        onlyArguments = true
      } else {
        try takeOption(word, words, &index, syntax)
      }
    }
    guard arguments.count >= syntax.arguments.count || syntax.arguments[arguments.count].isOptional else {
      throw UsageError("\(syntax.name) needs \(syntax.arguments[arguments.count].name)")
    }
    guard arguments.count <= syntax.arguments.count else {
      throw UsageError("unexpected argument '\(arguments[syntax.arguments.count])'")
    }
  }

  private mutating func takeOption(
    _ word: String, _ words: [String], _ index: inout Int, _ syntax: CommandSyntax
  ) throws(UsageError) {
    let bytes = Array(word.utf8)
    let equals = bytes.firstIndex(of: UInt8(ascii: "="))
    let name = String(decoding: bytes[..<(equals ?? bytes.count)], as: UTF8.self)
    var known: CommandSyntax.Option?
    for option in syntax.options where option.name == name { known = option }
    guard let option = known else {
      var message = "unknown option '\(name)'"
      if let hint = Suggestion.closest(to: name, among: syntax.options.map { $0.name } + ["--help"]) {
        message += "; did you mean \(hint)?"
      }
      throw UsageError(message)
    }
    guard !has(name) else { throw UsageError("\(name) is given twice") }
    guard let valueName = option.value else {
      guard equals == nil else { throw UsageError("\(name) takes no value") }
      values.append((name, ""))
      return
    }
    if let equals {
      let value = String(decoding: bytes[(equals + 1)...], as: UTF8.self)
      guard !value.utf8.isEmpty else { throw UsageError("\(name) needs a value: \(valueName)") }
      values.append((name, value))
      return
    }
    // "--output --stats F" forgot a value rather than meaning a file called "--stats".
    guard index < words.count, !words[index].utf8.starts(with: "--".utf8), !words[index].utf8.isEmpty else {
      throw UsageError("\(name) needs a value: \(valueName)")
    }
    values.append((name, words[index]))
    index += 1
  }

  private static func asksForHelp(_ words: [String]) -> Bool {
    for word in words {
      if word == "--" { return false }
      if word == "--help" || word == "-h" { return true }
    }
    return false
  }
}

extension ParsedArguments {
  /// A whole number in `range`.
  func integer(_ option: String, _ range: ClosedRange<Int>) throws(UsageError) -> Int? {
    guard let text = value(option) else { return nil }
    guard let number = ASCII.decimal(text, max: UInt64(range.upperBound)), Int(number) >= range.lowerBound else {
      throw UsageError("\(option): '\(text)' is not a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return Int(number)
  }

  /// Seconds, up to three decimals: `10`, `0.5`. More than zero, at most a year.
  func seconds(_ option: String) throws(UsageError) -> Duration? {
    guard let text = value(option) else { return nil }
    let parts = Array(text.utf8).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    var milliseconds: UInt64?
    if let whole = parts.first.flatMap({ ASCII.decimal($0, max: 31_536_000) }) {
      if parts.count == 1 {
        milliseconds = whole * 1000
      } else if parts.count == 2, parts[1].count <= 3 {
        let digits = Array(parts[1]) + Array(repeating: UInt8(ascii: "0"), count: 3 - parts[1].count)
        milliseconds = parts[1].isEmpty ? nil : ASCII.decimal(digits[...], max: 999).map { whole * 1000 + $0 }
      }
    }
    guard let milliseconds, milliseconds > 0 else {
      throw UsageError("\(option): '\(text)' is not a number of seconds such as 10 or 0.5")
    }
    return .milliseconds(Int64(milliseconds))
  }

  /// One of a few words.
  func word(_ option: String, _ words: [String]) throws(UsageError) -> String? {
    guard let text = value(option) else { return nil }
    for word in words where word == text { return word }
    var message = "\(option): unknown '\(text)'"
    if let hint = Suggestion.closest(to: text, among: words) {
      message += "; did you mean \(hint)?"
    } else {
      message += "; known are"
      for (index, word) in words.enumerated() { message += (index > 0 ? ", " : " ") + word }
    }
    throw UsageError(message)
  }
}

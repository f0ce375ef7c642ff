internal import EdgeCore

/// Collects what is wrong while a file is read.
final class Problems {
  let file: String
  private var found: [ConfigError.Problem] = []
  private var omitted = 0

  init(file: String) { self.file = file }

  func add(_ line: Int, _ path: String, _ message: String) {
    if found.count < ConfigError.maximumProblems {
      found.append(.init(line: line, path: path, message: message))
    } else {
      omitted += 1
    }
  }

  /// Throws if anything was added.
  func check() throws(ConfigError) {
    guard !found.isEmpty else { return }
    // Stable, unlike what the standard library promises of `sort`.
    var sorted: [ConfigError.Problem] = []
    for problem in found {
      let index = sorted.firstIndex { $0.line > problem.line } ?? sorted.count
      sorted.insert(problem, at: index)
    }
    throw ConfigError(file: file, problems: sorted, omitted: omitted)
  }
}

/// A mapping whose keys are known: unknown ones are reported at once, with what was probably meant.
struct Section {
  let path: String
  let line: Int
  let problems: Problems
  private let entries: [YAMLNode.Entry]

  /// An absent or empty mapping has no entries; anything that is not a mapping is reported.
  init(_ node: YAMLNode?, path: String, line: Int, keys: [String], _ problems: Problems) {
    self.path = path
    self.problems = problems
    guard let node, !node.isNull else {
      self.line = line
      entries = []
      return
    }
    self.line = node.line
    guard case .mapping(let entries) = node.content else {
      problems.add(node.line, path, "must be a list of 'key: value'")
      self.entries = []
      return
    }
    self.entries = entries
    for entry in entries where !keys.contains(entry.key) {
      let hint = Suggestion.closest(to: entry.key, among: keys).map { "; did you mean \($0)?" } ?? ""
      problems.add(entry.line, child(printable(entry.key)), "unknown key" + hint)
    }
  }

  func child(_ key: String) -> String { path.utf8.isEmpty ? key : "\(path).\(key)" }

  func node(_ key: String) -> YAMLNode? {
    for entry in entries where entry.key == key && !entry.value.isNull { return entry.value }
    return nil
  }

  func has(_ key: String) -> Bool { node(key) != nil }

  func section(_ key: String, keys: [String]) -> Section {
    Section(node(key), path: child(key), line: line, keys: keys, problems)
  }

  /// The elements of a list of mappings.
  func sections(_ key: String, keys: [String]) -> [Section] {
    guard let node = node(key) else { return [] }
    guard case .sequence(let items) = node.content else {
      problems.add(node.line, child(key), "must be a list, each element starting with '-'")
      return []
    }
    var found: [Section] = []
    for (index, item) in items.enumerated() {
      let itemPath = "\(child(key))[\(index)]"
      if item.isNull { problems.add(item.line, itemPath, "is empty") }
      found.append(Section(item, path: itemPath, line: item.line, keys: keys, problems))
    }
    return found
  }

  func report(_ key: String, _ message: String) {
    problems.add(node(key)?.line ?? line, child(key), message)
  }

  /// A scalar as text; reports a list or mapping in its place.
  func text(_ key: String) -> String? {
    guard let node = node(key) else { return nil }
    guard case .scalar(let text, _) = node.content else {
      report(key, "must be a single value")
      return nil
    }
    guard !text.utf8.isEmpty else {
      report(key, "is empty")
      return nil
    }
    return text
  }

  /// Like ``text(_:)``, and reports the key when it is missing: `hint` says what it is for.
  func requiredText(_ key: String, _ hint: String) -> String? {
    if !has(key) { report(key, "is missing: \(hint)") }
    return text(key)
  }

  /// A value `convert` understands; reports "'x' is not `expected`" otherwise.
  func value<T>(_ key: String, _ expected: String, _ convert: (String) -> T?) -> T? {
    guard let text = text(key) else { return nil }
    guard let value = convert(text) else {
      report(key, "'\(printable(text))' is not \(expected)")
      return nil
    }
    return value
  }

  /// A list of values `convert` understands, or one by itself.
  func values<T>(_ key: String, atMost limit: Int, _ expected: String, _ convert: (String) -> T?) -> [T] {
    guard let node = node(key) else { return [] }
    var items = [node]
    if case .sequence(let list) = node.content { items = list }
    guard items.count <= limit else {
      report(key, "has more than \(limit) entries")
      return []
    }
    var found: [T] = []
    for item in items {
      if case .scalar(let text, _) = item.content, let value = convert(text) {
        found.append(value)
      } else if case .scalar(let text, _) = item.content {
        problems.add(item.line, child(key), "'\(printable(text))' is not \(expected)")
      } else {
        problems.add(item.line, child(key), "must be a list of single values")
      }
    }
    return found
  }

  func integer(_ key: String, _ range: ClosedRange<Int>) -> Int? {
    value(key, "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
      guard let number = ASCII.decimal(text, max: UInt64(range.upperBound)), Int(number) >= range.lowerBound else {
        return nil
      }
      return Int(number)
    }
  }

  /// Only `true` and `false`: the many other spellings of YAML 1.1 are a trap.
  func bool(_ key: String) -> Bool? {
    value(key, "true or false") { $0 == "true" ? true : $0 == "false" ? false : nil }
  }

  /// One of a few words, letter case aside, given back in the spelling of `words`.
  func word(_ key: String, kind: String, _ words: [String]) -> String? {
    guard let text = text(key) else { return nil }
    for word in words where ASCII.equalIgnoringCase(word, text) { return word }
    var message = "unknown \(kind) '\(printable(text))'"
    if let hint = Suggestion.closest(to: text, among: words) {
      message += "; did you mean \(hint)?"
    } else {
      message += "; known are "
      for (index, word) in words.enumerated() { message += (index > 0 ? ", " : "") + word }
    }
    report(key, message)
    return nil
  }

  /// A file name, made absolute with the directory of the configuration file.
  func file(_ key: String) -> String? { text(key).map { resolve($0) } }

  func resolve(_ path: String) -> String {
    if path.utf8.first == UInt8(ascii: "/") { return path }
    let file = Array(problems.file.utf8)
    guard let slash = file.lastIndex(of: UInt8(ascii: "/")) else { return path }
    return String(decoding: file[...slash], as: UTF8.self) + path
  }
}

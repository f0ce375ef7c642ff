import CLinux

/// What a program is to whoever started it: arguments, standard streams, exit code.
public enum Program {
  /// Without the program's own name. Embedded Swift has no `CommandLine`; the kernel keeps the arguments.
  public static var arguments: [String] { arguments(of: "self").map { Array($0.dropFirst()) } ?? [] }

  /// The argument vector of a process, its name first; `nil` if it is gone or a kernel thread.
  public static func arguments(of process: String) -> [String]? {
    guard let bytes = try? File.read("/proc/\(process)/cmdline", maxBytes: 1 << 18), !bytes.isEmpty else { return nil }
    var words: [String] = []
    // Each argument ends with a zero byte.
    for word in bytes.split(separator: 0, omittingEmptySubsequences: false) {
      words.append(String(decoding: word, as: UTF8.self))
    }
    if bytes.last == 0 { words.removeLast() }
    return words
  }

  /// Writes to standard error. Nobody is left to be told when that fails.
  public static func writeError(_ text: String) { write(STDERR_FILENO, text) }

  /// Writes to standard output.
  /// - Returns: whether all of it was taken; `false` when the reader is gone or the disk is full.
  @discardableResult
  public static func writeOutput(_ text: String) -> Bool { write(STDOUT_FILENO, text) }

  /// Whether a person reads standard error.
  public static var errorIsTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  public static func exit(_ code: Int32) -> Never { CLinux.exit(code) }

  @discardableResult
  private static func write(_ descriptor: Int32, _ text: String) -> Bool {
    let bytes = Array(text.utf8)
    do throws(SystemError) {
      try File.writeAll(descriptor, bytes.span.bytes)
      return true
    } catch {
      return false
    }
  }
}

extension Program {
  /// The file this program was started from; `nil` where /proc is not mounted.
  public static var path: String? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    guard count > 0 else { return nil }
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Finds a program: beside this one, then in PATH.
  public static func find(_ name: String) -> String? {
    var directories: [String] = []
    if let path, let slash = Array(path.utf8).lastIndex(of: UInt8(ascii: "/")) {
      directories.append(String(decoding: Array(path.utf8)[..<slash], as: UTF8.self))
    }
    for part in Array((ProcessFacts.environment("PATH") ?? "").utf8).split(separator: UInt8(ascii: ":")) {
      directories.append(String(decoding: part, as: UTF8.self))
    }
    return directories.lazy.map { $0 + "/" + name }.first { access($0, X_OK) == 0 }
  }
}

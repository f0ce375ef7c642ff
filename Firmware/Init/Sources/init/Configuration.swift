import CInit

/// Carries out `/etc/init.conf`, and keeps what it says to run.
struct Configuration {
  private(set) var program: [String] = []
  private(set) var once = false

  mutating func carryOut(_ text: String) {
    for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
      let words = line.split(separator: UInt8(ascii: " ")).map { String(Substring($0)) }
      guard let verb = words.first, !verb.utf8.starts(with: "#".utf8) else { continue }
      if !perform(verb, Array(words.dropFirst())) {
        say("\(String(Substring(line))): \(lastError())")
      }
    }
  }

  private mutating func perform(_ verb: String, _ words: [String]) -> Bool {
    switch (verb, words.count) {
    case ("load", 1...): return Modules.load(words[0], parameters: Self.joined(words.dropFirst()))
    case ("mount", 3...):
      return Mounts.add(type: words[0], source: words[1], folder: words[2], options: Self.joined(words.dropFirst(3)))
    case ("folder", 1): return File.makeFolder(words[0])
    case ("host", 1): return sethostname(words[0], words[0].utf8.count) == 0
    case ("address", 2): return Network.setAddress(interface: words[0], words[1])
    case ("route", 1): return Network.setDefaultRoute(words[0])
    case ("run", 1...), ("once", 1...):
      program = words
      once = verb == "once"
      return true
    default:
      say("\(verb): not a directive of init.conf, or with a wrong number of words")
      return true
    }
  }

  private static func joined(_ words: ArraySlice<String>) -> String {
    var text = ""
    for word in words { text += text.isEmpty ? word : " " + word }
    return text
  }
}

enum Mounts {
  /// What any program expects. The console is there before `/dev` is, from the image.
  static func base() {
    _ = add(type: "devtmpfs", source: "dev", folder: "/dev", options: "")
    _ = add(type: "proc", source: "proc", folder: "/proc", options: "")
    _ = add(type: "sysfs", source: "sys", folder: "/sys", options: "")
    _ = add(type: "tmpfs", source: "run", folder: "/run", options: "mode=755")
    _ = add(type: "tmpfs", source: "tmp", folder: "/tmp", options: "mode=1777")
  }

  static func add(type: String, source: String, folder: String, options: String) -> Bool {
    _ = File.makeFolder(folder)
    return mount(source, folder, type, 0, options) == 0
  }
}

enum Modules {
  /// Already loaded, or built into the kernel, is as good as loaded.
  static func load(_ path: String, parameters: String) -> Bool {
    let file = init_open(path, O_RDONLY)
    guard file >= 0 else { return false }
    defer { close(file) }
    return init_load_module(file, parameters) == 0 || init_errno() == EEXIST
  }
}

enum File {
  static func read(_ path: String, atMost limit: Int) -> String? {
    let file = init_open(path, O_RDONLY)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: limit)
    var count = 0
    while count < limit {
      let got = bytes.withUnsafeMutableBytes { CInit.read(file, $0.baseAddress! + count, limit - count) }
      guard got > 0 else { break }
      count += got
    }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }

  /// Makes the folder and those above it.
  static func makeFolder(_ path: String) -> Bool {
    var partial = ""
    for part in path.utf8.split(separator: UInt8(ascii: "/")) {
      partial += "/" + String(Substring(part))
      guard mkdir(partial, 0o755) == 0 || init_errno() == EEXIST else { return false }
    }
    return true
  }
}

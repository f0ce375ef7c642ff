internal import EdgeCore

/// Why a name that came from a peer is not used.
public enum NameRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  case empty
  /// More than ``SafeName/maximumBytes`` of a name, or than a path may have.
  case tooLong
  /// NUL, line ends, escape sequences, and characters that turn the writing direction.
  case controlCharacter
  /// A separator, `.` or `..`: it would lead to another folder.
  case leadsElsewhere
  /// Names that begin with a dot are hidden, and those of files still being received.
  case hidden
  /// `CON`, `NUL`, `COM1` and so on: devices on some systems.
  case device
  /// More folders deep than anybody's are.
  case tooDeep

  public var description: String {
    switch self {
    case .empty: "it has no name"
    case .tooLong: "its name is too long"
    case .controlCharacter: "its name has control characters in it"
    case .leadsElsewhere: "its name leads to another folder"
    case .hidden: "its name begins with a dot"
    case .device: "its name is a device's"
    case .tooDeep: "it is too many folders deep"
    }
  }
}

/// Names of files as peers give them, and what may become of them here.
public enum SafeName {
  /// What file systems take, less what a number and the name of a part cost.
  public static let maximumBytes = 200

  /// A name for a received file that is safe in any folder; the name itself or a refusal, never another name.
  public static func check(_ name: String) throws(NameRefusal) {
    let bytes = Array(name.utf8)
    guard let first = bytes.first, let last = bytes.last else { throw .empty }
    guard bytes.count <= maximumBytes else { throw .tooLong }
    for scalar in name.unicodeScalars where isControl(scalar.value) { throw .controlCharacter }
    guard !bytes.contains(UInt8(ascii: "/")), !bytes.contains(UInt8(ascii: "\\")), name != ".", name != ".." else {
      throw .leadsElsewhere
    }
    guard first != UInt8(ascii: ".") else { throw .hidden }
    // Some file systems drop a dot or space at the end, and take a colon for a stream or drive.
    guard last != UInt8(ascii: "."), last != 0x20, first != 0x20, !bytes.contains(UInt8(ascii: ":")) else {
      throw .leadsElsewhere
    }
    guard !isDevice(bytes) else { throw .device }
  }

  /// `clip.y4m` is `clip (1).y4m` when there is one already: `number` is counted from 1.
  public static func numbered(_ name: String, _ number: Int) -> String {
    let bytes = Array(name.utf8)
    // `.tar.gz` goes along whole with its last part only; what begins with a dot has no ending.
    guard let dot = bytes.lastIndex(of: UInt8(ascii: ".")), dot > 0, bytes.count - dot <= 16 else {
      return "\(name) (\(number))"
    }
    return String(decoding: bytes[..<dot], as: UTF8.self) + " (\(number))"
      + String(decoding: bytes[dot...], as: UTF8.self)
  }

  /// C0, C1, DEL, and the marks that make a name read otherwise than it is (Unicode TR 36 §2.10).
  static func isControl(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0..<0x20, 0x7F..<0xA0, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: true
    default: false
    }
  }

  private static func isDevice(_ bytes: [UInt8]) -> Bool {
    let stem = ASCII.lowercased(String(decoding: bytes.prefix { $0 != UInt8(ascii: ".") }, as: UTF8.self))
    if ["con", "prn", "aux", "nul", "conin$", "conout$"].contains(stem) { return true }
    let letters = Array(stem.utf8)
    guard letters.count == 4, ASCII.isDigit(letters[3]) else { return false }
    return stem.hasPrefix("com") || stem.hasPrefix("lpt")
  }
}

/// A path below the shared folder, as a peer asks for it: `clips/monday.y4m`; a folder's ends in `/` or is `/` alone.
public struct SharedPath: Hashable, Sendable {
  public static let maximumDepth = 16

  /// Each safe as the name of a file or folder.
  public let components: [String]
  public let isFolder: Bool

  public init(_ text: String) throws(NameRefusal) {
    let bytes = Array(text.utf8)
    guard !bytes.isEmpty else { throw .empty }
    guard bytes.count <= FileSelector.maximumName else { throw .tooLong }
    isFolder = bytes.last == UInt8(ascii: "/")
    var components: [String] = []
    if text != "/" {
      // The slash in front is what leads out of the folder, not a name before it.
      guard bytes.first != UInt8(ascii: "/") else { throw .leadsElsewhere }
      let inner = isFolder ? bytes.dropLast() : bytes[...]
      for part in inner.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
        guard components.count < Self.maximumDepth else { throw .tooDeep }
        let name = String(decoding: part, as: UTF8.self)
        if name == "." || name == ".." || name.utf8.isEmpty { throw .leadsElsewhere }
        try SafeName.check(name)
        components.append(name)
      }
    }
    self.components = components
  }

  public var text: String {
    var text = ""
    for component in components { text += text.utf8.isEmpty ? component : "/" + component }
    return isFolder ? text + "/" : text
  }

  /// The file's own name.
  public var name: String { components.last ?? "" }
}

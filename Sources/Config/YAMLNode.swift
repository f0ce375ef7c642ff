/// A YAML value with the line it stands on: scalars stay text, since only the reader knows what it wants.
public struct YAMLNode: Hashable, Sendable {
  public enum Content: Hashable, Sendable {
    /// `isPlain` tells `null` from `"null"`.
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    /// In the order of the file; no key twice.
    case mapping([Entry])
  }

  public struct Entry: Hashable, Sendable {
    public var key: String
    /// The line of the key, counted from 1.
    public var line: Int
    public var value: YAMLNode
  }

  public var content: Content
  /// Counted from 1.
  public var line: Int

  /// Nothing at all, `~` or `null`.
  public var isNull: Bool {
    guard case .scalar(let text, isPlain: true) = content else { return false }
    return text.utf8.isEmpty || text == "~" || text == "null"
  }
}

/// What a configuration file may be at most.
public enum YAMLLimits {
  public static let bytes = 262_144
  /// Mappings and sequences inside one another.
  public static let depth = 16
  public static let nodes = 20_000
}

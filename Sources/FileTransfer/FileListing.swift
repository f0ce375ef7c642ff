internal import EdgeCore
public import StatusModel

/// What is in a shared folder: a JSON array, asked for like a file.
public struct FileListing: Hashable, Sendable {
  public struct Entry: Hashable, Sendable {
    public var name: String
    public var isFolder: Bool
    /// Bytes; 0 for folders.
    public var size: UInt64
    /// Unix seconds.
    public var modified: Int64

    public init(name: String, isFolder: Bool, size: UInt64, modified: Int64) {
      self.name = name
      self.isFolder = isFolder
      self.size = size
      self.modified = modified
    }
  }

  /// The media type by which a listing is asked for.
  public static let mediaType = "application/vnd.edge.listing+json"
  public static let maximumEntries = 10_000
  /// Of the JSON.
  public static let maximumBytes = 1 << 20

  public var entries: [Entry]
  /// There are more than fit.
  public var isCut: Bool

  public init(entries: [Entry], isCut: Bool = false) {
    self.entries = entries
    self.isCut = isCut
  }

  public var json: JSONValue {
    .object([
      .init("entries", .array(entries.map { $0.json })), .init("complete", .bool(!isCut)),
    ])
  }

  /// The JSON, with as many entries as ``maximumBytes`` hold.
  public var bytes: [UInt8] {
    var shorter = self
    var bytes = Array(JSONWriter.text(json).utf8)
    while bytes.count > Self.maximumBytes, !shorter.entries.isEmpty {
      shorter.entries.removeLast(max(1, shorter.entries.count / 8))
      shorter.isCut = true
      bytes = Array(JSONWriter.text(shorter.json).utf8)
    }
    return bytes
  }

  /// Entries with names that are not safe are left out.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count <= Self.maximumBytes, let value = try? JSONValue(bytes: bytes),
      let list = value["entries"]?.elements
    else { return nil }
    isCut = value["complete"]?.boolean != true
    entries = []
    for each in list.prefix(Self.maximumEntries) {
      guard let name = each["name"]?.text, (try? SafeName.check(name)) != nil else { continue }
      entries.append(
        Entry(
          name: name, isFolder: each["type"]?.text == "folder", size: UInt64(max(0, each["size"]?.integer ?? 0)),
          modified: each["modified"]?.text.flatMap { Timestamp.parse($0) } ?? 0))
    }
  }
}

extension FileListing.Entry {
  var json: JSONValue {
    .object([
      .init("name", .string(name)), .init("type", .string(isFolder ? "folder" : "file")),
      .init("size", .integer(size)), .init("modified", .timestamp(modified)),
    ])
  }
}

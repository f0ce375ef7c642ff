internal import EdgeCore
internal import StatusModel

/// What is known of a file that is not all here yet, kept beside its part so that the transfer goes on after a cut, a
/// crash or a restart.
///
///     {"name":"a.y4m","size":1000,"sha256":"…","peer":"gate-box","source":"CAM-1 clips/a.y4m"}
///     {"durable":400}
///     {"durable":800}
///
/// A line is written after what it tells of is on the disk. A crash may cut the last one short.
public struct TransferJournal: Hashable, Sendable {
  public var name: String
  /// Bytes of the whole file.
  public var size: UInt64
  public var sha256: [UInt8]
  /// Who sends it.
  public var peer: String
  /// What it was asked for by, where it was.
  public var source: String
  /// Bytes from the start that are on the disk for certain.
  public var durable: UInt64 = 0

  public init(name: String, size: UInt64, sha256: [UInt8], peer: String, source: String = "") {
    self.name = name
    self.size = size
    self.sha256 = sha256
    self.peer = peer
    self.source = source
  }

  /// A journal is begun anew long before it has as many bytes.
  public static let maximumBytes = 1 << 20

  public var firstLine: String {
    JSONWriter.text(
      .object([
        .init("name", .string(name)), .init("size", .integer(size)), .init("sha256", .string(Hex.encode(sha256))),
        .init("peer", .string(peer)), .init("source", .string(source)),
      ])) + "\n"
  }

  public static func line(durable: UInt64) -> String { "{\"durable\":\(durable)}\n" }

  /// `nil` for what is no journal: its part is of no use then.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count <= Self.maximumBytes else { return nil }
    var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: true)[...]
    guard let head = lines.popFirst(), let value = try? JSONValue(bytes: Array(head)), let name = value["name"]?.text,
      let size = value["size"]?.integer, size >= 0, let hash = value["sha256"]?.text.flatMap({ Hex.decode($0) }),
      hash.count == 32, let peer = value["peer"]?.text
    else { return nil }
    self.init(
      name: name, size: UInt64(size), sha256: hash, peer: peer, source: value["source"]?.text ?? "")
    for line in lines {
      guard let value = try? JSONValue(bytes: Array(line)), let durable = value["durable"]?.integer, durable >= 0,
        UInt64(durable) <= self.size
      else { continue }
      // The latest counts: a part is cut back when its disk turned out to be full.
      self.durable = UInt64(durable)
    }
  }

  /// Where to go on: not beyond what is on the disk for certain, nor what is there of the part now.
  public func resumeOffset(partBytes: UInt64) -> UInt64 { min(durable, min(partBytes, size)) }

  /// The names of part and journal: hidden, so that nobody takes them for the file, and one pair for each content.
  public static func partName(sha256: [UInt8]) -> String { ".edge-\(Hex.encode(Array(sha256.prefix(12)))).part" }

  public static func journalName(sha256: [UInt8]) -> String { ".edge-\(Hex.encode(Array(sha256.prefix(12)))).journal" }

  public static func isJournalName(_ name: String) -> Bool { name.hasPrefix(".edge-") && name.hasSuffix(".journal") }
}

import EdgeCore
import FileTransfer
import Foundation
import LinuxIO
import PeerMessaging
import SecureTransport
import Testing

/// A folder of its own, gone when the test ends.
final class Scratch {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "edge-files-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  var names: [String] { (File.names(in: path) ?? []).sorted() }

  func write(_ name: String, _ bytes: [UInt8]) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
  }

  func read(_ name: String) -> [UInt8] { [UInt8](FileManager.default.contents(atPath: path + "/" + name) ?? Data()) }
}

@Suite("Files being received")
struct FileSinkTests {
  static let content: [UInt8] = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 11) }

  static func journal(_ content: [UInt8] = content, name: String = "clip.y4m") -> TransferJournal {
    TransferJournal(name: name, size: UInt64(content.count), sha256: Hashes.openSSL.sha256(content), peer: "anna")
  }

  /// Runs until the sink reports its end.
  private func end(_ sink: FileSink, _ reactor: Reactor) throws -> FileSink.Report {
    var last: FileSink.Report?
    sink.onReport = { last = $0 }
    while !sink.isOver { try reactor.turn(waitingAtMost: .seconds(5)) }
    return try #require(last)
  }

  private func finish(_ sink: FileSink, _ reactor: Reactor) throws -> String {
    sink.finish()
    guard case .finished(let path) = try end(sink, reactor) else {
      Issue.record("not finished")
      return ""
    }
    return path
  }

  private func give(_ sink: FileSink, upTo count: Int, content: [UInt8] = content) {
    while Int(sink.next) < count {
      let start = Int(sink.next)
      #expect(sink.write(Array(content[start..<min(start + 60_000, count)])))
    }
  }

  @Test func `a whole file gets its name, and a second one a number`() throws {
    let reactor = try Reactor()
    let folder = try Scratch()
    for expected in ["clip.y4m", "clip (1).y4m"] {
      let sink = try FileSink(reactor: reactor, folder: folder.path, journal: Self.journal())
      #expect(sink.offset == 0)
      give(sink, upTo: Self.content.count)
      #expect(try finish(sink, reactor) == folder.path + "/" + expected)
      #expect(folder.read(expected) == Self.content)
    }
    #expect(folder.names == ["clip (1).y4m", "clip.y4m"])
  }

  @Test func `what was stopped goes on from the last byte, also when the part has more than is certain`() throws {
    let reactor = try Reactor()
    let folder = try Scratch()
    let first = try FileSink(reactor: reactor, folder: folder.path, journal: Self.journal())
    give(first, upTo: 1_000_000)
    first.stop()
    guard case .stopped = try end(first, reactor) else {
      Issue.record("not stopped")
      return
    }
    // A crash may leave bytes behind that nobody vouches for.
    let part = TransferJournal.partName(sha256: Self.journal().sha256)
    try folder.write(part, Array(Self.content[..<1_000_000]) + [1, 2, 3])
    let second = try FileSink(reactor: reactor, folder: folder.path, journal: Self.journal())
    #expect(second.offset == 1_000_000)
    give(second, upTo: Self.content.count)
    #expect(try finish(second, reactor) == folder.path + "/clip.y4m")
    #expect(folder.read("clip.y4m") == Self.content)
  }

  @Test func `a part that was changed is found out by the hash of the whole, and removed`() throws {
    let reactor = try Reactor()
    let folder = try Scratch()
    let first = try FileSink(reactor: reactor, folder: folder.path, journal: Self.journal())
    give(first, upTo: 100_000)
    first.stop()
    _ = try end(first, reactor)
    var damaged = Array(Self.content[..<100_000])
    damaged[5] ^= 1
    try folder.write(TransferJournal.partName(sha256: Self.journal().sha256), damaged)
    let second = try FileSink(reactor: reactor, folder: folder.path, journal: Self.journal())
    give(second, upTo: Self.content.count)
    second.finish()
    guard case .wrongHash = try end(second, reactor) else {
      Issue.record("taken")
      return
    }
    #expect(folder.names.isEmpty)
  }

  @Test func `two at one content are one too many, and more than the file has is not taken`() throws {
    let reactor = try Reactor()
    let folder = try Scratch()
    let first = try FileSink(reactor: reactor, folder: folder.path, journal: Self.journal())
    do {
      _ = try FileSink(reactor: reactor, folder: folder.path, journal: Self.journal())
      Issue.record("two sinks at one part")
    } catch {
      #expect(error.kind == .inUse)
    }
    #expect(!first.write([UInt8](repeating: 0, count: Self.content.count + 1)))
    give(first, upTo: Self.content.count)
    #expect(!first.write([0]))
    _ = try finish(first, reactor)
    #expect(!first.write([0]))
  }

  @Test func `an empty file is a file`() throws {
    let reactor = try Reactor()
    let folder = try Scratch()
    let sink = try FileSink(reactor: reactor, folder: folder.path, journal: Self.journal([], name: "empty"))
    #expect(try finish(sink, reactor) == folder.path + "/empty")
    #expect(folder.names == ["empty"])
  }

  @Test func `a link in the place of the part is not followed`() throws {
    let reactor = try Reactor()
    let folder = try Scratch()
    let elsewhere = try Scratch()
    try elsewhere.write("victim", [1])
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/" + TransferJournal.partName(sha256: Self.journal().sha256),
      withDestinationPath: elsewhere.path + "/victim")
    #expect(throws: FileError.self) { _ = try FileSink(reactor: reactor, folder: folder.path, journal: Self.journal()) }
    #expect(elsewhere.read("victim") == [1])
  }

  @Test func `a hash is computed beside the reactor, and a file that changes is not sent to its end`() throws {
    let reactor = try Reactor()
    let folder = try Scratch()
    try folder.write("clip", Self.content)
    let file = try RandomAccessFile(reading: folder.path + "/clip")
    let facts = try #require(file.facts)
    var found: [UInt8] = []
    let hasher = FileHasher(reactor: reactor, file) { if case .success(let sha256) = $0 { found = sha256 } }
    #expect(hasher != nil)
    while found.isEmpty { try reactor.turn(waitingAtMost: .seconds(5)) }
    #expect(found == Hashes.openSSL.sha256(Self.content))
    let source = FileSource(name: "clip", type: "video/y4m", file: file, facts: facts, sha256: found)
    #expect(source.read(at: 100, count: 50) == Array(Self.content[100..<150]))
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: folder.path + "/clip"))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data([0]))
    try handle.close()
    #expect(source.read(at: UInt64(Self.content.count) - 10, count: 10) == nil)
  }
}

@Suite("Folders")
struct FolderTests {
  @Test func `nothing outside is reached, by no name and no link`() throws {
    let outside = try Scratch()
    try outside.write("secret", [1])
    let scratch = try Scratch()
    try FileManager.default.createDirectory(atPath: scratch.path + "/sub", withIntermediateDirectories: false)
    try scratch.write("sub/file", [2])
    try FileManager.default.createSymbolicLink(atPath: scratch.path + "/out", withDestinationPath: outside.path)
    try FileManager.default.createSymbolicLink(
      atPath: scratch.path + "/link", withDestinationPath: outside.path + "/secret")
    let folder = try Folder(scratch.path)
    #expect(try folder.folder(["sub"]).read("file").read(at: 0, count: 10) == [2])
    for name in ["..", ".", "", "a/b", "/etc/passwd", "link", "sub", "sub/file", "none"] {
      #expect(throws: FileError.self, "\(name)") { _ = try folder.read(name) }
    }
    for parts in [["out"], [".."], ["sub", ".."], ["/"], ["sub/.."]] {
      #expect(throws: FileError.self, "\(parts)") { _ = try folder.folder(parts) }
    }
    #expect(folder.names(limit: 10).names.sorted() == ["link", "out", "sub"])
    #expect(folder.names(limit: 2).isCut)
    #expect(folder.facts("link")?.isOther == true)
    #expect(throws: FileError.self) { _ = try folder.write("link") }
    #expect(throws: FileError.self) { _ = try folder.rename("sub", to: "../x") }
  }
}

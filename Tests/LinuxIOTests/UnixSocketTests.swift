import EdgeCore
import Foundation
import LinuxIO
import Testing

@Suite("Unix sockets")
struct UnixSocketTests {
  @Test func `the socket file is for its owner only, tells who connects, and goes when closed`() throws {
    let reactor = try Reactor()
    let directory = TemporaryDirectory()
    let listener = try UnixListener(reactor: reactor, path: directory.file("status.sock"))
    let attributes = try FileManager.default.attributesOfItem(atPath: listener.path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    var user: UInt32?
    listener.onAccept = {
      user = $0.peerUserID
      $0.close()
    }
    let client = UnixConnection.connect(reactor: reactor, path: listener.path)
    var closed: CloseReason?
    client.onClosed = { closed = $0 }
    try reactor.turn(until: { closed != nil })
    #expect(closed == .endOfStream)
    #expect(user == getuid())
    listener.close()
    #expect(!FileManager.default.fileExists(atPath: listener.path))
  }

  @Test func `a stale socket file is replaced, a live one is not`() throws {
    let reactor = try Reactor()
    let directory = TemporaryDirectory()
    let path = directory.file("s")
    // Bound and gone without unlinking, as after a crash.
    let stale = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        #expect(bind(stale, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0)
      }
    }
    close(stale)
    #expect(FileManager.default.fileExists(atPath: path))
    let listener = try UnixListener(reactor: reactor, path: path)
    #expect(throws: UnixListener.Failure.inUse(path: path)) { try UnixListener(reactor: reactor, path: path) }
    listener.close()
  }

  @Test func `what keeps the socket from being made is said in words`() throws {
    let reactor = try Reactor()
    let directory = TemporaryDirectory()
    let file = directory.file("plain")
    try Data([1]).write(to: URL(fileURLWithPath: file))
    #expect(throws: UnixListener.Failure.notASocket(path: file)) { try UnixListener(reactor: reactor, path: file) }
    #expect(FileManager.default.contents(atPath: file) == Data([1]))
    let nowhere = directory.file("missing/s")
    #expect(throws: UnixListener.Failure.noDirectory(path: nowhere)) {
      try UnixListener(reactor: reactor, path: nowhere)
    }
    let long = directory.file(String(repeating: "x", count: 200))
    #expect(throws: UnixListener.Failure.pathTooLong(path: long)) { try UnixListener(reactor: reactor, path: long) }
  }

  @Test func `no socket file and nobody listening are different answers`() throws {
    let reactor = try Reactor()
    let directory = TemporaryDirectory()
    var reasons: [CloseReason] = []
    for name in ["missing", String(repeating: "x", count: 200)] {
      let connection = UnixConnection.connect(reactor: reactor, path: directory.file(name))
      connection.onClosed = { reasons.append($0) }
    }
    try reactor.turn(until: { reasons.count == 2 })
    #expect(reasons.first == .notFound)
  }
}

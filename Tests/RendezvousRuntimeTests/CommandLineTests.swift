import Config
import EdgeCore
import Foundation
import LinuxIO
import SecureTransport
import Storage
import Testing

@testable import RendezvousRuntime

/// A directory with a configuration, and no server.
private final class Files {
  let directory: String
  var configuration: String { directory + "/rendezvous.yaml" }

  init(_ text: String? = nil) {
    directory = NSTemporaryDirectory() + "rendezvous-cli-\(UUID().uuidString.prefix(8))"
    try! FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let standard = """
      domain: rv.example.org
      listen: { sip-udp: "127.0.0.1:59998" }
      database: data/r.sqlite
      control-socket: c.sock
      """
    try! (text ?? standard).write(toFile: configuration, atomically: true, encoding: .utf8)
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func run(_ arguments: String..., input: String? = nil) -> (code: Int32, out: String, err: String) {
    var out = ""
    var err = ""
    let code = RendezvousCommandLine(out: { out += $0 }, err: { err += $0 }, input: { input })
      .run(arguments + ["--config", configuration])
    return (code, out, err)
  }
}

@Suite("Command line")
struct CommandLineTests {
  private func run(_ arguments: String...) -> (code: Int32, out: String, err: String) {
    var out = ""
    var err = ""
    let code = RendezvousCommandLine(out: { out += $0 }, err: { err += $0 }, input: { nil }).run(arguments)
    return (code, out, err)
  }

  @Test func `help goes to stdout with 0, wrong usage to stderr with 64`() {
    for arguments in ["--help", "-h", "help"] {
      let help = run(arguments)
      #expect(help.code == 0 && help.err.isEmpty && help.out.contains("account add NAME"))
    }
    for command in ["run", "status", "grant", "revoke", "grants", "serials", "release"] {
      let help = run(command, "--help")
      #expect(help.code == 0 && help.out.hasPrefix("Usage: edge-rendezvous \(command)"))
    }
    #expect(run("account", "add", "--help").out.contains("--password-file"))
    #expect(run("account", "--help").out.contains("account remove NAME"))
    #expect(run("version").out == "edge-rendezvous \(Version.current)\n")
    for bad in [
      [], ["fly"], ["account"], ["account", "add"], ["grant", "alice"], ["run", "--fast"], ["status", "x"],
    ] {
      var err = ""
      var out = ""
      let code = RendezvousCommandLine(out: { out += $0 }, err: { err += $0 }, input: { nil }).run(bad)
      #expect(code == 64 && out.isEmpty && err.contains("--help"), "\(bad)")
    }
    #expect(run("account", "add", "a b").err.contains("letters, digits"))
  }

  @Test func `without a server the database is changed directly`() {
    let files = Files()
    #expect(files.run("account", "add", "gate-box", "--node", input: "pw").code == 0)
    #expect(files.run("account", "add", "alice", "--md5", input: "pw").code == 0)
    let again = files.run("account", "add", "alice", input: "pw")
    #expect(again.code == 1 && again.err.contains("already"))
    #expect(files.run("grant", "alice", "CAM-1").out == "alice may now watch CAM-1\n")
    #expect(files.run("grants").out == "alice  CAM-1\n")
    #expect(files.run("account", "password", "nobody", input: "pw").code == 1)
    #expect(files.run("account", "password", "gate-box", input: "").code == 64)
    #expect(files.run("account", "password", "gate-box", input: "other").out == "gate-box has another password now\n")
    #expect(files.run("account", "password", "alice", "--md5", input: "other").code == 0)
    #expect(files.run("grants").out == "alice  CAM-1\n")
    let list = files.run("account", "list").out
    #expect(list.contains("alice     user  SHA-256+MD5") && list.contains("gate-box  node  SHA-256"))
    #expect(files.run("revoke", "alice", "CAM-1").code == 0)
    #expect(files.run("revoke", "alice", "CAM-1").code == 1)
    #expect(files.run("account", "remove", "alice").code == 0)
    #expect(files.run("serials").out.isEmpty)
    #expect(files.run("release", "CAM-1").code == 1)
  }

  @Test func `only hashes of a password are in the database, and nobody else may read it`() throws {
    let files = Files()
    try "hunter-two\n".write(toFile: files.directory + "/password", atomically: true, encoding: .utf8)
    #expect(files.run("account", "add", "alice", "--password-file", files.directory + "/password").code == 0)
    for name in try FileManager.default.contentsOfDirectory(atPath: files.directory + "/data") {
      let path = files.directory + "/data/" + name
      #expect(try Data(contentsOf: URL(filePath: path)).range(of: Data("hunter-two".utf8)) == nil)
      let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
      #expect(mode == 0o600)
    }
    let store = try AccountStore(path: files.directory + "/data/r.sqlite")
    let expected = Hashes.openSSL.sha256(Array("alice:rv.example.org:hunter-two".utf8))
    #expect(try store.accounts().first?.ha1SHA256 == Hex.encode(expected))
  }

  @Test func `a bad password file or an empty password is refused`() {
    let files = Files()
    #expect(files.run("account", "add", "alice", "--password-file", "/nonexistent").code == 64)
    #expect(files.run("account", "add", "alice", input: "").code == 64)
    #expect(files.run("account", "add", "alice").err.contains("empty"))
    #expect(files.run("account", "list").out.isEmpty)
  }

  @Test func `status without a server is 69 and says how to start one`() {
    let files = Files()
    let status = files.run("status")
    #expect(status.code == 69 && status.out.isEmpty)
    #expect(status.err.contains("edge-rendezvous run --config \(files.configuration)"))
  }

  @Test func `a bad configuration is 64 with file and line`() {
    let files = Files("domain: rv.example.org\nlisten: { sips: nowhere }\nfoo: 1\n")
    for command in ["run", "status", "grants"] {
      let result = files.run(command)
      #expect(result.code == 64)
      #expect(result.err.contains("rendezvous.yaml:2:") && result.err.contains("rendezvous.yaml:3:"))
    }
    #expect(run("status", "--config", "/nonexistent.yaml").code == 64)
  }

  @Test func `another domain does not take over a database full of passwords`() {
    let files = Files()
    _ = files.run("account", "add", "alice", input: "pw")
    let text = "domain: elsewhere.example\ndatabase: data/r.sqlite\ncontrol-socket: c.sock\n"
    try! text.write(toFile: files.configuration, atomically: true, encoding: .utf8)
    let result = files.run("account", "add", "bob", input: "pw")
    #expect(result.code == 1 && result.err.contains("rv.example.org"))
  }

  @Test func `a database that cannot be is named`() throws {
    let files = Files("domain: a.example\ndatabase: /proc/none/r.sqlite\ncontrol-socket: c.sock\n")
    let result = files.run("run")
    #expect(result.code == 1 && result.err.contains("/proc/none"))
    let broken = Files()
    try FileManager.default.createDirectory(atPath: broken.directory + "/data", withIntermediateDirectories: true)
    try Data(repeating: 65, count: 9000).write(to: URL(filePath: broken.directory + "/data/r.sqlite"))
    #expect(broken.run("run").err.contains("damaged"))
  }

  @Test func `a port in use is named with what to do`() throws {
    let reactor = try Reactor()
    let listener = try TCPListener(reactor: reactor, bind: SocketAddress(IPAddress("127.0.0.1")!, port: 0))
    let files = Files(
      "domain: a.example\nlisten: { sip-tcp: \"\(listener.localAddress)\" }\ndatabase: r.sqlite\ncontrol-socket: c.sock\n"
    )
    let result = files.run("run")
    #expect(result.code == 1)
    #expect(result.err.contains("\(listener.localAddress) (sip-tcp): another program uses it"))
    #expect(!File.exists(files.directory + "/c.sock"))
    listener.close()
  }

  @Test func `a certificate without its key is not replaced`() throws {
    let files = Files(
      "domain: a.example\nlisten: { sips: \"127.0.0.1:59997\" }\ndatabase: r.sqlite\ncontrol-socket: c.sock\n")
    try Data([65]).write(to: URL(filePath: files.directory + "/server.pem"))
    let result = files.run("run")
    #expect(result.code == 1 && result.err.contains("server.key is not"))
  }
}

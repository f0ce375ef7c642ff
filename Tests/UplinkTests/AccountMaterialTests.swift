import Config
import EdgeCore
import Foundation
import LinuxIO
import SecureStreams
import SecureTransport
import StatusModel
import Testing
import Uplink
import UserAgent

@Suite("Account material")
final class AccountMaterialTests {
  private let directory: String
  private var password: String { directory + "/password" }
  private var state: String { directory + "/state/deeper" }

  init() throws {
    directory = NSTemporaryDirectory() + "/edge-uplink-\(UUID().uuidString)"
    try File.makeDirectories(directory)
    try File.writeAtomically(Array("a secret \r\n".utf8), to: password)
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  private func load(
    passwordFile: String? = nil, caFile: String? = nil, keeping: Bool = true, uri: String = "sips:rv.example.org:5061"
  ) throws -> AccountMaterial {
    try AccountMaterial.load(
      AccountConfiguration(
        uri: try #require(ServerURI(uri)), account: "box", passwordFile: passwordFile ?? password, caFile: caFile),
      stateDirectory: keeping ? state : nil, registers: true)
  }

  private func problem(_ body: () throws -> AccountMaterial) -> String {
    do {
      _ = try body()
      Issue.record("no problem found")
      return ""
    } catch let problem as SetupProblem {
      #expect(problem.exitCode == .usage)
      return problem.description
    } catch {
      Issue.record("\(error)")
      return ""
    }
  }

  @Test func `the password is the file, spaces and all, without its line end`() throws {
    let material = try load()
    #expect(material.uplink.agent.password == "a secret ")
    #expect(material.uplink.agent.domain == "rv.example.org" && material.uplink.agent.realm == "rv.example.org")
    #expect(!material.uplink.agent.allowsMD5)
    #expect(material.uplink.host == "rv.example.org" && material.uplink.port == 5061)
    #expect(material.uplink.agent.transport == .tls)
    #expect(try load(uri: "sip:127.0.0.1:5060;transport=tcp").uplink.agent.transport == .tcp)
  }

  @Test func `a password file that is missing, empty, too large or a directory is named, never quoted`() throws {
    let missing = directory + "/none"
    #expect(problem { try self.load(passwordFile: missing) }.contains(missing))
    for text in ["", "\n", "\r\n"] {
      let empty = directory + "/empty"
      try File.writeAtomically(Array(text.utf8), to: empty)
      let told = problem { try self.load(passwordFile: empty) }
      #expect(told.contains(empty) && told.contains("empty"))
    }
    let large = directory + "/large"
    try File.writeAtomically([UInt8](repeating: 0x61, count: 5000), to: large)
    #expect(problem { try self.load(passwordFile: large) }.contains("1026"))
    #expect(problem { try self.load(passwordFile: self.directory) }.contains("not a regular file"))
  }

  @Test func `a password file with more than one line is refused as account add refuses it`() throws {
    let two = directory + "/two"
    try File.writeAtomically(Array("secret\nmore\n".utf8), to: two)
    let told = problem { try self.load(passwordFile: two) }
    #expect(told.contains(two) && told.contains("nothing else") && !told.contains("secret"))
  }

  @Test func `a missing authority file says which option it was`() {
    let missing = directory + "/ca.pem"
    let told = problem { try self.load(caFile: missing) }
    #expect(told.contains(missing) && told.contains("ca-file"))
  }

  @Test func `instance and identity are the same at every start and private`() throws {
    let first = try load()
    let second = try load()
    #expect(first.uplink.agent.instance == second.uplink.agent.instance)
    #expect(first.identity.fingerprint == second.identity.fingerprint)
    let instance = Array(first.uplink.agent.instance.utf8)
    #expect(instance.count == 45 && instance[23] == UInt8(ascii: "4"))
    let attributes = try FileManager.default.attributesOfItem(atPath: state + "/identity.pem")
    #expect((attributes[.posixPermissions] as? Int) == 0o600)
    let passing = try load(keeping: false)
    #expect(passing.uplink.agent.instance != first.uplink.agent.instance)
    #expect(passing.identity.fingerprint != first.identity.fingerprint)
  }

  @Test(arguments: [
    "", "urn:uuid:", "urn:uuid:zzzzzzzz-0000-4000-8000-000000000000", "urn:uuid:00000000-0000-4000-8000-00000000000>",
  ])
  func `an instance file that was damaged is made anew`(text: String) throws {
    _ = try load()
    try File.writeAtomically(Array((text + "\n").utf8), to: state + "/instance")
    let made = try load().uplink.agent.instance
    #expect(made != text && made.utf8.count == 45)
    #expect(try load().uplink.agent.instance == made)
  }

  @Test func `a state directory that cannot be made is a problem of the set-up`() throws {
    // A file is in the way: so it is for every user, the superuser too.
    try File.writeAtomically([1], to: directory + "/state")
    let told = problem { try self.load() }
    #expect(told.contains(directory + "/state") && told.contains("state-dir"))
  }

  @Test func `a state directory in which the instance cannot be written is a problem of the set-up`() throws {
    try File.makeDirectories(state + "/instance")
    let told = problem { try self.load() }
    #expect(told.contains("/instance"))
  }

  @Test func `an identity that was damaged is kept and named`() throws {
    _ = try load()
    try File.writeAtomically(Array("nonsense".utf8), to: state + "/identity.pem")
    #expect(problem { try self.load() }.contains("identity.pem"))
    #expect(try File.read(state + "/identity.pem", maxBytes: 100) == Array("nonsense".utf8))
  }
}

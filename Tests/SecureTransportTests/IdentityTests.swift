import EdgeCore
import Foundation
import SecureTransport
import Testing

@Suite("Identity")
struct IdentityTests {
  private func withDirectory(_ body: (String) throws -> Void) throws {
    let directory = NSTemporaryDirectory() + "edge-identity-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(directory)
  }

  @Test func `an identity is made once and found again`() throws {
    try withDirectory { directory in
      let first = try Identity.loadOrMake(directory: directory + "/deep/state")
      let second = try Identity.loadOrMake(directory: directory + "/deep/state")
      #expect(first.fingerprint == second.fingerprint)
      #expect(try first.pem() == second.pem())
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory + "/deep/state") == ["identity.pem"])
    }
  }

  @Test func `only the owner may read the file, even if it was opened up before`() throws {
    try withDirectory { directory in
      _ = try Identity.loadOrMake(directory: directory)
      let path = directory + "/identity.pem"
      func mode() throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
      }
      #expect(try mode() == 0o600)
      try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
      _ = try Identity.loadOrMake(directory: directory)
      #expect(try mode() == 0o600)
    }
  }

  @Test func `a file that is not an identity is an error and stays as it is`() throws {
    try withDirectory { directory in
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
      let path = directory + "/identity.pem"
      let other = try Identity()
      let mixed = try Identity().pem() + other.pem()
      let keyOfAnother = Array(String(decoding: mixed, as: UTF8.self).split(separator: "-----BEGIN CERT")[0].utf8)
      let certificate = try other.pem().drop { $0 != UInt8(ascii: "B") }
      for content in [[], Array("hello".utf8), keyOfAnother, keyOfAnother + certificate] as [[UInt8]] {
        try Data(content).write(to: URL(fileURLWithPath: path))
        #expect(throws: SecureTransportError.self) { try Identity.loadOrMake(directory: directory) }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(content))
      }
    }
  }

  @Test func `a directory that cannot be made is named in the error`() throws {
    #expect {
      try Identity.loadOrMake(directory: "/proc/edge/state")
    } throws: {
      "\($0)".contains("/proc/edge/state")
    }
  }

  @Test func `a fingerprint survives its text form in either case`() throws {
    let identity = try Identity()
    #expect(identity.fingerprintSHA256.utf8.count == 95)
    #expect(CertificateFingerprint(identity.fingerprintSHA256) == identity.fingerprint)
    #expect(CertificateFingerprint(identity.fingerprintSHA256.lowercased()) == identity.fingerprint)
    #expect(CertificateFingerprint(String(identity.fingerprintSHA256.dropLast(3))) == nil)
    #expect(CertificateFingerprint(identity.fingerprintSHA256.replacingOccurrences(of: ":", with: " ")) == nil)
    #expect(CertificateFingerprint("") == nil)
  }

  @Test func `two identities differ`() throws {
    #expect(try Identity().fingerprint != Identity().fingerprint)
  }
}

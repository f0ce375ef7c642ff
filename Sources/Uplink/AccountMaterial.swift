public import Config
import EdgeCore
import LinuxIO
import MSRP
public import SecureTransport
import UserAgent

/// What a log-in needs beside the configuration: the password, the key pair of this machine,
/// its unchanging instance name, and who may vouch for the server.
public struct AccountMaterial {
  public let identity: Identity
  public let uplink: Uplink.Configuration

  /// Reads what is there and makes what is made on first start.
  ///
  /// - Parameters:
  ///   - stateDirectory: `nil` keeps nothing: every start is a new machine to its peers.
  ///   - place: whose instance name this log-in has; `nil` takes that of the state directory.
  public static func load(
    _ account: AccountConfiguration, stateDirectory: String?, registers: Bool, place: TerminalPlace? = nil
  ) throws(SetupProblem) -> AccountMaterial {
    let password = try readPassword(account.passwordFile)
    var trust = TLSContext.Trust.system
    if let caFile = account.caFile {
      do throws(FileError) {
        trust = .authorities(pem: try File.read(caFile, maxBytes: 1 << 20))
      } catch {
        throw SetupProblem("\(error); give the rendezvous server's ca.pem as ca-file (or --ca)")
      }
    }
    let identity: Identity
    let instance: String
    if let stateDirectory {
      do throws(FileError) {
        try File.makeDirectories(stateDirectory, mode: 0o700)
      } catch {
        throw SetupProblem("\(error); name a directory this user may write as state-dir")
      }
      do throws(SecureTransportError) {
        identity = try Identity.loadOrMake(directory: stateDirectory)
      } catch {
        throw SetupProblem("\(error)")
      }
      instance = try loadOrMakeInstance((place?.directory ?? stateDirectory) + "/instance")
    } else {
      do throws(SecureTransportError) {
        identity = try Identity()
      } catch {
        throw SetupProblem("\(error)")
      }
      instance = newInstance()
    }
    let transport: UserAgentConfiguration.Transport =
      switch account.uri.transport {
      case .tls: .tls
      case .tcp: .tcp
      case .udp: .udp
      }
    let agent = UserAgentConfiguration(
      account: account.account, domain: account.domain, password: password, transport: transport,
      instance: instance, registers: registers, allowsMD5: account.allowsMD5)
    var uplink = Uplink.Configuration(
      agent: agent, host: account.uri.server.host, port: account.uri.server.port, trust: trust)
    if let relay = account.messageRelay {
      guard let uri = MSRPURI(relay) else {
        throw SetupProblem("msrp-relay: '\(relay)' is no address such as msrps://relay.example.org:2855;tcp")
      }
      uplink.relay = uri
    }
    return AccountMaterial(identity: identity, uplink: uplink)
  }

  private static func readPassword(_ path: String) throws(SetupProblem) -> String {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try File.read(path, maxBytes: PasswordFile.maximumBytes + 2)
    } catch {
      throw SetupProblem("\(error); put the account's password into that file (and nothing else)")
    }
    do throws(ConfigError) {
      return try PasswordFile.password(in: bytes, file: path)
    } catch {
      throw SetupProblem(error.description)
    }
  }

  /// RFC 5626 §4.1: the instance is the same at every start, so that a new registration replaces the old one.
  private static func loadOrMakeInstance(_ path: String) throws(SetupProblem) -> String {
    do throws(FileError) {
      if File.exists(path) {
        let text = String(decoding: try File.read(path, maxBytes: 128).prefix { $0 != 0x0A }, as: UTF8.self)
        if isInstance(text) { return text }
      }
      let instance = newInstance()
      try File.writeAtomically(Array((instance + "\n").utf8), to: path)
      return instance
    } catch {
      throw SetupProblem("\(error); the state directory must be writable")
    }
  }

  /// RFC 9562 §4: it goes into a header field as it is, so a damaged file must not.
  private static func isInstance(_ text: String) -> Bool {
    let prefix = "urn:uuid:".utf8.count
    let bytes = Array(text.utf8)
    guard text.hasPrefix("urn:uuid:"), bytes.count == prefix + 36 else { return false }
    for (index, byte) in bytes[prefix...].enumerated() {
      let isDash = index == 8 || index == 13 || index == 18 || index == 23
      let isHex = ASCII.isDigit(byte) || UInt8(ascii: "a")...UInt8(ascii: "f") ~= ASCII.lowercased(byte)
      guard isDash ? byte == UInt8(ascii: "-") : isHex else { return false }
    }
    return true
  }

  /// A random UUID (RFC 9562 §5.4).
  private static func newInstance() -> String {
    var random = SystemRandom()
    var bytes = random.bytes(16)
    bytes[6] = bytes[6] & 0x0F | 0x40
    bytes[8] = bytes[8] & 0x3F | 0x80
    let hex = Array(Hex.encode(bytes).utf8)
    var text = "urn:uuid:"
    for (start, end) in [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)] {
      if start > 0 { text += "-" }
      text += String(decoding: hex[start..<end], as: UTF8.self)
    }
    return text
  }
}

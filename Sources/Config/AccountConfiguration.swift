internal import EdgeCore

/// The `rendezvous` section: which server, as whom. The password itself is read from its file by the caller.
public struct AccountConfiguration: Hashable, Sendable {
  public var uri: ServerURI
  /// What follows the `@` of every address; the host of `uri` unless `domain` says otherwise.
  public var domain: String
  public var account: String
  public var passwordFile: String
  /// PEM file with the certificate authority of a private server; the system's are used without.
  public var caFile: String?
  /// STUN server; `nil` asks the rendezvous server's host on port 3478.
  public var stun: HostPort?
  /// An MSRP relay for large messages, such as `msrps://relay.example.org:2855;tcp` (RFC 4976).
  public var messageRelay: String?
  /// Whether the router in front of this machine is asked to let sessions in (PCP, NAT-PMP).
  public var mapsPorts = true
  /// Whether ports may be guessed where nothing but the relay joins two networks: 256 sockets or 1,024 datagrams a try.
  public var guessesPorts = false
  /// Whether an MD5 challenge may be answered: a server of another make that knows no SHA-256 (RFC 8760 §2.3).
  public var allowsMD5 = false

  public init(
    uri: ServerURI, account: String, passwordFile: String, caFile: String? = nil, domain: String? = nil,
    stun: HostPort? = nil
  ) {
    self.uri = uri
    self.domain = domain ?? uri.server.host
    self.account = account
    self.passwordFile = passwordFile
    self.caFile = caFile
    self.stun = stun
  }

  static let keys = [
    "uri", "account", "password-file", "ca-file", "domain", "stun", "msrp-relay", "port-mapping", "guess-ports", "md5",
  ]

  /// `nil` after having reported why.
  init?(_ section: Section) {
    _ = section.requiredText("uri", "the server's address, such as sips:rv.example.org:5061")
    let uri = section.value("uri", "a server address such as sips:rv.example.org:5061") { ServerURI($0) }
    _ = section.requiredText("account", "the name this machine logs in with")
    let account = section.value("account", Self.nameExpectation) { Names.isValidAccount($0) ? $0 : nil }
    _ = section.requiredText("password-file", "a file that holds the account's password and nothing else")
    let passwordFile = section.file("password-file")
    let caFile = section.file("ca-file")
    let domain = section.value("domain", "a domain name or address") { Self.domain($0) }
    let stun = section.value("stun", "a server such as stun.example.org:3478") { HostPort($0, defaultPort: 3478) }
    let guessesPorts = section.bool("guess-ports")
    let mapsPorts = section.bool("port-mapping")
    let allows = section.bool("md5") ?? false
    guard let uri, let account, let passwordFile else { return nil }
    self.init(uri: uri, account: account, passwordFile: passwordFile, caFile: caFile, domain: domain, stun: stun)
    messageRelay = section.text("msrp-relay")
    self.mapsPorts = mapsPorts ?? true
    self.guessesPorts = guessesPorts ?? false
    allowsMD5 = allows
  }

  static let nameExpectation =
    "a name of letters, digits, '-', '_' and '.', 64 at most, starting with a letter or digit"

  static func domain(_ text: String) -> String? {
    let bytes = Array(text.utf8)
    return HostPort.isName(bytes[...]) || IPAddress(text) != nil ? ASCII.lowercased(text) : nil
  }
}

/// What `edge view`, `edge devices` and `edge doctor` need: an account, from a file or from options.
public struct ViewerConfiguration: Hashable, Sendable {
  public var account: AccountConfiguration
  /// Where the viewer's key pair is kept; `nil`: the user's own state directory.
  public var stateDirectory: String?

  /// From `--rendezvous`, `--user`, `--password-file` and `--ca`.
  public init(account: AccountConfiguration, stateDirectory: String? = nil) {
    self.account = account
    self.stateDirectory = stateDirectory
  }

  /// Reads the `rendezvous` and `viewer` sections. A node's file serves too: its other sections are left alone.
  public init(yaml bytes: [UInt8], file: String) throws(ConfigError) {
    let root = try YAMLNode(yaml: bytes, file: file)
    let problems = Problems(file: file)
    let top = Section(root, path: "", line: 1, keys: NodeConfiguration.keys, problems)
    let viewer = top.section("viewer", keys: Self.keys)
    let account = AccountConfiguration(top.section("rendezvous", keys: AccountConfiguration.keys))
    let stateDirectory = viewer.file("state-dir")
    try problems.check()
    guard let account else { throw ConfigError(file: file, line: 1, "rendezvous: is missing") }
    self.init(account: account, stateDirectory: stateDirectory)
  }

  static let keys = ["state-dir"]
}

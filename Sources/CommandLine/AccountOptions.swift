public import Config
internal import EdgeCore
internal import LinuxIO

/// Why a command cannot start; the text says what to do.
public struct CommandFailure: Error, Hashable, Sendable {
  public var message: String
  public var code: Int32

  public init(_ message: String, code: Int32 = 64) {
    self.message = message
    self.code = code
  }
}

/// `--config`, `--rendezvous`, `--user`, `--password-file` and `--ca`: as whom to log in, and where.
public struct AccountOptions: Hashable, Sendable {
  public static let defaultConfig = "/etc/edge/edge.yaml"

  /// `nil`: ``defaultConfig``, unless the other options say it all.
  public var config: String?
  public var rendezvous: ServerURI?
  public var user: String?
  public var passwordFile: String?
  public var caFile: String?

  public init() {}

  static let options: [CommandSyntax.Option] = [
    .init("--config", "FILE", "take the account from FILE (default: \(defaultConfig))"),
    .init("--rendezvous", "URI", "the server, such as sips:rv.example.org:5061 (default: the file's)"),
    .init("--user", "NAME", "the account's name (default: the file's)"),
    .init("--password-file", "FILE", "a file that holds the password (default: the file's)"),
    .init("--ca", "FILE", "PEM file of the server's private authority (default: the file's, or the system's)"),
  ]

  init(_ parsed: ParsedArguments) throws(UsageError) {
    config = parsed.value("--config")
    if let text = parsed.value("--rendezvous") {
      guard let uri = ServerURI(text) else {
        throw UsageError("--rendezvous: '\(text)' is not a server address such as sips:rv.example.org:5061")
      }
      rendezvous = uri
    }
    if let name = parsed.value("--user") {
      guard Names.isValidAccount(name) else { throw UsageError("--user: '\(name)' is not an account name") }
      user = name
    }
    passwordFile = parsed.value("--password-file")
    caFile = parsed.value("--ca")
  }

  /// The account these options and the file they name come to. Options win over the file.
  public func load() throws(CommandFailure) -> ViewerConfiguration {
    if config == nil, let rendezvous {
      guard let user, let passwordFile else {
        throw CommandFailure("--rendezvous needs --user and --password-file too, or --config FILE with them in it")
      }
      return ViewerConfiguration(
        account: AccountConfiguration(uri: rendezvous, account: user, passwordFile: passwordFile, caFile: caFile))
    }
    let path = config ?? Self.defaultConfig
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try File.read(path, maxBytes: YAMLLimits.bytes)
    } catch {
      throw CommandFailure(
        "\(error)\nName an account: --config FILE, or --rendezvous URI --user NAME --password-file FILE")
    }
    var configuration: ViewerConfiguration
    do throws(ConfigError) {
      configuration = try ViewerConfiguration(yaml: bytes, file: path)
    } catch {
      throw CommandFailure(error.description)
    }
    if let rendezvous {
      configuration.account.uri = rendezvous
      configuration.account.domain = rendezvous.server.host
    }
    if let user { configuration.account.account = user }
    if let passwordFile { configuration.account.passwordFile = passwordFile }
    if let caFile { configuration.account.caFile = caFile }
    return configuration
  }
}

extension NodeConfiguration {
  /// Reads and checks a node's file.
  public static func load(_ path: String) throws(CommandFailure) -> NodeConfiguration {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try File.read(path, maxBytes: YAMLLimits.bytes)
    } catch {
      throw CommandFailure("\(error)\nAn example is in Config/edge.yaml; name another file with --config FILE")
    }
    do throws(ConfigError) {
      return try NodeConfiguration(yaml: bytes, file: path)
    } catch {
      throw CommandFailure(error.description)
    }
  }
}

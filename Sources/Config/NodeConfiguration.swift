public import EdgeCore

/// `edge.yaml`: what a camera box is called, where it logs in, and what it publishes.
///
/// Relative file names are relative to the directory of the file.
public struct NodeConfiguration: Hashable, Sendable {
  public struct Node: Hashable, Sendable {
    /// Shown to people; the account's name unless `name` says otherwise.
    public var name: String
    /// Key pair and certificate are kept here.
    public var stateDirectory: String
    public var statusSocket: String
    public var logLevel: LogLevel
    /// How often `edge status --watch` gets new figures.
    public var statusRefresh: Duration

    public init(
      name: String, stateDirectory: String = "/var/lib/edge", statusSocket: String = "/run/edge/status.sock",
      logLevel: LogLevel = .info, statusRefresh: Duration = .seconds(1)
    ) {
      self.name = name
      self.stateDirectory = stateDirectory
      self.statusSocket = statusSocket
      self.logLevel = logLevel
      self.statusRefresh = statusRefresh
    }
  }

  /// One source of pictures.
  public struct Camera: Hashable, Sendable {
    public enum Source: Hashable, Sendable {
      /// A V4L2 device. What is `nil` in the camera is chosen by the driver.
      case device(path: String)
      /// A built-in moving picture.
      case testCard
      /// A y4m file, played at its own rate; or JPEG pictures or H.264, which have none.
      case file(path: String, loop: Bool)
    }

    public enum Quality: Hashable, Sendable {
      case lossless
      /// No sample is off by more than this, 1...4.
      case maximumError(Int)
      /// Blocks that differ by no more than the camera's noise are not sent.
      case gate

      /// `lossless`, `near-lossless` (as `max-error:1`), `max-error:1` to `max-error:4`, `gate`.
      static let words = [
        "lossless", "near-lossless", "gate", "max-error:1", "max-error:2", "max-error:3", "max-error:4",
      ]

      init(word: String) {
        switch word {
        case "lossless": self = .lossless
        case "near-lossless": self = .maximumError(1)
        case "gate": self = .gate
        default: self = .maximumError(Int((word.utf8.last ?? 0x31) - 0x30))
        }
      }
    }

    public struct Size: Hashable, Sendable, CustomStringConvertible {
      public var width: Int
      public var height: Int

      public init(width: Int, height: Int) {
        self.width = width
        self.height = height
      }

      /// `640x480`; each side 16...8192 pixels.
      public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard let cross = bytes.firstIndex(where: { $0 | 0x20 == UInt8(ascii: "x") }),
          let width = ASCII.decimal(bytes[..<cross], max: 8192),
          let height = ASCII.decimal(bytes[(cross + 1)...], max: 8192), width >= 16, height >= 16
        else { return nil }
        self.init(width: Int(width), height: Int(height))
      }

      public var description: String { "\(width)x\(height)" }
    }

    public var serial: String
    /// Shown to people; the serial unless `name` says otherwise.
    public var name: String
    public var source: Source
    /// One of ``formats``, V4L2's names.
    public var format: String?
    public var size: Size?
    /// Pictures per second.
    public var framesPerSecond: Int?
    public var quality: Quality
    /// `nil`: none.
    public var alarms: CameraAlarms?

    public static let formats = [
      "YUYV", "UYVY", "NV12", "YU12", "YV12", "GREY", "Y16", "RGB24", "BGR24", "MJPEG", "H264",
    ]

    public init(
      serial: String, name: String? = nil, source: Source, format: String? = nil, size: Size? = nil,
      framesPerSecond: Int? = nil, quality: Quality = .lossless, alarms: CameraAlarms? = nil
    ) {
      self.serial = serial
      self.name = name ?? serial
      self.source = source
      self.format = format
      self.size = size
      self.framesPerSecond = framesPerSecond
      self.quality = quality
      self.alarms = alarms
    }
  }

  /// Another device on this LAN.
  public struct Resource: Hashable, Sendable {
    public var serial: String
    public var name: String
    /// `rtsp`, `http` or `tcp`.
    public var type: String
    public var address: SocketAddress

    public init(serial: String, name: String? = nil, type: String, address: SocketAddress) {
      self.serial = serial
      self.name = name ?? serial
      self.type = type
      self.address = address
    }
  }

  public var node: Node
  public var rendezvous: AccountConfiguration
  public var cameras: [Camera]
  public var resources: [Resource]
  public var files = Files()

  public init(
    node: Node, rendezvous: AccountConfiguration, cameras: [Camera] = [], resources: [Resource] = []
  ) {
    self.node = node
    self.rendezvous = rendezvous
    self.cameras = cameras
    self.resources = resources
  }

  static let keys = ["node", "rendezvous", "cameras", "resources", "files", "viewer"]

  /// - Parameters:
  ///   - bytes: the content of the file.
  ///   - file: its name, as given by the user: stands in front of problems, and its directory is what
  ///     relative names start from.
  public init(yaml bytes: [UInt8], file: String) throws(ConfigError) {
    let root = try YAMLNode(yaml: bytes, file: file)
    let problems = Problems(file: file)
    let top = Section(root, path: "", line: 1, keys: Self.keys, problems)
    if !top.has("rendezvous") { top.report("rendezvous", "is missing: uri, account and password-file of a server") }
    let account =
      top.has("rendezvous")
      ? AccountConfiguration(top.section("rendezvous", keys: AccountConfiguration.keys)) : nil
    _ = top.section("viewer", keys: ViewerConfiguration.keys)
    let node = Node(
      top.section("node", keys: ["name", "state-dir", "status-socket", "log-level", "status-refresh"]),
      account: account?.account ?? "")
    var cameras: [Camera] = []
    let cameraSections = top.sections("cameras", keys: Camera.keys)
    for section in cameraSections {
      if let camera = Camera(section) { cameras.append(camera) }
    }
    var resources: [Resource] = []
    let resourceSections = top.sections("resources", keys: Resource.keys)
    for section in resourceSections {
      if let resource = Resource(section) { resources.append(resource) }
    }
    let files = Files(top.section("files", keys: Files.keys))
    Self.reportDuplicates(cameraSections, resourceSections, problems)
    try problems.check()
    guard let account else { throw ConfigError(file: file, line: 1, "rendezvous: is missing") }
    self.node = node
    self.rendezvous = account
    self.cameras = cameras
    self.resources = resources
    self.files = files
  }

  /// Two of the same serial, or two cameras of one device, would fight.
  private static func reportDuplicates(_ cameras: [Section], _ resources: [Section], _ problems: Problems) {
    var serials: [String: String] = [:]
    var devices: [String: String] = [:]
    for section in cameras + resources {
      guard let serial = section.quietText("serial") else { continue }
      let key = ASCII.lowercased(serial)
      if let first = serials[key] {
        section.report("serial", "'\(printable(serial))' is already used by \(first)")
      } else {
        serials[key] = section.path
      }
    }
    for section in cameras {
      guard let device = section.quietText("device") else { continue }
      if let first = devices[device] {
        section.report("device", "\(printable(device)) is already used by \(first)")
      } else {
        devices[device] = section.path
      }
    }
  }
}

extension NodeConfiguration.Node {
  fileprivate init(_ section: Section, account: String) {
    name = section.text("name").map { printable($0) } ?? account
    stateDirectory = section.file("state-dir") ?? "/var/lib/edge"
    statusSocket = section.file("status-socket") ?? "/run/edge/status.sock"
    logLevel = section.word("log-level", kind: "level", LogLevel.words).flatMap { LogLevel(word: $0) } ?? .info
    statusRefresh = .seconds(section.integer("status-refresh", 1...3600) ?? 1)
    // sockaddr_un has room for 107 bytes and the closing zero.
    if statusSocket.utf8.count > 107 { section.report("status-socket", "is longer than 107 bytes") }
  }
}

extension NodeConfiguration.Camera {
  fileprivate static let keys = [
    "serial", "name", "source", "device", "path", "loop", "format", "size", "fps", "quality", "max-error", "gate",
    "alarms",
  ]

  fileprivate init?(_ section: Section) {
    let serial = section.serial()
    let format = section.word("format", kind: "format", Self.formats)
    let size = section.value("size", "a size such as 640x480, each side from 16 to 8192") { Size($0) }
    let framesPerSecond = section.integer("fps", 1...240)
    let quality = Self.quality(section)
    let name = section.text("name").map { printable($0) }
    let alarms = section.has("alarms") ? CameraAlarms(section.section("alarms", keys: CameraAlarms.keys)) : nil
    guard let source = Self.source(section), let serial else { return nil }
    self.init(
      serial: serial, name: name, source: source, format: format, size: size, framesPerSecond: framesPerSecond,
      quality: quality, alarms: alarms)
  }

  /// In a word, or as `max-error: 2` or `gate: auto`.
  private static func quality(_ section: Section) -> Quality {
    let given = ["quality", "max-error", "gate"].filter { section.has($0) }
    if given.count > 1 { section.report(given[1], "excludes \(given[0])") }
    if let error = section.integer("max-error", 1...4) { return .maximumError(error) }
    if section.word("gate", kind: "gate", ["auto"]) != nil { return .gate }
    return section.word("quality", kind: "quality", Quality.words).map { Quality(word: $0) } ?? .lossless
  }

  private static func source(_ section: Section) -> Source? {
    func refuse(_ keys: [String], _ source: String) {
      for key in keys where section.has(key) { section.report(key, "is of no use with source: \(source)") }
    }
    let word = section.word("source", kind: "source", ["v4l2", "testcard", "file"])
    switch word ?? (section.has("source") ? "" : "v4l2") {
    case "testcard":
      refuse(["device", "path", "loop"], "testcard")
      return .testCard
    case "file":
      refuse(["device", "format"], "file")
      _ = section.requiredText("path", "the y4m, MJPEG or H.264 file to play")
      let loop = section.bool("loop") ?? false
      return section.file("path").map { .file(path: $0, loop: loop) }
    case "v4l2":
      refuse(["path", "loop"], "v4l2")
      _ = section.requiredText("device", "the camera, such as /dev/video0 (or source: testcard, or source: file)")
      return section.file("device").map { .device(path: $0) }
    default:
      return nil
    }
  }
}

extension NodeConfiguration.Resource {
  fileprivate static let keys = ["serial", "name", "type", "ip", "port"]

  fileprivate init?(_ section: Section) {
    let serial = section.serial()
    _ = section.requiredText("type", "rtsp, http or tcp")
    let type = section.word("type", kind: "type", ["rtsp", "http", "tcp"])
    _ = section.requiredText("ip", "the device's address on this network")
    let ip = section.value("ip", "an IP address") { IPAddress($0) }
    if type == "tcp" { _ = section.requiredText("port", "the TCP port of the device") }
    let port = section.integer("port", 1...65_535)
    let name = section.text("name").map { printable($0) }
    guard let serial, let type, let ip else { return nil }
    self.init(
      serial: serial, name: name, type: type,
      address: SocketAddress(ip, port: UInt16(port ?? (type == "http" ? 80 : 554))))
  }
}

extension Section {
  fileprivate func serial() -> String? {
    _ = requiredText("serial", "the number this device is found by")
    return value("serial", AccountConfiguration.nameExpectation) { Names.isValidSerial($0) ? $0 : nil }
  }

  /// For a second look at a key whose problems are reported already.
  fileprivate func quietText(_ key: String) -> String? {
    guard case .scalar(let text, _) = node(key)?.content else { return nil }
    return text
  }
}

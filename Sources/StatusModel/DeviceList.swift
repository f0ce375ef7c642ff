/// The cameras and devices an account may see: the answer of `edge devices`.
public struct DeviceList: Hashable, Sendable {
  public struct Device: Hashable, Sendable {
    public var serial: String
    public var isOnline: Bool
    /// `v4l2`, `testcard`, `file`, `rtsp`, `http`, `tcp`; empty when offline and never seen.
    public var type: String
    public var name: String
    public var ip: String?
    public var port: Int?
    /// `YUYV 640x480 30`, ...
    public var formats: [String]

    public init(
      serial: String, isOnline: Bool, type: String = "", name: String? = nil, ip: String? = nil, port: Int? = nil,
      formats: [String] = []
    ) {
      self.serial = serial
      self.isOnline = isOnline
      self.type = type
      self.name = name ?? serial
      self.ip = ip
      self.port = port
      self.formats = formats
    }
  }

  public var devices: [Device]

  public init(devices: [Device]) { self.devices = devices }

  /// Fields are added, never renamed or reordered.
  public var json: JSONValue {
    var items: [JSONValue] = []
    for device in devices {
      items.append(
        .object([
          .init("serial", .string(device.serial)),
          .init("online", .bool(device.isOnline)),
          .init("type", .string(device.type)),
          .init("name", .string(device.name)),
          .init("ip", .optional(device.ip)),
          .init("port", device.port.map { .integer($0) } ?? .null),
          .init("formats", .array(device.formats.map { .string($0) })),
        ]))
    }
    return .object([.init("devices", .array(items))])
  }

  /// A table: serial, `online` or `offline`, type, the rest. Plain ASCII.
  public var text: String {
    guard !devices.isEmpty else { return "no devices: this account has been granted none (edge-rendezvous grant)\n" }
    var rows: [[String]] = []
    for device in devices {
      var detail = device.name == device.serial ? "" : "\"\(Plain.text(device.name))\""
      for format in device.formats { detail += (detail.utf8.isEmpty ? "" : " ") + Plain.text(format) }
      rows.append([
        Plain.text(device.serial), device.isOnline ? "online" : "offline",
        device.type.utf8.isEmpty ? "-" : Plain.text(device.type), detail,
      ])
    }
    return Plain.table(rows)
  }
}

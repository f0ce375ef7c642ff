extension NodeStatus {
  /// Fields are added, never renamed or reordered.
  public var json: JSONValue {
    .object([
      .init("version", .string(version)),
      .init("node", .string(node)),
      .init("link", link.json),
      .init(
        "nat",
        .object([
          .init("mapping", .string(nat.mapping.rawValue)),
          .init("filtering", .string(nat.filtering.rawValue)),
          .init("public_address", .optional(nat.publicAddress)),
        ])),
      .init("resources", .array(resources.map { $0.json })),
      .init("sessions", .array(sessions.map { $0.json })),
      .init("health", .array(health.map { $0.json })),
    ])
  }

  /// Reads what ``json`` wrote. Fields a newer daemon adds are skipped, those an older one lacks are
  /// empty; `nil` if it is no status at all, or that of a program that `edge status` cannot explain.
  public init?(_ json: JSONValue) {
    guard let version = json["version"]?.text, let node = json["node"]?.text,
      let link = json["link"].flatMap({ Link($0) })
    else { return nil }
    self.init(version: version, node: node, link: link)
    if let nat = json["nat"] {
      self.nat = NAT(
        mapping: nat["mapping"]?.text.flatMap { NAT.Behavior(rawValue: $0) } ?? .unknown,
        filtering: nat["filtering"]?.text.flatMap { NAT.Behavior(rawValue: $0) } ?? .unknown,
        publicAddress: nat["public_address"]?.text)
    }
    for item in json["resources"]?.elements ?? [] {
      if let resource = Resource(item) { resources.append(resource) }
    }
    for item in json["sessions"]?.elements ?? [] {
      if let session = Session(item) { sessions.append(session) }
    }
    for item in json["health"]?.elements ?? [] {
      if let line = Health(item) { health.append(line) }
    }
  }
}

extension NodeStatus.Link {
  fileprivate var json: JSONValue {
    .object([
      .init("state", .string(state.rawValue)),
      .init("server", .string(server)),
      .init("transport", .string(transport)),
      .init("since", since.map { .timestamp($0) } ?? .null),
      .init("last_heartbeat_ms", lastHeartbeat.map { .integer($0.statusMilliseconds) } ?? .null),
      .init("rtt_ms", roundTrip.map { .milliseconds($0) } ?? .null),
      .init("reconnects", .integer(reconnects)),
      .init("reason", .optional(reason)),
    ])
  }

  fileprivate init?(_ json: JSONValue) {
    guard let state = json["state"]?.text.flatMap({ State(rawValue: $0) }) else { return nil }
    self.init(
      state: state, server: json["server"]?.text ?? "", transport: json["transport"]?.text ?? "",
      since: json["since"]?.unixSeconds,
      lastHeartbeat: json["last_heartbeat_ms"]?.duration.map { .milliseconds($0.statusMilliseconds) },
      roundTrip: json["rtt_ms"]?.duration, reconnects: Int(clamping: json["reconnects"]?.integer ?? 0),
      reason: json["reason"]?.text)
  }
}

extension NodeStatus.Resource {
  fileprivate var json: JSONValue {
    .object([
      .init("serial", .string(serial)),
      .init("type", .string(type)),
      .init("ip", .optional(ip)),
      .init("port", port.map { .integer($0) } ?? .null),
      .init("state", .string(state.rawValue)),
      .init("format", .optional(format)),
      .init("size", .optional(size)),
      .init("fps", framesPerSecondThousandths.map { .thousandths($0) } ?? .null),
      .init("name", .string(name)),
      .init("frames", counts?.json ?? .null),
    ])
  }

  fileprivate init?(_ json: JSONValue) {
    guard let serial = json["serial"]?.text else { return nil }
    self.init(
      serial: serial, name: json["name"]?.text, type: json["type"]?.text ?? "", ip: json["ip"]?.text,
      port: json["port"]?.integer.map { Int(clamping: $0) },
      state: json["state"]?.text.flatMap { State(rawValue: $0) } ?? .unavailable, format: json["format"]?.text,
      size: json["size"]?.text, framesPerSecondThousandths: json["fps"]?.thousandths,
      counts: json["frames"].flatMap { Counts($0) })
  }
}

extension NodeStatus.Resource.Counts {
  fileprivate var json: JSONValue {
    .object([
      .init("captured", .integer(captured)),
      .init("missed", .integer(missed)),
      .init("bad", .integer(bad)),
      .init("refused", .integer(refused)),
      .init("stamped", .integer(stamped)),
    ])
  }

  fileprivate init?(_ json: JSONValue) {
    guard let captured = json["captured"]?.integer else { return nil }
    self.init(
      captured: captured, missed: json["missed"]?.integer ?? 0, bad: json["bad"]?.integer ?? 0,
      refused: json["refused"]?.integer ?? 0, stamped: json["stamped"]?.integer ?? 0)
  }
}

extension NodeStatus.Session {
  fileprivate var json: JSONValue {
    .object([
      .init("viewer", .string(viewer)),
      .init("serial", .string(serial)),
      .init("path", .optional(path?.rawValue)),
      .init("remote", .optional(remote)),
      .init("rtt_ms", roundTrip.map { .milliseconds($0) } ?? .null),
      .init("sent_bytes", .integer(sentBytes)),
      .init("frames_sent", .integer(framesSent)),
      .init("frames_dropped", .integer(framesDropped)),
      .init("since", .timestamp(since)),
      .init("local", .optional(local)),
      .init("rendition", .optional(rendition)),
      .init("latency", latency.json),
    ])
  }

  fileprivate init?(_ json: JSONValue) {
    guard let viewer = json["viewer"]?.text, let serial = json["serial"]?.text else { return nil }
    self.init(
      viewer: viewer, serial: serial, path: json["path"]?.text.flatMap { NodeStatus.Path(rawValue: $0) },
      remote: json["remote"]?.text, roundTrip: json["rtt_ms"]?.duration, sentBytes: json["sent_bytes"]?.integer ?? 0,
      framesSent: json["frames_sent"]?.integer ?? 0, framesDropped: json["frames_dropped"]?.integer ?? 0,
      since: json["since"]?.unixSeconds ?? 0, local: json["local"]?.text, rendition: json["rendition"]?.text,
      latency: json["latency"].map { LatencyTrace($0) } ?? LatencyTrace())
  }
}

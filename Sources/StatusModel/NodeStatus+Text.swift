extension NodeStatus {
  /// What `edge status` prints: state and why, resources, sessions, and what to do about problems.
  /// Plain ASCII, each line ended by a newline.
  public var text: String {
    var text = "\(Plain.text(node)) (edge \(Plain.text(version))): \(link.text)\n"
    if nat != NAT() {
      text += "  NAT: \(nat.mapping.rawValue) mapping, \(nat.filtering.rawValue) filtering"
      if let address = nat.publicAddress { text += ", public address \(Plain.text(address))" }
      text += "\n"
    }
    text += "\nResources:\n"
    text += resources.isEmpty ? "  none\n" : Plain.table(resources.map { $0.row })
    text += "\nSessions:\n"
    text += sessions.isEmpty ? "  none\n" : Plain.table(sessions.map { $0.row })
    for session in sessions where !session.latency.text.utf8.isEmpty {
      text += "  \(Plain.text(session.viewer)): \(session.latency.text)\n"
    }
    return text + health.textLines
  }
}

extension NodeStatus.Link {
  fileprivate var text: String {
    let server = Plain.text(self.server)
    let when = since.map { " since " + Plain.time($0) } ?? ""
    let reason = self.reason.map { Plain.text($0) }
    var text: String
    switch state {
    case .connected:
      text = "connected to \(server) over \(Plain.text(transport))\(when)\n "
      if let lastHeartbeat { text += " heartbeat \(Plain.interval(lastHeartbeat)) ago," }
      if let roundTrip { text += " round trip \(Plain.milliseconds(roundTrip))," }
      text += " \(reconnects) reconnect\(reconnects == 1 ? "" : "s")"
      if reconnects > 0, let reason { text += ", the last because: \(reason)" }
    case .connecting:
      text = "connecting to \(server)\(when)"
      if let reason { text += "\n  because: \(reason)" }
    case .down:
      text = "not connected to \(server)\(when)\n  because: \(reason ?? "not known")"
    }
    return text
  }
}

extension NodeStatus.Resource {
  fileprivate var row: [String] {
    var detail: [String] = []
    if let format { detail.append(Plain.text(format)) }
    if let size { detail.append(Plain.text(size)) }
    if let framesPerSecondThousandths {
      detail.append(JSONWriter.text(.thousandths(framesPerSecondThousandths)) + " fps")
    }
    if let ip {
      let isV6 = ip.utf8.contains(UInt8(ascii: ":"))
      detail.append(Plain.text(isV6 ? "[\(ip)]" : ip) + (port.map { ":\($0)" } ?? ""))
    }
    if let missed = counts?.missed, missed > 0 { detail.append("(\(missed) missed)") }
    if name != serial { detail.append("\"\(Plain.text(name))\"") }
    var text = ""
    for part in detail { text += text.utf8.isEmpty ? part : " " + part }
    return [Plain.text(serial), Plain.text(type), state.rawValue, text]
  }
}

extension NodeStatus.Session {
  fileprivate var row: [String] {
    var counts = "\(Plain.byteCount(sentBytes)) sent, \(framesSent) frames"
    if framesDropped > 0 { counts += ", \(framesDropped) dropped" }
    if let rendition { counts += ", " + Plain.text(rendition) }
    return [
      Plain.text(viewer), Plain.text(serial), Self.route(path, remote), roundTrip.map { Plain.milliseconds($0) } ?? "-",
      counts, "since " + Plain.time(since),
    ]
  }

  /// `direct 198.51.100.7:52344 (srflx)`, `relay 203.0.113.9:49152`, `connecting`.
  static func route(_ path: NodeStatus.Path?, _ remote: String?) -> String {
    let address = remote.map { " " + Plain.text($0) } ?? ""
    switch path {
    case nil: return "connecting"
    case .relay: return "relay" + address
    case .host: return "direct" + address
    case .srflx, .prflx: return "direct\(address) (\(path?.rawValue ?? ""))"
    }
  }
}

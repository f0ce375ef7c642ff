internal import EdgeCore
public import NATDiscovery
internal import StatusModel

extension DoctorReport {
  /// What the facts mean, in the order things depend on each other: the first problem is the one to mend first.
  public init(_ facts: Facts) {
    var findings: [Finding] = []
    findings += facts.files.map { file in
      Finding(
        "file", file.trouble == nil ? .ok : .problem,
        "\(file.what) \(file.path)" + (file.trouble.map { ": " + $0 } ?? ""),
        remedy: file.trouble == nil ? "" : "make it readable (and a directory writable) for the user that runs edge")
    }
    if let disk = facts.diskFinding { findings.append(disk) }
    findings.append(facts.clockFinding)
    findings.append(facts.nameFinding)
    if facts.lookupFailure == nil {
      findings += facts.linkFindings
      if let login = facts.loginFinding { findings.append(login) }
      findings.append(facts.datagramFinding)
      findings.append(facts.natFinding)
      findings.append(facts.relayFinding)
    }
    findings += facts.daemonFindings
    findings += facts.cameras.map { camera in
      Finding(
        "camera", camera.trouble == nil ? .ok : .problem,
        camera.serial + ": " + (camera.trouble ?? "\(camera.source) can be opened"))
    }
    self.init(findings: findings)
  }
}

extension Facts {
  /// Before 2024 this program did not exist.
  private static var oldestCredibleClock: Int64 { 1_704_067_200 }
  private static var day: Int64 { 86_400 }

  fileprivate var diskFinding: Finding? {
    guard let freeBytes else { return nil }
    guard freeBytes < 16 << 20 else { return Finding("disk", .ok, Plain.byteCount(freeBytes) + " free") }
    return Finding(
      "disk", freeBytes < 1 << 20 ? .problem : .warning, "only " + Plain.byteCount(freeBytes) + " free",
      remedy: "make room: keys and settings cannot be saved on a full disk")
  }

  fileprivate var clockFinding: Finding {
    let text = "this machine's clock says " + Plain.time(clock)
    if clock < Self.oldestCredibleClock || isClockToBlame {
      return Finding(
        "clock", .problem, text + ", which cannot be right",
        remedy: "set the time (run an NTP client): no certificate can be checked with a wrong clock")
    }
    return Finding("clock", .ok, text)
  }

  fileprivate var nameFinding: Finding {
    if let lookupFailure {
      return Finding("name", .problem, lookupFailure, remedy: "correct the server's name, or this machine's DNS")
    }
    var list = ""
    for address in addresses { list += (list.utf8.isEmpty ? "" : ", ") + address.description }
    return Finding("name", .ok, list == host ? list : host + " is " + list)
  }

  fileprivate var linkFindings: [Finding] {
    switch link {
    case .notTried(let why): return [Finding("link", .unknown, why)]
    case .failed(let why):
      return [
        Finding(
          "link", .problem, server + ": " + why,
          remedy: isClockToBlame
            ? "set the time first"
            : "check that edge-rendezvous runs there, the port, and what firewalls in between let through")
      ]
    case .worked(let roundTrip):
      var findings = [
        Finding("link", .ok, server + " answers" + (roundTrip.map { " in " + Plain.milliseconds($0) } ?? ""))
      ]
      if let end = certificateEnds {
        let days = (end - clock) / Self.day
        findings.append(
          Finding(
            "certificate", days < 14 ? .warning : .ok, "the server's certificate is right, until " + Plain.time(end),
            remedy: days < 14 ? "renew it on the server within \(max(days, 0)) days" : ""))
      }
      return findings
    }
  }

  fileprivate var loginFinding: Finding? {
    switch login {
    case nil: nil
    case .accepted: Finding("login", .ok, "account and password are accepted")
    case .refused(let why):
      Finding(
        "login", .problem, why,
        remedy: "correct the password file, or add the account on the server (edge-rendezvous account add)")
    case .failed(let why): Finding("login", .problem, why)
    }
  }

  fileprivate var datagramFinding: Finding {
    if nat?.hasUDP == true { return Finding("udp", .ok, "UDP reaches the server and comes back") }
    switch stunUDP {
    case .worked: return Finding("udp", .ok, "UDP reaches the server and comes back")
    case .notTried(let why): return Finding("udp", .unknown, why)
    case .failed:
      var isTCPAlive = false
      if case .worked = stunTCP { isTCPAlive = true }
      if case .worked = link { isTCPAlive = true }
      return Finding(
        "udp", .warning, "no answer over UDP" + (isTCPAlive ? ", though TCP gets through" : ""),
        remedy:
          "a firewall here, or the server's, drops UDP port 3478: every session takes the relay until it is opened")
    }
  }

  fileprivate var natFinding: Finding {
    guard let nat, nat.hasUDP else { return Finding("nat", .unknown, "cannot be told without UDP") }
    return nat.finding
  }

  fileprivate var relayFinding: Finding {
    var ways = ""
    for (name, outcome) in [("UDP", relayUDP), ("TCP", relayTCP), ("TLS", relayTLS)] {
      if case .worked = outcome { ways += (ways.utf8.isEmpty ? "" : ", ") + name }
    }
    guard ways.utf8.isEmpty else { return Finding("relay", .ok, "the server has a relay, reachable over " + ways) }
    let isNeeded = nat?.mapping == .addressAndPortDependent || nat?.mapping == .addressDependent || nat?.hasUDP == false
    return Finding(
      "relay", isNeeded ? .problem : .warning, "no relay answers at the server",
      remedy: "add a relay section to the server's rendezvous.yaml, or open port 3478 to it: without one, "
        + (isNeeded ? "this network reaches few others" : "some pairs of networks cannot be joined"))
  }

  fileprivate var daemonFindings: [Finding] {
    guard let daemon else {
      return daemonTrouble.map {
        [Finding("daemon", .warning, $0, remedy: "start it: systemctl start edge, or edge run")]
      }
        ?? []
    }
    var findings: [Finding] = []
    if daemon.link.state == .connected {
      var text = "logged in"
      if let since = daemon.link.since { text += " since " + Plain.time(since) }
      if let age = daemon.link.lastHeartbeat { text += ", last heartbeat " + Plain.interval(age) + " ago" }
      let isOld = (daemon.link.lastHeartbeat ?? .zero) > .seconds(60)
      findings.append(
        Finding(
          "heartbeat", isOld ? .warning : .ok, text,
          remedy: isOld ? "the link may be dead without anybody having noticed: look again in half a minute" : ""))
    } else {
      findings.append(
        Finding("heartbeat", .problem, "the daemon is not logged in: " + (daemon.link.reason ?? "still connecting")))
    }
    for health in daemon.health where health.severity != .info {
      findings.append(Finding(health.code, health.severity == .error ? .problem : .warning, health.text))
    }
    return findings
  }
}

extension NATReport {
  /// The kind of NAT, and what follows from it for two ends that want to meet.
  public var finding: Finding {
    let address = publicAddress.map { ", seen from outside as \($0)" } ?? ""
    if mapping == .none {
      let isOpen = filtering == .none || filtering == .endpointIndependent
      return Finding(
        "nat", .ok, "no NAT" + (isOpen ? " and no filter" : ", but a filter that lets answers in") + address)
    }
    guard mapping != .unknown else {
      return Finding(
        "nat", .unknown, "there is a NAT; of what kind cannot be told" + address,
        remedy: "the server does not answer on UDP port \(3479): add nat-discovery to its listen section")
    }
    let kind = "mapping \(mapping.rawValue), filtering \(filtering.rawValue)" + doubt + address
    switch mapping {
    case .addressAndPortDependent, .addressDependent:
      return Finding(
        "nat", .warning, kind,
        remedy: filtering == .endpointIndependent
          ? ""
          : "the router takes another port for every peer: direct paths work only towards networks that do not "
            + "filter by port, others take the relay. Switch symmetric NAT off in the router, forward a port, or use IPv6"
      )
    case .none, .endpointIndependent, .unknown: return Finding("nat", .ok, kind)
    }
  }

  private var doubt: String {
    switch (isMappingCertain, isFilteringCertain) {
    case (true, true): ""
    case (false, true): " (whether the mapping depends on the address cannot be told: the server has one address)"
    case (true, false): " (whether it filters by address cannot be told: the server has one address)"
    case (false, false): " (what depends on addresses cannot be told: the server has one)"
    }
  }
}

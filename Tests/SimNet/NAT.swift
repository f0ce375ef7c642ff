internal import EdgeCore

/// How a NAT behaves towards UDP (RFC 4787).
public struct NATBehaviour: Hashable, Sendable, CustomStringConvertible {
  /// What a mapping, and what the filter in front of it, depends on (RFC 4787 §4.1, §5).
  public enum Dependence: Int, CaseIterable, Hashable, Sendable {
    case endpointIndependent, addressDependent, addressAndPortDependent
  }

  public var mapping: Dependence
  public var filtering: Dependence
  /// Whether hosts behind it reach each other by their outside addresses (RFC 4787 §6), seen with
  /// their outside source.
  public var hairpins = false
  /// Takes ports at random, as `masquerade random` does, instead of one after the other.
  public var takesRandomPorts = false
  /// How long a mapping lives after the last packet outwards (RFC 4787 §4.3: at least 2 minutes).
  public var mappingTimeout: Duration = .seconds(120)

  public init(_ mapping: Dependence, _ filtering: Dependence) {
    self.mapping = mapping
    self.filtering = filtering
  }

  public static let fullCone = NATBehaviour(.endpointIndependent, .endpointIndependent)
  public static let restrictedCone = NATBehaviour(.endpointIndependent, .addressDependent)
  /// The home router: what Linux masquerading does.
  public static let portRestricted = NATBehaviour(.endpointIndependent, .addressAndPortDependent)
  public static let symmetric = NATBehaviour(.addressAndPortDependent, .addressAndPortDependent)

  /// All nine types: EIM, ADM, APDM, and within each EIF, ADF, APDF.
  public static let all = Dependence.allCases.flatMap { mapping in
    Dependence.allCases.map { NATBehaviour(mapping, $0) }
  }

  public func hairpinning() -> NATBehaviour {
    var copy = self
    copy.hairpins = true
    return copy
  }

  public var description: String {
    let names = ["EI", "AD", "APD"]
    return names[mapping.rawValue] + "M/" + names[filtering.rawValue] + "F" + (hairpins ? "+hairpin" : "")
  }
}

/// One NAT: its table, and the two ways through it.
struct NAT {
  struct Mapping {
    let inside: SocketAddress
    /// What of the destination the mapping is for: all of it, the address with port 0, or nothing.
    let key: SocketAddress?
    let port: UInt16
    var lastOutward: Instant
    var contacted: Set<SocketAddress> = []
  }

  let behaviour: NATBehaviour
  let outside: IPAddress
  /// The NAT it stands behind.
  let parent: Int?
  private var mappings: [Mapping] = []
  private var nextPort: UInt16
  private var random: SeededRandom

  init(_ behaviour: NATBehaviour, outside: IPAddress, parent: Int?, firstPort: UInt16) {
    self.behaviour = behaviour
    self.outside = outside
    self.parent = parent
    nextPort = firstPort
    random = SeededRandom(seed: UInt64(firstPort))
  }

  mutating func forget() { mappings.removeAll() }

  private func part(_ address: SocketAddress, _ dependence: NATBehaviour.Dependence) -> SocketAddress? {
    switch dependence {
    case .endpointIndependent: nil
    case .addressDependent: SocketAddress(address.ip, port: 0)
    case .addressAndPortDependent: address
    }
  }

  /// The source a packet has once it is outside.
  mutating func outward(from inside: SocketAddress, to remote: SocketAddress, at now: Instant) -> SocketAddress {
    let key = part(remote, behaviour.mapping)
    var index = find { $0.inside == inside && $0.key == key }
    if let found = index, now - mappings[found].lastOutward > behaviour.mappingTimeout {
      mappings.remove(at: found)
      index = nil
    }
    if index == nil {
      mappings.removeAll { now - $0.lastOutward > behaviour.mappingTimeout }
      mappings.append(Mapping(inside: inside, key: key, port: takePort(), lastOutward: now))
      index = mappings.count - 1
    }
    guard let index else { preconditionFailure("a mapping was just made") }
    mappings[index].lastOutward = now
    if let contact = part(remote, behaviour.filtering) { mappings[index].contacted.insert(contact) }
    return SocketAddress(outside, port: mappings[index].port)
  }

  private mutating func takePort() -> UInt16 {
    guard behaviour.takesRandomPorts else {
      defer { nextPort = nextPort < 65000 ? nextPort + 1 : 20000 }
      return nextPort
    }
    while true {
      let port = UInt16(1024 + random.next() % 64_512)
      if !mappings.contains(where: { $0.port == port }) { return port }
    }
  }

  /// Whom inside a packet is for, `nil` when it is filtered.
  func inward(to port: UInt16, from remote: SocketAddress, at now: Instant) -> SocketAddress? {
    guard let index = find({ $0.port == port }), now - mappings[index].lastOutward <= behaviour.mappingTimeout else {
      return nil
    }
    if let contact = part(remote, behaviour.filtering), !mappings[index].contacted.contains(contact) { return nil }
    return mappings[index].inside
  }

  /// Without a copy of each: there may be hundreds.
  private func find(_ matches: (borrowing Mapping) -> Bool) -> Int? {
    for index in mappings.indices where matches(mappings[index]) { return index }
    return nil
  }
}

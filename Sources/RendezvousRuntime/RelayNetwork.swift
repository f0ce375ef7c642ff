import Config
import EdgeCore
import LinuxIO

/// The addresses a relay has: what peers are told, what sockets are bound to, and what is the machine's own.
struct RelayNetwork {
  let relayAddresses: [IPAddress]
  let ownAddresses: [IPAddress]
  private let interfaces: [IPAddress]

  init(_ configuration: RendezvousConfiguration.Relay, listening: [SocketAddress]) {
    let found = ((try? NetworkInterfaces.addresses()) ?? []).filter { !$0.address.isLinkLocal }
    interfaces = found.map { $0.address }
    var relays: [IPAddress] = []
    for isV4 in [true, false] {
      let listens = listening.filter { $0.ip.isV4 == isV4 }.map { $0.ip }
      if let external = configuration.externalAddress, external.isV4 == isV4 {
        relays.append(external)
      } else if configuration.externalAddress == nil, !listens.isEmpty {
        let candidates = found.filter { $0.address.isV4 == isV4 }.map { $0.address }
        // A listener on one address says which; else the most public one there is.
        let bound = listens.contains { $0.isUnspecified } ? nil : listens.first
        let best =
          bound ?? candidates.first { !$0.isPrivate && !$0.isLoopback } ?? candidates.first { !$0.isLoopback }
          ?? candidates.first
        if let best { relays.append(best) }
      }
    }
    relayAddresses = relays
    ownAddresses = interfaces + relays.filter { !found.map { $0.address }.contains($0) }
  }

  /// An address of the machine is bound as it is; one a router in front of it has, is not here to be bound.
  func bindAddress(for address: IPAddress) -> IPAddress {
    if interfaces.contains(address) || address.isLoopback { return address }
    return address.isV4 ? .anyV4 : .anyV6
  }
}

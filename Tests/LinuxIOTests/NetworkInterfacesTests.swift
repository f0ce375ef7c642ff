import EdgeCore
import Foundation
import LinuxIO
import Testing

/// unshare(2), which the Glibc module leaves out.
@_silgen_name("unshare") private func unshare(_ flags: Int32) -> Int32

@Suite("Network interfaces")
struct NetworkInterfacesTests {
  @Test func `loopback is listed as such, with its prefix`() throws {
    let addresses = try NetworkInterfaces.addresses()
    let loopback = try #require(addresses.first { $0.address == loopbackV4 })
    #expect(loopback.interface == "lo")
    #expect(loopback.isLoopback)
    #expect(!loopback.isLinkLocal)
    #expect(loopback.prefixLength == 8)
    #expect(loopback.index == if_nametoindex("lo"))
    for address in addresses where address.isLinkLocal && !address.address.isV4 {
      guard case .v6(_, _, let scope) = address.address else { continue }
      #expect(scope == address.index)
    }
  }

  /// A new address on the loopback interface of a network namespace this test's thread enters.
  @Test func `a change of addresses is told once it has settled`() throws {
    let changes = Counter()
    let failed = Counter()
    let thread = try LinuxIO.Thread(name: "io-netns") {
      // CLONE_NEWNET: concerns this thread only.
      guard unshare(0x4000_0000) == 0, let reactor = try? Reactor(),
        let watch = try? NetworkWatch(reactor: reactor, onChange: { changes.add() })
      else {
        failed.add()
        return
      }
      try? reactor.turn(for: .milliseconds(20))
      let before = changes.value
      var request = ifreq()
      withUnsafeMutableBytes(of: &request) { $0.copyBytes(from: "lo".utf8) }
      request.ifr_ifru.ifru_flags = Int16(IFF_UP)
      let control = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
      if ioctl(control, UInt(SIOCSIFFLAGS), &request) != 0 || before != 0 { failed.add() }
      close(control)
      try? reactor.turn(until: { changes.value > 0 })
      if (try? NetworkInterfaces.addresses().contains { $0.address == loopbackV4 }) != true { failed.add() }
      try? reactor.turn(for: .milliseconds(300))
      watch.close()
    }
    thread.join()
    #expect(failed.value == 0, "this test makes a network namespace and runs as root")
    #expect(changes.value == 1)
  }
}

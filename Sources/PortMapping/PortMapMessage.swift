internal import EdgeCore

/// What a router may say to a request for a mapping.
public enum PortMapRefusal: Hashable, Sendable {
  /// It does not map ports for us: switched off, or not for this machine.
  case notAuthorized
  /// It has no port, no memory or no address of its own to give now.
  case noResources
  /// It speaks neither of the protocols, or not for UDP.
  case unsupported
  /// There is another NAT between it and us, so that it sees another address than ours.
  case addressMismatch
  /// Any other result code.
  case failed(Int)
}

/// The two protocols' messages for one mapping of one UDP port over IPv4: PCP (RFC 6887) and NAT-PMP (RFC 6886).
enum PortMapMessage {
  static let port: UInt16 = 5351
  private static let udp: UInt8 = 17
  /// RFC 6887 §7: no message is longer.
  private static let longestPCP = 1100

  /// An answer that is none of ours is `nil`; what an honest one can say is this.
  enum Answer: Equatable {
    /// `lifetime` is in seconds.
    case mapped(internalPort: UInt16, external: SocketAddress, lifetime: UInt32, epoch: UInt32)
    /// NAT-PMP tells the port and the address in two answers.
    case mappedPort(internalPort: UInt16, externalPort: UInt16, lifetime: UInt32, epoch: UInt32)
    case address(IPAddress, epoch: UInt32)
    /// `lifetime` is how many seconds the router will not change its mind; `internalPort` is `nil` where it is not said.
    case refused(PortMapRefusal, internalPort: UInt16?, lifetime: UInt32)
    /// The router speaks NAT-PMP only (RFC 6887 appendix A).
    case olderProtocol
  }

  // MARK: PCP

  /// RFC 6887 §7.1, §11.1. Lifetime 0 deletes (§15.1).
  static func pcpMap(
    nonce: [UInt8], client: IPAddress, internalPort: UInt16, suggested: SocketAddress?, lifetime: UInt32
  ) -> [UInt8] {
    var writer = ByteWriter(reserving: 60)
    writer.write(UInt8(2))
    writer.write(UInt8(1))
    writer.writeZeros(2)
    writer.write(lifetime)
    write(client, to: &writer)
    writer.write(nonce)
    writer.write(udp)
    writer.writeZeros(3)
    writer.write(internalPort)
    writer.write(suggested?.port ?? 0)
    write(suggested?.ip ?? .anyV4, to: &writer)
    return writer.bytes
  }

  /// RFC 6887 §5: as an IPv4-mapped IPv6 address.
  private static func write(_ ip: IPAddress, to writer: inout ByteWriter) {
    switch ip {
    case .v4(let address):
      writer.writeZeros(10)
      writer.write(UInt16(0xFFFF))
      writer.write(address)
    case .v6(let high, let low, _):
      writer.write(high)
      writer.write(low)
    }
  }

  /// RFC 6887 §8.3. `nonceOf` gives the nonce a port's mapping was asked for with: another one's answer is ignored.
  static func parsePCP(_ bytes: RawSpan, nonceOf: (UInt16) -> [UInt8]?) -> Answer? {
    guard bytes.byteCount <= longestPCP else { return nil }
    var reader = ByteReader(bytes)
    do throws(ShortRead) {
      let version = try reader.readUInt8()
      let operation = try reader.readUInt8()
      guard operation & 0x80 != 0 else { return nil }
      if version == 0 {
        // RFC 6886 §3.5: a NAT-PMP router refuses the version with result 1.
        return try reader.readUInt16() == 1 ? .olderProtocol : nil
      }
      guard version == 2, operation == 0x81, bytes.byteCount % 4 == 0 else { return nil }
      try reader.skip(1)
      let result = try reader.readUInt8()
      let lifetime = try reader.readUInt32()
      let epoch = try reader.readUInt32()
      try reader.skip(12)
      let nonce = try reader.readBytes(12)
      let isUDP = try reader.readUInt8() == udp
      try reader.skip(3)
      let internalPort = try reader.readUInt16()
      let externalPort = try reader.readUInt16()
      let high = try reader.readUInt64()
      let low = try reader.readUInt64()
      guard isUDP, let wanted = nonceOf(internalPort), wanted == nonce else { return nil }
      guard result == 0 else { return .refused(refusal(pcp: result), internalPort: internalPort, lifetime: lifetime) }
      let external = SocketAddress(IPAddress.v6(high: high, low: low, scope: 0).unmapped, port: externalPort)
      return .mapped(internalPort: internalPort, external: external, lifetime: lifetime, epoch: epoch)
    } catch {
      return nil
    }
  }

  /// RFC 6887 §7.4.
  private static func refusal(pcp result: UInt8) -> PortMapRefusal {
    switch result {
    case 2: .notAuthorized
    case 1, 4, 5, 9: .unsupported
    case 7, 8, 10, 11: .noResources
    case 12: .addressMismatch
    default: .failed(Int(result))
    }
  }

  // MARK: NAT-PMP

  /// RFC 6886 §3.2.
  static let pmpAddress: [UInt8] = [0, 0]

  /// RFC 6886 §3.3. Lifetime 0, and then external port 0, deletes (§3.4).
  static func pmpMap(internalPort: UInt16, suggestedPort: UInt16, lifetime: UInt32) -> [UInt8] {
    var writer = ByteWriter(reserving: 12)
    writer.write(UInt8(0))
    writer.write(UInt8(1))
    writer.writeZeros(2)
    writer.write(internalPort)
    writer.write(lifetime == 0 ? 0 : suggestedPort)
    writer.write(lifetime)
    return writer.bytes
  }

  static func parsePMP(_ bytes: RawSpan) -> Answer? {
    var reader = ByteReader(bytes)
    do throws(ShortRead) {
      guard try reader.readUInt8() == 0 else { return nil }
      let operation = try reader.readUInt8()
      let result = try reader.readUInt16()
      let epoch = try reader.readUInt32()
      switch (operation, result) {
      case (128, 0): return .address(.v4(try reader.readUInt32()), epoch: epoch)
      case (128, _): return .refused(refusal(pmp: result), internalPort: nil, lifetime: 30)
      case (129, _):
        let internalPort = try reader.readUInt16()
        let externalPort = try reader.readUInt16()
        let lifetime = try reader.readUInt32()
        guard result == 0 else { return .refused(refusal(pmp: result), internalPort: internalPort, lifetime: 30) }
        return .mappedPort(internalPort: internalPort, externalPort: externalPort, lifetime: lifetime, epoch: epoch)
      default: return nil
      }
    } catch {
      return nil
    }
  }

  /// RFC 6886 §3.5.
  private static func refusal(pmp result: UInt16) -> PortMapRefusal {
    switch result {
    case 1, 5: .unsupported
    case 2: .notAuthorized
    case 3, 4: .noResources
    default: .failed(Int(result))
    }
  }
}

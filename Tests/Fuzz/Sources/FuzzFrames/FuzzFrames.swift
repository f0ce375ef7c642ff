import CLinux
import FrameCodec

/// Parts from the network, in two forms. An input that begins with 0 is parts as they are, each behind its length in
/// 4 bytes. Any other is a list of what goes into parts that a checksum would otherwise keep from the decoder: it is
/// given the right ones.
///
/// No input may trap, read where it should not or make the decoder hold more than it was allowed; and all instruction
/// sets must arrive at the same pictures.
@c(LLVMFuzzerTestOneInput)
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = [UInt8](UnsafeBufferPointer(start: start, count: count))
  let limits = FrameDecoder.Limits(pixels: 160 * 96, compressedBytes: 1 << 16)
  var common = FrameDecoder(limits: limits)
  var v3 = FrameDecoder(limits: limits, instructions: edge_cpu_is_x86_64_v3() != 0 ? .x86v3 : .common)
  for part in input.first == 0 ? cut(input) : make(input) {
    let one = receive(part, &common)
    let other = receive(part, &v3)
    precondition(one == other)
    if case .success(let frame?) = one {
      precondition(frame.picture.count <= max(160 * 96 * 3, 1 << 16))
      precondition(Adler32.checksum(frame.picture) == frame.header.checksum)
    }
  }
  return 0
}

private func receive(_ part: [UInt8], _ decoder: inout FrameDecoder) -> Result<DecodedFrame?, FrameError> {
  do throws(FrameError) {
    return .success(try decoder.receive(part.span.bytes))
  } catch {
    return .failure(error)
  }
}

private func cut(_ input: [UInt8]) -> [[UInt8]] {
  var parts: [[UInt8]] = []
  var rest = input[...]
  while rest.count > 4 {
    let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    rest = rest.dropFirst(4)
    parts.append(Array(rest.prefix(length)))
    rest = rest.dropFirst(length)
  }
  return parts
}

/// Each frame takes a header's worth of bytes, then a map, then residuals that are repeated as often as needed.
private func make(_ input: [UInt8]) -> [[UInt8]] {
  var rest = input[...]
  func next() -> UInt8 { rest.popFirst() ?? 0 }
  var parts: [[UInt8]] = []
  let format = 1 + next() % 9
  let width = 16 + 2 * Int(next() % 24)
  let height = 16 + 2 * Int(next() % 16)
  var sequence: UInt8 = 0
  while !rest.isEmpty, parts.count < 8 {
    let flags = next()
    let isKey = sequence == 0 || flags & 1 == 1
    let first = next() % 32
    let units = next() % 32
    let blocks = min(next(), 250)
    let shift = flags >> 1 & 7
    let step = [1, 3, 5, 7, 9, 0, 2, 255][Int(flags >> 4 & 7)] as UInt8
    var part: [UInt8] = [2, 0, isKey ? 1 : 0, format, 0, 0, 0, sequence] + [UInt8](repeating: 0, count: 8)
    part += [0, UInt8(width), 0, UInt8(height), 0, 0, 0, 1, 0, 0, 0, 0]
    part += [0, 0, 0, isKey ? sequence : sequence &- 1, 0, shift, step, 0]
    part += [0, first, 0, units, 0, 0, 0, 0]
    let map = (0..<blocks).map { _ in next() & 0x7F }
    var payload = map
    var segments = [map.count]
    for kind in 1..<32 {
      let bytes = kind < 7 ? 64 : kind < 20 ? 128 : 256
      let length = map.count { $0 & 31 == kind } * bytes
      guard length > 0 else { continue }
      let some = (0..<min(16, rest.count)).map { _ in next() }
      payload += (0..<length).map { some.isEmpty ? 0 : some[$0 % some.count] }
      segments.append(length)
    }
    part += [0x78, 1]
    var at = 0
    for (index, length) in segments.enumerated() {
      part += [index == segments.count - 1 ? 1 : 0, UInt8(length & 255), UInt8(length >> 8)]
      part += [~UInt8(length & 255), ~UInt8(length >> 8)]
      part += payload[at..<at + length]
      at += length
    }
    let sum = Adler32.checksum(payload)
    part += (0..<4).map { UInt8(truncatingIfNeeded: sum >> (24 - 8 * $0)) }
    parts.append(part)
    sequence &+= 1
  }
  return parts
}

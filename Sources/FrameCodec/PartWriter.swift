internal import EdgeCore
internal import FrameKernels

/// Sorts the blocks of a run of units into their classes and writes them as one zlib stream.
struct PartWriter: ~Copyable {
  struct Part {
    let message: [UInt8]
    /// The units written end before this one.
    let endUnit: Int
    /// Bytes of `packed` they took.
    let packedBytes: Int
  }

  /// Segments of at least this many symbols have entry points for four lanes.
  static let fewestInLanes = 512
  /// Classes with fewer symbols join another: their code would cost more than it saves. Noise has much the same
  /// code in all of them, so there fewer are worth the time.
  private var fewestInClass = 9000

  /// Runs of fewer symbols always have a code of their own: its header is shorter.
  static let fewestToKeep = 2048

  private let layout: PlaneLayout
  private let kernels: Kernels
  private let payload: ByteStore
  /// Of 2 bytes each, where those of the payload with the same number are.
  private let tokens: ByteStore
  private let out: ByteStore
  private var counts = [UInt32](repeating: 0, count: HuffmanCode.symbolCountWithRuns)
  private var scratch = [UInt32](repeating: 0, count: HuffmanCode.workspaceCount)
  /// What a block of each class took in the last part that had some, in bits.
  private var blockBits: [Int]
  /// What parts are filled to, in bytes.
  private var target = PartHeader.largestPart * 31 / 32
  private var frameBytes = 0
  private var frameParts = 0
  private var frameBlocks: [32 of Int] = .init(repeating: 0)
  /// How classes are joined in predicted frames, from the one before: in all parts alike, so that codes may stay.
  private var lastJoined: [32 of UInt8]?
  /// One per class, and the first for the block map; then those that are kept.
  private var codes = [ClassCode](repeating: ClassCode(), count: 2 * BlockClass.count)
  /// Running total for ``fits(_:units:)``: the units counted and their bits.
  private var counted = (units: 0..<0, bits: 0)

  init(layout: PlaneLayout, kernels: Kernels) {
    self.kernels = kernels
    self.layout = layout
    tokens = ByteStore(uninitialized: 2 * layout.blockCount * (PlaneLayout.blockSamples + 1) + 4)
    payload = ByteStore(uninitialized: layout.blockCount * (PlaneLayout.blockSamples + 1))
    // No code has more than 12 bits, no block map or stored byte more than 8.
    out = ByteStore(uninitialized: PartHeader.largestPart + layout.blockCount * (PlaneLayout.blockSamples + 1) * 3 / 2)
    blockBits = (0..<BlockClass.count).map { BlockClass.packedBytes(UInt8($0)) * 6 }
  }

  /// Whether these units are likely to fill no more than one part.
  mutating func fits(_ map: ByteStore, units: Range<Int>) -> Bool {
    if counted.units.lowerBound != units.lowerBound || counted.units.upperBound > units.upperBound {
      // 1 KiB for the block headers.
      counted = (units.lowerBound..<units.lowerBound, 8 * 1024)
    }
    let from = layout.firstBlock(ofUnit: counted.units.upperBound)
    for block in from..<layout.firstBlock(ofUnit: units.upperBound) {
      unsafe counted.bits += blockBits[Int(map.start[block] & 31)] + 2
    }
    counted.units = units
    return counted.bits / 8 <= target
  }

  /// Evens out the parts of the next frame, which is likely to have this one's size.
  mutating func frameEnded(isKey: Bool) {
    let limit = PartHeader.largestPart * 31 / 32
    let count = frameBytes / limit + 1
    target = count == 1 ? limit : min(limit, frameBytes / count * 33 / 32 + 1024)
    lastJoined = isKey ? nil : Self.join(frameBlocks, parts: frameParts, fewest: fewestInClass)
    frameBytes = 0
    frameParts = 0
    frameBlocks = .init(repeating: 0)
  }

  /// Writes as many of `units` as one part holds, at least one.
  ///
  /// - Parameter limit: the largest magnitude packed in 4 bits, if what is sent is noise.
  mutating func write(
    units: Range<Int>, header: PartHeader, limit: Int?, map: Kernel.Bytes, packed: Kernel.Bytes
  ) -> Part {
    var end = units.upperBound
    var limit = limit
    fewestInClass = limit != nil ? 24_000 : 9000
    while true {
      let segments = unsafe sort(units.lowerBound..<end, map, packed, limit: limit)
      var bytes = segments.byteCount
      // An estimate that is far out is not worth the time.
      if bytes <= PartHeader.largestPart {
        let message = encode(units.lowerBound..<end, segments, header)
        if message.count <= PartHeader.largestPart {
          frameBytes += message.count
          frameParts += 1
          for kind in 0..<BlockClass.count { frameBlocks[kind] += segments.blocks[kind] }
          return Part(message: message, endUnit: end, packedBytes: segments.packedBytes)
        }
        bytes = message.count
      }
      // The next try counts every symbol. One unit has 32 KiB of samples at most, and stored blocks add next to nothing.
      limit = nil
      let fewer = (end - units.lowerBound) * PartHeader.largestPart / bytes
      end = units.lowerBound + max(1, min(fewer, end - units.lowerBound - 1))
    }
  }

  /// A run of payload bytes with one Huffman code, or none.
  private struct Segment {
    let start: Int
    let length: Int
    /// Its code is `codes[slot]`.
    let slot: Int
    let isStored: Bool
    /// Of each lane, where there are runs.
    let tokens: [4 of Int]?

    var hasLanes: Bool { !isStored && length >= PartWriter.fewestInLanes }
    /// Symbols of each of the first three lanes.
    var quarter: Int { length >= PartWriter.fewestInLanes ? length / 4 : 0 }
  }

  private struct Segments {
    var list: [Segment] = []
    /// By class, before any joined another.
    var blocks: [32 of Int] = .init(repeating: 0)
    var packedBytes = 0
    /// Of the zlib stream without its checksum.
    var bits = 16

    var entryBytes: Int { list.reduce(0) { $0 + ($1.hasLanes ? 9 : 0) } }
    var byteCount: Int { PartHeader.byteCount + PartBody.byteCount + entryBytes + (bits + 7) / 8 + 4 }
  }

  /// Copies map and blocks to the payload in the order of the stream, and chooses the codes.
  private mutating func sort(_ units: Range<Int>, _ map: Kernel.Bytes, _ packed: Kernel.Bytes, limit: Int?) -> Segments
  {
    let first = layout.firstBlock(ofUnit: units.lowerBound)
    let count = layout.firstBlock(ofUnit: units.upperBound) - first
    var blocks: [32 of Int] = .init(repeating: 0)
    for block in 0..<count { unsafe blocks[Int(map[first + block] & 31)] += 1 }
    let joined =
      lastJoined.map { Self.joinFew($0, blocks, fewest: fewestInClass / 3) }
      ?? Self.join(blocks, parts: 1, fewest: fewestInClass)
    var joinedBlocks: [32 of Int] = .init(repeating: 0)
    for kind in 0..<BlockClass.count { joinedBlocks[Int(joined[kind])] += blocks[kind] }
    var cursors: [32 of Int] = .init(repeating: 0)
    var at = count
    for kind in 1..<BlockClass.count {
      cursors[kind] = at
      at += joinedBlocks[kind] * BlockClass.packedBytes(UInt8(kind))
    }
    let starts = cursors
    var segments = Segments()
    segments.blocks = blocks
    unsafe Kernel.sortBlocks(
      map + first, count, packed, joined: joined, cursors: &cursors, newMap: payload.start, to: payload.start)
    segments.packedBytes = at - count
    append(0, count, as: 0, nil, to: &segments)
    for kind in 1..<BlockClass.count where joinedBlocks[kind] > 0 {
      let before = segments.bits
      append(starts[kind], cursors[kind] - starts[kind], as: kind, alphabet(kind, limit), to: &segments)
      blockBits[kind] = (segments.bits - before) / joinedBlocks[kind]
      for other in 1..<BlockClass.count where joined[other] == kind { blockBits[other] = blockBits[kind] }
    }
    return segments
  }

  /// Classes of which neighbours may become one.
  private static let joinable = [(1, 7), (7, 20), (20, 26), (26, 32)]

  /// For every class the one it is written as, so that none written has much fewer symbols than `fewest` times
  /// `parts`. Energies rise with the class: neighbours are alike.
  private static func join(_ blocks: [32 of Int], parts: Int, fewest: Int) -> [32 of UInt8] {
    var joined: [32 of UInt8] = .init { UInt8($0) }
    for (low, high) in Self.joinable {
      let least = fewest * parts / BlockClass.packedBytes(UInt8(low))
      var first = low
      var sum = 0
      for kind in low..<high {
        sum += blocks[kind]
        guard sum >= least || kind == high - 1 else { continue }
        for member in first...kind { joined[member] = UInt8(kind) }
        first = kind + 1
        sum = 0
      }
    }
    return joined
  }

  /// Joins what has next to nothing in this part to the class above, the last to the one below.
  private static func joinFew(_ joined: [32 of UInt8], _ blocks: [32 of Int], fewest: Int) -> [32 of UInt8] {
    var sums: [32 of Int] = .init(repeating: 0)
    for kind in 0..<BlockClass.count { sums[Int(joined[kind])] += blocks[kind] }
    var target: [32 of UInt8] = .init { UInt8($0) }
    for (low, high) in Self.joinable {
      let least = fewest / BlockClass.packedBytes(UInt8(low))
      var first = low
      var sum = 0
      var below = -1
      for kind in low..<high where sums[kind] > 0 {
        sum += sums[kind]
        for member in first...kind { target[member] = UInt8(kind) }
        if sum >= least {
          below = kind
          first = kind + 1
          sum = 0
        }
      }
      if sum > 0 && below >= 0 {
        for member in first..<high { target[member] = UInt8(below) }
      }
    }
    var result = joined
    for kind in 0..<BlockClass.count { result[kind] = target[Int(joined[kind])] }
    return result
  }

  private func alphabet(_ kind: Int, _ limit: Int?) -> ClassCode.Alphabet? {
    guard let limit else { return nil }
    switch BlockClass.packedBytes(UInt8(kind)) {
    case 64: return ClassCode.Alphabet(bits: 2, limit: 1)
    case 128: return ClassCode.Alphabet(bits: 4, limit: limit)
    default:
      let isLow = kind < Int(BlockClass.firstOfHigh8Bits)
      return ClassCode.Alphabet(bits: 8, limit: isLow ? BlockClass.mostOfLow8Bits : 128)
    }
  }

  private var tokenStart: UnsafeMutablePointer<UInt16> {
    unsafe UnsafeMutableRawPointer(tokens.start).assumingMemoryBound(to: UInt16.self)
  }

  private mutating func append(
    _ start: Int, _ length: Int, as kind: Int, _ alphabet: ClassCode.Alphabet?, to segments: inout Segments
  ) {
    let isKept = alphabet != nil && length >= Self.fewestToKeep
    let slot = isKept ? kind + BlockClass.count : kind
    var room: ClassCode.Tokens? = nil
    // A map has no one byte that stands out.
    if kind > 0 {
      room = unsafe ClassCode.Tokens(
        start: tokenStart + start, quarter: length >= Self.fewestInLanes ? length / 4 : 0,
        repeated: BlockClass.packedZero(UInt8(kind)))
    }
    unsafe counts.withUnsafeMutableBufferPointer { counts in
      unsafe scratch.withUnsafeMutableBufferPointer { scratch in
        unsafe codes[slot].prepare(
          payload.start + start, length, isKept ? alphabet : nil, kernels: kernels, tokens: &room,
          counts: counts.baseAddress!, workspace: scratch.baseAddress!)
      }
    }
    let coded = 1 + codes[slot].code.headerBits + codes[slot].symbolBits
    // BFINAL, BTYPE, up to a byte, LEN and NLEN.
    let stored = 3 + (8 - (segments.bits + 3) & 7) & 7 + 32 + 8 * length
    let isStored = stored < coded && length <= 65535
    segments.list.append(
      Segment(start: start, length: length, slot: slot, isStored: isStored, tokens: room?.counts))
    segments.bits += isStored ? stored : coded
  }

  private func encode(_ units: Range<Int>, _ segments: Segments, _ header: PartHeader) -> [UInt8] {
    var sink = unsafe BitSink(out.start)
    // RFC 1950 §2.2: deflate with a 32 KiB window, fastest level.
    sink.append(0x0178, 16)
    var writer = ByteWriter(reserving: segments.byteCount)
    header.write(to: &writer)
    PartBody(firstUnit: units.lowerBound, unitCount: units.count, entryBytes: segments.entryBytes).write(to: &writer)
    var checksum = Adler32(kernels)
    for (index, segment) in segments.list.enumerated() {
      let isLast: UInt64 = index == segments.list.count - 1 ? 1 : 0
      let symbols = unsafe Kernel.Bytes(payload.start + segment.start)
      unsafe checksum.append(symbols, segment.length)
      if segment.isStored {
        sink.append(isLast, 3)
        sink.align()
        sink.append(UInt64(segment.length) | UInt64(~UInt16(segment.length)) << 16, 32)
        for index in 0..<segment.length { unsafe sink.append(UInt64(symbols[index]), 8) }
        continue
      }
      sink.append(isLast, 1)
      let code = codes[segment.slot].code
      code.writeHeader(to: &sink)
      let quarter = segment.quarter
      for lane in 0..<4 {
        let before = sink.position
        let length = lane < 3 ? quarter : segment.length - 3 * quarter
        if let tokens = segment.tokens {
          unsafe kernels.encodeTokens(
            tokenStart + segment.start + lane * quarter, tokens[lane], code.codes, code.codeLengths, into: &sink)
        } else {
          unsafe kernels.encode(symbols + lane * quarter, length, code.codes, code.codeLengths, into: &sink)
        }
        if segment.hasLanes && lane < 3 { writer.writeUInt24(sink.position - before) }
      }
      sink.append(UInt64(code.codes[HuffmanCode.endOfBlock]), UInt64(code.codeLengths[HuffmanCode.endOfBlock]))
    }
    sink.align()
    sink.append(UInt64(checksum.value.byteSwapped), 32)
    var message = writer.bytes
    unsafe message.append(contentsOf: UnsafeBufferPointer(start: out.start, count: sink.position / 8))
    return message
  }
}

/// What follows the header in a part of the planes codec (docs/frame-format.md, "Body").
struct PartBody: Hashable {
  var firstUnit: Int
  var unitCount: Int
  /// Bytes of lane entry points between this and the zlib stream.
  var entryBytes: Int

  static let byteCount = 8

  func write(to writer: inout ByteWriter) {
    writer.write(UInt16(firstUnit))
    writer.write(UInt16(unitCount))
    writer.write(UInt16(entryBytes))
    writer.write(UInt16(0))
  }
}

extension ByteWriter {
  fileprivate mutating func writeUInt24(_ value: Int) {
    write(UInt8(truncatingIfNeeded: value >> 16))
    write(UInt16(truncatingIfNeeded: value))
  }
}

extension HuffmanCode {
  fileprivate func writeHeader(to sink: inout BitSink) {
    var left = headerBits
    for word in header where left > 0 {
      sink.append(UInt64(word), UInt64(min(32, left)))
      left -= 32
    }
  }
}

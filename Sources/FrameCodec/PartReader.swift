internal import EdgeCore
internal import FrameKernels

/// Decodes the zlib stream of a part to its payload: the block map, then the packed blocks class by class.
struct PartReader: ~Copyable {
  private let kernels: Kernels
  private let payload: ByteStore
  /// The stream, with room behind it so that 8 bytes may be read from any of its bytes.
  private let stream = ByteStore(count: PartHeader.largestPart + 16, filledWith: 0)
  private var streamBytes = 0
  /// One per class, and the first for the block map; then those for long runs, whose codes are likely to come again.
  /// Made when first needed.
  private var decoders = [HuffmanDecoder?](repeating: nil, count: 2 * BlockClass.count)
  /// Where the packed blocks of every class begin in the payload.
  private(set) var classStarts = [Int](repeating: 0, count: BlockClass.count)

  init(blockCount: Int, kernels: Kernels) {
    self.kernels = kernels
    payload = ByteStore(uninitialized: blockCount * (PlaneLayout.blockSamples + 1))
  }

  /// One byte per block, then the packed blocks.
  var bytes: Kernel.Bytes { unsafe Kernel.Bytes(payload.start) }

  /// Decodes `stream`, whose units have `blocks` blocks.
  mutating func read(_ entries: RawSpan, _ stream: RawSpan, blocks: Int) throws(FrameError) {
    guard stream.byteCount >= 8, stream.byteCount <= PartHeader.largestPart else { throw .malformed(.stream) }
    streamBytes = stream.byteCount
    unsafe stream.withUnsafeBytes { source in
      unsafe UnsafeMutableRawPointer(self.stream.start).copyMemory(
        from: source.baseAddress!, byteCount: source.count)
    }
    let start = unsafe (self.stream.start[0], self.stream.start[1])
    guard start.0 == 0x78, start.1 == 1 else { throw .malformed(.stream) }

    var lanes = ByteReader(entries)
    var position = 16
    var isFinal = try segment(at: &position, of: 0, from: 0, length: blocks, &lanes)
    var end = blocks
    let counts = try countBlocks(blocks)
    for kind in 0..<BlockClass.count {
      classStarts[kind] = end
      let length = counts[kind] * BlockClass.packedBytes(UInt8(kind))
      guard length > 0 else { continue }
      guard !isFinal else { throw .malformed(.stream) }
      isFinal = try segment(at: &position, of: kind, from: end, length: length, &lanes)
      end += length
    }
    guard isFinal, lanes.remaining == 0, (position + 7) / 8 + 4 == streamBytes else { throw .malformed(.stream) }
    var checksum = Adler32(kernels)
    unsafe checksum.append(Kernel.Bytes(payload.start), end)
    var sent: UInt32 = 0
    for index in streamBytes - 4..<streamBytes { unsafe sent = sent << 8 | UInt32(self.stream.start[index]) }
    guard checksum.value == sent else { throw .malformed(.streamChecksum) }
  }

  private func countBlocks(_ blocks: Int) throws(FrameError) -> [32 of Int] {
    var counts: [32 of Int] = .init(repeating: 0)
    for block in 0..<blocks {
      let value = unsafe payload.start[block]
      guard value & 0x80 == 0, value & BlockMode.mask != BlockMode.mask else { throw .malformed(.blockMap) }
      counts[Int(value & 31)] += 1
    }
    return counts
  }

  /// Decodes one deflate block of `length` symbols; returns its BFINAL.
  private mutating func segment(
    at position: inout Int, of blockClass: Int, from start: Int, length: Int, _ lanes: inout ByteReader
  ) throws(FrameError) -> Bool {
    // The last byte from which 8 may be read; what lies behind the stream only ever makes it fail.
    let last = streamBytes + 8
    let source = unsafe Kernel.Bytes(stream.start)
    let out = unsafe payload.start + start
    let kind = unsafe Kernel.bits(source, position, last: last) & 7
    position += 3
    switch kind >> 1 {
    case 0:
      let byte = (position + 7) / 8
      let lengths = unsafe Kernel.bits(source, byte * 8, last: last)
      guard byte + 4 + length + 4 <= streamBytes, Int(lengths & 0xFFFF) == length,
        ~lengths >> 16 & 0xFFFF == UInt64(length)
      else { throw .malformed(.stream) }
      unsafe out.update(from: source + byte + 4, count: length)
      position = (byte + 4 + length) * 8
    case 2:
      let slot = length >= PartWriter.fewestToKeep ? blockClass + BlockClass.count : blockClass
      let huffman = decoders[slot] ?? HuffmanDecoder()
      decoders[slot] = huffman
      position = try unsafe huffman.readHeader(
        source, last: last, from: position, symbols: length,
        repeated: blockClass == 0 ? nil : BlockClass.packedZero(UInt8(blockClass)))
      position = try unsafe symbols(
        at: position, last: last, huffman, BlockClass.packedZero(UInt8(blockClass)), out, length, &lanes)
      let end = unsafe huffman.table[Int(Kernel.bits(source, position, last: last) & HuffmanDecoder.mask)]
      guard end & HuffmanDecoder.endOfBlock != 0 else { throw .malformed(.stream) }
      position += Int(end & 15)
    default: throw .malformed(.stream)
    }
    guard position <= (streamBytes - 4) * 8 else { throw .malformed(.stream) }
    return kind & 1 == 1
  }

  private func symbols(
    at position: Int, last: Int, _ huffman: HuffmanDecoder, _ repeated: UInt8, _ out: Kernel.MutableBytes,
    _ length: Int,
    _ lanes: inout ByteReader
  ) throws(FrameError) -> Int {
    let source = unsafe Kernel.Bytes(stream.start)
    guard length >= PartWriter.fewestInLanes else {
      if huffman.hasRuns {
        return unsafe Kernel.decodeRuns(
          source, last: last, from: position, table: huffman.table, repeated: repeated, to: out, length: length)
      }
      return unsafe Kernel.decode(
        source, last: last, from: position, table: huffman.table, to: out, length: length)
    }
    var starts = [position, 0, 0, 0]
    do throws(ShortRead) {
      for lane in 1..<4 {
        let bits = try Int(lanes.readUInt8()) << 16 | Int(lanes.readUInt16())
        starts[lane] = starts[lane - 1] + bits
      }
    } catch {
      throw .malformed(.entryPoints)
    }
    guard starts[3] <= streamBytes * 8 else { throw .malformed(.entryPoints) }
    var ends = starts
    let quarter = length / 4
    let rest = length - 4 * quarter
    unsafe ends.withUnsafeMutableBufferPointer { ends in
      if let runs = unsafe huffman.runTable {
        unsafe kernels.decodeFourRuns(
          source, last: last, positions: ends.baseAddress!, table: huffman.table, runs: runs, repeated: repeated,
          to: out, length: quarter)
        unsafe ends[3] = Kernel.decodeRuns(
          source, last: last, from: ends[3], table: huffman.table, repeated: repeated, to: out + 4 * quarter,
          length: rest)
      } else {
        unsafe kernels.decodeFour(
          source, last: last, positions: ends.baseAddress!, table: huffman.table, pairs: huffman.pairTable, to: out,
          length: quarter)
        unsafe ends[3] = Kernel.decode(
          source, last: last, from: ends[3], table: huffman.table, to: out + 4 * quarter, length: rest)
      }
    }
    guard ends[0] == starts[1], ends[1] == starts[2], ends[2] == starts[3] else { throw .malformed(.entryPoints) }
    return ends[3]
  }
}

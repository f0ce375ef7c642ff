internal import FrameKernels

/// Reads the header of a literal-only deflate block and holds the table its symbols are looked up in.
struct HuffmanDecoder: ~Copyable {
  private let tables = ByteStore(count: 2 << HuffmanCode.longest + 256, filledWith: 0)
  private let lengths = ByteStore(count: 512, filledWith: 0)

  static let mask = UInt64(1 << HuffmanCode.longest - 1)
  /// Set in the table entry of the end-of-block symbol.
  static let endOfBlock: UInt16 = 0x40

  /// By the next ``HuffmanCode/longest`` bits: the length of a code, and its symbol above bit 8.
  var table: UnsafeMutablePointer<UInt16> {
    unsafe UnsafeMutableRawPointer(tables.start).assumingMemoryBound(to: UInt16.self)
  }

  /// Reads HLIT to the last code length at bit `start`; returns the position after them.
  ///
  /// Only what docs/frame-format.md allows: 257 literal codes, one unused distance code, a complete code, and
  /// no code longer than ``HuffmanCode/longest`` bits.
  mutating func readHeader(_ stream: Kernel.Bytes, last: Int, from start: Int) throws(FrameError) -> Int {
    var position = start
    func take(_ count: Int) -> Int {
      let bits = unsafe Kernel.bits(stream, position, last: last) & (1 << UInt64(count) - 1)
      position += count
      return Int(bits)
    }
    guard take(5) == 0, take(5) == 0 else { throw .malformed(.stream) }
    let sent = take(4) + 4
    let runLengths = unsafe lengths.start + 480
    for index in 0..<19 {
      unsafe runLengths[HuffmanCode.codeLengthPlace(index)] = index < sent ? UInt8(take(3)) : 0
    }
    let runTable = unsafe table + Int(Self.mask) + 1
    try unsafe Self.fill(runTable, runLengths, count: 19, bits: 7)

    let count = HuffmanCode.symbolCount + 1
    var index = 0
    while index < count {
      let entry = unsafe runTable[Int(Kernel.bits(stream, position, last: last) & 127)]
      position += Int(entry & 0xFF)
      let symbol = UInt8(truncatingIfNeeded: entry >> 8)
      if symbol < 16 {
        unsafe lengths.start[index] = symbol
        index += 1
        continue
      }
      guard symbol > 16 || index > 0 else { throw .malformed(.stream) }
      let value = unsafe symbol == 16 ? lengths.start[index - 1] : 0
      let run = take(HuffmanCode.extraBits(Int(symbol))) + (symbol == 18 ? 11 : 3)
      guard index + run <= count else { throw .malformed(.stream) }
      unsafe (lengths.start + index).update(repeating: value, count: run)
      index += run
    }
    guard unsafe lengths.start[HuffmanCode.symbolCount] == 0, unsafe lengths.start[HuffmanCode.endOfBlock] > 0
    else { throw .malformed(.stream) }
    try unsafe Self.fill(table, lengths.start, count: HuffmanCode.symbolCount, bits: HuffmanCode.longest)
    return position
  }

  /// Fills a table of 2^bits entries from `count` code lengths below 16; throws unless the code is
  /// complete and fits.
  private static func fill(
    _ table: UnsafeMutablePointer<UInt16>, _ lengths: Kernel.Bytes, count: Int, bits: Int
  ) throws(FrameError) {
    var counts: [16 of Int] = .init(repeating: 0)
    for symbol in 0..<count { unsafe counts[Int(lengths[symbol] & 15)] &+= 1 }
    var sum = 0
    for length in 1..<16 where counts[length] > 0 {
      guard length <= bits else { throw .malformed(.stream) }
      sum += counts[length] << (bits - length)
    }
    guard sum == 1 << bits else { throw .malformed(.stream) }
    // Symbols in the order of their codes: by length, then by number.
    var next: [16 of Int] = .init(repeating: 0)
    for length in 1..<15 { next[length + 1] = next[length] + counts[length] }
    var sorted: [257 of UInt16] = .init(repeating: 0)
    for symbol in 0..<count {
      let length = unsafe lengths[symbol] & 15
      if length > 0 {
        sorted[next[Int(length)]] = UInt16(symbol & 255) << 8 | UInt16(length) | (symbol == 256 ? endOfBlock : 0)
        next[Int(length)] &+= 1
      }
    }
    // Walks the codes in order, first bit lowest. Half the table is written first, with the shortest
    // codes as if they were all there is, and doubled whenever the codes grow by a bit.
    var length = 1
    var size = 2
    var code = 0
    var index = 0
    while true {
      for _ in 0..<counts[length] {
        unsafe table[code] = sorted[index]
        index &+= 1
        if code == size - 1 {
          // The last code is all ones.
          while length < bits {
            unsafe (table + size).update(from: table, count: size)
            size &*= 2
            length &+= 1
          }
          return
        }
        // Adds one to a number whose highest bit is its lowest.
        let bit = 1 &<< (Int.bitWidth &- 1 &- (code ^ (size &- 1)).leadingZeroBitCount)
        code = code & (bit &- 1) | bit
      }
      guard length < bits else { return }
      unsafe (table + size).update(from: table, count: size)
      size &*= 2
      length &+= 1
    }
  }
}

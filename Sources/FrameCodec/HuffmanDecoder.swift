internal import FrameKernels

/// Reads the header of a deflate block of literals, perhaps with runs, and holds the tables its symbols are looked up in.
///
/// Kept per class: a camera whose noise does not change gets the same code in part after part, and a code seen
/// before has its tables already.
@safe final class HuffmanDecoder {
  private let tables = ByteStore(count: 2 << HuffmanCode.longest + 256, filledWith: 0)
  private let lengths = ByteStore(count: 512, filledWith: 0)
  /// Of pairs or runs; none before there is use for it.
  private var second = ByteStore(uninitialized: 0)
  private var hasPairs = false
  /// The header the tables are of, 32 bits to a word, and its bits; 0 while there is none.
  private var header = [UInt32](repeating: 0, count: 120)
  private var headerBits = 0

  static let mask = UInt64(1 << HuffmanCode.longest - 1)
  /// Set in the table entry of the end-of-block symbol.
  static let endOfBlock: UInt16 = 0x40
  /// Runs with fewer symbols are not worth a second table.
  private static let fewestForPairs = 24_000

  /// By the next ``HuffmanCode/longest`` bits: the length of a code, and its symbol above bit 8.
  var table: UnsafeMutablePointer<UInt16> {
    unsafe UnsafeMutableRawPointer(tables.start).assumingMemoryBound(to: UInt16.self)
  }

  /// Whether there are codes for runs; then ``runTable`` is for them.
  private(set) var hasRuns = false
  /// What `Kernel.makeRuns` makes of ``table``.
  private(set) var runTable: UnsafePointer<UInt32>?

  /// What `Kernel.makePairs` makes of ``table``, if that was worth it.
  private(set) var pairTable: UnsafePointer<UInt32>?

  /// Reads HLIT to the last code length at bit `start`; returns the position after them.
  ///
  /// - Parameters:
  ///   - symbols: that are to be looked up.
  ///   - repeated: the symbol there may be runs of; `nil` where there must be none.
  func readHeader(
    _ stream: Kernel.Bytes, last: Int, from start: Int, symbols: Int, repeated: UInt8?
  ) throws(FrameError) -> Int {
    let isKnown = unsafe isSame(stream, last: last, at: start)
    var end = start + headerBits
    if !isKnown {
      headerBits = 0
      hasPairs = false
      unsafe pairTable = nil
      unsafe runTable = nil
      unsafe end = try parseHeader(stream, last: last, from: start)
      unsafe remember(stream, last: last, start..<end)
    }
    if hasRuns {
      guard let repeated else { throw .malformed(.stream) }
      if unsafe runTable == nil && symbols >= PartWriter.fewestInLanes {
        let numbers = unsafe room()
        unsafe Kernel.makeRuns(of: table, repeated: repeated, to: numbers)
        unsafe runTable = UnsafePointer(numbers)
      }
    } else if !hasPairs && symbols >= (isKnown ? PartWriter.fewestInLanes : Self.fewestForPairs) {
      let numbers = unsafe room()
      unsafe Kernel.makePairs(of: table, to: numbers, endOfBlock: Self.endOfBlock)
      unsafe pairTable = UnsafePointer(numbers)
      hasPairs = true
    }
    return end
  }

  private func room() -> UnsafeMutablePointer<UInt32> {
    if second.count == 0 { second = ByteStore(uninitialized: 4 << HuffmanCode.longest) }
    return unsafe UnsafeMutableRawPointer(second.start).assumingMemoryBound(to: UInt32.self)
  }

  private func isSame(_ stream: Kernel.Bytes, last: Int, at start: Int) -> Bool {
    guard headerBits > 0 else { return false }
    var done = 0
    while done < headerBits {
      let wanted = UInt64(header[done >> 5])
      let mask = UInt64(1) &<< UInt64(min(32, headerBits - done)) &- 1
      guard unsafe Kernel.bits(stream, start + done, last: last) & mask == wanted else { return false }
      done += 32
    }
    return true
  }

  private func remember(_ stream: Kernel.Bytes, last: Int, _ range: Range<Int>) {
    guard range.count <= header.count * 32 else { return }
    headerBits = range.count
    var done = 0
    while done < headerBits {
      let mask = UInt64(1) &<< UInt64(min(32, headerBits - done)) &- 1
      header[done >> 5] = unsafe UInt32(
        truncatingIfNeeded: Kernel.bits(stream, range.lowerBound + done, last: last) & mask)
      done += 32
    }
  }

  /// Only what docs/frame-format.md allows: 257 codes and an unused distance code, or 265 and one for distance 1, a complete code, and
  /// no code longer than ``HuffmanCode/longest`` bits.
  private func parseHeader(_ stream: Kernel.Bytes, last: Int, from start: Int) throws(FrameError) -> Int {
    var position = start
    func take(_ count: Int) -> Int {
      let bits = unsafe Kernel.bits(stream, position, last: last) & (1 << UInt64(count) - 1)
      position += count
      return Int(bits)
    }
    let runSymbols = take(5)
    guard runSymbols == 0 || runSymbols == Kernel.runSymbols, take(5) == 0 else { throw .malformed(.stream) }
    let sent = take(4) + 4
    let runLengths = unsafe lengths.start + 480
    for index in 0..<19 {
      unsafe runLengths[HuffmanCode.codeLengthPlace(index)] = index < sent ? UInt8(take(3)) : 0
    }
    let lengthTable = unsafe table + Int(Self.mask) + 1
    try unsafe Self.fill(lengthTable, runLengths, count: 19, bits: 7)

    let symbolCount = HuffmanCode.symbolCount + runSymbols
    let count = symbolCount + 1
    var index = 0
    while index < count {
      let entry = unsafe lengthTable[Int(Kernel.bits(stream, position, last: last) & 127)]
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
    guard unsafe lengths.start[symbolCount] == (runSymbols > 0 ? 1 : 0),
      unsafe lengths.start[HuffmanCode.endOfBlock] > 0
    else { throw .malformed(.stream) }
    try unsafe Self.fill(table, lengths.start, count: symbolCount, bits: HuffmanCode.longest)
    hasRuns = runSymbols > 0
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
    var sorted: [265 of UInt16] = .init(repeating: 0)
    for symbol in 0..<count {
      let length = unsafe lengths[symbol] & 15
      if length > 0 {
        let mark = symbol < 256 ? 0 : symbol == 256 ? endOfBlock : Kernel.runMark
        let value = symbol > 256 ? symbol - Kernel.firstRun + Kernel.shortestRun : symbol & 255
        sorted[next[Int(length)]] = UInt16(value) << 8 | UInt16(length) | mark
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

internal import FrameKernels

/// A Huffman code for the 256 literals, the end-of-block symbol and perhaps runs (RFC 1951 §3.2.7), no code
/// longer than ``HuffmanCode/longest`` bits, with the block header that announces it.
///
/// A part needs a new one for every class, and its symbols are few: this is built in place, without
/// an allocation, by counting instead of comparing.
struct HuffmanCode {
  /// Shorter than the 15 bits RFC 1951 allows, so that a decoder's table fits the first-level
  /// cache and four codes fit one refill of a 64-bit buffer.
  static var longest: Int { Kernel.longestCode }
  static let endOfBlock = 256
  static let symbolCount = 257
  static let symbolCountWithRuns = symbolCount + Kernel.runSymbols
  /// Numbers ``build(counts:workspace:)`` needs room for.
  static let workspaceCount = 4 * 512

  /// Per symbol its code, first bit lowest, and the length of that; 0 for a symbol that does not occur. The
  /// code of a run has its distance code behind it: one more bit, 0.
  private(set) var codes = [UInt16](repeating: 0, count: symbolCountWithRuns)
  private(set) var codeLengths = [UInt8](repeating: 0, count: symbolCountWithRuns)
  /// What the symbols it was built for take, in bits, end-of-block included.
  private(set) var symbolBits = 0
  /// The bits of the block header after BFINAL, 32 to a word, lowest first, and how many there are.
  private(set) var header = [UInt32](repeating: 0, count: 80)
  private(set) var headerBits = 0

  private typealias Numbers = UnsafeMutablePointer<UInt32>

  /// Builds the code for symbols that occur `counts[symbol]` times (256 of them, not all 0, or with runs 265);
  /// end-of-block is taken to occur once.
  mutating func build(
    counts: UnsafePointer<UInt32>, hasRuns: Bool = false, workspace: UnsafeMutablePointer<UInt32>
  ) {
    let symbolCount = hasRuns ? Self.symbolCountWithRuns : Self.symbolCount
    let lengths = unsafe workspace
    let sorted = unsafe workspace + 512
    let depths = unsafe workspace + 1024
    let spare = unsafe workspace + 1536
    let count = unsafe Self.sort(counts, symbolCount, into: sorted, spare: spare)
    unsafe Self.findDepths(sorted, count, depths, longest: Self.longest)
    unsafe lengths.update(repeating: 0, count: symbolCount + 1)
    // The only distance code there is.
    if hasRuns { unsafe lengths[symbolCount] = 1 }
    symbolBits = 0
    for index in 0..<count {
      let symbol = unsafe Int(sorted[index] & 511)
      unsafe lengths[symbol] = depths[index]
      let occurrences = unsafe symbol == Self.endOfBlock ? 1 : Int(counts[symbol])
      let bits = unsafe Int(depths[index]) &+ (symbol > Self.endOfBlock ? 1 : 0)
      symbolBits &+= occurrences &* bits
    }
    var next = unsafe CodeCounter(lengths, symbolCount)
    unsafe codes.withUnsafeMutableBufferPointer { codes in
      unsafe codeLengths.withUnsafeMutableBufferPointer { codeLengths in
        for symbol in 0..<symbolCount {
          let length = unsafe lengths[symbol]
          unsafe codes[symbol] = length == 0 ? 0 : next.take(length)
          unsafe codeLengths[symbol] = UInt8(truncatingIfNeeded: length &+ (symbol > Self.endOfBlock ? 1 : 0))
        }
      }
    }
    unsafe writeHeader(lengths, symbolCount, workspace: sorted)
  }

  // MARK: Lengths

  /// Entries of `count << 9 | symbol` in rising order of count; returns how many there are, 2 at least.
  private static func sort(
    _ counts: UnsafePointer<UInt32>, _ symbolCount: Int, into sorted: Numbers, spare: Numbers
  ) -> Int {
    var largest: UInt32 = 1
    for symbol in 0..<symbolCount where symbol != endOfBlock { unsafe largest = max(largest, counts[symbol]) }
    // 16 bits of count are enough to be within a thousandth of the best code.
    let shift = UInt32(max(0, 16 - largest.leadingZeroBitCount))
    var count = 0
    for symbol in 0..<symbolCount where symbol != endOfBlock {
      let occurrences = unsafe counts[symbol]
      if occurrences > 0 {
        unsafe sorted[count] = max(1, occurrences &>> shift) &<< 9 | UInt32(symbol)
        count &+= 1
      }
    }
    unsafe sorted[count] = 1 << 9 | UInt32(endOfBlock)
    count &+= 1
    unsafe sortPass(sorted, count, to: spare, shift: 9)
    unsafe sortPass(spare, count, to: sorted, shift: 17)
    return count
  }

  /// Moves the entries in the order of 8 of their bits, those with equal bits in the order they are in.
  private static func sortPass(_ from: Numbers, _ count: Int, to: Numbers, shift: UInt32) {
    var starts: [257 of UInt16] = .init(repeating: 0)
    for index in 0..<count { unsafe starts[Int(from[index] &>> shift & 255) &+ 1] &+= 1 }
    for index in 1..<257 { starts[index] &+= starts[index &- 1] }
    for index in 0..<count {
      let bucket = unsafe Int(from[index] &>> shift & 255)
      unsafe to[Int(starts[bucket])] = from[index]
      starts[bucket] &+= 1
    }
  }

  /// Code lengths for `n` entries whose weights, above bit 9, are in rising order; none above `longest`.
  /// Moffat and Katajainen's method in place, then the longest are shortened until the code is complete.
  private static func findDepths(_ entries: Numbers, _ n: Int, _ a: Numbers, longest: Int) {
    if n == 2 {
      unsafe a[0] = 1
      unsafe a[1] = 1
      return
    }
    for index in 0..<n { unsafe a[index] = entries[index] &>> 9 }
    unsafe a[0] &+= a[1]
    var root = 0
    var leaf = 2
    var next = 1
    while next < n &- 1 {
      var sum: UInt32 = 0
      var child = 0
      while child < 2 {
        if unsafe leaf >= n || (root < next && a[root] < a[leaf]) {
          unsafe sum &+= a[root]
          unsafe a[root] = UInt32(next)
          root &+= 1
        } else {
          unsafe sum &+= a[leaf]
          leaf &+= 1
        }
        child &+= 1
      }
      unsafe a[next] = sum
      next &+= 1
    }
    // From parent pointers to depths of internal nodes, then to the number of leaves per depth.
    unsafe a[n &- 2] = 0
    var index = n &- 3
    while index >= 0 {
      unsafe a[index] = a[Int(a[index])] &+ 1
      index &-= 1
    }
    var leavesAt: [32 of Int] = .init(repeating: 0)
    var available = 1
    var depth = 0
    var node = n &- 2
    while available > 0 {
      var used = 0
      while node >= 0, unsafe a[node] == UInt32(depth) {
        used &+= 1
        node &-= 1
      }
      leavesAt[min(depth, longest)] &+= available &- used
      available = 2 &* used
      depth &+= 1
    }
    // Kraft's sum in units of the longest code.
    var sum = 0
    for length in 1...longest { sum &+= leavesAt[length] << (longest - length) }
    while sum > 1 << longest {
      leavesAt[longest] &-= 1
      var length = longest - 1
      while leavesAt[length] == 0 { length &-= 1 }
      leavesAt[length] &-= 1
      leavesAt[length + 1] &+= 2
      sum &-= 1
    }
    index = 0
    for length in stride(from: longest, through: 1, by: -1) {
      for _ in 0..<leavesAt[length] {
        unsafe a[index] = UInt32(length)
        index &+= 1
      }
    }
  }

  // MARK: Codes

  /// Hands out the codes of RFC 1951 §3.2.2 to symbols in rising order.
  struct CodeCounter {
    private var next: [16 of UInt16] = .init(repeating: 0)

    /// From `count` code lengths, each 0...15.
    init(_ lengths: UnsafePointer<UInt32>, _ count: Int) {
      var counts: [16 of UInt16] = .init(repeating: 0)
      for index in 0..<count { unsafe counts[Int(lengths[index] & 15)] &+= 1 }
      counts[0] = 0
      var code: UInt16 = 0
      for length in 1..<16 {
        code = (code &+ counts[length - 1]) &<< 1
        next[length] = code
      }
    }

    /// The next code of `length` bits, 1...15, first bit lowest.
    @inline(__always) mutating func take(_ length: UInt32) -> UInt16 {
      let slot = Int(length & 15)
      var code = next[slot]
      next[slot] = code &+ 1
      code = (code & 0x5555) &<< 1 | (code &>> 1 & 0x5555)
      code = (code & 0x3333) &<< 2 | (code &>> 2 & 0x3333)
      code = (code & 0x0F0F) &<< 4 | (code &>> 4 & 0x0F0F)
      return code.byteSwapped &>> UInt16(truncatingIfNeeded: 16 &- length)
    }
  }

  // MARK: Block header

  /// RFC 1951 §3.2.7: BTYPE, HLIT, HDIST, HCLEN, the code of the code lengths, the code lengths.
  private mutating func writeHeader(_ lengths: Numbers, _ symbolCount: Int, workspace: Numbers) {
    let runs = unsafe workspace
    let runLengths = unsafe workspace + 512
    let sorted = unsafe workspace + 544
    let depths = unsafe workspace + 576
    // Without runs the one distance code has a length of 0: "the data is all literals".
    let runCount = unsafe Self.findRuns(lengths, symbolCount + 1, into: runs)
    var counts: [19 of UInt32] = .init(repeating: 0)
    for index in 0..<runCount { unsafe counts[Int(runs[index] & 31)] &+= 1 }
    var used = 0
    for symbol in 0..<19 where counts[symbol] > 0 {
      // In order by insertion: there are few.
      var place = used
      while place > 0, unsafe sorted[place - 1] >> 9 > counts[symbol] {
        unsafe sorted[place] = sorted[place - 1]
        place -= 1
      }
      unsafe sorted[place] = counts[symbol] << 9 | UInt32(symbol)
      used += 1
    }
    unsafe Self.findDepths(sorted, used, depths, longest: 7)
    unsafe runLengths.update(repeating: 0, count: 19)
    for index in 0..<used { unsafe runLengths[Int(sorted[index] & 511)] = depths[index] }
    var runCodes: [19 of UInt32] = .init(repeating: 0)
    var next = unsafe CodeCounter(runLengths, 19)
    for symbol in 0..<19 {
      let length = unsafe runLengths[symbol]
      if length > 0 { runCodes[symbol] = UInt32(next.take(length)) }
    }
    var sent = 19
    while sent > 4, unsafe runLengths[Self.codeLengthPlace(sent - 1)] == 0 { sent -= 1 }

    unsafe header.withUnsafeMutableBufferPointer { header in
      var bits = unsafe HeaderBits(header.baseAddress!)
      unsafe bits.append(2, 2)
      unsafe bits.append(UInt32(symbolCount - 257), 5)
      unsafe bits.append(0, 5)
      unsafe bits.append(UInt32(sent - 4), 4)
      for index in 0..<sent { unsafe bits.append(runLengths[Self.codeLengthPlace(index)], 3) }
      for index in 0..<runCount {
        let symbol = unsafe Int(runs[index] & 31)
        let length = unsafe runLengths[symbol]
        unsafe bits.append(
          runCodes[symbol] | (runs[index] &>> 8) &<< length, Int(length) &+ Self.extraBits(symbol))
      }
      unsafe headerBits = bits.count
    }
  }

  /// Appends numbers of up to 14 bits.
  @unsafe private struct HeaderBits {
    private let words: Numbers
    private var waiting: UInt64 = 0
    private(set) var count = 0

    init(_ words: Numbers) { unsafe self.words = words }

    /// The last word is stored again and again, so that nothing is left to flush.
    @inline(__always) mutating func append(_ value: UInt32, _ bits: Int) {
      unsafe waiting |= UInt64(value) &<< UInt64(truncatingIfNeeded: count & 31)
      unsafe words[count &>> 5] = UInt32(truncatingIfNeeded: waiting)
      let isFull = unsafe (count & 31) &+ bits >= 32
      unsafe count &+= bits
      if isFull {
        unsafe waiting = waiting &>> 32
        unsafe words[count &>> 5] = UInt32(truncatingIfNeeded: waiting)
      }
    }
  }

  /// The symbol whose code length is sent at place `index` (RFC 1951 §3.2.7).
  @inline(__always) static func codeLengthPlace(_ index: Int) -> Int {
    // 16, 17, 18, 0, then 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15.
    if index < 4 { return index == 3 ? 0 : 16 + index }
    let step = (index - 3) / 2
    return index % 2 == 0 ? 8 + step : 8 - step
  }

  static func extraBits(_ symbol: Int) -> Int { symbol == 16 ? 2 : symbol == 17 ? 3 : symbol == 18 ? 7 : 0 }

  /// Code lengths as symbols of the code length alphabet, with their extra bits above bit 8.
  private static func findRuns(_ lengths: Numbers, _ count: Int, into runs: Numbers) -> Int {
    var written = 0
    func put(_ symbol: UInt32, _ extra: Int) {
      unsafe runs[written] = symbol | UInt32(extra) << 8
      written += 1
    }
    var index = 0
    while index < count {
      let value = unsafe lengths[index]
      var run = 1
      while index + run < count, unsafe lengths[index + run] == value { run += 1 }
      index += run
      if value == 0 {
        while run >= 11 {
          let some = min(138, run)
          put(18, some - 11)
          run -= some
        }
        if run >= 3 {
          put(17, run - 3)
          run = 0
        }
      } else {
        put(value, 0)
        run -= 1
        while run >= 3 {
          let some = min(6, run)
          put(16, some - 3)
          run -= some
        }
      }
      for _ in 0..<run { put(value, 0) }
    }
    return written
  }
}

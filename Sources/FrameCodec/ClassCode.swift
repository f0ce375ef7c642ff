internal import FrameKernels

/// The Huffman code of one class. In noise it serves as many parts as it is good for: noise hardly changes, and a
/// code that stays costs neither side the time of making its tables, nor the encoder that of counting every symbol.
struct ClassCode {
  /// The symbols a class can have: fields of 2, 4 or 8 bits with magnitudes up to `limit`.
  struct Alphabet {
    let bits: Int
    let limit: Int

    fileprivate func has(_ symbol: Int) -> Bool {
      if bits == 8 { return abs(Int(Int8(truncatingIfNeeded: symbol))) <= limit }
      let middle = 1 << (bits - 1)
      var rest = symbol
      for _ in 0..<8 / bits {
        if abs(rest & (2 * middle - 1) - middle) > limit { return false }
        rest >>= bits
      }
      return true
    }
  }

  private(set) var code = HuffmanCode()
  /// What the symbols it was last prepared for take, in bits, end-of-block included; an estimate if only some of them
  /// were counted.
  private(set) var symbolBits = 0

  /// Runs that may use the code before it is made again; 0 if it was made for one alone.
  private var usesLeft = 0
  private var limit = 0
  /// Bits of 1024 symbols with which the code is as good as it was, from and to.
  private var good = 0...0

  private static let longestUse = 64
  private static let sampled = 8
  /// Of 256 fours of symbols: with fewer that are all 0, runs save next to nothing.
  private static let foursForRuns = 96

  /// Where the tokens of a run of symbols are to go, and how many there are of each of its four lanes.
  @safe struct Tokens {
    let start: UnsafeMutablePointer<UInt16>
    /// Symbols of each of the first three lanes.
    let quarter: Int
    let repeated: UInt8
    /// None where the symbols are better coded one by one.
    var counts: [4 of Int]?
  }

  /// Sees to a code for `length` symbols. `counts` has room for 265 numbers.
  ///
  /// - Parameters:
  ///   - alphabet: what later symbols may be, if the code is to be kept for them.
  ///   - tokens: for runs, unless it is kept.
  mutating func prepare(
    _ symbols: Kernel.Bytes, _ length: Int, _ alphabet: Alphabet?, kernels: Kernels,
    tokens: inout Tokens?, counts: UnsafeMutablePointer<UInt32>, workspace: UnsafeMutablePointer<UInt32>
  ) {
    guard let alphabet else {
      let hasRuns =
        tokens.map { unsafe Kernel.foursOf256(symbols, length, repeated: $0.repeated) >= Self.foursForRuns } ?? false
      if hasRuns {
        unsafe tokenise(symbols, length, &tokens!, counts)
      } else {
        _ = unsafe kernels.count(symbols, length, every: 1, into: counts, scratch: workspace)
      }
      unsafe code.build(counts: counts, hasRuns: hasRuns, workspace: workspace)
      symbolBits = code.symbolBits
      usesLeft = 0
      return
    }
    if usesLeft > 0 && alphabet.limit <= limit {
      usesLeft &-= 1
      let counted = unsafe kernels.count(symbols, length, every: Self.sampled, into: counts, scratch: workspace)
      if let cost = unsafe Kernel.cost(counts, code.codeLengths), good.contains(cost &* 1024 / counted) {
        symbolBits = cost &* length / counted
        return
      }
    }
    _ = unsafe kernels.count(symbols, length, every: 1, into: counts, scratch: workspace)
    for symbol in 0..<256 where alphabet.has(symbol) { unsafe counts[symbol] = max(1, counts[symbol]) }
    unsafe code.build(counts: counts, workspace: workspace)
    symbolBits = code.symbolBits
    usesLeft = Self.longestUse
    limit = alphabet.limit
    let rate = symbolBits &* 1024 / length
    good = rate &- rate &>> 3...rate &+ rate &>> 5
  }

  private func tokenise(
    _ symbols: Kernel.Bytes, _ length: Int, _ tokens: inout Tokens, _ counts: UnsafeMutablePointer<UInt32>
  ) {
    unsafe counts.update(repeating: 0, count: HuffmanCode.symbolCountWithRuns)
    var written: [4 of Int] = .init(repeating: 0)
    for lane in 0..<4 {
      let start = lane * tokens.quarter
      unsafe written[lane] = Kernel.tokenise(
        symbols + start, lane < 3 ? tokens.quarter : length - start, repeated: tokens.repeated,
        to: tokens.start + start, counts: counts)
    }
    tokens.counts = written
  }
}

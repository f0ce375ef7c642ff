/// Huffman coding of literals and of runs of one of them: what deflate calls matches at distance 1.
extension Kernel {
  /// The symbols of runs follow end-of-block: lengths of 3 to 10, which have no extra bits.
  @inlinable public static var firstRun: Int { 257 }
  @inlinable public static var runSymbols: Int { 8 }
  @inlinable public static var shortestRun: Int { 3 }
  @inlinable public static var longestRun: Int { 10 }

  // MARK: Encoding

  /// Of 256, how many of the fours of symbols are all `repeated`, as far as every second run of 64 tells: whether
  /// ``tokenise(_:_:repeated:to:counts:)`` is worth the time.
  public static func foursOf256(_ symbols: Bytes, _ length: Int, repeated: UInt8) -> Int {
    let wanted = UInt32(repeated) &* 0x0101_0101
    var looked = 0
    var same = 0
    var at = 0
    while at &+ 64 <= length {
      var word = 0
      while word < 64 {
        let four = unsafe UnsafeRawPointer(symbols).loadUnaligned(fromByteOffset: at &+ word, as: UInt32.self)
        same &+= four == wanted ? 1 : 0
        word &+= 4
      }
      looked &+= 16
      at &+= 128
    }
    return looked == 0 ? 0 : same &* 256 / looked
  }

  /// Turns `length` bytes into tokens, in which `repeated` behind itself is a run; returns how many there are.
  /// Adds to `counts` (265) how often every token occurs. `tokens` has room for two more than `length`.
  public static func tokenise(
    _ symbols: Bytes, _ length: Int, repeated: UInt8, to tokens: UnsafeMutablePointer<UInt16>,
    counts: UnsafeMutablePointer<UInt32>
  ) -> Int {
    let raw = unsafe UnsafeRawPointer(symbols)
    let wanted = UInt64(repeated) &* 0x0101_0101_0101_0101
    var at = 0
    var written = 0
    while at < length {
      let symbol = unsafe symbols[at]
      unsafe tokens[written] = UInt16(symbol)
      unsafe counts[Int(symbol)] &+= 1
      written &+= 1
      at &+= 1
      if symbol != repeated { continue }
      let start = at
      while at &+ 8 <= length {
        let differing = unsafe UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self)) ^ wanted
        at &+= differing.trailingZeroBitCount &>> 3
        if differing != 0 { break }
      }
      while at < length, unsafe symbols[at] == repeated { at &+= 1 }
      var run = at &- start
      while run > longestRun {
        let token = firstRun &+ longestRun &- shortestRun
        unsafe tokens[written] = UInt16(truncatingIfNeeded: token)
        unsafe counts[token] &+= 1
        written &+= 1
        run &-= longestRun
      }
      // A run, or up to two literals: without a branch that is guessed wrong as often as not.
      let isRun = run >= shortestRun
      let token = isRun ? firstRun &+ run &- shortestRun : Int(repeated)
      unsafe tokens[written] = UInt16(truncatingIfNeeded: token)
      unsafe tokens[written &+ 1] = UInt16(repeated)
      let more = isRun ? 1 : run
      unsafe counts[token] &+= UInt32(truncatingIfNeeded: more)
      written &+= more
    }
    return written
  }

  /// As ``encode(_:_:_:_:out:waiting:bits:)``, for tokens.
  public static func encodeTokens(
    _ tokens: UnsafePointer<UInt16>, _ length: Int, _ codes: UnsafePointer<UInt16>, _ codeLengths: Bytes,
    out: inout MutableBytes, waiting: inout UInt64, bits: inout UInt64
  ) {
    var to = UnsafeMutableRawPointer(out)
    var word = waiting
    var count = bits
    var index = 0
    while index < length {
      let some = min(4, length &- index)
      var part: UInt64 = 0
      var partBits: UInt64 = 0
      var next = index
      while next < index &+ some {
        let token = unsafe Int(tokens[next])
        part |= unsafe UInt64(codes[token]) &<< partBits
        partBits &+= unsafe UInt64(codeLengths[token])
        next &+= 1
      }
      word |= part &<< count
      count &+= partBits
      unsafe to.storeBytes(of: word.littleEndian, as: UInt64.self)
      unsafe to += Int(truncatingIfNeeded: count &>> 3)
      word = word &>> (count & 0x38)
      count &= 7
      index = next
    }
    unsafe out = to.assumingMemoryBound(to: UInt8.self)
    waiting = word
    bits = count
  }

  // MARK: Decoding

  /// In an entry of a look-up table: a run, whose length is where others have the symbol. The bit of its distance
  /// code comes behind it.
  @inlinable public static var runMark: UInt16 { 0x80 }

  /// Makes the table that has, by the next ``longestCode`` bits: in bits 0 to 7 the bits of a token, from bit 8 the
  /// number of symbols, from bit 16 the symbol twice.
  public static func makeRuns(
    of table: UnsafePointer<UInt16>, repeated: UInt8, to runs: UnsafeMutablePointer<UInt32>
  ) {
    let twice = UInt32(repeated) &* 0x0101_0000
    var index = 0
    while index < 1 &<< longestCode {
      let entry = unsafe UInt32(table[index])
      let length = entry & 15
      let symbol = entry &>> 8
      let literal = length | 0x100 | symbol &* 0x0101_0000
      let run = (length &+ 1) | symbol &<< 8 | twice
      unsafe runs[index] = entry & UInt32(runMark) == 0 ? literal : run
      index &+= 1
    }
  }

  /// Decodes four tokens, up to 40 symbols and 52 bits; writes up to 6 symbols behind them.
  @inline(__always) private static func decodeTokens(
    _ stream: UnsafeRawPointer, _ position: inout Int, _ runs: UnsafePointer<UInt32>,
    _ out: inout UnsafeMutableRawPointer
  ) {
    let loaded = unsafe stream.loadUnaligned(fromByteOffset: position &>> 3, as: UInt64.self)
    var word = UInt64(littleEndian: loaded) &>> UInt64(truncatingIfNeeded: position & 7)
    let a = unsafe runs[Int(truncatingIfNeeded: word & 0xFFF)]
    word = word &>> UInt64(a)
    unsafe put(a, &out)
    let b = unsafe runs[Int(truncatingIfNeeded: word & 0xFFF)]
    word = word &>> UInt64(b)
    unsafe put(b, &out)
    let c = unsafe runs[Int(truncatingIfNeeded: word & 0xFFF)]
    word = word &>> UInt64(c)
    unsafe put(c, &out)
    let d = unsafe runs[Int(truncatingIfNeeded: word & 0xFFF)]
    unsafe put(d, &out)
    position &+= Int((a &+ b &+ c &+ d) & 0xFF)
  }

  @inline(__always) private static func put(_ entry: UInt32, _ out: inout UnsafeMutableRawPointer) {
    let eight = UInt64(entry &>> 16) &* 0x0001_0001_0001_0001
    unsafe out.storeBytes(of: eight, as: UInt64.self)
    unsafe out.storeBytes(of: eight, toByteOffset: 8, as: UInt64.self)
    unsafe out += Int(entry &>> 8 & 0xFF)
  }

  /// As ``decodeFour(_:last:positions:table:pairs:to:length:)``, where there may be runs. A run that does not end with its
  /// lane puts the lane's position far behind the stream.
  public static func decodeFourRuns(
    _ stream: Bytes, last: Int, positions: UnsafeMutablePointer<Int>, table: UnsafePointer<UInt16>,
    runs: UnsafePointer<UInt32>, repeated: UInt8, to out: MutableBytes, length: Int
  ) {
    let raw = unsafe UnsafeRawPointer(stream)
    let lastBit = last &* 8
    var a = unsafe positions[0]
    var b = unsafe positions[1]
    var c = unsafe positions[2]
    var d = unsafe positions[3]
    let start = UnsafeMutableRawPointer(out)
    var toA = unsafe start
    var toB = unsafe start + length
    var toC = unsafe start + 2 &* length
    var toD = unsafe start + 3 &* length
    while true {
      let most = unsafe max(
        max(toA - start, toB - start &- length), max(toC - start &- 2 &* length, toD - start &- 3 &* length))
      let furthest = max(max(a, b), max(c, d))
      var rounds = min((length &- most &- 6) / 40, (lastBit &- furthest) / 52)
      if rounds <= 0 { break }
      while rounds > 0 {
        unsafe decodeTokens(raw, &a, runs, &toA)
        unsafe decodeTokens(raw, &b, runs, &toB)
        unsafe decodeTokens(raw, &c, runs, &toC)
        unsafe decodeTokens(raw, &d, runs, &toD)
        rounds &-= 1
      }
    }
    unsafe positions[0] = finishRuns(stream, last, a, table, runs, repeated, toA, start + length)
    unsafe positions[1] = finishRuns(stream, last, b, table, runs, repeated, toB, start + 2 &* length)
    unsafe positions[2] = finishRuns(stream, last, c, table, runs, repeated, toC, start + 3 &* length)
    unsafe positions[3] = finishRuns(stream, last, d, table, runs, repeated, toD, start + 4 &* length)
  }

  private static func finishRuns(
    _ stream: Bytes, _ last: Int, _ position: Int, _ table: UnsafePointer<UInt16>, _ runs: UnsafePointer<UInt32>,
    _ repeated: UInt8, _ out: UnsafeMutableRawPointer, _ end: UnsafeMutableRawPointer
  ) -> Int {
    var position = position
    var at = unsafe out
    while unsafe end - at >= 46, position <= last &* 8 {
      unsafe decodeTokens(UnsafeRawPointer(stream), &position, runs, &at)
    }
    return unsafe decodeRuns(
      stream, last: last, from: position, table: table, repeated: repeated,
      to: at.assumingMemoryBound(to: UInt8.self), length: end - at)
  }

  /// As ``decode(_:last:from:table:to:length:)``, where there may be runs.
  public static func decodeRuns(
    _ stream: Bytes, last: Int, from position: Int, table: UnsafePointer<UInt16>, repeated: UInt8,
    to out: MutableBytes, length: Int
  ) -> Int {
    var position = position
    var index = 0
    while index < length {
      let entry = unsafe table[Int(truncatingIfNeeded: bits(stream, position, last: last) & 0xFFF)]
      position &+= Int(entry & 15)
      if entry & runMark == 0 {
        unsafe out[index] = UInt8(truncatingIfNeeded: entry &>> 8)
        index &+= 1
        continue
      }
      position &+= 1
      let end = index &+ Int(entry &>> 8)
      if end > length { return 1 &<< 40 }
      while index < end {
        unsafe out[index] = repeated
        index &+= 1
      }
    }
    return position
  }
}

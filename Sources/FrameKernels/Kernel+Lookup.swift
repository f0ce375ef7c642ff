/// Huffman decoding of literals.
extension Kernel {
  @inline(__always) private static var mask: UInt64 { 1 << 12 - 1 }

  /// Decodes `length` symbols from bit `position` on; returns the position after them.
  ///
  /// - Parameters:
  ///   - last: the last byte of `stream` from which 8 may be read.
  ///   - table: by the next ``longestCode`` bits, the length of a code, and its symbol above bit 8.
  public static func decode(
    _ stream: Bytes, last: Int, from position: Int, table: UnsafePointer<UInt16>, to out: MutableBytes, length: Int
  ) -> Int {
    var position = position
    var index = 0
    while index < length {
      let word = unsafe bits(stream, position, last: last)
      let entry = unsafe table[Int(truncatingIfNeeded: word & mask)]
      unsafe out[index] = UInt8(truncatingIfNeeded: entry &>> 8)
      position &+= Int(entry & 0xFF)
      index &+= 1
    }
    return position
  }

  /// Decodes four symbols to `out` from bit `position` on; moves it. 8 bytes are read from `stream`.
  @inline(__always) private static func decodeQuad(
    _ stream: UnsafeRawPointer, _ position: inout Int, _ table: UnsafePointer<UInt16>, _ out: MutableBytes
  ) {
    let loaded = unsafe stream.loadUnaligned(fromByteOffset: position &>> 3, as: UInt64.self)
    var word = UInt64(littleEndian: loaded) &>> UInt64(truncatingIfNeeded: position & 7)
    let a = unsafe UInt64(table[Int(truncatingIfNeeded: word & mask)])
    unsafe out[0] = UInt8(truncatingIfNeeded: a &>> 8)
    // A shift takes its count from the lowest 6 bits: the length, whatever the symbol above it.
    word = word &>> a
    let b = unsafe UInt64(table[Int(truncatingIfNeeded: word & mask)])
    unsafe out[1] = UInt8(truncatingIfNeeded: b &>> 8)
    word = word &>> b
    let c = unsafe UInt64(table[Int(truncatingIfNeeded: word & mask)])
    unsafe out[2] = UInt8(truncatingIfNeeded: c &>> 8)
    word = word &>> c
    let d = unsafe UInt64(table[Int(truncatingIfNeeded: word & mask)])
    unsafe out[3] = UInt8(truncatingIfNeeded: d &>> 8)
    position &+= Int(truncatingIfNeeded: (a &+ b &+ c &+ d) & 0xFF)
  }

  /// Decodes four runs of `length` symbols at once: the processor works on one while another waits
  /// for its table. `positions` are moved behind the runs.
  ///
  /// - Parameter pairs: what ``makePairs(of:to:endOfBlock:)`` made of `table`, or nothing: takes half the time.
  public static func decodeFour(
    _ stream: Bytes, last: Int, positions: UnsafeMutablePointer<Int>, table: UnsafePointer<UInt16>,
    pairs: UnsafePointer<UInt32>?, to out: MutableBytes, length: Int
  ) {
    if let pairs = unsafe pairs {
      return unsafe decodeFourPairs(
        stream, last: last, positions: positions, table: table, pairs: pairs, to: out, length: length)
    }
    let raw = unsafe UnsafeRawPointer(stream)
    let lastBit = last &* 8
    var a = unsafe positions[0]
    var b = unsafe positions[1]
    var c = unsafe positions[2]
    var d = unsafe positions[3]
    var at = unsafe out
    let end = unsafe out + (length & ~3)
    // Only in a damaged stream does a lane get behind the last byte.
    while unsafe at < end, max(max(a, b), max(c, d)) <= lastBit {
      unsafe decodeQuad(raw, &a, table, at)
      unsafe decodeQuad(raw, &b, table, at + length)
      unsafe decodeQuad(raw, &c, table, at + 2 &* length)
      unsafe decodeQuad(raw, &d, table, at + 3 &* length)
      unsafe at += 4
    }
    let rest = unsafe length &- (at - out)
    unsafe positions[0] = decode(stream, last: last, from: a, table: table, to: at, length: rest)
    unsafe positions[1] = decode(stream, last: last, from: b, table: table, to: at + length, length: rest)
    unsafe positions[2] = decode(stream, last: last, from: c, table: table, to: at + 2 &* length, length: rest)
    unsafe positions[3] = decode(stream, last: last, from: d, table: table, to: at + 3 &* length, length: rest)
  }

  // MARK: Two symbols at once

  /// Makes the table that has, by the next ``longestCode`` bits: in bits 0 to 7 the bits of one or two codes,
  /// from bit 8 the number of symbols, from bit 16 the symbols. `endOfBlock` marks an entry of `table` that is none.
  public static func makePairs(
    of table: UnsafePointer<UInt16>, to pairs: UnsafeMutablePointer<UInt32>, endOfBlock: UInt16
  ) {
    var index = 0
    while index < 1 &<< longestCode {
      let first = unsafe UInt32(table[index])
      let length = first & 15
      // What is shifted in are zeros: a code found among them is one only if it does not reach that far.
      let second = unsafe UInt32(table[index &>> Int(truncatingIfNeeded: length)])
      let both = length &+ (second & 0xFF)
      let one = length | 0x100 | (first &>> 8) &<< 16
      let two = both | 0x200 | (first &>> 8) &<< 16 | (second &>> 8) &<< 24
      unsafe pairs[index] = both <= UInt32(longestCode) ? two : one
      index &+= 1
    }
  }

  /// Decodes up to eight symbols to `out` from bit `position` on; moves both. 8 bytes are read from `stream`.
  @inline(__always) private static func decodePairs(
    _ stream: UnsafeRawPointer, _ position: inout Int, _ pairs: UnsafePointer<UInt32>,
    _ out: inout UnsafeMutableRawPointer
  ) {
    let loaded = unsafe stream.loadUnaligned(fromByteOffset: position &>> 3, as: UInt64.self)
    var word = UInt64(littleEndian: loaded) &>> UInt64(truncatingIfNeeded: position & 7)
    let a = unsafe pairs[Int(truncatingIfNeeded: word & mask)]
    unsafe out.storeBytes(of: UInt16(truncatingIfNeeded: a &>> 16).littleEndian, as: UInt16.self)
    unsafe out += Int(a &>> 8 & 0xFF)
    // A shift takes its count from the lowest 6 bits.
    word = word &>> UInt64(a)
    let b = unsafe pairs[Int(truncatingIfNeeded: word & mask)]
    unsafe out.storeBytes(of: UInt16(truncatingIfNeeded: b &>> 16).littleEndian, as: UInt16.self)
    unsafe out += Int(b &>> 8 & 0xFF)
    word = word &>> UInt64(b)
    let c = unsafe pairs[Int(truncatingIfNeeded: word & mask)]
    unsafe out.storeBytes(of: UInt16(truncatingIfNeeded: c &>> 16).littleEndian, as: UInt16.self)
    unsafe out += Int(c &>> 8 & 0xFF)
    word = word &>> UInt64(c)
    let d = unsafe pairs[Int(truncatingIfNeeded: word & mask)]
    unsafe out.storeBytes(of: UInt16(truncatingIfNeeded: d &>> 16).littleEndian, as: UInt16.self)
    unsafe out += Int(d &>> 8 & 0xFF)
    position &+= Int((a &+ b &+ c &+ d) & 0xFF)
  }

  @inline(never) private static func decodeFourPairs(
    _ stream: Bytes, last: Int, positions: UnsafeMutablePointer<Int>, table: UnsafePointer<UInt16>,
    pairs: UnsafePointer<UInt32>, to out: MutableBytes, length: Int
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
      // Rounds that are sure to stay within all runs: 8 symbols and 48 bits each at most.
      let most = unsafe max(
        max(toA - start, toB - start &- length), max(toC - start &- 2 &* length, toD - start &- 3 &* length))
      let furthest = max(max(a, b), max(c, d))
      var rounds = min((length &- most) &>> 3, (lastBit &- furthest) / 48)
      if rounds <= 0 { break }
      while rounds > 0 {
        unsafe decodePairs(raw, &a, pairs, &toA)
        unsafe decodePairs(raw, &b, pairs, &toB)
        unsafe decodePairs(raw, &c, pairs, &toC)
        unsafe decodePairs(raw, &d, pairs, &toD)
        rounds &-= 1
      }
    }
    unsafe positions[0] = finish(stream, last, a, table, pairs, toA, start + length)
    unsafe positions[1] = finish(stream, last, b, table, pairs, toB, start + 2 &* length)
    unsafe positions[2] = finish(stream, last, c, table, pairs, toC, start + 3 &* length)
    unsafe positions[3] = finish(stream, last, d, table, pairs, toD, start + 4 &* length)
  }

  /// Decodes what is left of one run, up to `end`.
  @inline(__always) private static func finish(
    _ stream: Bytes, _ last: Int, _ position: Int, _ table: UnsafePointer<UInt16>, _ pairs: UnsafePointer<UInt32>,
    _ out: UnsafeMutableRawPointer, _ end: UnsafeMutableRawPointer
  ) -> Int {
    var position = position
    var at = unsafe out
    while unsafe end - at >= 8, position <= last &* 8 {
      unsafe decodePairs(UnsafeRawPointer(stream), &position, pairs, &at)
    }
    return unsafe decode(
      stream, last: last, from: position, table: table, to: at.assumingMemoryBound(to: UInt8.self),
      length: end - at)
  }
}

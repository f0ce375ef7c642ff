/// Huffman coding of literals, both ways.
extension Kernel {
  /// Sets `counts` (256) to how often every symbol occurs. `scratch` has 1024 counters.
  public static func count(
    _ symbols: Bytes, _ length: Int, into counts: UnsafeMutablePointer<UInt32>, scratch: UnsafeMutablePointer<UInt32>
  ) {
    // Four tables, because the same symbol twice in a row would wait for its own counter.
    unsafe clear(scratch, 1024)
    let second = unsafe scratch + 256
    let third = unsafe scratch + 512
    let fourth = unsafe scratch + 768
    var index = 0
    while index &+ 8 <= length {
      let low = unsafe UnsafeRawPointer(symbols).loadUnaligned(fromByteOffset: index, as: UInt32.self)
      let high = unsafe UnsafeRawPointer(symbols).loadUnaligned(fromByteOffset: index &+ 4, as: UInt32.self)
      unsafe scratch[Int(low & 0xFF)] &+= 1
      unsafe second[Int(low &>> 8 & 0xFF)] &+= 1
      unsafe third[Int(low &>> 16 & 0xFF)] &+= 1
      unsafe fourth[Int(low &>> 24)] &+= 1
      unsafe scratch[Int(high & 0xFF)] &+= 1
      unsafe second[Int(high &>> 8 & 0xFF)] &+= 1
      unsafe third[Int(high &>> 16 & 0xFF)] &+= 1
      unsafe fourth[Int(high &>> 24)] &+= 1
      index &+= 8
    }
    while index < length {
      unsafe scratch[Int(symbols[index])] &+= 1
      index &+= 1
    }
    index = 0
    while index < 256 {
      unsafe counts[index] = scratch[index] &+ second[index] &+ third[index] &+ fourth[index]
      index &+= 1
    }
  }

  @inline(__always) private static func clear(_ numbers: UnsafeMutablePointer<UInt32>, _ count: Int) {
    var index = 0
    while index < count {
      unsafe numbers[index] = 0
      index &+= 1
    }
  }

  /// Appends the codes of `length` symbols: `codes[s]` is the length of the code, and the code above bit 8.
  ///
  /// - Parameters:
  ///   - out: moved behind the last whole byte; up to 8 bytes beyond it are written.
  ///   - waiting, bits: the bits of the byte begun, 7 at most, and how many there are.
  public static func encode(
    _ symbols: Bytes, _ length: Int, _ codes: UnsafePointer<UInt32>, out: inout MutableBytes, waiting: inout UInt64,
    bits: inout UInt64
  ) {
    var to = UnsafeMutableRawPointer(out)
    var word = waiting
    var count = bits
    var from = unsafe UnsafeRawPointer(symbols)
    let end = unsafe from + (length & ~3)
    while unsafe from < end {
      let four = unsafe UInt32(littleEndian: from.loadUnaligned(as: UInt32.self))
      let a = unsafe UInt64(codes[Int(four & 0xFF)])
      let b = unsafe UInt64(codes[Int(four &>> 8 & 0xFF)])
      let c = unsafe UInt64(codes[Int(four &>> 16 & 0xFF)])
      let d = unsafe UInt64(codes[Int(four &>> 24)])
      // A shift takes its count from the lowest 6 bits: the length, code or no code above it.
      let ab = a &>> 8 | (b &>> 8) &<< a
      let cd = c &>> 8 | (d &>> 8) &<< c
      let both = a &+ b
      word |= (ab | cd &<< both) &<< count
      count &+= (both &+ c &+ d) & 0xFF
      unsafe to.storeBytes(of: word.littleEndian, as: UInt64.self)
      unsafe to += Int(truncatingIfNeeded: count &>> 3)
      word = word &>> (count & 0x38)
      count &= 7
      unsafe from += 4
    }
    var left = length & 3
    while left > 0 {
      let code = unsafe UInt64(codes[Int(from.load(as: UInt8.self))])
      word |= (code &>> 8) &<< count
      count &+= code & 0xFF
      unsafe to.storeBytes(of: word.littleEndian, as: UInt64.self)
      unsafe to += Int(truncatingIfNeeded: count &>> 3)
      word = word &>> (count & 0x38)
      count &= 7
      unsafe from += 1
      left &-= 1
    }
    unsafe out = to.assumingMemoryBound(to: UInt8.self)
    waiting = word
    bits = count
  }

  /// 64 bits from bit `position` on, of which at least 57 are meant; beyond the end of the stream
  /// anything. Never reads past `last + 8`.
  @inlinable @inline(__always) public static func bits(_ stream: Bytes, _ position: Int, last: Int) -> UInt64 {
    let byte = min(position &>> 3, last)
    let word = unsafe UnsafeRawPointer(stream).loadUnaligned(fromByteOffset: byte, as: UInt64.self)
    return UInt64(littleEndian: word) &>> UInt64(truncatingIfNeeded: position & 7)
  }

  /// The longest code a table of ``decode(_:last:from:table:to:length:)`` is for, in bits.
  @inlinable public static var longestCode: Int { 12 }

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
  public static func decodeFour(
    _ stream: Bytes, last: Int, positions: UnsafeMutablePointer<Int>, table: UnsafePointer<UInt16>,
    to out: MutableBytes, length: Int
  ) {
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
}

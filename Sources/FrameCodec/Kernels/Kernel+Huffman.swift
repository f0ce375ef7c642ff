/// Huffman coding of literals, both ways.
extension Kernel {
  /// Adds to `counts` (256) how often every symbol occurs. `scratch` has 1024 counters.
  static func count(
    _ symbols: Bytes, _ length: Int, into counts: UnsafeMutablePointer<UInt32>, scratch: UnsafeMutablePointer<UInt32>
  ) {
    // Four tables, because the same symbol twice in a row would wait for its own counter.
    unsafe scratch.update(repeating: 0, count: 1024)
    let second = unsafe scratch + 256
    let third = unsafe scratch + 512
    let fourth = unsafe scratch + 768
    var index = 0
    while index &+ 4 <= length {
      unsafe scratch[Int(symbols[index])] &+= 1
      unsafe second[Int(symbols[index &+ 1])] &+= 1
      unsafe third[Int(symbols[index &+ 2])] &+= 1
      unsafe fourth[Int(symbols[index &+ 3])] &+= 1
      index &+= 4
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

  /// Bits on their way out, first bit lowest. At most 7 wait between calls. The owner has made room.
  @safe struct BitSink {
    var out: MutableBytes
    var waiting: UInt64 = 0
    var bits: UInt64 = 0
    let start: MutableBytes

    init(_ start: MutableBytes) {
      unsafe out = start
      unsafe self.start = start
    }

    /// Bits written so far.
    var position: Int { unsafe (out - start) * 8 + Int(bits) }

    /// Appends up to 56 bits; the others of `value` are 0. Writes up to 8 bytes beyond its end.
    @inline(__always) mutating func append(_ value: UInt64, _ count: UInt64) {
      waiting |= value &<< bits
      bits &+= count
      flush()
    }

    @inline(__always) mutating func flush() {
      unsafe UnsafeMutableRawPointer(out).storeBytes(of: waiting.littleEndian, as: UInt64.self)
      let whole = bits &>> 3
      unsafe out += Int(truncatingIfNeeded: whole)
      waiting = waiting &>> (whole &* 8)
      bits &= 7
    }

    /// Appends zero bits up to a byte.
    mutating func align() {
      if bits > 0 {
        bits = 8
        flush()
      }
    }
  }

  /// Appends the codes of `length` symbols: `codes[s]` is the length of the code, and the code above bit 8.
  static func encode(
    _ symbols: Bytes, _ length: Int, _ codes: UnsafePointer<UInt32>, into sink: inout BitSink
  ) {
    var out = unsafe UnsafeMutableRawPointer(sink.out)
    var waiting = sink.waiting
    var bits = sink.bits
    var index = 0
    while index &+ 4 <= length {
      let a = unsafe UInt64(codes[Int(symbols[index])])
      let b = unsafe UInt64(codes[Int(symbols[index &+ 1])])
      let c = unsafe UInt64(codes[Int(symbols[index &+ 2])])
      let d = unsafe UInt64(codes[Int(symbols[index &+ 3])])
      // A shift takes its count from the lowest 6 bits: the length, code or no code above it.
      let ab = a &>> 8 | (b &>> 8) &<< a
      let cd = c &>> 8 | (d &>> 8) &<< c
      let both = a &+ b
      waiting |= (ab | cd &<< both) &<< bits
      bits &+= (both &+ c &+ d) & 0xFF
      unsafe out.storeBytes(of: waiting.littleEndian, as: UInt64.self)
      let whole = bits &>> 3
      unsafe out += Int(truncatingIfNeeded: whole)
      waiting = waiting &>> (bits & 0x38)
      bits &= 7
      index &+= 4
    }
    unsafe sink.out = out.assumingMemoryBound(to: UInt8.self)
    sink.waiting = waiting
    sink.bits = bits
    while index < length {
      let code = unsafe UInt64(codes[Int(symbols[index])])
      sink.append(code &>> 8, code & 0xFF)
      index &+= 1
    }
  }

  /// 64 bits from bit `position` on, of which at least 57 are meant; beyond the end of the stream
  /// anything. Never reads past `last + 8`.
  @inline(__always) static func bits(_ stream: Bytes, _ position: Int, last: Int) -> UInt64 {
    let byte = min(position &>> 3, last)
    let word = unsafe UnsafeRawPointer(stream).loadUnaligned(fromByteOffset: byte, as: UInt64.self)
    return UInt64(littleEndian: word) &>> UInt64(truncatingIfNeeded: position & 7)
  }

  /// Decodes `length` symbols from bit `position` on; returns the position after them.
  ///
  /// - Parameters:
  ///   - last: the last byte of `stream` from which 8 may be read.
  ///   - table: by the next ``HuffmanCode/longest`` bits, the length of a code, and its symbol above bit 8.
  static func decode(
    _ stream: Bytes, last: Int, from position: Int, table: UnsafePointer<UInt16>, to out: MutableBytes, length: Int
  ) -> Int {
    var position = position
    var index = 0
    while index < length {
      let word = unsafe bits(stream, position, last: last)
      let entry = unsafe table[Int(truncatingIfNeeded: word & HuffmanDecoder.mask)]
      unsafe out[index] = UInt8(truncatingIfNeeded: entry &>> 8)
      position &+= Int(entry & 0xFF)
      index &+= 1
    }
    return position
  }

  /// Decodes four symbols to `out`; returns the bits they took. 8 bytes are read from `stream`.
  @inline(__always) private static func decodeQuad(
    _ stream: UnsafeRawPointer, _ position: Int, _ table: UnsafePointer<UInt16>, _ out: MutableBytes
  ) -> Int {
    let loaded = unsafe stream.loadUnaligned(fromByteOffset: position &>> 3, as: UInt64.self)
    var word = UInt64(littleEndian: loaded) &>> UInt64(truncatingIfNeeded: position & 7)
    let a = unsafe UInt64(table[Int(truncatingIfNeeded: word & HuffmanDecoder.mask)])
    unsafe out[0] = UInt8(truncatingIfNeeded: a &>> 8)
    // A shift takes its count from the lowest 6 bits: the length, whatever the symbol above it.
    word = word &>> a
    let b = unsafe UInt64(table[Int(truncatingIfNeeded: word & HuffmanDecoder.mask)])
    unsafe out[1] = UInt8(truncatingIfNeeded: b &>> 8)
    word = word &>> b
    let c = unsafe UInt64(table[Int(truncatingIfNeeded: word & HuffmanDecoder.mask)])
    unsafe out[2] = UInt8(truncatingIfNeeded: c &>> 8)
    word = word &>> c
    let d = unsafe UInt64(table[Int(truncatingIfNeeded: word & HuffmanDecoder.mask)])
    unsafe out[3] = UInt8(truncatingIfNeeded: d &>> 8)
    return Int(truncatingIfNeeded: (a &+ b &+ c &+ d) & 0xFF)
  }

  /// Decodes four runs of `length` symbols at once: the processor works on one while another waits
  /// for its table. `positions` are moved behind the runs.
  static func decodeFour(
    _ stream: Bytes, last: Int, positions: UnsafeMutablePointer<Int>, table: UnsafePointer<UInt16>,
    to out: MutableBytes, length: Int
  ) {
    let raw = unsafe UnsafeRawPointer(stream)
    let lastBit = last &* 8
    var a = unsafe positions[0]
    var b = unsafe positions[1]
    var c = unsafe positions[2]
    var d = unsafe positions[3]
    var index = 0
    while index &+ 4 <= length {
      // Only a damaged stream gets that far.
      if a > lastBit || b > lastBit || c > lastBit || d > lastBit { break }
      let at = unsafe out + index
      unsafe a &+= decodeQuad(raw, a, table, at)
      unsafe b &+= decodeQuad(raw, b, table, at + length)
      unsafe c &+= decodeQuad(raw, c, table, at + 2 &* length)
      unsafe d &+= decodeQuad(raw, d, table, at + 3 &* length)
      index &+= 4
    }
    let rest = length &- index
    let at = unsafe out + index
    unsafe positions[0] = decode(stream, last: last, from: a, table: table, to: at, length: rest)
    unsafe positions[1] = decode(stream, last: last, from: b, table: table, to: at + length, length: rest)
    unsafe positions[2] = decode(stream, last: last, from: c, table: table, to: at + 2 &* length, length: rest)
    unsafe positions[3] = decode(stream, last: last, from: d, table: table, to: at + 3 &* length, length: rest)
  }
}

/// Huffman coding of literals, both ways.
extension Kernel {
  /// Sets `counts` (256) to how often every symbol occurs in every `every`th run of 64; returns how many were
  /// counted. `scratch` has 1024 counters.
  public static func count(
    _ symbols: Bytes, _ length: Int, every: Int, into counts: UnsafeMutablePointer<UInt32>,
    scratch: UnsafeMutablePointer<UInt32>
  ) -> Int {
    // Four tables, because the same symbol twice in a row would wait for its own counter.
    unsafe clear(scratch, 1024)
    let second = unsafe scratch + 256
    let third = unsafe scratch + 512
    let fourth = unsafe scratch + 768
    var counted = 0
    var from = unsafe UnsafeRawPointer(symbols)
    let end = unsafe from + length
    while unsafe end - from >= 64 {
      let runEnd = unsafe from + 64
      while unsafe from < runEnd {
        let low = unsafe from.loadUnaligned(as: UInt32.self)
        let high = unsafe from.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        unsafe scratch[Int(low & 0xFF)] &+= 1
        unsafe second[Int(low &>> 8 & 0xFF)] &+= 1
        unsafe third[Int(low &>> 16 & 0xFF)] &+= 1
        unsafe fourth[Int(low &>> 24)] &+= 1
        unsafe scratch[Int(high & 0xFF)] &+= 1
        unsafe second[Int(high &>> 8 & 0xFF)] &+= 1
        unsafe third[Int(high &>> 16 & 0xFF)] &+= 1
        unsafe fourth[Int(high &>> 24)] &+= 1
        unsafe from += 8
      }
      counted &+= 64
      unsafe from += 64 &* (every &- 1)
    }
    if every == 1 {
      counted = length
      while unsafe from < end {
        unsafe scratch[Int(from.load(as: UInt8.self))] &+= 1
        unsafe from += 1
      }
    }
    var index = 0
    while index < 256 {
      unsafe counts[index] = scratch[index] &+ second[index] &+ third[index] &+ fourth[index]
      index &+= 1
    }
    return counted
  }

  /// What symbols that occur `counts` times (256) take with codes of these lengths, in bits; `nil` if one of them has no code.
  public static func cost(_ counts: UnsafePointer<UInt32>, _ codeLengths: Bytes) -> Int? {
    var sum: UInt32 = 0
    var without: UInt32 = 0
    var index = 0
    while index < 256 {
      let length = unsafe UInt32(codeLengths[index])
      unsafe sum &+= counts[index] &* length
      unsafe without |= length == 0 ? counts[index] : 0
      index &+= 1
    }
    return without == 0 ? Int(sum) : nil
  }

  @inline(__always) private static func clear(_ numbers: UnsafeMutablePointer<UInt32>, _ count: Int) {
    var index = 0
    while index < count {
      unsafe numbers[index] = 0
      index &+= 1
    }
  }

  /// Appends the codes of `length` symbols: `codes[s]` is the code, `codeLengths[s]` its length in bits.
  ///
  /// - Parameters:
  ///   - out: moved behind the last whole byte; up to 8 bytes beyond it are written.
  ///   - waiting, bits: the bits of the byte begun, 7 at most, and how many there are.
  public static func encode(
    _ symbols: Bytes, _ length: Int, _ codes: UnsafePointer<UInt16>, _ codeLengths: Bytes, out: inout MutableBytes,
    waiting: inout UInt64, bits: inout UInt64
  ) {
    var to = UnsafeMutableRawPointer(out)
    var word = waiting
    var count = bits
    var from = unsafe UnsafeRawPointer(symbols)
    let end = unsafe from + (length & ~3)
    while unsafe from < end {
      let four = unsafe UInt32(littleEndian: from.loadUnaligned(as: UInt32.self))
      let a = Int(four & 0xFF)
      let b = Int(four &>> 8 & 0xFF)
      let upper = four &>> 16
      let c = Int(upper & 0xFF)
      let d = Int(upper &>> 8)
      let lengthA = unsafe UInt64(codeLengths[a])
      let lengthC = unsafe UInt64(codeLengths[c])
      let ab = unsafe UInt64(codes[a]) | UInt64(codes[b]) &<< lengthA
      let cd = unsafe UInt64(codes[c]) | UInt64(codes[d]) &<< lengthC
      let lengthAB = unsafe lengthA &+ UInt64(codeLengths[b])
      let lengthCD = unsafe lengthC &+ UInt64(codeLengths[d])
      word |= (ab | cd &<< lengthAB) &<< count
      count &+= lengthAB &+ lengthCD
      unsafe to.storeBytes(of: word.littleEndian, as: UInt64.self)
      unsafe to += Int(truncatingIfNeeded: count &>> 3)
      word = word &>> (count & 0x38)
      count &= 7
      unsafe from += 4
    }
    var left = length & 3
    while left > 0 {
      let symbol = unsafe Int(from.load(as: UInt8.self))
      word |= unsafe UInt64(codes[symbol]) &<< count
      count &+= unsafe UInt64(codeLengths[symbol])
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

}

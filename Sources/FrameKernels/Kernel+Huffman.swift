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
    var from = unsafe symbols
    let end = unsafe from + length
    while unsafe end - from >= 64 {
      let runEnd = unsafe from + 64
      while unsafe from < runEnd {
        unsafe scratch[Int(from[0])] &+= 1
        unsafe second[Int(from[1])] &+= 1
        unsafe third[Int(from[2])] &+= 1
        unsafe fourth[Int(from[3])] &+= 1
        unsafe scratch[Int(from[4])] &+= 1
        unsafe second[Int(from[5])] &+= 1
        unsafe third[Int(from[6])] &+= 1
        unsafe fourth[Int(from[7])] &+= 1
        unsafe from += 8
      }
      counted &+= 64
      unsafe from += 64 &* (every &- 1)
    }
    if every == 1 {
      counted = length
      while unsafe from < end {
        unsafe scratch[Int(from.pointee)] &+= 1
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
    var from = unsafe symbols
    let end = unsafe from + (length & ~7)
    while unsafe from < end {
      unsafe appendFour(from, codes, codeLengths, &to, &word, &count)
      unsafe appendFour(from + 4, codes, codeLengths, &to, &word, &count)
      unsafe from += 8
    }
    var left = length & 7
    while left > 0 {
      let symbol = unsafe Int(from.pointee)
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

  /// Symbols are loaded one by one: that takes fewer instructions than to load four and take them apart, and how many
  /// a processor starts in a cycle is what limits this.
  @inline(__always) private static func appendFour(
    _ symbols: Bytes, _ codes: UnsafePointer<UInt16>, _ codeLengths: Bytes, _ to: inout UnsafeMutableRawPointer,
    _ word: inout UInt64, _ count: inout UInt64
  ) {
    let a = unsafe Int(symbols[0])
    let b = unsafe Int(symbols[1])
    let c = unsafe Int(symbols[2])
    let d = unsafe Int(symbols[3])
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

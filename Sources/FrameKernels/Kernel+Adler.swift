/// The checksum of RFC 1950 §8.2.
extension Kernel {
  /// Continues `sum`, the checksum of what came before (1 if nothing did), over `count` bytes.
  public static func adler(_ sum: UInt32, _ bytes: Bytes, _ count: Int) -> UInt32 {
    var low = sum & 0xFFFF
    var high = sum &>> 16
    var at = 0
    while at < count {
      let some = min(largestRun, count &- at)
      let whole = some & ~31
      // Every byte counts in `high` once for itself and once for every byte after it.
      high &+= low &* UInt32(truncatingIfNeeded: whole)
      unsafe addRows(bytes + at, whole &>> 5, &low, &high)
      var index = at &+ whole
      while index < at &+ some {
        unsafe low &+= UInt32(bytes[index])
        high &+= low
        index &+= 1
      }
      low %= 65521
      high %= 65521
      at &+= some
    }
    return high &<< 16 | low
  }

  /// A multiple of 32 whose sums cannot pass 32 bits (RFC 1950 §9, NMAX is 5552).
  @inline(__always) private static var largestRun: Int { 5536 }

  /// Adds rows of 32 bytes, column by column: a column's `prefix` counts a byte once for its own and once for
  /// every later row. Sixteen rows fit sums of 16 bits, four to a word; then they move to sums of 32 bits.
  @inline(__always) private static func addRows(_ bytes: Bytes, _ rows: Int, _ low: inout UInt32, _ high: inout UInt32)
  {
    let bytePairs = Words(repeating: 0x00FF_00FF_00FF_00FF)
    let wordPairs = Words(repeating: 0x0000_FFFF_0000_FFFF)
    // Columns 0 and 4, 1 and 5, 2 and 6, 3 and 7 of each eight.
    var sums = (Words(repeating: 0), Words(repeating: 0), Words(repeating: 0), Words(repeating: 0))
    var prefixes = sums
    var row = 0
    while row < rows {
      // What is not a multiple of 16 goes first, while there are no sums yet to be multiplied with it.
      let some = (rows &- row &- 1) & 15 &+ 1
      var even = Words(repeating: 0)
      var odd = Words(repeating: 0)
      var evenPrefix = Words(repeating: 0)
      var oddPrefix = Words(repeating: 0)
      var at = unsafe bytes + row &* 32
      var left = some
      while left > 0 {
        let word = unsafe words(at)
        even &+= word & bytePairs
        odd &+= word &>> 8 & bytePairs
        evenPrefix &+= even
        oddPrefix &+= odd
        unsafe at += 32
        left &-= 1
      }
      prefixes.0 &+= sums.0 &<< 4 &+ (evenPrefix & wordPairs)
      prefixes.1 &+= sums.1 &<< 4 &+ (oddPrefix & wordPairs)
      prefixes.2 &+= sums.2 &<< 4 &+ (evenPrefix &>> 16 & wordPairs)
      prefixes.3 &+= sums.3 &<< 4 &+ (oddPrefix &>> 16 & wordPairs)
      sums.0 &+= even & wordPairs
      sums.1 &+= odd & wordPairs
      sums.2 &+= even &>> 16 & wordPairs
      sums.3 &+= odd &>> 16 & wordPairs
      row &+= some
    }
    addColumns(sums.0, prefixes.0, 0, &low, &high)
    addColumns(sums.1, prefixes.1, 1, &low, &high)
    addColumns(sums.2, prefixes.2, 2, &low, &high)
    addColumns(sums.3, prefixes.3, 3, &low, &high)
  }

  @inline(__always) private static func addColumns(
    _ sums: Words, _ prefixes: Words, _ first: UInt32, _ low: inout UInt32, _ high: inout UInt32
  ) {
    var lane = 0
    while lane < 4 {
      let column = first &+ UInt32(truncatingIfNeeded: lane &* 8)
      let left = UInt32(truncatingIfNeeded: sums[lane])
      let right = UInt32(truncatingIfNeeded: sums[lane] &>> 32)
      let prefix = UInt32(truncatingIfNeeded: prefixes[lane]) &+ UInt32(truncatingIfNeeded: prefixes[lane] &>> 32)
      low &+= left &+ right
      high &+= prefix &* 32 &- left &* column &- right &* (column &+ 4)
      lane &+= 1
    }
  }
}

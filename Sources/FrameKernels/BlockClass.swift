/// The class of a block: how many bits a packed residual has, and how much energy the block holds.
///
/// A decoder needs only the bits; the energy thresholds are the encoder's own business.
public enum BlockClass {
  /// No residual at all, nothing stored.
  @inlinable public static var skip: UInt8 { 0 }
  @inlinable public static var firstOf2Bits: UInt8 { 1 }
  @inlinable public static var firstOf4Bits: UInt8 { 7 }
  @inlinable public static var firstOf8Bits: UInt8 { 20 }
  /// From here on magnitudes may be above ``mostOfLow8Bits``.
  @inlinable public static var firstOfHigh8Bits: UInt8 { 26 }
  @inlinable public static var mostOfLow8Bits: Int { 15 }
  @inlinable public static var count: Int { 32 }

  /// Bytes a block of this class takes in the stream, before Huffman coding.
  @inlinable @inline(__always) public static func packedBytes(_ value: UInt8) -> Int {
    if value == skip { return 0 }
    return value < firstOf4Bits ? 64 : value < firstOf8Bits ? 128 : 256
  }

  /// The packed byte of residuals that are all 0.
  @inlinable public static func packedZero(_ value: UInt8) -> UInt8 {
    value < firstOf4Bits ? 0xAA : value < firstOf8Bits ? 0x88 : 0
  }

  /// The class of a block from its largest magnitude and the sum of all 256, both not 0.
  @inline(__always) static func of(largest: UInt8, sum: UInt32) -> UInt8 {
    // Quarter octaves of the sum: 4 log2, and the two bits after the leading one.
    let log = 31 &- UInt32(truncatingIfNeeded: sum.leadingZeroBitCount)
    let fraction = log >= 2 ? (sum >> (log &- 2)) & 3 : (sum << (2 &- log)) & 3
    let step = Int(truncatingIfNeeded: log &* 4 &+ fraction)
    if largest <= 1 { return two(step) }
    if largest <= 7 { return four(step) }
    return largest <= 15 ? min(firstOfHigh8Bits &- 1, eight(step)) : max(firstOfHigh8Bits, eight(step))
  }

  @inline(__always) private static func two(_ step: Int) -> UInt8 {
    // Sums below 8, 16, 32, 64, 128, the rest.
    let index = (step &- 8) >> 2
    return firstOf2Bits &+ UInt8(truncatingIfNeeded: max(0, min(5, index)))
  }

  @inline(__always) private static func four(_ step: Int) -> UInt8 {
    if step < 28 {
      // Below 32, 64, 96, 128.
      return step < 20 ? 7 : step < 24 ? 8 : step < 26 ? 9 : 10
    }
    if step < 32 { return step < 30 ? 11 : 12 }
    if step < 36 { return 13 &+ UInt8(truncatingIfNeeded: step &- 32) }
    return step < 38 ? 17 : step < 40 ? 18 : 19
  }

  @inline(__always) private static func eight(_ step: Int) -> UInt8 {
    if step < 32 { return step < 24 ? 20 : step < 28 ? 21 : 22 }
    if step < 44 { return 23 &+ UInt8(truncatingIfNeeded: (step &- 32) >> 1) }
    return step < 48 ? 29 : step < 52 ? 30 : 31
  }
}

/// How a block is predicted and what becomes of the reference: bits 5 and 6 of a map byte.
public enum BlockMode {
  /// The reference is the prediction and is replaced by the block.
  @inlinable public static var replace: UInt8 { 0 << 5 }
  /// Predicted from its neighbours in the same block row; replaces the reference.
  @inlinable public static var spatial: UInt8 { 1 << 5 }
  /// The reference is the prediction and moves towards the block.
  @inlinable public static var average: UInt8 { 2 << 5 }

  @inlinable public static var mask: UInt8 { 3 << 5 }
}

/// The loops the frame coder spends its time in: pointers and numbers in, numbers out.
///
/// These files are compiled twice: as `FrameKernels` for any processor, and on x86_64 again as
/// `FrameKernelsV3` for those with AVX2. So nothing in them may leave a function behind that the
/// linker could take one of two for: no generics that are not inlined, no arrays, no dictionaries.
///
/// Callers own the memory and have checked every length. The loops are plain `while` loops with
/// wrapping arithmetic, free of branches inside, which the compiler turns into vector instructions, or
/// spell the vectors out where it would check for overlapping rows instead.
public enum Kernel {
  public typealias Bytes = UnsafePointer<UInt8>
  public typealias MutableBytes = UnsafeMutablePointer<UInt8>

  /// The encoder's own choice of the average shift, for which there are loops with it as a constant.
  @inline(__always) static var usualShift: UInt16 { 2 }

  /// A row of a block.
  typealias Row = SIMD32<UInt8>
  /// The same row in lanes that can be shifted and masked.
  typealias Words = SIMD4<UInt64>

  @inline(__always) static func row(_ at: Bytes) -> Row {
    unsafe UnsafeRawPointer(at).loadUnaligned(as: Row.self)
  }

  @inline(__always) static func words(_ at: Bytes) -> Words {
    unsafe UnsafeRawPointer(at).loadUnaligned(as: Words.self)
  }

  @inline(__always) static func store(_ row: Row, _ at: MutableBytes) {
    unsafe UnsafeMutableRawPointer(at).storeBytes(of: row, as: Row.self)
  }

  @inline(__always) static func store(_ words: Words, _ at: MutableBytes) {
    unsafe UnsafeMutableRawPointer(at).storeBytes(of: words, as: Words.self)
  }

  @inline(__always) static func asRow(_ words: Words) -> Row { unsafe unsafeBitCast(words, to: Row.self) }

  @inline(__always) static func asWords(_ row: Row) -> Words { unsafe unsafeBitCast(row, to: Words.self) }

  /// All eight bytes the same.
  @inline(__always) static func each(_ byte: UInt64) -> Words { Words(repeating: byte &* 0x0101_0101_0101_0101) }
}

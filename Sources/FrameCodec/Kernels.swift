internal import FrameKernels

#if arch(x86_64)
  internal import FrameKernelsV3
#endif

/// Calls a kernel in the form made for the processor.
struct Kernels {
  typealias Kernel = FrameKernels.Kernel

  #if arch(x86_64)
    private let isV3: Bool

    init(_ instructions: InstructionSet) { isV3 = instructions == .x86v3 }
  #else
    init(_ instructions: InstructionSet) {}
  #endif

  func adler(_ sum: UInt32, _ bytes: Kernel.Bytes, _ count: Int) -> UInt32 {
    #if arch(x86_64)
      if isV3 { return unsafe FrameKernelsV3.Kernel.adler(sum, bytes, count) }
    #endif
    return unsafe FrameKernels.Kernel.adler(sum, bytes, count)
  }

  func count(
    _ symbols: Kernel.Bytes, _ length: Int, every: Int, into counts: UnsafeMutablePointer<UInt32>,
    scratch: UnsafeMutablePointer<UInt32>
  ) -> Int {
    #if arch(x86_64)
      if isV3 {
        return unsafe FrameKernelsV3.Kernel.count(symbols, length, every: every, into: counts, scratch: scratch)
      }
    #endif
    return unsafe FrameKernels.Kernel.count(symbols, length, every: every, into: counts, scratch: scratch)
  }

  func encode(
    _ symbols: Kernel.Bytes, _ length: Int, _ codes: UnsafePointer<UInt16>, _ codeLengths: Kernel.Bytes,
    into sink: inout BitSink
  ) {
    #if arch(x86_64)
      if isV3 {
        return unsafe FrameKernelsV3.Kernel.encode(
          symbols, length, codes, codeLengths, out: &sink.out, waiting: &sink.waiting, bits: &sink.bits)
      }
    #endif
    unsafe FrameKernels.Kernel.encode(
      symbols, length, codes, codeLengths, out: &sink.out, waiting: &sink.waiting, bits: &sink.bits)
  }

  func decodeFour(
    _ stream: Kernel.Bytes, last: Int, positions: UnsafeMutablePointer<Int>, table: UnsafePointer<UInt16>,
    pairs: UnsafePointer<UInt32>?, to out: Kernel.MutableBytes, length: Int
  ) {
    #if arch(x86_64)
      if isV3 {
        return unsafe FrameKernelsV3.Kernel.decodeFour(
          stream, last: last, positions: positions, table: table, pairs: pairs, to: out, length: length)
      }
    #endif
    unsafe FrameKernels.Kernel.decodeFour(
      stream, last: last, positions: positions, table: table, pairs: pairs, to: out, length: length)
  }

  func decodeFourRuns(
    _ stream: Kernel.Bytes, last: Int, positions: UnsafeMutablePointer<Int>, table: UnsafePointer<UInt16>,
    runs: UnsafePointer<UInt32>, repeated: UInt8, to out: Kernel.MutableBytes, length: Int
  ) {
    #if arch(x86_64)
      if isV3 {
        return unsafe FrameKernelsV3.Kernel.decodeFourRuns(
          stream, last: last, positions: positions, table: table, runs: runs, repeated: repeated, to: out,
          length: length)
      }
    #endif
    unsafe FrameKernels.Kernel.decodeFourRuns(
      stream, last: last, positions: positions, table: table, runs: runs, repeated: repeated, to: out, length: length)
  }

  func encodeTokens(
    _ tokens: UnsafePointer<UInt16>, _ length: Int, _ codes: UnsafePointer<UInt16>, _ codeLengths: Kernel.Bytes,
    into sink: inout BitSink
  ) {
    #if arch(x86_64)
      if isV3 {
        return unsafe FrameKernelsV3.Kernel.encodeTokens(
          tokens, length, codes, codeLengths, out: &sink.out, waiting: &sink.waiting, bits: &sink.bits)
      }
    #endif
    unsafe FrameKernels.Kernel.encodeTokens(
      tokens, length, codes, codeLengths, out: &sink.out, waiting: &sink.waiting, bits: &sink.bits)
  }

  func analyse(
    _ analysis: Kernel.Analysis, current: Kernel.MutableBytes, currentStride: Int, reference: Kernel.MutableBytes,
    fraction: Kernel.MutableBytes?, blocks: Int, scratch: Kernel.MutableBytes, map: Kernel.MutableBytes,
    sums: UnsafeMutablePointer<UInt16>, packed: Kernel.MutableBytes
  ) -> Int {
    #if arch(x86_64)
      if isV3 {
        var same = FrameKernelsV3.Kernel.Analysis()
        same.isKey = analysis.isKey
        same.spatialThreshold = analysis.spatialThreshold
        same.averageShift = analysis.averageShift
        same.averageThreshold = analysis.averageThreshold
        same.step = analysis.step
        same.gate = analysis.gate
        same.limitOf4Bits = analysis.limitOf4Bits
        return unsafe FrameKernelsV3.Kernel.analyse(
          same, current: current, currentStride: currentStride, reference: reference, fraction: fraction,
          blocks: blocks, scratch: scratch, map: map, sums: sums, packed: packed)
      }
    #endif
    return unsafe FrameKernels.Kernel.analyse(
      analysis, current: current, currentStride: currentStride, reference: reference, fraction: fraction,
      blocks: blocks, scratch: scratch, map: map, sums: sums, packed: packed)
  }

  func synthesise(
    step: Int16, averageShift: UInt16, current: Kernel.MutableBytes, currentStride: Int,
    reference: Kernel.MutableBytes, fraction: Kernel.MutableBytes?, blocks: Int,
    scratch: Kernel.MutableBytes, map: Kernel.Bytes, packed: Kernel.Bytes, cursors: UnsafeMutablePointer<Int>
  ) {
    #if arch(x86_64)
      if isV3 {
        return unsafe FrameKernelsV3.Kernel.synthesise(
          step: step, averageShift: averageShift, current: current, currentStride: currentStride,
          reference: reference, fraction: fraction, blocks: blocks, scratch: scratch, map: map,
          packed: packed, cursors: cursors)
      }
    #endif
    unsafe FrameKernels.Kernel.synthesise(
      step: step, averageShift: averageShift, current: current, currentStride: currentStride, reference: reference,
      fraction: fraction, blocks: blocks, scratch: scratch, map: map, packed: packed,
      cursors: cursors)
  }

  func splitPacked(
    _ from: Kernel.Bytes, y: Kernel.MutableBytes, u: Kernel.MutableBytes, v: Kernel.MutableBytes, pairs: Int,
    lumaFirst: Bool
  ) {
    #if arch(x86_64)
      if isV3 {
        return unsafe FrameKernelsV3.Kernel.splitPacked(from, y: y, u: u, v: v, pairs: pairs, lumaFirst: lumaFirst)
      }
    #endif
    unsafe FrameKernels.Kernel.splitPacked(from, y: y, u: u, v: v, pairs: pairs, lumaFirst: lumaFirst)
  }

  func joinPacked(
    to: Kernel.MutableBytes, y: Kernel.Bytes, u: Kernel.Bytes, v: Kernel.Bytes, pairs: Int, lumaFirst: Bool
  ) {
    #if arch(x86_64)
      if isV3 {
        return unsafe FrameKernelsV3.Kernel.joinPacked(to: to, y: y, u: u, v: v, pairs: pairs, lumaFirst: lumaFirst)
      }
    #endif
    unsafe FrameKernels.Kernel.joinPacked(to: to, y: y, u: u, v: v, pairs: pairs, lumaFirst: lumaFirst)
  }
}

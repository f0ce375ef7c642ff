/// The decoder's side of prediction.
extension Kernel {
  /// Rebuilds one unit and updates the reference.
  ///
  /// - Parameters:
  ///   - current: receives the samples, `currentStride` apart, with one writable sample before each row.
  ///   - reference, fraction: as in ``analyse(_:current:currentStride:reference:fraction:blocks:scratch:map:sums:packed:)``.
  ///   - cursors: for every class where its next block's packed bytes begin in `packed`; moved on.
  ///   - scratch: 512 bytes, the last 256 of them 0.
  public static func synthesise(
    step: Int16, averageShift: UInt16, current: MutableBytes, currentStride: Int, reference: MutableBytes,
    fraction: MutableBytes?, blocks: Int, scratch: MutableBytes, map: Bytes, packed: Bytes,
    cursors: UnsafeMutablePointer<Int>
  ) {
    let corner = unsafe reference[0]
    var row = 0
    while row < 8 {
      unsafe current[row &* currentStride &- 1] = corner
      row &+= 1
    }
    var block = 0
    while block < blocks {
      let mode = unsafe map[block] & BlockMode.mask
      let kind = unsafe map[block] & 31
      let samples = unsafe current + block &* 32
      let prediction = unsafe reference + block &* 256
      if kind == BlockClass.skip && mode == BlockMode.replace {
        unsafe copyBlock(prediction, 32, samples, currentStride)
        block &+= 1
        continue
      }
      let slot = Int(kind)
      // Noise: most of the blocks of a camera's picture.
      if let fraction = unsafe fraction, mode == BlockMode.average, step == 1, averageShift == usualShift,
        BlockClass.packedBytes(kind) == 128
      {
        unsafe sumAndAverage(packed + cursors[slot], prediction, fraction + block &* 256, samples, currentStride)
        unsafe cursors[slot] &+= 128
        block &+= 1
        continue
      }
      let residual = unsafe unpack(packed + cursors[slot], kind, scratch)
      unsafe cursors[slot] &+= BlockClass.packedBytes(kind)
      if mode == BlockMode.spatial {
        unsafe spatialSum(residual, samples, currentStride, zeros: Bytes(scratch) + 256)
      } else if step == 1 {
        unsafe sum(residual, prediction, samples, currentStride)
      } else {
        unsafe scaledSum(step, residual, prediction, samples, currentStride)
      }
      unsafe update(mode, averageShift, samples, currentStride, prediction, fraction, block &* 256)
      block &+= 1
    }
  }

  /// Residuals as bytes modulo 256, in `scratch` or where they are.
  @inline(__always) private static func unpack(_ packed: Bytes, _ kind: UInt8, _ scratch: MutableBytes) -> Bytes {
    if kind == BlockClass.skip {
      var line = 0
      while line < 256 {
        unsafe store(Row(repeating: 0), scratch + line)
        line &+= 32
      }
    } else if kind < BlockClass.firstOf4Bits {
      let low = each(3)
      let by = Row(repeating: 2)
      var half = 0
      while half < 2 {
        let four = unsafe words(packed + half &* 32)
        let to = unsafe scratch + half &* 128
        unsafe store(asRow(four & low) &- by, to)
        unsafe store(asRow(four &>> 2 & low) &- by, to + 32)
        unsafe store(asRow(four &>> 4 & low) &- by, to + 64)
        unsafe store(asRow(four &>> 6 & low) &- by, to + 96)
        half &+= 1
      }
    } else if kind < BlockClass.firstOf8Bits {
      let low = each(15)
      let by = Row(repeating: 8)
      var pair = 0
      while pair < 4 {
        let two = unsafe words(packed + pair &* 32)
        let to = unsafe scratch + pair &* 64
        unsafe store(asRow(two & low) &- by, to)
        unsafe store(asRow(two &>> 4 & low) &- by, to + 32)
        pair &+= 1
      }
    } else {
      return unsafe packed
    }
    return unsafe Bytes(scratch)
  }

  @inline(__always) private static func sum(
    _ residual: Bytes, _ prediction: Bytes, _ samples: MutableBytes, _ samplesStride: Int
  ) {
    var line = 0
    while line < 8 {
      let sum = unsafe row(prediction + line &* 32) &+ row(residual + line &* 32)
      unsafe store(sum, samples + line &* samplesStride)
      line &+= 1
    }
  }

  /// What ``unpack(_:_:_:)`` for 4 bits, ``sum(_:_:_:_:)`` and the update of the reference do, row by row: residuals and samples
  /// need not go through memory in between.
  @inline(__always) private static func sumAndAverage(
    _ packed: Bytes, _ prediction: MutableBytes, _ fraction: MutableBytes, _ samples: MutableBytes,
    _ samplesStride: Int
  ) {
    let low = each(15)
    let by = Row(repeating: 8)
    var to = unsafe samples
    var line = 0
    while line < 256 {
      let two = unsafe words(packed + line &>> 1)
      let upper = unsafe row(prediction + line) &+ (asRow(two & low) &- by)
      unsafe store(upper, to)
      unsafe average(usualShift, upper, prediction + line, fraction + line)
      let lower = unsafe row(prediction + line + 32) &+ (asRow(two &>> 4 & low) &- by)
      unsafe store(lower, to + samplesStride)
      unsafe average(usualShift, lower, prediction + line + 32, fraction + line + 32)
      unsafe to += 2 &* samplesStride
      line &+= 64
    }
  }

  @inline(__always) private static func scaledSum(
    _ step: Int16, _ residual: Bytes, _ prediction: Bytes, _ samples: MutableBytes,
    _ samplesStride: Int
  ) {
    var row = 0
    while row < 8 {
      let r = unsafe residual + row &* 32
      let p = unsafe prediction + row &* 32
      let x = unsafe samples + row &* samplesStride
      var column = 0
      while column < 32 {
        let scaled = unsafe Int16(Int8(bitPattern: r[column])) &* step
        unsafe x[column] = UInt8(truncatingIfNeeded: max(0, min(255, Int16(p[column]) &+ scaled)))
        column &+= 1
      }
      row &+= 1
    }
  }

  /// Every sample waits for the one on its left, so four rows are worked on side by side, each one
  /// sample behind the row above it. `zeros`: 33 of them.
  @inline(__always) private static func spatialSum(
    _ residual: Bytes, _ samples: MutableBytes, _ stride: Int, zeros: Bytes
  ) {
    // The first row has only a left neighbour, which is the median where all above is equal.
    unsafe fourRows(residual, samples, stride, above: zeros + 1)
    unsafe fourRows(residual + 128, samples + 4 &* stride, stride, above: Bytes(samples) + 3 &* stride)
  }

  @inline(__always) private static func median(_ a: UInt32, _ b: UInt32, _ c: UInt32) -> UInt32 {
    a &+ b &- min(max(c, min(a, b)), max(a, b))
  }

  /// Four rows of 32 samples.
  private static func fourRows(_ residual: Bytes, _ samples: MutableBytes, _ stride: Int, above: Bytes) {
    let line1 = unsafe samples + stride
    let line2 = unsafe line1 + stride
    let line3 = unsafe line2 + stride
    // The last sample of each row, and of those with a row below the one before it.
    var a0 = unsafe UInt32(samples[-1])
    var a1 = unsafe UInt32(line1[-1])
    var a2 = unsafe UInt32(line2[-1])
    var a3 = unsafe UInt32(line3[-1])
    var c0 = a0
    var c1 = a1
    var c2 = a2
    var corner = unsafe UInt32(above[-1])

    @inline(__always) func row0(_ x: Int) {
      let b = unsafe UInt32(above[x])
      c0 = a0
      a0 = unsafe (median(a0, b, corner) &+ UInt32(residual[x])) & 0xFF
      unsafe samples[x] = UInt8(truncatingIfNeeded: a0)
      corner = b
    }
    @inline(__always) func row1(_ x: Int) {
      c1 = a1
      a1 = unsafe (median(a1, a0, c0) &+ UInt32(residual[x &+ 32])) & 0xFF
      unsafe line1[x] = UInt8(truncatingIfNeeded: a1)
    }
    @inline(__always) func row2(_ x: Int) {
      c2 = a2
      a2 = unsafe (median(a2, a1, c1) &+ UInt32(residual[x &+ 64])) & 0xFF
      unsafe line2[x] = UInt8(truncatingIfNeeded: a2)
    }
    @inline(__always) func row3(_ x: Int) {
      a3 = unsafe (median(a3, a2, c2) &+ UInt32(residual[x &+ 96])) & 0xFF
      unsafe line3[x] = UInt8(truncatingIfNeeded: a3)
    }
    // In every step the lowest row goes first: each needs the row above as it was one step ago.
    row0(0)
    row1(0)
    row0(1)
    row2(0)
    row1(1)
    row0(2)
    var column = 3
    while column < 32 {
      row3(column &- 3)
      row2(column &- 2)
      row1(column &- 1)
      row0(column)
      column &+= 1
    }
    row3(29)
    row2(30)
    row1(31)
    row3(30)
    row2(31)
    row3(31)
  }
}

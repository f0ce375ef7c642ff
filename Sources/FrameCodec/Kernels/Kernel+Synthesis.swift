/// The decoder's side of prediction.
extension Kernel {
  /// Rebuilds one unit and updates the reference.
  ///
  /// - Parameters:
  ///   - current: receives the samples, `currentStride` apart, with one writable sample before each row.
  ///   - reference, fraction: as in ``analyse(_:current:currentStride:reference:fraction:stride:blocks:scratch:map:sums:packed:)``.
  ///   - cursors: for every class where its next block's packed bytes begin in `packed`; moved on.
  ///   - scratch: 512 bytes, the last 256 of them 0.
  static func synthesise(
    step: Int16, averageShift: UInt16, current: MutableBytes, currentStride: Int, reference: MutableBytes,
    fraction: MutableBytes?, stride: Int, blocks: Int, scratch: MutableBytes, map: Bytes, packed: Bytes,
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
      let prediction = unsafe reference + block &* 32
      let low = unsafe fraction.map { unsafe $0 + block &* 32 }
      if kind == BlockClass.skip && mode == BlockMode.replace {
        unsafe copyBlock(prediction, stride, samples, currentStride)
        block &+= 1
        continue
      }
      let slot = Int(kind)
      let residual = unsafe unpack(packed + cursors[slot], kind, scratch)
      unsafe cursors[slot] &+= BlockClass.packedBytes(kind)
      if mode == BlockMode.spatial {
        unsafe spatialSum(residual, samples, currentStride, zeros: Bytes(scratch) + 256)
      } else if step == 1 {
        unsafe sum(residual, prediction, stride, samples, currentStride)
      } else {
        unsafe scaledSum(step, residual, prediction, stride, samples, currentStride)
      }
      unsafe update(mode, averageShift, samples, currentStride, prediction, low, stride)
      block &+= 1
    }
  }

  /// Residuals as bytes modulo 256, in `scratch` or where they are.
  @inline(__always) private static func unpack(_ packed: Bytes, _ kind: UInt8, _ scratch: MutableBytes) -> Bytes {
    if kind == BlockClass.skip {
      unsafe scratch.update(repeating: 0, count: 256)
    } else if kind < BlockClass.firstOf4Bits {
      var row = 0
      while row < 2 {
        let from = unsafe packed + row &* 32
        let to = unsafe scratch + row &* 128
        var index = 0
        while index < 32 {
          let byte = unsafe from[index]
          unsafe to[index] = (byte & 3) &- 2
          unsafe to[index &+ 32] = (byte &>> 2 & 3) &- 2
          unsafe to[index &+ 64] = (byte &>> 4 & 3) &- 2
          unsafe to[index &+ 96] = (byte &>> 6) &- 2
          index &+= 1
        }
        row &+= 1
      }
    } else if kind < BlockClass.firstOf8Bits {
      var row = 0
      while row < 4 {
        let from = unsafe packed + row &* 32
        let to = unsafe scratch + row &* 64
        var index = 0
        while index < 32 {
          let byte = unsafe from[index]
          unsafe to[index] = (byte & 15) &- 8
          unsafe to[index &+ 32] = (byte &>> 4) &- 8
          index &+= 1
        }
        row &+= 1
      }
    } else {
      return unsafe packed
    }
    return unsafe Bytes(scratch)
  }

  @inline(__always) private static func sum(
    _ residual: Bytes, _ prediction: Bytes, _ stride: Int, _ samples: MutableBytes, _ samplesStride: Int
  ) {
    var row = 0
    while row < 8 {
      let r = unsafe residual + row &* 32
      let p = unsafe prediction + row &* stride
      let x = unsafe samples + row &* samplesStride
      var column = 0
      while column < 32 {
        unsafe x[column] = p[column] &+ r[column]
        column &+= 1
      }
      row &+= 1
    }
  }

  @inline(__always) private static func scaledSum(
    _ step: Int16, _ residual: Bytes, _ prediction: Bytes, _ stride: Int, _ samples: MutableBytes,
    _ samplesStride: Int
  ) {
    var row = 0
    while row < 8 {
      let r = unsafe residual + row &* 32
      let p = unsafe prediction + row &* stride
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
    var upper = unsafe Wavefront(residual, samples, stride, above: zeros + 1)
    unsafe upper.run()
    var lower = unsafe Wavefront(residual + 128, samples + 4 &* stride, stride, above: Bytes(samples) + 3 &* stride)
    unsafe lower.run()
  }

  /// Four rows of 32 samples.
  @unsafe private struct Wavefront {
    private let residual: Bytes
    private let above: Bytes
    private let line0: MutableBytes
    private let line1: MutableBytes
    private let line2: MutableBytes
    private let line3: MutableBytes
    // The last sample of each row, and of those with a row below the one before it.
    private var a0: UInt8
    private var a1: UInt8
    private var a2: UInt8
    private var a3: UInt8
    private var c0: UInt8
    private var c1: UInt8
    private var c2: UInt8
    private var corner: UInt8

    @inline(__always) init(_ residual: Bytes, _ samples: MutableBytes, _ stride: Int, above: Bytes) {
      unsafe self.residual = residual
      unsafe self.above = above
      unsafe line0 = samples
      unsafe line1 = line0 + stride
      unsafe line2 = line1 + stride
      unsafe line3 = line2 + stride
      unsafe a0 = line0[-1]
      unsafe a1 = line1[-1]
      unsafe a2 = line2[-1]
      unsafe a3 = line3[-1]
      unsafe c0 = a0
      unsafe c1 = a1
      unsafe c2 = a2
      unsafe corner = above[-1]
    }

    @inline(__always) private static func median(_ a: UInt8, _ b: UInt8, _ c: UInt8) -> UInt8 {
      a &+ b &- min(max(c, min(a, b)), max(a, b))
    }

    @inline(__always) private mutating func row0(_ x: Int) {
      let b = unsafe above[x]
      unsafe c0 = a0
      unsafe a0 = Self.median(a0, b, corner) &+ residual[x]
      unsafe line0[x] = a0
      unsafe corner = b
    }

    @inline(__always) private mutating func row1(_ x: Int) {
      unsafe c1 = a1
      unsafe a1 = Self.median(a1, a0, c0) &+ residual[x &+ 32]
      unsafe line1[x] = a1
    }

    @inline(__always) private mutating func row2(_ x: Int) {
      unsafe c2 = a2
      unsafe a2 = Self.median(a2, a1, c1) &+ residual[x &+ 64]
      unsafe line2[x] = a2
    }

    @inline(__always) private mutating func row3(_ x: Int) {
      unsafe a3 = Self.median(a3, a2, c2) &+ residual[x &+ 96]
      unsafe line3[x] = a3
    }

    /// In every step the lowest row goes first: each needs the row above as it was one step ago.
    @inline(__always) mutating func run() {
      unsafe row0(0)
      unsafe row1(0)
      unsafe row0(1)
      unsafe row2(0)
      unsafe row1(1)
      unsafe row0(2)
      var column = 3
      while column < 32 {
        unsafe row3(column &- 3)
        unsafe row2(column &- 2)
        unsafe row1(column &- 1)
        unsafe row0(column)
        column &+= 1
      }
      unsafe row3(29)
      unsafe row2(30)
      unsafe row1(31)
      unsafe row3(30)
      unsafe row2(31)
      unsafe row3(31)
    }
  }
}

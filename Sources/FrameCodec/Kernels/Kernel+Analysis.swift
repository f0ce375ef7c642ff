/// The encoder's side of prediction: residuals, their energy, and their packed form.
extension Kernel {
  /// What an encoder decides once per frame.
  struct Analysis {
    /// Blocks are predicted from the reference only where they must: it holds nothing.
    var isKey = false
    /// Sums of magnitudes above this are worth the time to try spatial prediction.
    var spatialThreshold: UInt32 = 0
    /// The reference moves 1/2^shift of the way to the block; 0 means it is always replaced.
    var averageShift: UInt16 = 0
    /// Sums up to this are noise, and are averaged.
    var averageThreshold: UInt32 = 0
    /// Residuals are multiples of this: 1, 3, 5, 7 or 9.
    var step: Int16 = 1
    /// Magnitudes up to this are left out when a whole block has no larger one.
    var gate: UInt8 = 0
  }

  /// Decides, packs and updates the reference for one unit.
  ///
  /// - Parameters:
  ///   - current: the unit's samples, `currentStride` apart, one readable sample before each row.
  ///     Changed where the analysis is not lossless to what a decoder will see.
  ///   - reference: prediction, `stride` apart; becomes the prediction for the next frame.
  ///   - fraction: the low bytes of the reference, where it is an average.
  ///   - scratch: 2048 bytes.
  ///   - map: one byte per block.
  ///   - sums: one number per block: the energy left after prediction from the reference, at most 65,280.
  ///   - packed: room for 256 bytes per block.
  /// - Returns: bytes written to `packed`.
  static func analyse(
    _ analysis: Analysis, current: MutableBytes, currentStride: Int, reference: MutableBytes,
    fraction: MutableBytes?, stride: Int, blocks: Int, scratch: MutableBytes, map: MutableBytes,
    sums: UnsafeMutablePointer<UInt16>, packed: MutableBytes
  ) -> Int {
    let residual = unsafe scratch
    let magnitude = unsafe scratch + 256
    let spatialResidual = unsafe scratch + 512
    let spatialMagnitude = unsafe scratch + 768
    var written = 0
    var block = 0
    // The margin: what the first sample of the unit is predicted from, repeated so that the
    // first sample of every other row is predicted from the one above it.
    let corner = unsafe reference[0]
    var row = 0
    while row < 8 {
      unsafe current[row &* currentStride &- 1] = corner
      row &+= 1
    }
    while block < blocks {
      let samples = unsafe current + block &* 32
      let prediction = unsafe reference + block &* 32
      unsafe difference(samples, currentStride, prediction, stride, residual, magnitude)
      var largest = unsafe maximum(magnitude)
      if largest <= analysis.gate {
        unsafe map[block] = BlockMode.replace | BlockClass.skip
        // The noise is measured, not what the gate leaves of it.
        unsafe sums[block] = largest == 0 ? 0 : UInt16(truncatingIfNeeded: total(magnitude))
        if largest != 0 { unsafe copyBlock(prediction, stride, samples, currentStride) }
        block &+= 1
        continue
      }
      var sum = unsafe total(magnitude)
      unsafe sums[block] = UInt16(truncatingIfNeeded: sum)
      var mode = BlockMode.replace
      var chosen = unsafe residual
      if sum > analysis.spatialThreshold || analysis.isKey {
        unsafe spatialDifference(samples, currentStride, spatialResidual, spatialMagnitude)
        let spatialLargest = unsafe maximum(spatialMagnitude)
        let spatialSum = unsafe total(spatialMagnitude)
        if spatialLargest <= 127 && spatialSum < sum {
          mode = BlockMode.spatial
          unsafe chosen = spatialResidual
          largest = spatialLargest
          sum = spatialSum
        }
      }
      if mode == BlockMode.replace && analysis.step > 1 {
        unsafe quantise(analysis.step, samples, currentStride, prediction, stride, residual, magnitude)
        largest = unsafe maximum(magnitude)
        sum = unsafe total(magnitude)
      } else if mode == BlockMode.replace && sum <= analysis.averageThreshold {
        mode = BlockMode.average
      }
      let kind = largest == 0 ? BlockClass.skip : BlockClass.of(largest: largest, sum: sum)
      unsafe map[block] = mode | kind
      unsafe pack(chosen, kind, packed + written)
      written &+= BlockClass.packedBytes(kind)
      // A block of class skip that replaces is left alone, fraction and all.
      if unsafe map[block] == 0 {
        block &+= 1
        continue
      }
      unsafe update(
        mode, analysis.averageShift, samples, currentStride, prediction, fraction.map { unsafe $0 + block &* 32 },
        stride)
      block &+= 1
    }
    return written
  }

  /// `residual = samples - prediction`, modulo 256, and its magnitude.
  @inline(__always) private static func difference(
    _ samples: Bytes, _ samplesStride: Int, _ prediction: Bytes, _ stride: Int, _ residual: MutableBytes,
    _ magnitude: MutableBytes
  ) {
    var row = 0
    while row < 8 {
      let a = unsafe samples + row &* samplesStride
      let b = unsafe prediction + row &* stride
      let r = unsafe residual + row &* 32
      let m = unsafe magnitude + row &* 32
      var column = 0
      while column < 32 {
        let x = unsafe a[column]
        let y = unsafe b[column]
        unsafe r[column] = x &- y
        unsafe m[column] = max(x, y) &- min(x, y)
        column &+= 1
      }
      row &+= 1
    }
  }

  /// The same for the prediction from neighbours: left, above, and above plus left minus the one
  /// between them, whichever is in the middle. The first row has only a left neighbour.
  @inline(__always) private static func spatialDifference(
    _ samples: Bytes, _ stride: Int, _ residual: MutableBytes, _ magnitude: MutableBytes
  ) {
    var column = 0
    while column < 32 {
      let x = unsafe samples[column]
      let a = unsafe samples[column &- 1]
      unsafe residual[column] = x &- a
      unsafe magnitude[column] = max(x, a) &- min(x, a)
      column &+= 1
    }
    var row = 1
    while row < 8 {
      let line = unsafe samples + row &* stride
      let above = unsafe line - stride
      let r = unsafe residual + row &* 32
      let m = unsafe magnitude + row &* 32
      column = 0
      while column < 32 {
        let x = unsafe line[column]
        let a = unsafe line[column &- 1]
        let b = unsafe above[column]
        let c = unsafe above[column &- 1]
        let low = min(a, b)
        let high = max(a, b)
        // a + b - c clamped to low...high is a + b - (c clamped), and that never leaves 0...255.
        let p = a &+ b &- min(max(c, low), high)
        unsafe r[column] = x &- p
        unsafe m[column] = max(x, p) &- min(x, p)
        column &+= 1
      }
      row &+= 1
    }
  }

  /// Replaces residuals by their nearest multiple of `step`, in units of it, and the samples by what
  /// that decodes to.
  @inline(__always) private static func quantise(
    _ step: Int16, _ samples: MutableBytes, _ samplesStride: Int, _ prediction: Bytes, _ stride: Int,
    _ residual: MutableBytes, _ magnitude: MutableBytes
  ) {
    let half = step &>> 1
    // ceil(65536 / step): exact for numerators up to 259.
    let inverse = (65536 &+ Int32(step) &- 1) / Int32(step)
    var row = 0
    while row < 8 {
      let a = unsafe samples + row &* samplesStride
      let b = unsafe prediction + row &* stride
      let r = unsafe residual + row &* 32
      let m = unsafe magnitude + row &* 32
      var column = 0
      while column < 32 {
        let x = unsafe Int16(a[column])
        let y = unsafe Int16(b[column])
        let difference = x &- y
        let size = max(difference, 0 &- difference)
        let quotient = Int16(truncatingIfNeeded: (Int32(size &+ half) &* inverse) &>> 16)
        let signed = difference < 0 ? 0 &- quotient : quotient
        unsafe r[column] = UInt8(truncatingIfNeeded: signed)
        unsafe m[column] = UInt8(truncatingIfNeeded: quotient)
        unsafe a[column] = UInt8(truncatingIfNeeded: max(0, min(255, y &+ signed &* step)))
        column &+= 1
      }
      row &+= 1
    }
  }

  @inline(__always) private static func maximum(_ values: Bytes) -> UInt8 {
    var result: UInt8 = 0
    var index = 0
    while index < 256 {
      unsafe result = max(result, values[index])
      index &+= 1
    }
    return result
  }

  /// The sum of 256 bytes. As sixteen-bit numbers in 64-bit words, because a loop over bytes is turned into one
  /// over 32-bit numbers, at a fifth of the speed.
  @inline(__always) private static func total(_ values: Bytes) -> UInt32 {
    let raw = unsafe UnsafeRawPointer(values)
    let evenBytes = SIMD4<UInt64>(repeating: 0x00FF_00FF_00FF_00FF)
    var sums = SIMD4<UInt64>(repeating: 0)
    var index = 0
    while index < 256 {
      let words = unsafe raw.loadUnaligned(fromByteOffset: index, as: SIMD4<UInt64>.self)
      sums &+= (words & evenBytes) &+ (words &>> 8 & evenBytes)
      index &+= 32
    }
    let sum = sums[0] &+ sums[1] &+ sums[2] &+ sums[3]
    let pairs = (sum & 0x0000_FFFF_0000_FFFF) &+ (sum &>> 16 & 0x0000_FFFF_0000_FFFF)
    return UInt32(truncatingIfNeeded: pairs &+ pairs &>> 32)
  }

  /// A byte takes residuals from rows below each other: two with 4 bits, four with 2, the upper row
  /// lowest. Neighbours are alike, which the code of their byte profits from; and rows need no shuffles.
  @inline(__always) private static func pack(_ residual: Bytes, _ kind: UInt8, _ out: MutableBytes) {
    if kind == BlockClass.skip { return }
    if kind < BlockClass.firstOf4Bits {
      var row = 0
      while row < 2 {
        let from = unsafe residual + row &* 128
        let to = unsafe out + row &* 32
        var index = 0
        while index < 32 {
          let low = unsafe (from[index] &+ 2) | (from[index &+ 32] &+ 2) &<< 2
          let high = unsafe (from[index &+ 64] &+ 2) &<< 4 | (from[index &+ 96] &+ 2) &<< 6
          unsafe to[index] = low | high
          index &+= 1
        }
        row &+= 1
      }
    } else if kind < BlockClass.firstOf8Bits {
      var row = 0
      while row < 4 {
        let from = unsafe residual + row &* 64
        let to = unsafe out + row &* 32
        var index = 0
        while index < 32 {
          unsafe to[index] = (from[index] &+ 8) | (from[index &+ 32] &+ 8) &<< 4
          index &+= 1
        }
        row &+= 1
      }
    } else {
      unsafe out.update(from: residual, count: 256)
    }
  }

  @inline(__always) static func copyBlock(_ from: Bytes, _ fromStride: Int, _ to: MutableBytes, _ toStride: Int) {
    var row = 0
    while row < 8 {
      unsafe (to + row &* toStride).update(from: from + row &* fromStride, count: 32)
      row &+= 1
    }
  }

  /// Makes the reference what the next frame is predicted from.
  @inline(__always) static func update(
    _ mode: UInt8, _ shift: UInt16, _ samples: Bytes, _ samplesStride: Int, _ reference: MutableBytes,
    _ fraction: MutableBytes?, _ stride: Int
  ) {
    guard let fraction = unsafe fraction else {
      unsafe copyBlock(samples, samplesStride, reference, stride)
      return
    }
    if mode == BlockMode.average {
      var row = 0
      while row < 8 {
        let source = unsafe samples + row &* samplesStride
        let high = unsafe reference + row &* stride
        let low = unsafe fraction + row &* stride
        var column = 0
        while column < 32 {
          let old = unsafe UInt16(high[column]) &<< 8 | UInt16(low[column])
          let new = unsafe UInt16(source[column]) &<< 8 | 128
          let mean = old &- old &>> shift &+ new &>> shift
          unsafe high[column] = UInt8(truncatingIfNeeded: mean &>> 8)
          unsafe low[column] = UInt8(truncatingIfNeeded: mean)
          column &+= 1
        }
        row &+= 1
      }
    } else {
      unsafe copyBlock(samples, samplesStride, reference, stride)
      var row = 0
      while row < 8 {
        unsafe (fraction + row &* stride).update(repeating: 128, count: 32)
        row &+= 1
      }
    }
  }
}

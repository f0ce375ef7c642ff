/// The encoder's side of prediction: residuals, their energy, and their packed form.
extension Kernel {
  /// What an encoder decides once per frame.
  public struct Analysis {
    /// Blocks are predicted from the reference only where they must: it holds nothing.
    public var isKey = false
    /// Sums of magnitudes above this are worth the time to try spatial prediction.
    public var spatialThreshold: UInt32 = 0
    /// The reference moves 1/2^shift of the way to the block; 0 means it is always replaced.
    public var averageShift: UInt16 = 0
    /// Sums up to this are noise, and are averaged.
    public var averageThreshold: UInt32 = 0
    /// Residuals are multiples of this: 1, 3, 5, 7 or 9.
    public var step: Int16 = 1
    /// Magnitudes up to this are left out when a whole block has no larger one.
    public var gate: UInt8 = 0
    /// The largest magnitude that is packed in 4 bits, 2 to 7. Where noise hardly ever has larger ones, a code has less
    /// symbols to be prepared for.
    public var limitOf4Bits: UInt8 = 7

    public init() {}
  }

  /// Decides, packs and updates the reference for one unit.
  ///
  /// - Parameters:
  ///   - current: the unit's samples, `currentStride` apart, one readable sample before each row.
  ///     Changed where the analysis is not lossless to what a decoder will see.
  ///   - reference: prediction, block after block; becomes the prediction for the next frame.
  ///   - fraction: the low bytes of the reference, where it is an average.
  ///   - scratch: 1024 bytes.
  ///   - map: one byte per block.
  ///   - sums: one number per block: the energy left after prediction from the reference, at most 65,280.
  ///   - packed: room for 256 bytes per block.
  /// - Returns: bytes written to `packed`.
  public static func analyse(
    _ analysis: Analysis, current: MutableBytes, currentStride: Int, reference: MutableBytes,
    fraction: MutableBytes?, blocks: Int, scratch: MutableBytes, map: MutableBytes,
    sums: UnsafeMutablePointer<UInt16>, packed: MutableBytes
  ) -> Int {
    let residual = unsafe scratch
    let spatialResidual = unsafe scratch + 512
    let isExact = analysis.step == 1 && analysis.gate == 0
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
      let prediction = unsafe reference + block &* 256
      var energy: Energy
      if isExact {
        unsafe energy = difference(samples, currentStride, prediction, residual, limit: UInt64(analysis.limitOf4Bits))
      } else {
        unsafe energy = trueDifference(samples, currentStride, prediction, residual, scratch + 256)
      }
      unsafe sums[block] = UInt16(truncatingIfNeeded: energy.sum)
      if energy.largest <= analysis.gate {
        unsafe map[block] = BlockMode.replace | BlockClass.skip
        if energy.largest != 0 { unsafe copyBlock(prediction, 32, samples, currentStride) }
        block &+= 1
        continue
      }
      var mode = BlockMode.replace
      var chosen = unsafe residual
      if energy.sum > analysis.spatialThreshold || analysis.isKey {
        let spatial = unsafe spatialDifference(samples, currentStride, spatialResidual, scratch + 768)
        // By a third: what the reference predicts is packed tighter than its sum tells, and decoded much faster. By
        // a fifth where steps make that coarser: neighbours predict without.
        let isLess = analysis.step == 1 ? spatial.sum &* 3 < energy.sum &* 2 : spatial.sum &* 5 < energy.sum &* 4
        if spatial.largest <= 127 && isLess {
          mode = BlockMode.spatial
          unsafe chosen = spatialResidual
          energy = spatial
          if energy.largest > analysis.limitOf4Bits { energy.largest |= 8 }
        }
      }
      if mode == BlockMode.replace && analysis.step > 1 {
        unsafe energy = quantise(
          analysis.step, samples, currentStride, prediction, residual, scratch + 256)
      } else if mode == BlockMode.replace && energy.sum <= analysis.averageThreshold {
        mode = BlockMode.average
      }
      let kind = energy.largest == 0 ? BlockClass.skip : BlockClass.of(largest: energy.largest, sum: energy.sum)
      unsafe map[block] = mode | kind
      unsafe pack(chosen, kind, packed + written)
      written &+= BlockClass.packedBytes(kind)
      // A block of class skip that replaces is left alone, fraction and all.
      if unsafe map[block] == 0 {
        block &+= 1
        continue
      }
      unsafe update(
        mode, analysis.averageShift, samples, currentStride, prediction, fraction, block &* 256)
      block &+= 1
    }
    return written
  }

  /// What a block's residuals amount to: their largest magnitude, or a number that has the same highest
  /// bit, and the sum of all.
  private struct Energy {
    var largest: UInt8
    var sum: UInt32
  }

  /// `residual = samples - prediction`, modulo 256, and the energy of that: where a difference wraps, the
  /// magnitude is that of what is sent.
  @inline(__always) private static func difference(
    _ samples: Bytes, _ samplesStride: Int, _ prediction: Bytes, _ residual: MutableBytes, limit: UInt64
  ) -> Energy {
    // Has a magnitude's highest bit set where that is above the limit.
    let beyond = each(127 &- limit)
    var excess = Words(repeating: 0)
    let evenBytes = Words(repeating: 0x00FF_00FF_00FF_00FF)
    let ones = each(1)
    var sums = Words(repeating: 0)
    var bits = Words(repeating: 0)
    var a = unsafe samples
    var b = unsafe prediction
    var line = 0
    while line < 256 {
      let difference = unsafe row(a) &- row(b)
      unsafe store(difference, residual + line)
      // Bytes with their highest bit set are negated: all their bits turned, and 1 added.
      let word = asWords(difference)
      let signs = word &>> 7 & ones
      let magnitude = (word ^ (signs &<< 8 &- signs)) &+ signs
      bits |= magnitude
      excess |= magnitude &+ beyond
      sums &+= (magnitude & evenBytes) &+ (magnitude &>> 8 & evenBytes)
      unsafe a += samplesStride
      unsafe b += 32
      line &+= 32
    }
    return Energy(largest: folded(bits) | (folded(excess) &>> 4 & 8), sum: total(sums))
  }

  /// All bytes or-ed together: its highest bit is that of the largest.
  @inline(__always) private static func folded(_ words: Words) -> UInt8 {
    var word = words[0] | words[1] | words[2] | words[3]
    word |= word &>> 32
    word |= word &>> 16
    word |= word &>> 8
    return UInt8(truncatingIfNeeded: word)
  }

  /// The sum of sixteen numbers of 16 bits.
  @inline(__always) private static func total(_ sums: Words) -> UInt32 {
    let sum = sums[0] &+ sums[1] &+ sums[2] &+ sums[3]
    let pairs = (sum & 0x0000_FFFF_0000_FFFF) &+ (sum &>> 16 & 0x0000_FFFF_0000_FFFF)
    return UInt32(truncatingIfNeeded: pairs &+ pairs &>> 32)
  }

  /// The sum and the largest of 256 magnitudes.
  @inline(__always) private static func energy(_ magnitude: Bytes) -> Energy {
    var largest: UInt8 = 0
    var index = 0
    while index < 256 {
      unsafe largest = max(largest, magnitude[index])
      index &+= 1
    }
    let evenBytes = Words(repeating: 0x00FF_00FF_00FF_00FF)
    var sums = Words(repeating: 0)
    index = 0
    while index < 256 {
      let eight = unsafe words(magnitude + index)
      sums &+= (eight & evenBytes) &+ (eight &>> 8 & evenBytes)
      index &+= 32
    }
    return Energy(largest: largest, sum: total(sums))
  }

  /// As ``difference(_:_:_:_:_:)``, but with the distance of sample and prediction as magnitude, wrapped or not.
  @inline(__always) private static func trueDifference(
    _ samples: Bytes, _ samplesStride: Int, _ prediction: Bytes, _ residual: MutableBytes,
    _ magnitude: MutableBytes
  ) -> Energy {
    var row = 0
    while row < 8 {
      let a = unsafe samples + row &* samplesStride
      let b = unsafe prediction + row &* 32
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
    return unsafe energy(magnitude)
  }

  /// The same for the prediction from neighbours: left, above, and above plus left minus the one
  /// between them, whichever is in the middle. The first row has only a left neighbour.
  @inline(__always) private static func spatialDifference(
    _ samples: Bytes, _ stride: Int, _ residual: MutableBytes, _ magnitude: MutableBytes
  ) -> Energy {
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
    return unsafe energy(magnitude)
  }

  /// Replaces residuals by their nearest multiple of `step`, in units of it, and the samples by what
  /// that decodes to.
  @inline(__always) private static func quantise(
    _ step: Int16, _ samples: MutableBytes, _ samplesStride: Int, _ prediction: Bytes,
    _ residual: MutableBytes, _ magnitude: MutableBytes
  ) -> Energy {
    let half = step &>> 1
    // ceil(65536 / step): exact for numerators up to 259.
    let inverse = (65536 &+ Int32(step) &- 1) / Int32(step)
    var row = 0
    while row < 8 {
      let a = unsafe samples + row &* samplesStride
      let b = unsafe prediction + row &* 32
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
    return unsafe energy(magnitude)
  }

  /// A byte takes residuals from rows below each other: two with 4 bits, four with 2, the upper row
  /// lowest. Neighbours are alike, which the code of their byte profits from; and rows need no shuffles.
  @inline(__always) private static func pack(_ residual: Bytes, _ kind: UInt8, _ out: MutableBytes) {
    if kind == BlockClass.skip { return }
    if kind < BlockClass.firstOf4Bits {
      var half = 0
      while half < 2 {
        let from = unsafe residual + half &* 128
        let first = unsafe offset(from, 2) | offset(from + 32, 2) &<< 2
        let second = unsafe offset(from + 64, 2) &<< 4 | offset(from + 96, 2) &<< 6
        unsafe store(first | second, out + half &* 32)
        half &+= 1
      }
    } else if kind < BlockClass.firstOf8Bits {
      var pair = 0
      while pair < 4 {
        let from = unsafe residual + pair &* 64
        unsafe store(offset(from, 8) | offset(from + 32, 8) &<< 4, out + pair &* 32)
        pair &+= 1
      }
    } else {
      var line = 0
      while line < 256 {
        unsafe store(row(residual + line), out + line)
        line &+= 32
      }
    }
  }

  /// A row of residuals with `value` added, none of which is negative then.
  @inline(__always) private static func offset(_ residual: Bytes, _ value: UInt8) -> Words {
    unsafe asWords(row(residual) &+ Row(repeating: value))
  }

  @inline(__always) static func copyBlock(_ from: Bytes, _ fromStride: Int, _ to: MutableBytes, _ toStride: Int) {
    var line = 0
    while line < 8 {
      unsafe store(row(from + line &* fromStride), to + line &* toStride)
      line &+= 1
    }
  }

  /// Makes the reference what the next frame is predicted from. The block begins `at` bytes behind `fraction`.
  @inline(__always) static func update(
    _ mode: UInt8, _ shift: UInt16, _ samples: Bytes, _ samplesStride: Int, _ reference: MutableBytes,
    _ fraction: MutableBytes?, _ at: Int
  ) {
    guard let fraction = unsafe fraction else {
      unsafe copyBlock(samples, samplesStride, reference, 32)
      return
    }
    let low = unsafe fraction + at
    if mode == BlockMode.average {
      if shift == usualShift {
        unsafe average(usualShift, samples, samplesStride, reference, low)
      } else {
        unsafe average(shift, samples, samplesStride, reference, low)
      }
    } else {
      unsafe copyBlock(samples, samplesStride, reference, 32)
      let middle = Row(repeating: 128)
      var line = 0
      while line < 8 {
        unsafe store(middle, low + line &* 32)
        line &+= 1
      }
    }
  }

  /// Moves a block of the reference towards the samples.
  @inline(__always) private static func average(
    _ shift: UInt16, _ samples: Bytes, _ samplesStride: Int, _ reference: MutableBytes, _ fraction: MutableBytes
  ) {
    var line = 0
    while line < 8 {
      unsafe average(shift, row(samples + line &* samplesStride), reference + line &* 32, fraction + line &* 32)
      line &+= 1
    }
  }

  /// The same for one row, even columns apart from odd ones.
  @inline(__always) static func average(
    _ shift: UInt16, _ samples: Row, _ reference: MutableBytes, _ fraction: MutableBytes
  ) {
    typealias Numbers = SIMD16<UInt16>
    let lowBytes = Numbers(repeating: 0x00FF)
    let highBytes = Numbers(repeating: 0xFF00)
    let half = Numbers(repeating: 0x0080)
    let by = Numbers(repeating: shift)
    let source = unsafe unsafeBitCast(samples, to: Numbers.self)
    let high = unsafe UnsafeRawPointer(reference).loadUnaligned(as: Numbers.self)
    let low = unsafe UnsafeRawPointer(fraction).loadUnaligned(as: Numbers.self)
    let oldEven = high &<< 8 | low & lowBytes
    let oldOdd = high & highBytes | low &>> 8
    let even = oldEven &- oldEven &>> by &+ (source &<< 8 | half) &>> by
    let odd = oldOdd &- oldOdd &>> by &+ (source & highBytes | half) &>> by
    unsafe UnsafeMutableRawPointer(reference).storeBytes(of: even &>> 8 | odd & highBytes, as: Numbers.self)
    unsafe UnsafeMutableRawPointer(fraction).storeBytes(of: even & lowBytes | odd &<< 8, as: Numbers.self)
  }
}

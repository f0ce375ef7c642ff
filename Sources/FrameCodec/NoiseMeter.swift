internal import FrameKernels

/// Measures a camera's noise from how much blocks differ from their prediction, and sets the next
/// frame's analysis accordingly.
///
/// The measure is a low quantile of the luma blocks' energies, blocks where nothing moved, and of
/// four frames in a row the least: a sensor is never quiet, a decoder's output is most of the time.
struct NoiseMeter {
  /// Sum of 256 magnitudes in a block of noise alone, in the last frames; none before the first predicted one.
  private var recent: [UInt32] = []
  private var isAveraging = false
  private var averageShift: UInt16 = 2

  private static let memory = 4

  private var quiet: UInt32? { recent.min() }

  mutating func adapt(_ analysis: inout Kernel.Analysis, averages: Bool) {
    guard let quiet, !analysis.isKey else { return }
    // A clean source is cheaper to predict from the very last picture. An average has 0.7 of the noise
    // of that; the two thresholds keep it from switching back and forth.
    isAveraging = averages && recent.count == Self.memory && quiet > (isAveraging ? 60 : 100)
    if isAveraging {
      analysis.averageShift = averageShift
      analysis.averageThreshold = quiet * 2 / 1
      // 4 sigma and more: of such a block there is one in some dozens, and it loses next to nothing.
      analysis.limitOf4Bits = UInt8(min(7, (quiet * 4 + 128) / 256 + 2))
    }
    // Noise is no better predicted from neighbours that have it too. A clean source may be.
    analysis.spatialThreshold = isAveraging ? quiet * 7 / 4 : quiet / 2
  }

  /// The largest change that is likely noise: 3 sigma, from 2 up, 12 at most.
  var gate: UInt8 {
    // The mean magnitude of a difference of two pictures is 1.13 sigma.
    guard let quiet else { return 2 }
    return UInt8(max(2, min(12, quiet * 4 / 256)))
  }

  /// Takes the energies of a predicted frame's luma blocks; returns what noise alone has.
  mutating func measure(_ energies: [UInt16]) -> UInt16 {
    var counts: [1024 of UInt32] = .init(repeating: 0)
    for energy in energies { counts[min(1023, Int(energy >> 4))] &+= 1 }
    var seen = 0
    var index = 0
    while true {
      seen &+= Int(counts[index])
      if index == 1023 || seen &* 4 >= energies.count { break }
      index &+= 1
    }
    if recent.count == Self.memory { recent.removeFirst() }
    recent.append(UInt32(index) * 16)
    return max(BlockActivity.leastNoise, UInt16(truncatingIfNeeded: quiet ?? 0))
  }
}

import Alarms
import EdgeCore

/// What the coder measures of a camera at rest, ten times a second, and of things that move before it; from a seed.
struct Scene {
  static let columns = 10
  static let rows = 30
  var detector: MotionDetector
  var now = Instant.zero
  var random: SeededRandom
  /// Standard deviation of the sensor's noise, in steps of brightness.
  var sigma: Double = 2
  var events: [MotionDetector.Event] = []

  init(_ settings: MotionDetector.Settings = .init(), seed: UInt64 = 1) {
    detector = MotionDetector(settings)
    random = SeededRandom(seed: seed)
  }

  /// Of a normal distribution: the sum of twelve.
  private mutating func normal() -> Double {
    var sum = 0.0
    for _ in 0..<3 {
      let word = random.next()
      for shift in [0, 16, 32, 48] { sum += Double(word >> shift & 0xFFFF) / 65536 }
    }
    return sum - 6
  }

  /// `moving` blocks differ by `by` more per sample; `light` is a difference of all.
  mutating func pictures(_ count: Int, moving: [(column: Int, row: Int)] = [], by step: Double = 10, light: Double = 0)
  {
    for _ in 0..<count {
      // The difference of two pictures of a block of 256 samples: mean 1.128 sigma each.
      let mean = 256 * 1.128 * sigma
      var energies: [UInt16] = []
      for _ in 0..<Self.columns * Self.rows {
        energies.append(UInt16(max(0, mean + 16 * 0.853 * sigma * normal() + 256 * light)))
      }
      for block in moving { energies[block.row * Self.columns + block.column] &+= UInt16(256 * step) }
      let noise = UInt16(max(64, mean * 0.97))
      if let event = detector.see(columns: Self.columns, rows: Self.rows, energies: energies, noise: noise, at: now) {
        events.append(event)
      }
      now = now + .milliseconds(100)
    }
  }

  /// Two blocks wide, `height` high.
  static func thing(_ column: Int, _ row: Int, height: Int = 3) -> [(column: Int, row: Int)] {
    (0..<height).flatMap { [(column, row + $0), (column + 1, row + $0)] }
  }

  var begins: Int { events.reduce(0) { if case .began = $1 { $0 + 1 } else { $0 } } }
}

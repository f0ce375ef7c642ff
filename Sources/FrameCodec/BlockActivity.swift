/// How far every block of a picture is from what the pictures before it predict: by noise alone where nothing
/// moves, by more where something does. A by-product of encoding, for motion detection.
///
/// Blocks are of luma (of green in RGB, of the low bytes in Y16), ``blockWidth`` by ``blockHeight`` samples, those at
/// the right and bottom edge filled up with the last sample. The grid shares its storage with the
/// encoder: reading it allocates nothing, keeping it beyond the next frame costs a copy of ``energies``.
public struct BlockActivity: Hashable, Sendable {
  /// Samples of a block from left to right.
  public static let blockWidth = PlaneLayout.blockWidth
  /// Samples of a block from top to bottom.
  public static let blockHeight = PlaneLayout.blockHeight

  /// Blocks from left to right.
  public let columns: Int
  /// Blocks from top to bottom.
  public let rows: Int
  /// Row by row, the sum of the magnitudes of a block's 256 differences, 0 to 65,280.
  public internal(set) var energies: [UInt16]
  /// The energy of a block in which only noise differs, measured over the last four predicted frames: the least of
  /// their lower quartiles. At least ``leastNoise``, which a source without noise has.
  public internal(set) var noise: UInt16

  /// A quarter of a step per sample.
  public static let leastNoise: UInt16 = 64

  init(columns: Int, rows: Int) {
    self.columns = columns
    self.rows = rows
    energies = [UInt16](repeating: 0, count: columns * rows)
    noise = Self.leastNoise
  }

  /// The energy of a block in sixteenths of ``noise``: about 16 where nothing moves.
  public func level(column: Int, row: Int) -> Int { Int(energies[row * columns + column]) * 16 / Int(noise) }
}

internal import Picture

/// How the samples of a picture are cut into planes, block rows and bands
/// (docs/frame-format.md, "Planes, bands, units, blocks").
struct PlaneLayout {
  /// Samples of a block: 32 wide, 8 high.
  static let blockWidth = 32
  static let blockHeight = 8
  static let blockSamples = 256

  struct Plane {
    let width: Int
    let height: Int
    /// ``width`` rounded up to whole blocks.
    let stride: Int
    let blocksAcross: Int
    let blockRows: Int
    /// Where its stripe begins in a band buffer, in samples, margin included.
    let stripeOffset: Int
    /// Rows of the plane in a band: 8 or 16.
    let rowsPerBand: Int

    /// Samples from row to row in a band buffer, which has a margin on the left of every row, so
    /// that the sample before the first may be read.
    var stripeStride: Int { stride + PlaneLayout.blockWidth }
  }

  /// One block row of one plane: what parts are made of.
  struct Unit {
    let plane: Int
    let row: Int
    let band: Int
    /// Blocks of the picture before this unit.
    let firstBlock: Int
  }

  let planes: [Plane]
  let units: [Unit]
  /// `bands[n]..<bands[n + 1]` are the units of band n.
  let bands: [Int]
  let blockCount: Int
  /// Samples of a band buffer.
  let bandSamples: Int

  var bandCount: Int { bands.count - 1 }
  /// Samples of all planes in the reference.
  var sampleCount: Int { blockCount * Self.blockSamples }

  init(_ format: PictureFormat) {
    let sources = format.planes
    let bandHeight = sources.allSatisfy { $0.height == format.height } ? 8 : 16
    var planes: [Plane] = []
    var stripe = 0
    for source in sources {
      let across = (source.width + 31) / 32
      let down = (source.height + 7) / 8
      let plane = Plane(
        width: source.width, height: source.height, stride: across * 32, blocksAcross: across, blockRows: down,
        stripeOffset: stripe + 32, rowsPerBand: bandHeight * source.height / format.height)
      planes.append(plane)
      stripe += plane.stripeStride * plane.rowsPerBand
    }
    var units: [Unit] = []
    var bands: [Int] = []
    var blocks = 0
    for band in 0..<(format.height + bandHeight - 1) / bandHeight {
      bands.append(units.count)
      for (index, plane) in planes.enumerated() {
        let first = band * plane.rowsPerBand / 8
        for row in first..<min(first + plane.rowsPerBand / 8, plane.blockRows) {
          units.append(Unit(plane: index, row: row, band: band, firstBlock: blocks))
          blocks += plane.blocksAcross
        }
      }
    }
    bands.append(units.count)
    self.planes = planes
    self.units = units
    self.bands = bands
    blockCount = blocks
    bandSamples = stripe
  }

  /// Blocks of the picture before unit `index`, which may be one past the last.
  func firstBlock(ofUnit index: Int) -> Int { index < units.count ? units[index].firstBlock : blockCount }

  /// Where the rows of a unit begin in a band buffer.
  func stripeOffset(_ unit: Unit) -> Int {
    let plane = planes[unit.plane]
    return plane.stripeOffset + (unit.row * 8 - unit.band * plane.rowsPerBand) * plane.stripeStride
  }

  /// Where the blocks of a unit begin in the reference, which has block after block in the order they are worked on.
  func referenceOffset(_ unit: Unit) -> Int { unit.firstBlock * Self.blockSamples }
}

/// Bytes that are freed with their owner, never moved, and at least `count` long.
@safe final class ByteStore {
  let start: UnsafeMutablePointer<UInt8>
  let count: Int

  init(count: Int, filledWith value: UInt8) {
    self.count = count
    unsafe start = UnsafeMutablePointer<UInt8>.allocate(capacity: max(count, 1))
    unsafe start.initialize(repeating: value, count: max(count, 1))
  }

  /// Memory is touched when first written, so an upper bound costs nothing.
  init(uninitialized count: Int) {
    self.count = count
    unsafe start = UnsafeMutablePointer<UInt8>.allocate(capacity: max(count, 1))
  }

  func fill(_ value: UInt8) { unsafe start.update(repeating: value, count: count) }

  deinit { unsafe start.deallocate() }
}

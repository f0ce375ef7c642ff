internal import EdgeCore
internal import FrameKernels
internal import Picture

/// Encodes raw pictures into parts (docs/frame-format.md).
///
/// Works through a picture band by band. The blocks of a band are predicted and packed as soon as
/// it is split into planes; when the blocks waiting make about as much as a part may hold, they are
/// Huffman-coded and leave as one.
struct PlaneEncoder: ~Copyable {
  private let layout: PlaneLayout
  private let format: PictureFormat
  private let kernels: Kernels
  private let mover: BandMover
  private let band: ByteStore
  private let reference: ByteStore
  /// Low bytes of the reference while it is an average.
  private let fraction: ByteStore
  private var wasAveraging = false
  private let map: ByteStore
  private let packed: ByteStore
  private let scratch: ByteStore
  private var sums: [UInt16]
  private var writer: PartWriter
  private var noise = NoiseMeter()
  /// Of the last frame, if that was a predicted one.
  private(set) var activity: BlockActivity

  init(format: PictureFormat, instructions: InstructionSet) {
    let kernels = Kernels(instructions)
    let layout = PlaneLayout(format)
    self.format = format
    self.layout = layout
    self.kernels = kernels
    mover = BandMover(format: format, layout: layout, kernels: kernels)
    band = ByteStore(count: layout.bandSamples, filledWith: 0)
    reference = ByteStore(count: layout.sampleCount, filledWith: 128)
    fraction = ByteStore(uninitialized: layout.sampleCount)
    map = ByteStore(uninitialized: layout.blockCount)
    packed = ByteStore(uninitialized: layout.blockCount * PlaneLayout.blockSamples)
    scratch = ByteStore(count: 1024, filledWith: 0)
    sums = [UInt16](repeating: 0, count: layout.blockCount)
    writer = PartWriter(layout: layout, kernels: kernels)
    activity = BlockActivity(columns: layout.planes[0].blocksAcross, rows: layout.planes[0].blockRows)
  }

  /// One frame. Sets the header's promises and its checksum.
  mutating func encode(_ picture: RawSpan, _ frame: FrameHeader, _ quality: FrameQuality) -> [[UInt8]] {
    let analysis = begin(quality, isKey: frame.isKey)
    var header = PartHeader(frame: frame, partIndex: 0, partCount: 1)
    let isExact = analysis.step == 1 && analysis.gate == 0
    header.frame.isExact = isExact
    header.frame.maximumError = maximumError(analysis, quality)
    header.averageShift = UInt8(analysis.averageShift)
    header.step = UInt8(analysis.step)
    // The difference of two inexact planes would be twice as inexact.
    header.isDecorrelated = isExact && (format.pixelFormat == .rgb24 || format.pixelFormat == .bgr24)

    var messages: [[UInt8]] = []
    var checksum = Adler32(kernels)
    unsafe picture.withUnsafeBytes { buffer in
      let source = unsafe buffer.baseAddress!.assumingMemoryBound(to: UInt8.self)
      if isExact {
        unsafe messages = run(source, header, analysis, rebuilt: nil, &checksum)
        if mover.bytes(0) == nil { checksum.append(picture) }
      } else {
        let rebuilt = ByteStore(uninitialized: format.byteCount)
        unsafe messages = run(source, header, analysis, rebuilt: rebuilt.start, &checksum)
        if mover.bytes(0) == nil { unsafe checksum.append(Kernel.Bytes(rebuilt.start), rebuilt.count) }
      }
    }
    header.frame.checksum = checksum.value
    header.partCount = messages.count
    for index in messages.indices {
      header.partIndex = index
      header.overwrite(&messages[index])
    }
    // A key frame is not predicted from a picture: its residuals say nothing of noise.
    if !frame.isKey {
      for unit in layout.units where unit.plane == 0 {
        let start = unit.row * activity.columns
        for column in 0..<activity.columns { activity.energies[start + column] = sums[unit.firstBlock + column] }
      }
      activity.noise = noise.measure(activity.energies)
    }
    writer.frameEnded(isKey: frame.isKey)
    return messages
  }

  private mutating func begin(_ quality: FrameQuality, isKey: Bool) -> Kernel.Analysis {
    var analysis = Kernel.Analysis()
    analysis.isKey = isKey
    switch quality {
    case .lossless: noise.adapt(&analysis, averages: format.pixelFormat != .y16)
    case .maximumError(let error):
      noise.adapt(&analysis, averages: false)
      analysis.step = Int16(2 * max(0, min(FrameQuality.largestError, error)) + 1)
    case .gate:
      noise.adapt(&analysis, averages: false)
      analysis.gate = noise.gate
    }
    if isKey { reference.fill(128) }
    let averages = analysis.averageShift > 0
    if averages && (isKey || !wasAveraging) { fraction.fill(128) }
    wasAveraging = averages
    return analysis
  }

  private func maximumError(_ analysis: Kernel.Analysis, _ quality: FrameQuality) -> UInt8 {
    max(UInt8(analysis.step >> 1), analysis.gate)
  }

  /// Analyses and writes the whole picture. Sums up bands that are one piece of it, while they are at hand.
  private mutating func run(
    _ picture: Kernel.Bytes, _ header: PartHeader, _ analysis: Kernel.Analysis, rebuilt: Kernel.MutableBytes?,
    _ checksum: inout Adler32
  ) -> [[UInt8]] {
    var messages: [[UInt8]] = []
    // Units analysed and not yet in a part, and where their packed bytes begin.
    var first = 0
    let limit = analysis.averageShift > 0 ? Int(analysis.limitOf4Bits) : nil
    var packedStart = 0
    var packedEnd = 0
    for bandIndex in 0..<layout.bandCount {
      unsafe mover.load(bandIndex, of: picture, into: band.start, decorrelated: header.isDecorrelated)
      let start = layout.bands[bandIndex]
      let end = layout.bands[bandIndex + 1]
      for unit in start..<end {
        unsafe packedEnd += analyse(layout.units[unit], analysis, packed.start + packedEnd)
      }
      if let rebuilt = unsafe rebuilt {
        unsafe mover.store(bandIndex, of: rebuilt, from: band.start, decorrelated: false)
      }
      if let bytes = mover.bytes(bandIndex) {
        unsafe checksum.append((rebuilt.map { unsafe Kernel.Bytes($0) } ?? picture) + bytes.lowerBound, bytes.count)
      }
      // Parts end where bands do, unless a band alone is too much for one.
      if first < start && !writer.fits(map, units: first..<end) {
        emit(&first, start, header, limit, &packedStart, &messages)
      }
      if bandIndex == layout.bandCount - 1 || !writer.fits(map, units: first..<end) {
        emit(&first, end, header, limit, &packedStart, &messages)
      }
      if first == end {
        packedStart = 0
        packedEnd = 0
      }
    }
    return messages
  }

  /// Writes units `first..<end` as one part, or as more where the estimate was wrong.
  private mutating func emit(
    _ first: inout Int, _ end: Int, _ header: PartHeader, _ limit: Int?, _ packedStart: inout Int,
    _ messages: inout [[UInt8]]
  ) {
    while first < end {
      let part = unsafe writer.write(
        units: first..<end, header: header, limit: limit, map: UnsafePointer(map.start),
        packed: UnsafePointer(packed.start + packedStart))
      messages.append(part.message)
      packedStart += part.packedBytes
      first = part.endUnit
    }
  }

  private mutating func analyse(
    _ unit: PlaneLayout.Unit, _ analysis: Kernel.Analysis, _ out: Kernel.MutableBytes
  ) -> Int {
    let plane = layout.planes[unit.plane]
    let at = layout.referenceOffset(unit)
    var analysis = analysis
    // The high byte of a 16-bit sample has no error that is small.
    if format.pixelFormat == .y16 && unit.plane == 1 {
      analysis.step = 1
      analysis.gate = 0
    }
    let averages = analysis.averageShift > 0
    return unsafe sums.withUnsafeMutableBufferPointer { sums in
      unsafe kernels.analyse(
        analysis, current: band.start + layout.stripeOffset(unit), currentStride: plane.stripeStride,
        reference: reference.start + at, fraction: averages ? fraction.start + at : nil,
        blocks: plane.blocksAcross, scratch: scratch.start, map: map.start + unit.firstBlock,
        sums: sums.baseAddress! + unit.firstBlock, packed: out)
    }
  }
}

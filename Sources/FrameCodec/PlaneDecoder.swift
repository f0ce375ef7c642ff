internal import EdgeCore
internal import FrameKernels
internal import Picture

/// Rebuilds raw pictures from parts (docs/frame-format.md). Holds the reference and the picture
/// being put together.
struct PlaneDecoder: ~Copyable {
  let format: PictureFormat
  private let layout: PlaneLayout
  private let kernels: Kernels
  private let mover: BandMover
  private let band: ByteStore
  /// Band buffers of the bands whose units come in more than one part.
  private var spill = ByteStore(uninitialized: 0)
  private let reference: ByteStore
  private let fraction: ByteStore
  private var wasAveraging = false
  private let scratch = ByteStore(count: 512, filledWith: 0)
  private var reader: PartReader
  private var unitIsDone: [Bool]
  private var unitsMissing = 0
  private var unitsMissingInBand: [Int] = []
  private var picture: [UInt8] = []
  /// Of the bytes of the first bands of the picture, up to `summedBytes`.
  private var checksum: Adler32
  private var summedBytes = 0

  init(format: PictureFormat, instructions: InstructionSet) {
    let kernels = Kernels(instructions)
    let layout = PlaneLayout(format)
    self.format = format
    self.layout = layout
    self.kernels = kernels
    mover = BandMover(format: format, layout: layout, kernels: kernels)
    band = ByteStore(count: layout.bandSamples, filledWith: 0)
    checksum = Adler32(kernels)
    reference = ByteStore(count: layout.sampleCount, filledWith: 128)
    fraction = ByteStore(uninitialized: layout.sampleCount)
    reader = PartReader(blockCount: layout.blockCount, kernels: kernels)
    unitIsDone = Array(repeating: false, count: layout.units.count)
  }

  /// Prepares for the parts of a frame with this header.
  mutating func begin(_ header: PartHeader) {
    if header.frame.isKey { reference.fill(128) }
    let averages = header.averageShift > 0
    if averages && (header.frame.isKey || !wasAveraging) { fraction.fill(128) }
    wasAveraging = averages
    for index in unitIsDone.indices { unitIsDone[index] = false }
    unitsMissing = layout.units.count
    unitsMissingInBand = (0..<layout.bandCount).map { layout.bands[$0 + 1] - layout.bands[$0] }
    checksum = Adler32(kernels)
    summedBytes = 0
    picture = unsafe [UInt8](unsafeUninitializedCapacity: format.byteCount) { $1 = format.byteCount }
  }

  /// Decodes one part. An error leaves the frame, and the reference with it, of no use.
  mutating func decode(_ part: RawSpan, _ header: PartHeader) throws(FrameError) {
    let (body, entries, stream) = try Self.cut(part)
    let end = body.firstUnit + body.unitCount
    guard body.unitCount > 0, end <= layout.units.count else { throw .malformed(.rows) }
    for unit in body.firstUnit..<end {
      guard !unitIsDone[unit] else { throw .malformed(.rows) }
      unitIsDone[unit] = true
    }
    unitsMissing -= body.unitCount
    let firstBlock = layout.firstBlock(ofUnit: body.firstUnit)
    let blocks = layout.firstBlock(ofUnit: end) - firstBlock
    try reader.read(part.extracting(entries), part.extracting(stream), blocks: blocks)

    var cursors = reader.classStarts
    var unit = body.firstUnit
    while unit < end {
      let bandIndex = layout.units[unit].band
      let bandEnd = min(end, layout.bands[bandIndex + 1])
      let isWhole = unit == layout.bands[bandIndex] && bandEnd == layout.bands[bandIndex + 1]
      let buffer = unsafe isWhole ? band.start : spilled(bandIndex)
      for index in unit..<bandEnd {
        unsafe synthesise(layout.units[index], header, buffer, firstBlock, &cursors)
      }
      unitsMissingInBand[bandIndex] -= bandEnd - unit
      if unitsMissingInBand[bandIndex] == 0 {
        unsafe store(bandIndex, buffer, decorrelated: header.isDecorrelated)
      }
      unit = bandEnd
    }
  }

  private mutating func store(_ band: Int, _ buffer: Kernel.MutableBytes, decorrelated: Bool) {
    unsafe picture.withUnsafeMutableBufferPointer { picture in
      unsafe mover.store(band, of: picture.baseAddress!, from: buffer, decorrelated: decorrelated)
    }
    // Summed up while it is at hand.
    if let bytes = mover.bytes(band), bytes.lowerBound == summedBytes {
      addToChecksum(bytes)
      summedBytes = bytes.upperBound
    }
  }

  private mutating func addToChecksum(_ bytes: Range<Int>) {
    var sum = checksum
    unsafe sum.append(picture.span.bytes.extracting(bytes))
    checksum = sum
  }

  /// The whole picture, checked; called when all parts came.
  mutating func finish(_ header: PartHeader) throws(FrameError) -> [UInt8] {
    guard unitsMissing == 0 else { throw .malformed(.rows) }
    addToChecksum(summedBytes..<picture.count)
    guard checksum.value == header.frame.checksum else {
      throw .checksumMismatch(sequence: header.frame.sequence)
    }
    let result = picture
    picture = []
    return result
  }

  private mutating func spilled(_ band: Int) -> Kernel.MutableBytes {
    if spill.count == 0 { spill = ByteStore(uninitialized: layout.bandSamples * layout.bandCount) }
    return unsafe spill.start + band * layout.bandSamples
  }

  private func synthesise(
    _ unit: PlaneLayout.Unit, _ header: PartHeader, _ buffer: Kernel.MutableBytes, _ firstBlock: Int,
    _ cursors: inout [Int]
  ) {
    let plane = layout.planes[unit.plane]
    let at = layout.referenceOffset(unit)
    let isHighByte = format.pixelFormat == .y16 && unit.plane == 1
    unsafe cursors.withUnsafeMutableBufferPointer { cursors in
      unsafe kernels.synthesise(
        step: isHighByte ? 1 : Int16(header.step), averageShift: UInt16(header.averageShift),
        current: buffer + layout.stripeOffset(unit), currentStride: plane.stripeStride,
        reference: reference.start + at, fraction: header.averageShift > 0 ? fraction.start + at : nil,
        blocks: plane.blocksAcross, scratch: scratch.start,
        map: reader.bytes + (unit.firstBlock - firstBlock), packed: reader.bytes, cursors: cursors.baseAddress!)
    }
  }

  private static func cut(
    _ part: RawSpan
  ) throws(FrameError) -> (body: PartBody, entries: Range<Int>, stream: Range<Int>) {
    var reader = ByteReader(part)
    let body: PartBody
    do throws(ShortRead) {
      try reader.skip(PartHeader.byteCount)
      body = try PartBody(
        firstUnit: Int(reader.readUInt16()), unitCount: Int(reader.readUInt16()),
        entryBytes: Int(reader.readUInt16()))
      try reader.skip(2)
      let entries = reader.offset..<reader.offset + body.entryBytes
      try reader.skip(body.entryBytes)
      return (body, entries, reader.offset..<part.byteCount)
    } catch {
      throw .truncated(offset: error.offset, wanted: error.wanted)
    }
  }
}

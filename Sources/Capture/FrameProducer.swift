import EdgeCore
import LinuxIO
import Picture

/// What runs on a source's thread, one kind for each source.
protocol FrameProducer: AnyObject {
  func open() throws(CaptureProblem) -> CaptureFormat
  /// Waits for one frame and lends it to `body`, unless woken before.
  func next(_ wakeUp: WakeUp, _ body: (FrameInfo, RawSpan) -> Void) throws(CaptureProblem) -> ProducerStep
  func close()
}

enum ProducerStep: Hashable {
  case frame
  case bad(BadFrame)
  /// Woken, or nothing of interest.
  case nothing
  case ended
}

/// A camera, reopened from nothing each time.
final class CameraProducer: FrameProducer {
  private let request: CaptureRequest
  private let openDevice: () throws(CaptureProblem) -> CameraDevice
  private let stallLimit: Duration
  private var device: CameraDevice?
  private var lastSign = Instant.zero

  /// A camera that says nothing for `stallLimit` is stalled: exposure of minutes is not what this is for.
  init(
    request: CaptureRequest, stallLimit: Duration = .seconds(5),
    openDevice: @escaping () throws(CaptureProblem) -> CameraDevice
  ) {
    self.request = request
    self.stallLimit = stallLimit
    self.openDevice = openDevice
  }

  func open() throws(CaptureProblem) -> CaptureFormat {
    let device = try openDevice()
    let format = try device.configure(request)
    try device.start()
    self.device = device
    lastSign = MonotonicClock.now
    return format
  }

  func next(_ wakeUp: WakeUp, _ body: (FrameInfo, RawSpan) -> Void) throws(CaptureProblem) -> ProducerStep {
    guard let device else { return .nothing }
    let left = lastSign + stallLimit - MonotonicClock.now
    guard left > .zero else { throw .stalled(milliseconds: Int(stallLimit.wholeMilliseconds)) }
    let step = try device.nextFrame(
      milliseconds: Int32(clamping: left.wholeMilliseconds + 1), wake: wakeUp.descriptor, body)
    switch step {
    case .frame:
      lastSign = MonotonicClock.now
      return .frame
    case .bad(let frame):
      lastSign = MonotonicClock.now
      return .bad(frame)
    case .timedOut, .woken, .nothing:
      return .nothing
    }
  }

  func close() {
    device?.stop()
    device = nil
  }
}

/// When the frames of a made-up source are due.
struct Pacer {
  private var start: Instant
  private let rateNumerator: Int64
  private let rateDenominator: Int64
  /// The number of the next frame.
  private(set) var number: Int64 = 0

  /// Frames per second as a fraction, both positive.
  init(start: Instant, rateNumerator: Int, rateDenominator: Int) {
    self.start = start
    self.rateNumerator = Int64(max(1, rateNumerator))
    self.rateDenominator = Int64(max(1, rateDenominator))
  }

  var due: Instant { start + .nanoseconds(offset(number)) }

  mutating func advance() { number += 1 }

  /// Frames overdue by more than `tolerance` of them are passed over, as a camera's full buffers would; returns how many.
  mutating func skip(now: Instant, tolerance: Int64) -> Int64 {
    let lag = (now - due).wholeNanoseconds
    let behind = Int64(clamping: Int(Double(lag) / 1e9 * Double(rateNumerator) / Double(rateDenominator)))
    guard behind > tolerance else { return 0 }
    number += behind
    return behind
  }

  /// Starts counting anew, for a source that loses nothing but its timing.
  mutating func restart(at now: Instant) {
    start = now
    number = 0
  }

  private func offset(_ number: Int64) -> Int64 {
    // In two steps, which keeps hours of frames within 64 bits for any rate.
    let (seconds, rest) = (number * rateDenominator).quotientAndRemainder(dividingBy: rateNumerator)
    return seconds * 1_000_000_000 + Int64(Double(rest) * 1e9 / Double(rateNumerator))
  }
}

/// The built-in moving picture.
final class TestCardProducer: FrameProducer {
  private let format: PictureFormat
  private let framesPerSecond: Int
  private var card: TestCard?
  private var pacer = Pacer(start: .zero, rateNumerator: 1, rateDenominator: 1)

  /// As many frames as a camera's driver has buffers.
  private static let tolerance: Int64 = 4

  init(format: PictureFormat, framesPerSecond: Int) {
    self.format = format
    self.framesPerSecond = min(max(1, framesPerSecond), 1000)
  }

  func open() throws(CaptureProblem) -> CaptureFormat {
    guard let card = TestCard(format: format) else {
      throw .unsupportedFormat(wanted: format.pixelFormat.name, offered: Negotiation.rawNames)
    }
    self.card = card
    pacer = Pacer(start: MonotonicClock.now, rateNumerator: framesPerSecond, rateDenominator: 1)
    return CaptureFormat(picture: format, rateNumerator: framesPerSecond, rateDenominator: 1)
  }

  func next(_ wakeUp: WakeUp, _ body: (FrameInfo, RawSpan) -> Void) -> ProducerStep {
    guard let card, !wakeUp.wait(until: pacer.due) else { return .nothing }
    let now = MonotonicClock.now
    let missed = pacer.skip(now: now, tolerance: Self.tolerance)
    let number = UInt32(truncatingIfNeeded: pacer.number)
    pacer.advance()
    let picture = card.picture(number)
    body(
      FrameInfo(format: format, sequence: number, missed: UInt32(clamping: missed), captured: now), picture.span.bytes)
    return .frame
  }

  func close() { card = nil }
}

/// A file of pictures, every one of them, at a steady rate.
final class FileProducer: FrameProducer {
  private let path: String
  private let loop: Bool
  private let framesPerSecond: Int?
  private let size: (width: Int, height: Int)?
  private var file: InputFile?
  private var reader = Y4MReader()
  /// In the place of `reader`, for JPEG and H.264.
  private var compressed: CompressedReader?
  private var format: PictureFormat?
  private var pending: [UInt8]?
  private var pacer = Pacer(start: .zero, rateNumerator: 1, rateDenominator: 1)
  private var sequence: UInt32 = 0

  private static let chunkBytes = 64 << 10
  /// Behind by more than this, the file goes on from there instead of catching up in a burst.
  private static let lagLimit = Duration.seconds(1)

  init(path: String, loop: Bool, width: Int? = nil, height: Int? = nil, framesPerSecond: Int?) {
    size = width.flatMap { width in height.map { (width, $0) } }
    self.path = path
    self.loop = loop
    self.framesPerSecond = framesPerSecond.map { min(max(1, $0), 1000) }
  }

  func open() throws(CaptureProblem) -> CaptureFormat {
    sequence = 0
    try rewind()
    pending = try read()
    guard let pending else { throw .badFile("no picture in it: give a y4m (YUV4MPEG2), MJPEG or H.264 file") }
    let own = reader.header.map { ($0.rateNumerator, $0.rateDenominator) } ?? (25, 1)
    let rate = framesPerSecond.map { ($0, 1) } ?? own
    let format: PictureFormat
    if let known = reader.header?.format { format = known } else { format = try compressedFormat(pending) }
    self.format = format
    pacer = Pacer(start: MonotonicClock.now, rateNumerator: rate.0, rateDenominator: rate.1)
    return CaptureFormat(picture: format, rateNumerator: rate.0, rateDenominator: rate.1)
  }

  func next(_ wakeUp: WakeUp, _ body: (FrameInfo, RawSpan) -> Void) throws(CaptureProblem) -> ProducerStep {
    if pending == nil { pending = try read() }
    if pending == nil, loop {
      try rewind()
      pending = try read()
    }
    // Another file may lie there by now.
    guard let picture = pending, let format = reader.header?.format ?? format else { return .ended }
    guard !wakeUp.wait(until: pacer.due) else { return .nothing }
    let now = MonotonicClock.now
    if now - pacer.due > Self.lagLimit { pacer.restart(at: now) }
    pacer.advance()
    pending = nil
    body(FrameInfo(format: format, sequence: sequence, missed: 0, captured: now), picture.span.bytes)
    sequence &+= 1
    return .frame
  }

  func close() {
    file = nil
    pending = nil
    reader = Y4MReader()
    compressed = nil
  }

  private func compressedFormat(_ picture: [UInt8]) throws(CaptureProblem) -> PictureFormat {
    let kind = compressed?.kind ?? .mjpeg
    guard let size = kind == .mjpeg ? CompressedReader.jpegSize(picture) : size else {
      throw .badFile("H.264 does not tell here how large it is: set the camera's size")
    }
    guard let format = PictureFormat(width: size.width, height: size.height, pixelFormat: kind) else {
      throw .unsupportedSize(width: size.width, height: size.height)
    }
    return format
  }

  private func rewind() throws(CaptureProblem) {
    do throws(FileError) {
      file = try InputFile(path)
    } catch {
      throw CaptureProblem(error)
    }
    reader = Y4MReader()
    compressed = nil
  }

  /// The next picture; `nil` at the end. A picture cut off by the end is dropped.
  private func read() throws(CaptureProblem) -> [UInt8]? {
    guard let file else { return nil }
    var isEnd = false
    var isFirst = reader.header == nil && reader.bufferedBytes == 0 && compressed == nil
    while true {
      if let picture = try parse(isEnd: isEnd) { return picture }
      if isEnd { return nil }
      let bytes: [UInt8]
      do throws(FileError) {
        bytes = try file.read(maxBytes: Self.chunkBytes)
      } catch {
        throw CaptureProblem(error)
      }
      isEnd = bytes.isEmpty
      if isFirst { compressed = CompressedReader.kind(of: bytes).map { CompressedReader($0) } }
      isFirst = false
      if compressed == nil { reader.feed(bytes) } else { compressed?.feed(bytes) }
    }
  }

  private func parse(isEnd: Bool) throws(CaptureProblem) -> [UInt8]? {
    if compressed != nil {
      do throws(CompressedReader.Failure) {
        return try compressed?.next(isEnd: isEnd)
      } catch {
        throw .badFile("damaged: what follows a picture is none")
      }
    }
    do throws(Y4MError) {
      return try reader.nextFrame()
    } catch {
      throw .badFile(error.words)
    }
  }
}

extension CaptureProblem {
  init(_ error: FileError) {
    switch error.kind {
    case .notFound: self = .missing
    case .notAllowed: self = .notAllowed
    case .system(let error): self = .driver(error)
    default: self = .badFile("not a file of pictures: give a y4m (YUV4MPEG2), MJPEG or H.264 file")
    }
  }
}

extension Y4MError {
  var words: String {
    switch self {
    case .notY4M: "not a y4m (YUV4MPEG2), MJPEG or H.264 file"
    case .malformedHeader: "its first line is damaged"
    case .unsupported:
      "a size or colour layout that is not supported: convert it to C420jpeg, C422 or Cmono, progressive"
    case .malformedFrame: "damaged: a picture does not begin where it should"
    }
  }
}

extension Negotiation {
  /// Layouts that are not compressed.
  static var rawNames: [String] { preference.filter { !$0.isCompressed }.map { $0.name } }
}

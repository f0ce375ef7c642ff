import CLinux
import EdgeCore
import LinuxIO
public import Picture

/// An open V4L2 camera, streamed from by memory mapping (V4L2 API, "Streaming I/O (Memory Mapping)").
///
/// Belongs to one thread. Single-planar API, and the multi-planar one with a single memory plane where the driver has
/// only that.
public final class CameraDevice {
  /// What the driver says it is.
  public struct Identity: Hashable, Sendable {
    public var driver: String
    public var card: String
    public var bus: String
  }

  /// What ``nextFrame(milliseconds:wake:_:)`` found.
  public enum Next: Hashable, Sendable {
    /// The closure was called.
    case frame
    case bad(BadFrame)
    /// Nothing in the time given.
    case timedOut
    case woken
    /// Something happened that was no frame; wait again.
    case nothing
  }

  private struct Buffer {
    var start: UnsafeMutableRawPointer
    var length: Int
  }

  public let identity: Identity
  /// Set by ``configure(_:)``.
  public internal(set) var format: CaptureFormat?
  /// Distance from row to row the driver uses, in bytes; 0 for a compressed format.
  public internal(set) var bytesPerLine = 0

  /// The source of a digital input when the format was agreed on.
  var signal: Signal?
  var isSubscribed = false

  let driver: any VideoDriver
  let isMultiplanar: Bool
  private var buffers: [Buffer] = []
  private var isStreaming = false
  var expectedBytes = 0
  private var lastSequence: UInt32?
  private var lostInARow: UInt32 = 0

  /// Buffers the driver fills while one is being read.
  static let bufferCount: UInt32 = 4
  static let maxOffers: UInt32 = 256

  public convenience init(path: String) throws(CaptureProblem) {
    let driver: KernelVideoDriver
    do throws(SystemError) {
      driver = try KernelVideoDriver(path: path)
    } catch {
      throw CaptureProblem(opening: error)
    }
    try self.init(driver: driver)
  }

  init(driver: any VideoDriver) throws(CaptureProblem) {
    self.driver = driver
    var capability = v4l2_capability()
    let code = driver.request(.capabilities, &capability)
    // Anything else under that name: a disk, a terminal.
    guard code == 0 else { throw code == ENODEV ? .unplugged : .notACamera }
    let hasOwn = capability.capabilities & Capability.deviceCapabilities != 0
    let flags = hasOwn ? capability.device_caps : capability.capabilities
    let isSingle = flags & Capability.capture != 0
    guard isSingle || flags & Capability.captureMultiplanar != 0, flags & Capability.streaming != 0 else {
      throw .notACamera
    }
    isMultiplanar = !isSingle
    identity = Identity(
      driver: Self.text(&capability.driver), card: Self.text(&capability.card), bus: Self.text(&capability.bus_info))
  }

  deinit { stop() }

  // MARK: What it offers

  /// The layouts offered, the driver's order; those this program cannot use are left out.
  public func pixelFormats() -> [PixelFormat] {
    var formats: [PixelFormat] = []
    for code in fourCCs() {
      if let format = PixelFormat(code), !formats.contains(format) { formats.append(format) }
    }
    return formats
  }

  /// The driver's names of all layouts offered.
  public func formatNames() -> [String] { fourCCs().map { $0.description } }

  func fourCCs() -> [FourCC] {
    var codes: [FourCC] = []
    for index in 0..<Self.maxOffers {
      var description = v4l2_fmtdesc()
      description.index = index
      description.type = bufferType
      guard driver.request(.enumerateFormats, &description) == 0 else { break }
      codes.append(FourCC(description.pixelformat))
    }
    return codes
  }

  func sizes(_ code: FourCC) -> [SizeOffer] {
    var offers: [SizeOffer] = []
    for index in 0..<Self.maxOffers {
      var size = v4l2_frmsizeenum()
      size.index = index
      size.pixel_format = code.value
      guard driver.request(.enumerateSizes, &size) == 0 else { break }
      if size.type == V4L2_FRMSIZE_TYPE_DISCRETE.rawValue {
        offers.append(SizeOffer(width: Int(size.discrete.width), height: Int(size.discrete.height)))
      } else {
        let range = size.stepwise
        offers.append(
          SizeOffer(
            minimum: (Int(range.min_width), Int(range.min_height)),
            maximum: (Int(range.max_width), Int(range.max_height)),
            step: (Int(range.step_width), Int(range.step_height))))
        break
      }
    }
    return offers
  }

  func intervals(_ code: FourCC, width: Int, height: Int) -> [FrameInterval] {
    var offers: [FrameInterval] = []
    for index in 0..<Self.maxOffers {
      var interval = v4l2_frmivalenum()
      interval.index = index
      interval.pixel_format = code.value
      interval.width = UInt32(clamping: width)
      interval.height = UInt32(clamping: height)
      // Of a range the driver picks what it can do near the wish.
      guard driver.request(.enumerateRates, &interval) == 0,
        interval.type == V4L2_FRMIVAL_TYPE_DISCRETE.rawValue
      else { break }
      offers.append(
        FrameInterval(numerator: interval.discrete.numerator, denominator: interval.discrete.denominator))
    }
    return offers
  }

  // MARK: Streaming

  /// Makes the driver fill buffers. ``configure(_:)`` comes first.
  public func start() throws(CaptureProblem) {
    precondition(format != nil, "configure comes before start")
    do throws(CaptureProblem) {
      try confirmSignal()
      try mapBuffers()
      for index in buffers.indices { try queue(UInt32(index)) }
      var type = bufferType
      let code = driver.request(.streamOn, &type)
      guard code == 0 else { throw CaptureProblem("VIDIOC_STREAMON", errno: code) }
      isStreaming = true
      lastSequence = nil
      lostInARow = 0
    } catch {
      stop()
      throw error
    }
  }

  /// Stops the stream and gives the buffers back. Does nothing twice.
  public func stop() {
    if isStreaming {
      var type = bufferType
      _ = driver.request(.streamOff, &type)
      isStreaming = false
    }
    guard !buffers.isEmpty else { return }
    for buffer in buffers { driver.unmap(buffer.start, length: buffer.length) }
    buffers = []
    var request = v4l2_requestbuffers()
    request.type = bufferType
    request.memory = V4L2_MEMORY_MMAP.rawValue
    _ = driver.request(.requestBuffers, &request)
  }

  /// Waits for a frame and lends its bytes, rows tight, to `body`.
  public func nextFrame(
    milliseconds: Int32, wake: Int32, _ body: (FrameInfo, RawSpan) -> Void
  ) throws(CaptureProblem) -> Next {
    switch driver.wait(milliseconds: milliseconds, wake: wake) {
    case .woken: return .woken
    case .timedOut: return .timedOut
    case .event: if sourceHasChanged() { throw .sourceChanged }
    case .ready: break
    }
    var plane = v4l2_plane()
    var buffer = v4l2_buffer()
    let code = withBuffer(&buffer, &plane) { driver.request(.dequeue, $0) }
    switch code {
    case 0: lostInARow = 0
    case EAGAIN: return .nothing
    case EIO:
      // "The driver might dequeue an (empty) buffer despite returning an error": when all may be gone, nothing comes
      // any more.
      lostInARow += 1
      guard lostInARow < Self.bufferCount else { throw .onlyBadFrames }
      return .bad(.lost)
    default: throw CaptureProblem("VIDIOC_DQBUF", errno: code)
    }
    guard Int(buffer.index) < buffers.count else {
      throw .driver(SystemError(call: "VIDIOC_DQBUF", errno: EPROTO))
    }
    let result = deliver(buffer, bytesUsed: Int(isMultiplanar ? plane.bytesused : buffer.bytesused), body)
    try queue(buffer.index)
    return result
  }

  private func deliver(_ buffer: v4l2_buffer, bytesUsed: Int, _ body: (FrameInfo, RawSpan) -> Void) -> Next {
    guard let picture = format?.picture else { return .nothing }
    // Counted for bad frames too: they are reported as such, not as missed.
    let missed = lastSequence.map { buffer.sequence &- $0 &- 1 } ?? 0
    lastSequence = buffer.sequence
    if buffer.flags & BufferFlag.error != 0 { return .bad(.damaged) }
    let memory = buffers[Int(buffer.index)]
    let used = min(bytesUsed, memory.length)
    guard used >= expectedBytes else { return .bad(.short(bytes: used, expected: expectedBytes)) }
    let stamp = Self.stamp(buffer)
    var info = FrameInfo(
      format: picture, sequence: buffer.sequence,
      // A driver that does not count, or starts over, has not missed billions.
      missed: missed < 1 << 16 ? missed : 0, captured: stamp ?? MonotonicClock.now)
    info.isStamped = stamp != nil
    let bytes = UnsafeRawBufferPointer(start: memory.start, count: used).bytes
    if picture.pixelFormat.isCompressed {
      guard picture.pixelFormat == .h264 ? H264.isAccessUnit(bytes) : JPEG.isPicture(bytes) else {
        return .bad(.notCompressed)
      }
      body(info, bytes)
    } else if bytesPerLine > picture.rowBytes {
      guard let tight = picture.removingPadding(from: bytes, bytesPerLine: bytesPerLine) else {
        return .bad(.short(bytes: used, expected: expectedBytes))
      }
      body(info, tight.span.bytes)
    } else {
      body(info, bytes.extracting(0..<picture.byteCount))
    }
    return .frame
  }

  /// How far a driver's stamp may be ahead: one that reckons when a picture is due instead of reading the clock hands it
  /// over up to a tick of the kernel (100 Hz) before.
  private static let longestLead: Int64 = 10_000_000

  /// The driver's time stamp when it is one of the monotonic clock, which stands still in a suspend.
  private static func stamp(_ buffer: v4l2_buffer) -> Instant? {
    let now = MonotonicClock.now
    guard buffer.flags & BufferFlag.timestampMask == BufferFlag.timestampMonotonic else { return nil }
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    let monotonic = Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    let (seconds, overflow) = Int64(buffer.timestamp.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
    let age = monotonic &- (seconds &+ Int64(buffer.timestamp.tv_usec) &* 1000)
    guard !overflow, age >= -longestLead, age < 10_000_000_000 else { return nil }
    return Instant(nanoseconds: now.nanoseconds - max(0, age))
  }

  private func mapBuffers() throws(CaptureProblem) {
    var request = v4l2_requestbuffers()
    request.count = Self.bufferCount
    request.type = bufferType
    request.memory = V4L2_MEMORY_MMAP.rawValue
    let code = driver.request(.requestBuffers, &request)
    guard code == 0 else { throw CaptureProblem("VIDIOC_REQBUFS", errno: code) }
    guard (1...32).contains(request.count) else { throw .driver(SystemError(call: "VIDIOC_REQBUFS", errno: ENOMEM)) }
    for index in 0..<request.count {
      var plane = v4l2_plane()
      var buffer = v4l2_buffer()
      buffer.index = index
      let code = withBuffer(&buffer, &plane) { driver.request(.queryBuffer, $0) }
      guard code == 0 else { throw CaptureProblem("VIDIOC_QUERYBUF", errno: code) }
      let length = Int(isMultiplanar ? plane.length : buffer.length)
      let offset = Int(isMultiplanar ? plane.m.mem_offset : buffer.m.offset)
      guard length > 0, let start = driver.map(offset: offset, length: length) else {
        throw .driver(SystemError(call: "mmap", errno: ENOMEM))
      }
      buffers.append(Buffer(start: start, length: length))
    }
  }

  private func queue(_ index: UInt32) throws(CaptureProblem) {
    var plane = v4l2_plane()
    var buffer = v4l2_buffer()
    buffer.index = index
    let code = withBuffer(&buffer, &plane) { driver.request(.queue, $0) }
    guard code == 0 else { throw CaptureProblem("VIDIOC_QBUF", errno: code) }
  }

  /// Fills in what every buffer request has in common.
  private func withBuffer(
    _ buffer: inout v4l2_buffer, _ plane: inout v4l2_plane, _ body: (UnsafeMutableRawPointer) -> Int32
  ) -> Int32 {
    buffer.type = bufferType
    buffer.memory = V4L2_MEMORY_MMAP.rawValue
    return withUnsafeMutablePointer(to: &plane) { planes in
      if isMultiplanar {
        buffer.m.planes = planes
        buffer.length = 1
      }
      return withUnsafeMutablePointer(to: &buffer) { body(UnsafeMutableRawPointer($0)) }
    }
  }

  var bufferType: UInt32 {
    isMultiplanar ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE.rawValue : V4L2_BUF_TYPE_VIDEO_CAPTURE.rawValue
  }

  /// A fixed field of the driver's, up to its zero.
  private static func text<Field>(_ field: inout Field) -> String {
    withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  /// linux/videodev2.h.
  enum Capability {
    static let capture: UInt32 = 0x1
    static let captureMultiplanar: UInt32 = 0x1000
    static let streaming: UInt32 = 0x0400_0000
    static let deviceCapabilities: UInt32 = 0x8000_0000
    static let timePerFrame: UInt32 = 0x1000
  }

  private enum BufferFlag {
    static let error: UInt32 = 0x40
    static let timestampMask: UInt32 = 0xE000
    static let timestampMonotonic: UInt32 = 0x2000
  }
}

enum JPEG {
  /// Begins with the start-of-image marker. What follows is the viewer's to judge.
  static func isPicture(_ bytes: RawSpan) -> Bool {
    guard bytes.byteCount >= 4 else { return false }
    return bytes.withUnsafeBytes { $0[0] == 0xFF && $0[1] == 0xD8 && $0[2] == 0xFF }
  }
}

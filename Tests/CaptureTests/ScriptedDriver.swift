import CLinux
import Foundation
import Picture

@testable import Capture

/// A V4L2 driver played from a script.
final class ScriptedDriver: VideoDriver {
  struct Frame {
    var bytes: [UInt8]
    /// What the driver claims to have filled; its own count by default.
    var bytesUsed: Int?
    var sequence: UInt32
    var flags: UInt32 = 0
    /// Microseconds from the driver's time stamp on the monotonic clock to when the picture is handed over; without it
    /// the stamp is 0.
    var age: Int64?
    /// Refusal of VIDIOC_DQBUF instead of a frame.
    var errno: Int32 = 0
    /// What a V4L2_EVENT_SOURCE_CHANGE says instead of a frame.
    var changes: UInt32?
  }

  struct Mode {
    var code: String
    var sizes: [(Int, Int)] = [(640, 480)]
    var stepwise: (minimum: (Int, Int), maximum: (Int, Int), step: (Int, Int))?
    /// Frames per second.
    var rates: [UInt32] = [30, 15]
    /// Bytes a row is longer than it needs to be.
    var padding = 0
    var bytesPerPixel = 2
    /// Bytes of a buffer; computed when 0.
    var bufferBytes = 0
  }

  var capabilities: UInt32 = 0x0420_0001
  var deviceCapabilities: UInt32?
  var modes: [Mode] = [Mode(code: "YUYV")]
  /// Refusals by request.
  var refusals: [VideoRequest: Int32] = [:]
  /// What the driver makes of a wish, whatever it is.
  var forcedSize: (Int, Int)?
  var frames: [Frame] = []
  /// When the frames are over: `true` makes the driver wait, `false` says there is an error waiting.
  var isSilentAtEnd = true
  var planeCount: UInt8 = 1
  var knowsRates = true

  struct Control {
    var id: UInt32
    var name: String
    var type: UInt32 = 1
    var flags: UInt32 = 0
    var value: Int32 = 0
  }

  var controls: [Control] = []
  /// What comes in at a digital input, from one look to the next; without any it is a webcam.
  var signals: [(Int, Int)] = []
  /// Refusal of VIDIOC_QUERY_DV_TIMINGS.
  var signalError: Int32 = 0
  var input: UInt32 = 0
  private(set) var subscribed: UInt32?

  private(set) var isStreaming = false
  private(set) var mapped = 0
  private(set) var log: [VideoRequest] = []
  private(set) var format = v4l2_pix_format()
  private(set) var rate = v4l2_fract(numerator: 1, denominator: 30)
  private var memory: [UnsafeMutableRawPointer] = []
  private var queued: [UInt32] = []

  deinit { for start in memory { start.deallocate() } }

  var isMultiplanar: Bool { (deviceCapabilities ?? capabilities) & 0x1 == 0 }
  var queuedCount: Int { queued.count }

  private var bufferBytes: Int {
    guard let mode = mode(format.pixelformat) else { return 0 }
    return mode.bufferBytes > 0 ? mode.bufferBytes : Int(format.bytesperline) * Int(format.height) * 2
  }

  func request(_ request: VideoRequest, _ argument: UnsafeMutableRawPointer) -> Int32 {
    log.append(request)
    if let code = refusals[request] { return code }
    switch request {
    case .capabilities: describe(argument.assumingMemoryBound(to: v4l2_capability.self))
    case .enumerateFormats:
      let description = argument.assumingMemoryBound(to: v4l2_fmtdesc.self)
      guard Int(description.pointee.index) < modes.count else { return EINVAL }
      description.pointee.pixelformat = code(modes[Int(description.pointee.index)])
    case .enumerateSizes: return enumerate(argument.assumingMemoryBound(to: v4l2_frmsizeenum.self))
    case .enumerateRates:
      let interval = argument.assumingMemoryBound(to: v4l2_frmivalenum.self)
      guard let rates = mode(interval.pointee.pixel_format)?.rates, Int(interval.pointee.index) < rates.count else {
        return EINVAL
      }
      interval.pointee.type = V4L2_FRMIVAL_TYPE_DISCRETE.rawValue
      interval.pointee.discrete = v4l2_fract(numerator: 1, denominator: rates[Int(interval.pointee.index)])
    case .setFormat: return setFormat(argument.assumingMemoryBound(to: v4l2_format.self))
    case .rate, .setRate:
      guard knowsRates else { return ENOTTY }
      let parameters = argument.assumingMemoryBound(to: v4l2_streamparm.self)
      if request == .setRate { rate = parameters.pointee.parm.capture.timeperframe }
      parameters.pointee.parm.capture.capability = 0x1000
      parameters.pointee.parm.capture.timeperframe = rate
    case .requestBuffers:
      let count = argument.assumingMemoryBound(to: v4l2_requestbuffers.self).pointee.count
      for start in memory { start.deallocate() }
      memory = (0..<count).map { _ in .allocate(byteCount: bufferBytes, alignment: 16) }
      queued = []
    case .queryBuffer:
      let buffer = argument.assumingMemoryBound(to: v4l2_buffer.self)
      if isMultiplanar {
        buffer.pointee.m.planes[0].length = UInt32(bufferBytes)
        buffer.pointee.m.planes[0].m.mem_offset = buffer.pointee.index << 24
      } else {
        buffer.pointee.length = UInt32(bufferBytes)
        buffer.pointee.m.offset = buffer.pointee.index << 24
      }
    case .queue: queued.append(argument.assumingMemoryBound(to: v4l2_buffer.self).pointee.index)
    case .dequeue: return dequeue(argument.assumingMemoryBound(to: v4l2_buffer.self))
    case .streamOn: isStreaming = true
    case .streamOff: isStreaming = false
    case .input: argument.storeBytes(of: input, as: UInt32.self)
    case .subscribeEvent:
      let subscription = argument.assumingMemoryBound(to: v4l2_event_subscription.self).pointee
      guard subscription.type == 5, subscription.id == input else { return EINVAL }
      subscribed = subscription.id
    case .dequeueEvent:
      guard subscribed != nil, let changes = frames.first?.changes else { return ENOENT }
      frames.removeFirst()
      let event = argument.assumingMemoryBound(to: v4l2_event.self)
      event.pointee.type = 5
      event.pointee.u.src_change.changes = changes
    case .queryTimings:
      guard signalError == 0 else { return signalError }
      guard let signal = signals.first else { return ENOTTY }
      if signals.count > 1 { signals.removeFirst() }
      let timings = argument.assumingMemoryBound(to: v4l2_dv_timings.self)
      timings.pointee.bt.width = UInt32(signal.0)
      timings.pointee.bt.height = UInt32(signal.1)
    case .setTimings:
      let timings = argument.assumingMemoryBound(to: v4l2_dv_timings.self).pointee
      forcedSize = (Int(timings.bt.width), Int(timings.bt.height))
    case .queryControl: return describe(argument.assumingMemoryBound(to: v4l2_queryctrl.self))
    case .control:
      let control = argument.assumingMemoryBound(to: v4l2_control.self)
      guard let known = controls.first(where: { $0.id == control.pointee.id }) else { return EINVAL }
      control.pointee.value = known.value
    case .setControl:
      let control = argument.assumingMemoryBound(to: v4l2_control.self)
      guard let index = controls.firstIndex(where: { $0.id == control.pointee.id }) else { return EINVAL }
      controls[index].value = control.pointee.value
    }
    return 0
  }

  func map(offset: Int, length: Int) -> UnsafeMutableRawPointer? {
    mapped += 1
    return memory[offset >> 24]
  }

  func unmap(_ start: UnsafeMutableRawPointer, length: Int) { mapped -= 1 }

  func wait(milliseconds: Int32, wake: Int32) -> VideoWait {
    if frames.first?.changes != nil { return .event }
    if !frames.isEmpty || !isSilentAtEnd { return .ready }
    var polled = pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
    return poll(&polled, 1, milliseconds) > 0 ? .woken : .timedOut
  }

  /// The first control after the number given (V4L2_CTRL_FLAG_NEXT_CTRL).
  private func describe(_ query: UnsafeMutablePointer<v4l2_queryctrl>) -> Int32 {
    let last = query.pointee.id & 0x7FFF_FFFF
    guard let next = controls.first(where: { $0.id > last }) else { return EINVAL }
    query.pointee.id = next.id
    query.pointee.type = next.type
    query.pointee.flags = next.flags
    query.pointee.maximum = 255
    query.pointee.step = 1
    query.pointee.default_value = 128
    withUnsafeMutableBytes(of: &query.pointee.name) { $0.copyBytes(from: next.name.utf8) }
    return 0
  }

  private func describe(_ capability: UnsafeMutablePointer<v4l2_capability>) {
    capability.pointee.capabilities = capabilities
    if let deviceCapabilities {
      capability.pointee.capabilities |= 0x8000_0000
      capability.pointee.device_caps = deviceCapabilities
    }
    withUnsafeMutableBytes(of: &capability.pointee.driver) { $0.copyBytes(from: "script".utf8) }
    withUnsafeMutableBytes(of: &capability.pointee.card) { $0.copyBytes(from: "Scripted camera".utf8) }
    withUnsafeMutableBytes(of: &capability.pointee.bus_info) { $0.copyBytes(from: "usb-1".utf8) }
  }

  private func enumerate(_ size: UnsafeMutablePointer<v4l2_frmsizeenum>) -> Int32 {
    guard let mode = mode(size.pointee.pixel_format) else { return EINVAL }
    if let range = mode.stepwise {
      guard size.pointee.index == 0 else { return EINVAL }
      size.pointee.type = V4L2_FRMSIZE_TYPE_STEPWISE.rawValue
      size.pointee.stepwise = v4l2_frmsize_stepwise(
        min_width: UInt32(range.minimum.0), max_width: UInt32(range.maximum.0), step_width: UInt32(range.step.0),
        min_height: UInt32(range.minimum.1), max_height: UInt32(range.maximum.1), step_height: UInt32(range.step.1))
      return 0
    }
    guard Int(size.pointee.index) < mode.sizes.count else { return EINVAL }
    let offer = mode.sizes[Int(size.pointee.index)]
    size.pointee.type = V4L2_FRMSIZE_TYPE_DISCRETE.rawValue
    size.pointee.discrete = v4l2_frmsize_discrete(width: UInt32(offer.0), height: UInt32(offer.1))
    return 0
  }

  private func setFormat(_ wish: UnsafeMutablePointer<v4l2_format>) -> Int32 {
    let isMulti = wish.pointee.type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE.rawValue
    guard isMulti == isMultiplanar else { return EINVAL }
    var wanted = wish.pointee.fmt.pix
    if isMulti {
      wanted.width = wish.pointee.fmt.pix_mp.width
      wanted.height = wish.pointee.fmt.pix_mp.height
      wanted.pixelformat = wish.pointee.fmt.pix_mp.pixelformat
    }
    guard let mode = mode(wanted.pixelformat) ?? modes.first else { return EINVAL }
    let size = forcedSize ?? (Int(wanted.width), Int(wanted.height))
    format.pixelformat = code(mode)
    format.width = UInt32(size.0)
    format.height = UInt32(size.1)
    format.bytesperline = UInt32(size.0 * mode.bytesPerPixel + mode.padding)
    if isMulti {
      wish.pointee.fmt.pix_mp.width = format.width
      wish.pointee.fmt.pix_mp.height = format.height
      wish.pointee.fmt.pix_mp.pixelformat = format.pixelformat
      wish.pointee.fmt.pix_mp.num_planes = planeCount
      wish.pointee.fmt.pix_mp.plane_fmt.0.bytesperline = format.bytesperline
    } else {
      wish.pointee.fmt.pix = format
    }
    return 0
  }

  private func dequeue(_ buffer: UnsafeMutablePointer<v4l2_buffer>) -> Int32 {
    guard !frames.isEmpty else { return isSilentAtEnd ? EAGAIN : ENODEV }
    if frames[0].changes != nil { return EAGAIN }
    let frame = frames.removeFirst()
    if frame.errno != 0 { return frame.errno }
    guard !queued.isEmpty else { return EIO }
    let index = queued.removeFirst()
    memory[Int(index)].copyMemory(from: frame.bytes, byteCount: min(frame.bytes.count, bufferBytes))
    buffer.pointee.index = index
    buffer.pointee.sequence = frame.sequence
    if let age = frame.age {
      var time = timespec()
      clock_gettime(CLOCK_MONOTONIC, &time)
      let stamp = Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000 - age
      buffer.pointee.timestamp.tv_sec = time_t(stamp / 1_000_000)
      buffer.pointee.timestamp.tv_usec = suseconds_t(stamp % 1_000_000)
    }
    buffer.pointee.flags = frame.flags
    let used = UInt32(frame.bytesUsed ?? frame.bytes.count)
    if isMultiplanar { buffer.pointee.m.planes[0].bytesused = used } else { buffer.pointee.bytesused = used }
    return 0
  }

  private func code(_ mode: Mode) -> UInt32 {
    mode.code.utf8.enumerated().reduce(0) { $0 | UInt32($1.element) << UInt32(8 * $1.offset) }
  }

  private func mode(_ wanted: UInt32) -> Mode? { modes.first { code($0) == wanted } }
}

import CLinux
import LinuxIO

/// The V4L2 requests used here.
enum VideoRequest: Hashable {
  case capabilities, enumerateFormats, enumerateSizes, enumerateRates, setFormat, rate, setRate
  case requestBuffers, queryBuffer, queue, dequeue, streamOn, streamOff
  case queryControl, control, setControl
  case input, subscribeEvent, dequeueEvent, queryTimings, setTimings

  var number: UInt {
    switch self {
    case .capabilities: edge_vidioc_querycap
    case .enumerateFormats: edge_vidioc_enum_fmt
    case .enumerateSizes: edge_vidioc_enum_framesizes
    case .enumerateRates: edge_vidioc_enum_frameintervals
    case .setFormat: edge_vidioc_s_fmt
    case .rate: edge_vidioc_g_parm
    case .setRate: edge_vidioc_s_parm
    case .requestBuffers: edge_vidioc_reqbufs
    case .queryBuffer: edge_vidioc_querybuf
    case .queue: edge_vidioc_qbuf
    case .dequeue: edge_vidioc_dqbuf
    case .streamOn: edge_vidioc_streamon
    case .streamOff: edge_vidioc_streamoff
    case .queryControl: edge_vidioc_queryctrl
    case .control: edge_vidioc_g_ctrl
    case .setControl: edge_vidioc_s_ctrl
    case .input: edge_vidioc_g_input
    case .subscribeEvent: edge_vidioc_subscribe_event
    case .dequeueEvent: edge_vidioc_dqevent
    case .queryTimings: edge_vidioc_query_dv_timings
    case .setTimings: edge_vidioc_s_dv_timings
    }
  }
}

enum VideoWait: Hashable {
  /// A buffer may be taken, or an error is to be had by trying to.
  case ready
  /// The driver has an event to tell, and perhaps a buffer too.
  case event
  /// The wake-up descriptor was written to.
  case woken
  case timedOut
}

/// The kernel's side of an open video device, so that tests can play any driver.
protocol VideoDriver: AnyObject {
  /// 0, or the `errno` of the refusal.
  func request(_ request: VideoRequest, _ argument: UnsafeMutableRawPointer) -> Int32
  /// `nil` when the kernel refuses.
  func map(offset: Int, length: Int) -> UnsafeMutableRawPointer?
  func unmap(_ start: UnsafeMutableRawPointer, length: Int)
  /// Waits for a filled buffer, an event, or the wake-up descriptor.
  func wait(milliseconds: Int32, wake: Int32) -> VideoWait
}

/// `/dev/videoN`.
final class KernelVideoDriver: VideoDriver {
  private let descriptor: FileDescriptor

  init(path: String) throws(SystemError) {
    descriptor = FileDescriptor(
      owning: try systemCall("open \(path)") { edge_open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0) })
  }

  func request(_ request: VideoRequest, _ argument: UnsafeMutableRawPointer) -> Int32 {
    while edge_ioctl(descriptor.raw, request.number, argument) == -1 {
      let code = edge_errno()
      if code != EINTR { return code }
    }
    return 0
  }

  func map(offset: Int, length: Int) -> UnsafeMutableRawPointer? {
    guard let start = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.raw, off_t(offset)) else {
      return nil
    }
    // MAP_FAILED is all ones.
    return UInt(bitPattern: start) == .max ? nil : start
  }

  func unmap(_ start: UnsafeMutableRawPointer, length: Int) { munmap(start, length) }

  func wait(milliseconds: Int32, wake: Int32) -> VideoWait {
    var polled = (
      pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
      pollfd(fd: descriptor.raw, events: Int16(POLLIN | POLLPRI), revents: 0)
    )
    let count = withUnsafeMutableBytes(of: &polled) {
      poll($0.baseAddress!.assumingMemoryBound(to: pollfd.self), 2, milliseconds)
    }
    // Interrupted: the caller waits again, for the same frame.
    if count < 0 { return .ready }
    if polled.0.revents != 0 { return .woken }
    if polled.1.revents & Int16(POLLPRI) != 0 { return .event }
    return polled.1.revents != 0 ? .ready : .timedOut
  }
}

import EdgeCore
import LinuxIO
import Picture

/// Captures some frames and prints what came: proves a driver without the rest of the program.
public enum CaptureProbe {
  /// Prints one line a frame (number, sequence, bytes, CRC-32) and a summary, and returns the exit code: 0 when
  /// `frames` good ones arrived, 1 when not, 64 for a wrong argument.
  ///
  /// `format` is a ``PixelFormat/name`` or `any`; `size` is `640x480` or `any`.
  public static func run(device: String, format: String, size: String, frames: Int) -> Int32 {
    var request = CaptureRequest()
    if format != "any" {
      guard let wanted = PixelFormat(name: format) else {
        print("unknown format \(format): use one of \(PixelFormat.allCases.map { $0.name }.joined(separator: ", "))")
        return 64
      }
      request.pixelFormat = wanted
    }
    if size != "any" {
      let parts = size.split(separator: "x", omittingEmptySubsequences: false)
      guard parts.count == 2, let width = Int(parts[0]), let height = Int(parts[1]) else {
        print("wrong size \(size): write it as 640x480")
        return 64
      }
      (request.width, request.height) = (width, height)
    }
    do throws(CaptureProblem) {
      return try capture(device, request, frames)
    } catch {
      print("problem=\(error.code) \(error.text(device))")
      return 1
    }
  }

  private static func capture(_ path: String, _ request: CaptureRequest, _ frames: Int) throws(CaptureProblem) -> Int32
  {
    let camera = try CameraDevice(path: path)
    print("driver=\(camera.identity.driver) card=\"\(camera.identity.card)\" bus=\(camera.identity.bus)")
    print("formats=\(camera.formatNames().joined(separator: ","))")
    let format = try camera.configure(request)
    print("format=\"\(format)\" bytes-per-line=\(camera.bytesPerLine) picture-bytes=\(format.picture.byteCount)")
    let wakeUp: WakeUp
    do throws(SystemError) {
      wakeUp = try WakeUp()
    } catch {
      throw .driver(error)
    }
    try camera.start()
    let start = MonotonicClock.now
    var good = 0
    var bad = 0
    var missed: UInt64 = 0
    var bytes: UInt64 = 0
    while good < frames, bad <= frames {
      let next = try camera.nextFrame(milliseconds: 5000, wake: wakeUp.descriptor) { info, picture in
        good += 1
        missed += UInt64(info.missed)
        bytes += UInt64(picture.byteCount)
        var checksum = CRC32()
        checksum.append([UInt8](copying: picture))
        print(
          "frame=\(good) sequence=\(info.sequence) bytes=\(picture.byteCount) crc32=\(hex(checksum.value)) missed=\(info.missed)"
        )
      }
      switch next {
      case .bad(let frame):
        bad += 1
        print("bad frame: \(frame)")
      case .timedOut: throw .stalled(milliseconds: 5000)
      case .frame, .woken, .nothing: break
      }
    }
    camera.stop()
    let milliseconds = max(1, (MonotonicClock.now - start).wholeMilliseconds)
    print(
      "summary frames=\(good) bad=\(bad) missed=\(missed) bytes=\(bytes) ms=\(milliseconds) fps=\(Int64(good) * 1000 / milliseconds)"
    )
    return good == frames ? 0 : 1
  }

  private static func hex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.utf8.count) + digits
  }
}

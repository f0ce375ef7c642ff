import LinuxIO
public import Picture

/// A camera of this machine.
public struct VideoDevice: Hashable, Sendable {
  /// `/dev/video0`.
  public var path: String
  /// The driver's name of the product; empty when it cannot be asked.
  public var card: String
  public var driver: String
  public var bus: String
  /// The layouts this program can use.
  public var formats: [PixelFormat]
  /// The driver's names of all layouts offered.
  public var formatNames: [String]
  /// Why it cannot be used.
  public var problem: CaptureProblem?
}

public enum VideoDevices {
  /// The devices that capture video, by number; those that do not (decoders, metadata) are left out.
  public static func list() -> [VideoDevice] {
    list(directory: "/dev") { path throws(CaptureProblem) in try CameraDevice(path: path) }
  }

  static func list(
    directory: String, open: (String) throws(CaptureProblem) -> CameraDevice
  ) -> [VideoDevice] {
    let numbers = (File.names(in: directory) ?? []).compactMap { name in
      name.hasPrefix("video") ? UInt16(name.dropFirst(5)) : nil
    }
    var devices: [VideoDevice] = []
    for number in numbers.sorted() {
      let path = "\(directory)/video\(number)"
      do throws(CaptureProblem) {
        let camera = try open(path)
        devices.append(
          VideoDevice(
            path: path, card: camera.identity.card, driver: camera.identity.driver, bus: camera.identity.bus,
            formats: camera.pixelFormats(), formatNames: camera.formatNames(), problem: nil))
      } catch {
        guard error != .notACamera else { continue }
        devices.append(
          VideoDevice(path: path, card: "", driver: "", bus: "", formats: [], formatNames: [], problem: error))
      }
    }
    return devices
  }
}

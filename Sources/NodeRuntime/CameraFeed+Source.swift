import Capture
import Config
import LinuxIO
import Picture

/// A camera's pictures are others than before, while it is open.
struct FormatChange: Hashable {
  var from: CaptureFormat
  var to: CaptureFormat
}

/// Where a camera's pictures come from, as it is configured.
extension CameraFeed {
  /// A camera nobody watches is not open; that it is not even there can be told all the same.
  var isAbsent: Bool {
    switch configuration.source {
    case .device(let path), .file(let path, _): !File.exists(path)
    case .testCard: false
    }
  }

  /// `v4l2`, `testcard` or `file`.
  var type: String {
    switch configuration.source {
    case .device: "v4l2"
    case .testCard: "testcard"
    case .file: "file"
    }
  }

  /// What people call the source in a health line.
  var sourceName: String {
    switch configuration.source {
    case .device(let path): path
    case .testCard: "the test card"
    case .file(let path, _): path
    }
  }

  static func source(_ camera: NodeConfiguration.Camera) -> CaptureSource {
    switch camera.source {
    case .device(let path):
      return .camera(
        path: path,
        CaptureRequest(
          pixelFormat: camera.format.flatMap { PixelFormat(name: $0) }, width: camera.size?.width,
          height: camera.size?.height, framesPerSecond: camera.framesPerSecond))
    case .testCard:
      let wanted = PictureFormat(
        width: camera.size?.width ?? 640, height: camera.size?.height ?? 480,
        pixelFormat: camera.format.flatMap { PixelFormat(name: $0) } ?? .yuyv)
      return .testCard(wanted ?? Self.standardCard, framesPerSecond: camera.framesPerSecond ?? 25)
    case .file(let path, let loop):
      return .file(
        path: path, loop: loop, width: camera.size?.width, height: camera.size?.height,
        framesPerSecond: camera.framesPerSecond)
    }
  }

  private static var standardCard: PictureFormat {
    guard let format = PictureFormat(width: 640, height: 480, pixelFormat: .yuyv) else {
      preconditionFailure("640x480 YUYV is a picture format")
    }
    return format
  }
}

import CLinux
import LinuxIO
import Picture

extension CameraDevice {
  // MARK: Agreeing on a format

  /// Agrees with the driver on what comes nearest to `request`, and returns what was really got.
  @discardableResult
  public func configure(_ request: CaptureRequest) throws(CaptureProblem) -> CaptureFormat {
    stop()
    signal = try followSignal()
    let offered = fourCCs()
    guard let choice = Negotiation.format(wanted: request.pixelFormat, offered: offered) else {
      throw .unsupportedFormat(
        wanted: request.pixelFormat?.name ?? "a known format", offered: offered.map { $0.description })
    }
    let size = Negotiation.size(
      width: request.width ?? signal?.width, height: request.height ?? signal?.height, offered: sizes(choice.code))
    let granted = try setFormat(choice.code, width: size.width, height: size.height)
    guard let pixelFormat = PixelFormat(granted.code),
      request.pixelFormat == nil || request.pixelFormat == pixelFormat
    else {
      throw .unsupportedFormat(wanted: choice.format.name, offered: [granted.code.description])
    }
    guard let picture = PictureFormat(width: granted.width, height: granted.height, pixelFormat: pixelFormat) else {
      throw .unsupportedSize(width: granted.width, height: granted.height)
    }
    // Some drivers leave it 0 where rows are tight.
    bytesPerLine = pixelFormat.isCompressed ? 0 : granted.bytesPerLine == 0 ? picture.rowBytes : granted.bytesPerLine
    expectedBytes = pixelFormat.isCompressed ? 2 : Self.bytes(of: picture, bytesPerLine: bytesPerLine)
    let interval = setRate(request.framesPerSecond, choice.code, picture)
    let format = CaptureFormat(
      picture: picture, rateNumerator: Int(interval?.denominator ?? 0), rateDenominator: Int(interval?.numerator ?? 1))
    self.format = format
    return format
  }

  private func setFormat(
    _ code: FourCC, width: Int, height: Int
  ) throws(CaptureProblem) -> (code: FourCC, width: Int, height: Int, bytesPerLine: Int) {
    var format = v4l2_format()
    format.type = bufferType
    let (wide, high) = (UInt32(clamping: width), UInt32(clamping: height))
    if isMultiplanar {
      format.fmt.pix_mp.width = wide
      format.fmt.pix_mp.height = high
      format.fmt.pix_mp.pixelformat = code.value
      format.fmt.pix_mp.field = V4L2_FIELD_ANY.rawValue
      format.fmt.pix_mp.num_planes = 1
    } else {
      format.fmt.pix.width = wide
      format.fmt.pix.height = high
      format.fmt.pix.pixelformat = code.value
      format.fmt.pix.field = V4L2_FIELD_ANY.rawValue
    }
    let result = driver.request(.setFormat, &format)
    guard result == 0 else { throw CaptureProblem("VIDIOC_S_FMT", errno: result) }
    guard isMultiplanar else {
      let got = format.fmt.pix
      return (FourCC(got.pixelformat), Int(got.width), Int(got.height), Int(got.bytesperline))
    }
    let got = format.fmt.pix_mp
    guard got.num_planes == 1 else {
      throw .unsupportedFormat(wanted: "\(code) in one memory plane", offered: formatNames())
    }
    return (FourCC(got.pixelformat), Int(got.width), Int(got.height), Int(got.plane_fmt.0.bytesperline))
  }

  /// The interval got, or the one that is; `nil` for a driver that does not know rates.
  private func setRate(_ framesPerSecond: Int?, _ code: FourCC, _ picture: PictureFormat) -> FrameInterval? {
    var parameters = v4l2_streamparm()
    parameters.type = bufferType
    guard driver.request(.rate, &parameters) == 0 else { return nil }
    if let framesPerSecond, parameters.parm.capture.capability & Capability.timePerFrame != 0 {
      let interval = Negotiation.interval(
        framesPerSecond: framesPerSecond, offered: intervals(code, width: picture.width, height: picture.height))
      var wish = v4l2_streamparm()
      wish.type = bufferType
      wish.parm.capture.timeperframe = v4l2_fract(numerator: interval.numerator, denominator: interval.denominator)
      // Refused: the camera keeps its rate, which is reported.
      if driver.request(.setRate, &wish) == 0 { parameters = wish }
    }
    let got = parameters.parm.capture.timeperframe
    let interval = FrameInterval(numerator: got.numerator, denominator: got.denominator)
    return interval.isValid ? interval : nil
  }

  /// Bytes of a picture whose rows are `bytesPerLine` apart, up to the end of its last row.
  static func bytes(of picture: PictureFormat, bytesPerLine: Int) -> Int {
    let padding = bytesPerLine - picture.rowBytes
    guard padding > 0 else { return picture.byteCount }
    return switch picture.pixelFormat {
    case .nv12: bytesPerLine * picture.height / 2 * 3 - padding
    case .yu12, .yv12: bytesPerLine * picture.height / 2 * 3 - padding / 2
    default: bytesPerLine * picture.height - padding
    }
  }
}

internal import FrameKernels
internal import Picture

/// Moves the samples of one band between the camera's order and a band buffer, which has them plane by plane.
struct BandMover {
  private let format: PictureFormat
  private let layout: PlaneLayout
  private let sources: [PictureFormat.Plane]
  private let kernels: Kernels

  init(format: PictureFormat, layout: PlaneLayout, kernels: Kernels) {
    self.kernels = kernels
    self.format = format
    self.layout = layout
    sources = format.planes
  }

  private var isPacked422: Bool { format.pixelFormat == .yuyv || format.pixelFormat == .uyvy }

  /// Rows of the plane in a band: fewer in the last.
  private func rows(_ plane: PlaneLayout.Plane, _ band: Int) -> Int {
    min(plane.rowsPerBand, plane.height - band * plane.rowsPerBand)
  }

  /// Where the bytes of `band` are in the picture; `nil` if they are in more places than one.
  func bytes(_ band: Int) -> Range<Int>? {
    guard sources.allSatisfy({ $0.offset < sources[0].rowBytes }) else { return nil }
    let plane = layout.planes[0]
    let start = band * plane.rowsPerBand * sources[0].rowBytes
    return start..<start + rows(plane, band) * sources[0].rowBytes
  }

  /// Splits the rows of `band` into planes. Columns and rows up to whole blocks repeat the last one.
  func load(_ band: Int, of picture: Kernel.Bytes, into buffer: Kernel.MutableBytes, decorrelated: Bool) {
    if isPacked422 {
      let (y, u, v) = (layout.planes[0], layout.planes[1], layout.planes[2])
      for row in 0..<rows(y, band) {
        unsafe kernels.splitPacked(
          picture + (band * y.rowsPerBand + row) * y.width * 2, y: line(buffer, y, row), u: line(buffer, u, row),
          v: line(buffer, v, row),
          pairs: u.width, lumaFirst: format.pixelFormat == .yuyv)
      }
    } else {
      for (plane, source) in zip(layout.planes, sources) {
        for row in 0..<rows(plane, band) {
          unsafe Kernel.gather(
            picture + source.offset + (band * plane.rowsPerBand + row) * source.rowBytes, step: source.step,
            to: line(buffer, plane, row), count: plane.width)
        }
      }
    }
    if decorrelated {
      for plane in layout.planes.dropFirst() {
        for row in 0..<rows(plane, band) {
          unsafe Kernel.subtract(
            line(buffer, layout.planes[0], row), from: line(buffer, plane, row), count: plane.width)
        }
      }
    }
    for plane in layout.planes { unsafe pad(buffer, plane, rows(plane, band)) }
  }

  /// Writes the rows of `band` to where the camera's order has them.
  func store(_ band: Int, of picture: Kernel.MutableBytes, from buffer: Kernel.MutableBytes, decorrelated: Bool) {
    if decorrelated {
      for plane in layout.planes.dropFirst() {
        for row in 0..<rows(plane, band) {
          unsafe Kernel.add(line(buffer, layout.planes[0], row), to: line(buffer, plane, row), count: plane.width)
        }
      }
    }
    if isPacked422 {
      let (y, u, v) = (layout.planes[0], layout.planes[1], layout.planes[2])
      for row in 0..<rows(y, band) {
        unsafe kernels.joinPacked(
          to: picture + (band * y.rowsPerBand + row) * y.width * 2, y: line(buffer, y, row), u: line(buffer, u, row),
          v: line(buffer, v, row),
          pairs: u.width, lumaFirst: format.pixelFormat == .yuyv)
      }
      return
    }
    for (plane, source) in zip(layout.planes, sources) {
      for row in 0..<rows(plane, band) {
        unsafe Kernel.scatter(
          line(buffer, plane, row), to: picture + source.offset + (band * plane.rowsPerBand + row) * source.rowBytes,
          step: source.step, count: plane.width)
      }
    }
  }

  private func line(_ buffer: Kernel.MutableBytes, _ plane: PlaneLayout.Plane, _ row: Int) -> Kernel.MutableBytes {
    unsafe buffer + plane.stripeOffset + row * plane.stripeStride
  }

  private func pad(_ buffer: Kernel.MutableBytes, _ plane: PlaneLayout.Plane, _ rows: Int) {
    if plane.width < plane.stride {
      for row in 0..<rows {
        let samples = unsafe line(buffer, plane, row)
        unsafe (samples + plane.width).update(
          repeating: samples[plane.width - 1], count: plane.stride - plane.width)
      }
    }
    for row in rows..<max(rows, (rows + 7) / 8 * 8) {
      unsafe line(buffer, plane, row).update(from: line(buffer, plane, rows - 1), count: plane.stride)
    }
  }
}

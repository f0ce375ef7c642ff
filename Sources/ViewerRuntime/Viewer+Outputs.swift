import EdgeCore
import FrameCodec
import LinuxIO
import NodeLogic
import PeerSession
import Picture
import StatusModel
import Uplink

/// Where a viewer's pictures go: a file, a player, this terminal, a page.
extension Viewer {
  func openOutputs() throws(SetupProblem) {
    var output = options.output
    var format = options.format
    if options.plays {
      if let found = ExternalPlayer.find() {
        let window = try ExternalPlayer(found)
        self.window = window
        output = window.path
        format = .playable
        progress.say("playing in \(found.name)")
      } else if !Terminal.outputIsTerminal {
        throw SetupProblem(
          "--play needs a terminal, or a display and mpv or ffplay: use --output FILE or --serve", exitCode: .no)
      }
    }
    do throws(SystemError) {
      if options.plays, window == nil {
        let usesSixel = Terminal.drawsSixel
        player = try TerminalPlayer(usesSixel: usesSixel)
      }
      if let output {
        sink = try PictureSink(
          reactor: reactor, path: output, format: format, isSingle: options.frames == 1, framesPerSecond: 25)
      }
      if let address = options.page {
        let page = try LocalPage(reactor: reactor, address: address) { [unowned(unsafe) self] in
          JSONWriter.text(stats.json)
        }
        self.page = page
        progress.say("the live picture is at http://\(page.address)/")
      }
    } catch {
      throw SetupProblem("\(error)", exitCode: .unreachable)
    }
  }

  func put(_ frame: DecodedFrame) {
    let (picture, format) = (frame.picture, frame.header.format)
    player?.show(picture, format, status: cameraTrouble ?? statusLine)
    page?.show(picture, format)
    guard let sink else { return }
    // H.264 of which something was left out goes on where decoding can.
    let isInterCoded = format.pixelFormat == .h264
    let isLeftOut = isInterCoded && outputAwaitsKey && !frame.header.isKey || !sink.write(picture, format)
    if isLeftOut { unwritten += 1 }
    outputAwaitsKey = isInterCoded && isLeftOut
  }

  /// The control channel stands: says what is wanted.
  func ask() {
    switch options.task {
    case .watch: if options.wish != StreamWish() { tell(.want(options.wish)) }
    case .listControls: tell(.listControls)
    case .setControl(let name, let value): tell(.setControl(name: name, value: value))
    }
  }

  func tell(_ message: ControlMessage) {
    _ = control?.send(text: String(decoding: message.bytes, as: UTF8.self))
  }
}

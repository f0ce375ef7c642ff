import EdgeCore
import RendezvousLogic
import SIP

// Orders of the application server over the control channel.
extension MediaServer {
  func takeControl(_ bytes: [UInt8]) -> Bool {
    control.append(bytes)
    do throws(ControlFramer.Malformed) {
      while let frame = try control.next() {
        guard receive(frame) else { return false }
      }
      return true
    } catch {
      return false
    }
  }

  private func receive(_ frame: ControlFrame) -> Bool {
    guard case .request(let method) = frame.kind else { return true }
    switch method {
    case "SYNC":
      // RFC 6230 §6.3.4.2: 481 for a Dialog-ID no SIP dialog agreed on.
      guard !controlDialogID.isEmpty, frame.field("Dialog-ID") == controlDialogID else {
        reply(frame, 481)
        return false
      }
      isControlReady = true
      var answer = ControlFrame(frame.transactionID, .response(200))
      answer.fields = [
        ("Keep-Alive", frame.field("Keep-Alive") ?? "100"), ("Packages", ControlFrame.package),
      ]
      outputs.append(.toControl(answer.serialized))
    case "K-ALIVE": reply(frame, 200)
    case "CONTROL":
      guard isControlReady else { return false }
      guard frame.field("Control-Package") == ControlFrame.package, let document = parseControl(frame.body) else {
        reply(frame, 400)
        return true
      }
      obey(document, frame)
    default: reply(frame, 500)
    }
    return true
  }

  private func reply(_ frame: ControlFrame, _ status: Int) {
    outputs.append(.toControl(ControlFrame(frame.transactionID, .response(status)).serialized))
  }

  func answer(_ frame: ControlFrame, _ document: ControlDocument) {
    var answer = ControlFrame(frame.transactionID, .response(200))
    answer.setBody(document)
    outputs.append(.toControl(answer.serialized))
  }

  private func obey(_ order: ControlDocument, _ frame: ControlFrame) {
    switch order.kind {
    case .restoreMessage:
      var told = order
      told.kind = .messageRestored
      told.status = 404
      if let id = session(order.connection), !order.from.isEmpty, !order.to.isEmpty {
        sessions[id]?.duty = .store(from: order.from, to: order.to)
        told.status = 200
        told.count = 0
      }
      answer(frame, told)
    case .sendMessage:
      guard let receiver = account(order.to) else { return reply(frame, 400) }
      guard !order.connection.isEmpty else { return tellWhatWaits(order, receiver, frame) }
      guard let id = session(order.connection), sessions[id]?.msrp != nil else {
        var told = order
        told.kind = .messageSent
        told.status = 404
        told.count = 0
        return answer(frame, told)
      }
      sessions[id]?.duty = .push(
        Pushing(
          from: order.from, account: receiver, terminal: order.terminal, order: frame,
          deadline: now + Self.pushPatience))
      sendNext(id)
    case .messageRestored, .messageSent: reply(frame, 400)
    }
  }

  /// Who wrote the oldest message the terminal has not had.
  private func tellWhatWaits(_ question: ControlDocument, _ receiver: String, _ frame: ControlFrame) {
    var told = question
    told.kind = .messageSent
    told.status = 200
    told.count = 0
    if let message = store.next(receiver, question.terminal, 0) {
      told.from = "sip:\(message.sender)@\(configuration.domain)"
      told.accepted = message.accepted
    }
    answer(frame, told)
  }

  private func session(_ connectionID: String) -> String? {
    sessions.first { $0.value.connectionID == connectionID }?.key
  }
}

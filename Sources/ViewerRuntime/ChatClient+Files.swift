import EdgeCore
import FileTransfer
import LinuxIO
import MSRP
import PeerMessaging
import PeerSession
import SCTPTransport
import SDP
import SIP
import StatusModel
import Uplink
import UserAgent

/// A file the other side offers, until somebody decides.
final class FileOffer {
  let number: Int
  let call: PeerCall
  let file: FileDescription
  let channel: NegotiatedChannel

  init(number: Int, call: PeerCall, file: FileDescription, channel: NegotiatedChannel) {
    self.number = number
    self.call = call
    self.file = file
    self.channel = channel
  }
}

/// A file that was accepted, over all its sessions.
final class TakenFile {
  let sink: FileSink
  var call: PeerCall?
  var channel: MSRPChannel?
  var receiver: FileReceiver?
  var meter: TransferMeter
  var shownAt: Instant

  init(sink: FileSink, at now: Instant) {
    self.sink = sink
    meter = TransferMeter(size: sink.journal.size, bytes: sink.next, at: now)
    shownAt = now
  }
}

/// Files of a chat: offered, accepted or refused, each over a call of its own.
extension ChatClient {
  private static var maximumOffers: Int { 8 }

  func offer(_ path: String) {
    do throws(SetupProblem) {
      let transfer = try TransferClient(
        reactor: reactor, configuration: configuration,
        options: TransferOptions(name: name, job: .send(file: path)), progress: progress)
      transfers.append(transfer)
      transfer.onFinished = { [unowned(unsafe) self, unowned(unsafe) transfer] code, _ in
        transfers.removeAll { $0 === transfer }
        show(code == .fine ? "-- delivered: \(ShownText.line(path))" : "-- not delivered: \(ShownText.line(path))")
        reactor.enqueue(.bulk) { _ = transfer }
        finishLeaving()
      }
      transfer.start()
    } catch {
      show("-- \(error)")
    }
  }

  func offered(_ handle: CallHandle, _ incoming: IncomingCall, _ description: DataChannelDescription) {
    let refuse = { [uplink] (status: StatusCode) in
      uplink.perform { $0.refuse(handle, status, at: $1, into: &$2) }
    }
    guard let channel = FileDescription.channel(in: description), let file = FileDescription(channel),
      file.direction == .sends, let fileName = file.selector.name, (try? SafeName.check(fileName)) != nil,
      let size = file.selector.size, let sha256 = file.selector.sha256
    else { return refuse(488) }
    guard offers.count < Self.maximumOffers else { return refuse(486) }
    let call = PeerCall(
      answering: handle, incoming, offer: description, reactor: reactor, uplink: uplink, material: material,
      configuration: peerConfiguration)
    lastOffer += 1
    let offer = FileOffer(number: lastOffer, call: call, file: file, channel: channel)
    // Said yes to before: it goes on.
    if let known = taken.first(where: { $0.sink.journal.sha256 == sha256 }) { return take(offer, again: known) }
    offers.append(offer)
    call.onEnded = { [unowned(unsafe) self, unowned(unsafe) offer] _ in
      guard offers.contains(where: { $0 === offer }) else { return }
      offers.removeAll { $0 === offer }
      show("-- \(name) took the offer of \(ShownText.line(fileName)) back")
      reactor.enqueue(.bulk) { _ = offer }
    }
    call.ring()
    show(
      "-- \(name) offers \(ShownText.line(fileName)) (\(Plain.byteCount(Int64(clamping: size)))): "
        + "/accept \(offer.number) or /refuse \(offer.number)")
  }

  func decide(_ number: Int?, takes: Bool) {
    let found = number == nil && offers.count == 1 ? offers.first : offers.first { $0.number == number }
    guard let offer = found else {
      return show(offers.isEmpty ? "-- nothing is offered" : "-- name the offer's number")
    }
    offers.removeAll { $0 === offer }
    reactor.enqueue(.bulk) { _ = offer }
    guard takes else {
      offer.call.refuse(603)
      return show("-- refused")
    }
    take(offer, again: nil)
  }

  private func take(_ offer: FileOffer, again known: TakenFile?) {
    let file = offer.file
    let name = file.selector.name ?? ""
    let size = file.selector.size ?? 0
    var entry = known
    if let known, known.sink.isOver || known.sink.isFinishing {
      taken.removeAll { $0 === known }
      entry = nil
    }
    if entry == nil {
      do throws(FileError) {
        let journal = TransferJournal(name: name, size: size, sha256: file.selector.sha256 ?? [], peer: self.name)
        let sink = try FileSink(reactor: reactor, folder: folder, journal: journal)
        let free = UInt64(max(0, File.freeBytes(at: folder) ?? Int64.max))
        guard free >= size - sink.next else {
          sink.abandon()
          throw FileError(path: folder, kind: .diskFull)
        }
        let made = TakenFile(sink: sink, at: reactor.now)
        taken.append(made)
        entry = made
      } catch {
        offer.call.refuse(500)
        return show("-- it cannot be taken: \(error)")
      }
    }
    guard let entry, let remote = MSRPURI(file.path), file.canResume || entry.sink.next == 0 else {
      return offer.call.refuse(488)
    }
    entry.receiver?.cut()
    entry.call?.hangUp()
    entry.call = offer.call
    let local = MSRPChannel.newURI()
    var answer = FileDescription(
      direction: .receives, selector: file.selector, transferID: file.transferID, path: local.text)
    answer.range = FileRange(first: entry.sink.next + 1, last: size)
    let call = offer.call
    call.onEnded = { [unowned(unsafe) entry] _ in entry.receiver?.cut() }
    call.peer.negotiate(answer.channel(answering: offer.channel), priority: .bulk) {
      [unowned(unsafe) self, unowned(unsafe) entry, unowned(unsafe) call] peerChannel in
      let channel = MSRPChannel(
        reactor: reactor, channel: peerChannel, peer: call.peer, local: local, path: remote
      ) {
        $0.delivery = .pieces(maximum: size)
        $0.ownerConfirms = true
      }
      entry.channel = channel
      let receiver = FileReceiver(channel: channel, sink: entry.sink)
      entry.receiver = receiver
      receiver.onEvent = { [unowned(unsafe) self, unowned(unsafe) entry] in receive($0, entry) }
    }
    call.accept()
  }

  private func receive(_ event: FileReceiver.Event, _ entry: TakenFile) {
    switch event {
    case .progress(let bytes):
      entry.meter.note(bytes, at: reactor.now)
      guard reactor.now - entry.shownAt >= .milliseconds(200) else { return }
      entry.shownAt = reactor.now
      progress.tick(entry.meter.text(at: reactor.now))
    case .cut: show("-- \(ShownText.line(entry.sink.journal.name)) was cut, and goes on when \(name) is back")
    case .finished(let path): over(entry, "received \(ShownText.line(path))")
    case .failed(let why):
      over(entry, "\(ShownText.line(entry.sink.journal.name)) was not received: \(ShownText.line(why))")
    }
  }

  private func over(_ entry: TakenFile, _ text: String) {
    show("-- " + text)
    taken.removeAll { $0 === entry }
    // The sender hangs up when it has its confirmation.
    _ = reactor.schedule(after: .seconds(5)) {
      entry.channel?.close()
      entry.call?.hangUp()
    }
  }

  func closeFiles() {
    for offer in offers { offer.call.refuse(603) }
    offers = []
    for transfer in transfers {
      transfer.onFinished = nil
      transfer.interrupt()
    }
    for entry in taken {
      entry.receiver?.cut()
      entry.channel?.close()
      entry.call?.hangUp()
    }
  }
}

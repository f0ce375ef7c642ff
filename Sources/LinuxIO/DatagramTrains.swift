import CLinux
import EdgeCore

/// Datagrams waiting to be sent, joined into trains: equal ones to one destination leave in one system call, which the
/// kernel cuts (UDP_SEGMENT). What differs leaves by sendmmsg.
///
/// Nothing is copied: the bytes are where they were received until ``flush()``.
final class DatagramTrains {
  struct Segment {
    var payload: UnsafeRawPointer?
    var payloadCount: Int32
    var header: Int32
    var headerCount: Int32
    var padding: Int32
    var next: Int32
  }

  struct Train {
    var descriptor: Int32
    /// Many clients are sent to over it, so that its trains go in one call.
    var isShared: Bool
    var isClosed: Bool
    var segmentBytes: Int32
    var count: Int32
    var first: Int32
    var last: Int32
    var totalBytes: Int32
    var destination: SocketAddress
    var source: IPAddress?
  }

  static let maximumSegments = 1024
  /// UDP_MAX_SEGMENTS, and what one datagram may hold before it is cut.
  private static let segmentsOfTrain: Int32 = 64
  private static let bytesOfTrain: Int32 = 65_000
  /// A larger segment does not fit an Ethernet frame: the kernel would refuse to cut that way.
  private static let largestSegment: Int32 = 1472
  static let headerBytes = 64
  private static let messagesOfCall = 64
  /// A header, a payload and its padding for each segment.
  private static let vectorsOfCall = messagesOfCall * 3 + Int(segmentsOfTrain) * 3
  private static let controlBytes = 80

  let segments = UnsafeMutablePointer<Segment>.allocate(capacity: maximumSegments)
  private(set) var segmentCount = 0
  private var trains: [Train] = []
  private let headers = UnsafeMutableRawPointer.allocate(byteCount: maximumSegments * headerBytes, alignment: 8)
  private let messages = UnsafeMutablePointer<edge_message>.allocate(capacity: messagesOfCall)
  private let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: vectorsOfCall)
  private let names = UnsafeMutableRawPointer.allocate(byteCount: messagesOfCall * 32, alignment: 8)
  private let controls = UnsafeMutableRawPointer.allocate(byteCount: messagesOfCall * controlBytes, alignment: 8)
  private let zeros = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)
  /// Which train each message of the call is.
  private var called: [Int] = []
  private var vectorCount = 0
  private var usesSegmentation: Bool
  /// Changes with every flush, after which no train is open.
  private(set) var epoch: UInt32 = 1
  /// Datagrams the kernel did not take.
  private(set) var unsentDatagrams: UInt64 = 0

  init() {
    trains.reserveCapacity(Self.maximumSegments)
    called.reserveCapacity(Self.messagesOfCall)
    zeros.initializeMemory(as: UInt8.self, repeating: 0, count: 8)
    usesSegmentation = Self.kernelSegments()
  }

  deinit {
    segments.deallocate()
    headers.deallocate()
    messages.deallocate()
    vectors.deallocate()
    names.deallocate()
    controls.deallocate()
    zeros.deallocate()
  }

  /// Whether this kernel has UDP_SEGMENT (4.18).
  private static func kernelSegments() -> Bool {
    guard let socket = try? SocketCall.open(family: AF_INET, type: SOCK_DGRAM.rawValue) else { return false }
    return (try? SocketCall.setOption(socket.raw, SocketLevel.udp, UDPOption.segment, 0)) != nil
  }

  var isFull: Bool { segmentCount == Self.maximumSegments }

  // MARK: Adding

  /// `lane` finds the train again that the last one went to.
  func add(
    _ payload: UnsafeRawBufferPointer, header: [UInt8], padding: Int, to destination: SocketAddress,
    from source: IPAddress?, over descriptor: Int32, isShared: Bool, lane: inout DatagramPump.Lane
  ) {
    let index = Int32(segmentCount)
    segmentCount += 1
    let offset = Int(index) * Self.headerBytes
    let headerCount = header.count
    precondition(headerCount <= Self.headerBytes)
    if headerCount > 0 {
      header.withUnsafeBytes { (headers + offset).copyMemory(from: $0.baseAddress!, byteCount: headerCount) }
    }
    segments[Int(index)] = Segment(
      payload: payload.baseAddress, payloadCount: Int32(payload.count), header: Int32(offset),
      headerCount: Int32(headerCount), padding: Int32(padding), next: -1)
    let bytes = Int32(headerCount + payload.count + padding)
    if lane.epoch == epoch, extend(Int(lane.train), index, bytes, destination) { return }
    lane = DatagramPump.Lane(epoch: epoch, train: Int32(trains.count))
    trains.append(
      Train(
        descriptor: descriptor, isShared: isShared,
        isClosed: !usesSegmentation || bytes > Self.largestSegment || bytes == 0, segmentBytes: bytes, count: 1,
        first: index, last: index, totalBytes: bytes, destination: destination, source: source))
  }

  /// All segments are as long as the first, and the last may be shorter.
  private func extend(_ index: Int, _ segment: Int32, _ bytes: Int32, _ destination: SocketAddress) -> Bool {
    guard !trains[index].isClosed, bytes <= trains[index].segmentBytes, bytes > 0,
      trains[index].count < Self.segmentsOfTrain, trains[index].totalBytes + bytes <= Self.bytesOfTrain,
      trains[index].destination == destination
    else { return false }
    segments[Int(trains[index].last)].next = segment
    trains[index].last = segment
    trains[index].count += 1
    trains[index].totalBytes += bytes
    if bytes < trains[index].segmentBytes { trains[index].isClosed = true }
    return true
  }

  // MARK: Sending

  /// Sends everything, and forgets it.
  func flush() {
    guard segmentCount > 0 else { return }
    // Over a shared socket first: one call for many clients.
    for isShared in [true, false] {
      var index = 0
      while index < trains.count {
        if trains[index].isShared == isShared { prepare(index) }
        index += 1
      }
      call()
    }
    trains.removeAll(keepingCapacity: true)
    segmentCount = 0
    epoch &+= 1
  }

  /// Puts a train into the next call, which is for one socket.
  private func prepare(_ index: Int) {
    if let first = called.first,
      trains[first].descriptor != trains[index].descriptor || called.count == Self.messagesOfCall
        || vectorCount + Int(trains[index].count) * 3 > Self.vectorsOfCall
    {
      call()
    }
    let start = vectorCount
    var next = trains[index].first
    while next >= 0 {
      addVectors(segments[Int(next)])
      next = segments[Int(next)].next
    }
    let train = trains[index]
    fill(called.count, start, train, segmentBytes: train.count > 1 ? UInt16(train.segmentBytes) : 0)
    called.append(index)
  }

  private func addVectors(_ segment: Segment) {
    if segment.headerCount > 0 { addVector(UnsafeRawPointer(headers) + Int(segment.header), segment.headerCount) }
    if segment.payloadCount > 0, let payload = segment.payload { addVector(payload, segment.payloadCount) }
    if segment.padding > 0 { addVector(UnsafeRawPointer(zeros), segment.padding) }
  }

  private func addVector(_ start: UnsafeRawPointer, _ count: Int32) {
    vectors[vectorCount] = iovec(iov_base: UnsafeMutableRawPointer(mutating: start), iov_len: Int(count))
    vectorCount += 1
  }

  private func fill(_ message: Int, _ firstVector: Int, _ train: Train, segmentBytes: UInt16) {
    let name = names + message * 32
    messages[message].length = 0
    messages[message].header = msghdr()
    messages[message].header.msg_name = name
    messages[message].header.msg_namelen = train.destination.store(at: name)
    messages[message].header.msg_iov = vectors + firstVector
    messages[message].header.msg_iovlen = vectorCount - firstVector
    guard segmentBytes > 0 || train.source != nil else { return }
    ControlWriter.fill(
      &messages[message].header, at: controls + message * Self.controlBytes, capacity: Self.controlBytes,
      source: train.source, timeToLive: nil, segmentBytes: segmentBytes)
  }

  private func call() {
    defer {
      called.removeAll(keepingCapacity: true)
      vectorCount = 0
    }
    guard let first = called.first else { return }
    send(trains[first].descriptor, called.count) { failed, errno in
      let train = self.trains[self.called[failed]]
      switch errno {
      // The path takes no segments of that size, or the interface none at all.
      case EINVAL, EMSGSIZE, EIO:
        guard train.count > 1 else { fallthrough }
        if errno == EIO { self.usesSegmentation = false }
        self.uncoupled.append(self.called[failed])
      default: self.unsentDatagrams += UInt64(train.count)
      }
    }
    guard !uncoupled.isEmpty else { return }
    let trains = uncoupled
    uncoupled = []
    for index in trains { sendSingly(index) }
  }

  private var uncoupled: [Int] = []

  private func sendSingly(_ index: Int) {
    let train = trains[index]
    vectorCount = 0
    var count = 0
    var next = train.first
    while next >= 0 {
      let start = vectorCount
      addVectors(segments[Int(next)])
      fill(count, start, train, segmentBytes: 0)
      count += 1
      next = segments[Int(next)].next
    }
    send(train.descriptor, count) { _, _ in self.unsentDatagrams += 1 }
  }

  /// Sends the messages; each that does not leave is told of, and harms no other.
  private func send(_ descriptor: Int32, _ count: Int, failed: (Int, Int32) -> Void) {
    var done = 0
    var isRetry = false
    while done < count {
      let sent = edge_sendmmsg(descriptor, messages + done, UInt32(count - done), Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
      if sent > 0 {
        done += Int(sent)
        isRetry = false
        continue
      }
      let code = edge_errno()
      if code == EINTR { continue }
      // An ICMP error an earlier datagram provoked is reported by the next call, for no fault of this one.
      if !isRetry, code == ECONNREFUSED || code == EHOSTUNREACH || code == ENETUNREACH || code == EPROTO {
        isRetry = true
        continue
      }
      failed(done, code)
      done += 1
      isRetry = false
    }
  }
}

/// Options of UDP sockets (`linux/udp.h`).
enum UDPOption {
  static let segment: Int32 = 103
  static let receiveOffload: Int32 = 104
}

internal import CLinux
internal import CUsrsctp
internal import EdgeCore

/// The process's one libusrsctp: it is global, so everything that touches it goes through here.
///
/// Ownership. libusrsctp is given numbers, never addresses: each association has one, and the table below leads from
/// it to the association's ``SCTPInbox``. A callback for a number that is no longer in the table does nothing, so
/// nothing can be used after it is gone, whenever libusrsctp finishes with it. Callbacks run inside our own calls,
/// only append to an inbox, and call no one: what they brought is handed on after the call has returned, when
/// handlers may do as they like, ending the association included.
///
/// Threads. libusrsctp's timers and sockets have none (`usrsctp_init_nothreads`). It still starts one, "SCTP iterator",
/// which serves address changes of multihomed associations, has nothing to do here and sleeps for good. A process
/// normally has one reactor; the lock is for those that have more.
enum SCTPLibrary {
  /// A connected viewer costs one.
  static let maximumAssociations = 64

  nonisolated(unsafe) private static let mutex: UnsafeMutablePointer<pthread_mutex_t> = {
    let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    start()
    return mutex
  }()
  nonisolated(unsafe) private static var inboxes: [UInt: SCTPInbox] = [:]
  nonisolated(unsafe) private static var lastNumber: UInt = 0
  /// Up to when libusrsctp's timers have been run.
  nonisolated(unsafe) private static var clock: Instant?

  static func locked<Result>(_ body: () -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  /// Runs the timers that are due. To be called before anything that starts a timer: libusrsctp measures
  /// from the last time it was told, not from now. Inside ``locked(_:)``.
  static func advance(to now: Instant) {
    guard let last = clock else {
      clock = now
      return
    }
    let elapsed = (now - last).wholeMilliseconds
    guard elapsed > 0 else { return }
    clock = last + .milliseconds(elapsed)
    usrsctp_handle_timers(UInt32(clamping: elapsed))
  }

  /// A number for a new association, or `nil` when there are too many. Inside ``locked(_:)``.
  static func register(_ inbox: SCTPInbox) -> UInt? {
    guard inboxes.count < maximumAssociations else { return nil }
    lastNumber &+= 1
    inboxes[lastNumber] = inbox
    usrsctp_register_address(pointer(lastNumber))
    return lastNumber
  }

  /// Inside ``locked(_:)``.
  static func deregister(_ number: UInt) {
    usrsctp_deregister_address(pointer(number))
    inboxes[number] = nil
  }

  /// Never followed: a number in the shape libusrsctp wants.
  static func pointer(_ number: UInt) -> UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: number) }

  fileprivate static func inbox(_ pointer: UnsafeMutableRawPointer?) -> SCTPInbox? {
    inboxes[UInt(bitPattern: pointer)]
  }

  private static func start() {
    // Tables for a few dozen associations, not for a public server.
    usrsctp_tunable_set_sctp_hashtblsize(64)
    usrsctp_tunable_set_sctp_pcbtblsize(64)
    usrsctp_tunable_set_sctp_chunkscale(10)
    usrsctp_init_nothreads(0, outputThunk, nil)
    // RFC 8831 §5: extensions in use are partial reliability and stream reset; the rest is left out of the INIT.
    usrsctp_sysctl_set_sctp_ecn_enable(0)
    usrsctp_sysctl_set_sctp_asconf_enable(0)
    usrsctp_sysctl_set_sctp_auth_enable(0)
    usrsctp_sysctl_set_sctp_auto_asconf(0)
    usrsctp_sysctl_set_sctp_nrsack_enable(0)
    usrsctp_sysctl_set_sctp_pktdrop_enable(0)
    usrsctp_sysctl_set_sctp_pr_enable(1)
    usrsctp_sysctl_set_sctp_reconfig_enable(1)
    // RFC 8261 §5: the checksum stays, DTLS or not.
    usrsctp_sysctl_set_sctp_no_csum_on_loopback(0)
    // A stray packet is not answered.
    usrsctp_sysctl_set_sctp_blackhole(2)
    // Milliseconds. A lost packet at the end of a frame is missed for one of these; RFC 9260 §6.3.1's whole second
    // is for paths nobody has measured. The maximum is short because ICE decides when a path is dead.
    usrsctp_sysctl_set_sctp_rto_min_default(200)
    usrsctp_sysctl_set_sctp_rto_initial_default(400)
    usrsctp_sysctl_set_sctp_rto_max_default(1000)
    usrsctp_sysctl_set_sctp_init_rto_max_default(3000)
    usrsctp_sysctl_set_sctp_delayed_sack_time_default(20)
    usrsctp_sysctl_set_sctp_assoc_rtx_max_default(60)
    usrsctp_sysctl_set_sctp_path_rtx_max_default(60)
    usrsctp_sysctl_set_sctp_init_rtx_max_default(16)
    // RFC 6928's window of ten packets: the first picture of a camera is larger than three.
    usrsctp_sysctl_set_sctp_initial_cwnd(10)
    usrsctp_sysctl_set_sctp_max_burst_default(10)
    usrsctp_sysctl_set_sctp_fr_max_burst_default(10)
    // Chunks kept for later use, for all and for one: memory nobody uses.
    usrsctp_sysctl_set_sctp_system_free_resc_limit(64)
    usrsctp_sysctl_set_sctp_asoc_free_resc_limit(8)
    usrsctp_sysctl_set_sctp_max_chunks_on_queue(4096)
  }
}

/// What callbacks left for one association, until it looks.
final class SCTPInbox {
  struct Fragment {
    var stream: UInt16
    var ppid: UInt32
    var isUnordered: Bool
    var isLast: Bool
    var bytes: [UInt8]
  }

  /// In the order they happened: a message before the reset of its stream.
  enum Item {
    case fragment(Fragment)
    case notification([UInt8])
    case resetRefused([UInt16])
  }

  var packets: [[UInt8]] = []
  var items: [Item] = []
  /// Bytes free in libusrsctp's send buffer, when it has just said so.
  var freeBytes: Int?
}

// MARK: Called by libusrsctp, only inside calls made under the lock

private func outputThunk(
  _ number: UnsafeMutableRawPointer?, _ bytes: UnsafeMutableRawPointer?, _ count: Int, _ tos: UInt8,
  _ mayFragment: UInt8
) -> Int32 {
  SCTPLibrary.inbox(number)?.packets.append([UInt8](UnsafeRawBufferPointer(start: bytes, count: count)))
  return 0
}

/// The data is ours to free.
func receiveThunk(
  _ socket: OpaquePointer?, _ address: sctp_sockstore, _ bytes: UnsafeMutableRawPointer?, _ count: Int,
  _ info: sctp_rcvinfo, _ flags: Int32, _ number: UnsafeMutableRawPointer?
) -> Int32 {
  guard let bytes else { return 1 }
  defer { free(bytes) }
  guard let inbox = SCTPLibrary.inbox(number) else { return 1 }
  let content = [UInt8](UnsafeRawBufferPointer(start: bytes, count: count))
  if flags & Int32(MSG_NOTIFICATION) != 0 {
    inbox.items.append(.notification(content))
  } else {
    inbox.items.append(
      .fragment(
        .init(
          stream: info.rcv_sid, ppid: UInt32(bigEndian: info.rcv_ppid),
          isUnordered: info.rcv_flags & UInt16(SCTP_UNORDERED) != 0, isLast: flags & 0x80 != 0, bytes: content)))
  }
  return 1
}

func freeSpaceThunk(_ socket: OpaquePointer?, _ free: UInt32, _ number: UnsafeMutableRawPointer?) -> Int32 {
  SCTPLibrary.inbox(number)?.freeBytes = Int(free)
  return 1
}

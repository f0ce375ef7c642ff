import LinuxIO
import RendezvousLogic
import Storage

extension ContactBook {
  /// Keeps contacts in the database. A failure is logged, and nothing has changed.
  static func keeping(in store: AccountStore, log: Log) -> ContactBook {
    func attempt(_ body: () throws(StorageError) -> AccountStore.Change) -> Verdict {
      do throws(StorageError) {
        return try body() == .missing ? .missing : .kept
      } catch {
        log.error("database", ("error", "\(error)"))
        return .unavailable
      }
    }
    return ContactBook(
      want: { other, account in
        attempt { () throws(StorageError) in
          try store.want(other, by: account, now: MonotonicClock.wallClockSeconds)
        }
      },
      part: { account, other in
        attempt { () throws(StorageError) in
          _ = try store.part(account, other)
          return .done
        }
      })
  }
}

import EdgeCore
import PIDF

/// Published state by entity tag (RFC 3903 §4), and who carries each serial now.
///
/// A publication lives as long as the flow it came over, its expiry and its account, whichever ends
/// first. A serial shown by two publications of one account is the newer one's.
struct Publications {
  struct Publication {
    var account: String
    /// The device (`+sip.instance`) that published, so that a new flow of it can take over.
    var instance: String
    var flow: Flow
    var expires: Instant
    var resources: [Presence.Tuple]
    /// Rises with each publication: which of two is the newer.
    var order: UInt64
  }

  private var byTag: [String: Publication] = [:]
  private var tagsOfAccount: [String: [String]] = [:]
  private var tagOfSerial: [String: String] = [:]
  private var lastOrder: UInt64 = 0

  var count: Int { byTag.count }
  var serialCount: Int { tagOfSerial.count }

  /// All serials that are published, sorted.
  var serials: [String] { tagOfSerial.keys.sorted() }

  subscript(tag: String) -> Publication? { byTag[tag] }

  func count(of account: String) -> Int { tagsOfAccount[account]?.count ?? 0 }

  /// The publication that carries `serial` now, and what it says of it.
  func carrier(of serial: String) -> (publication: Publication, resource: Presence.Tuple)? {
    guard let tag = tagOfSerial[serial], let publication = byTag[tag],
      let resource = publication.resources.first(where: { $0.serial == serial })
    else { return nil }
    return (publication, resource)
  }

  /// Stores a publication under `tag`, in place of `old` when it modifies or refreshes one.
  /// - Returns: the serials whose state may have changed, sorted.
  mutating func store(
    _ resources: [Presence.Tuple], account: String, instance: String, flow: Flow, expires: Instant, tag: String,
    replacing old: String?
  ) -> [String] {
    let before = old.flatMap { byTag[$0] }?.resources ?? []
    if let old { forget(old) }
    lastOrder &+= 1
    byTag[tag] = Publication(
      account: account, instance: instance, flow: flow, expires: expires, resources: resources, order: lastOrder)
    tagsOfAccount[account, default: []].append(tag)
    for resource in resources { tagOfSerial[resource.serial] = tag }
    let now = Set(resources.map(\.serial))
    for resource in before where !now.contains(resource.serial) { handOver(resource.serial, account) }
    return now.union(before.map(\.serial)).sorted()
  }

  /// - Returns: the serials whose state may have changed, sorted.
  mutating func remove(_ tag: String) -> [String] {
    guard let publication = byTag[tag] else { return [] }
    forget(tag)
    for resource in publication.resources { handOver(resource.serial, publication.account) }
    return publication.resources.map(\.serial).sorted()
  }

  /// Takes one serial out of every publication that names it.
  /// - Returns: the serial, if it was published.
  mutating func withdraw(_ serial: String) -> [String] {
    guard let account = carrier(of: serial)?.publication.account else { return [] }
    for tag in tags(of: account) { byTag[tag]?.resources.removeAll { $0.serial == serial } }
    tagOfSerial[serial] = nil
    return [serial]
  }

  /// The tags of one account's publications, oldest first.
  func tags(of account: String) -> [String] { tagsOfAccount[account] ?? [] }

  /// The tags of publications that ran out, sorted.
  func expired(at now: Instant) -> [String] {
    byTag.filter { $0.value.expires <= now }.map(\.key).sorted()
  }

  /// Lets the device's new flow carry what its old flow published (RFC 5626 §4.2: one instance and
  /// reg-id are one device, whatever address it now comes from).
  mutating func move(account: String, instance: String, from old: Flow, to new: Flow) {
    for tag in tags(of: account) where byTag[tag]?.flow == old && byTag[tag]?.instance == instance {
      byTag[tag]?.flow = new
    }
  }

  private mutating func forget(_ tag: String) {
    guard let publication = byTag.removeValue(forKey: tag) else { return }
    let left = (tagsOfAccount[publication.account] ?? []).filter { $0 != tag }
    tagsOfAccount[publication.account] = left.isEmpty ? nil : left
    for resource in publication.resources where tagOfSerial[resource.serial] == tag {
      tagOfSerial[resource.serial] = nil
    }
  }

  /// Gives a serial that lost its publication to the account's newest other one, if it names it.
  private mutating func handOver(_ serial: String, _ account: String) {
    guard tagOfSerial[serial] == nil else { return }
    tagOfSerial[serial] =
      tags(of: account)
      .filter { byTag[$0]?.resources.contains { $0.serial == serial } == true }
      .max { (byTag[$0]?.order ?? 0) < (byTag[$1]?.order ?? 0) }
  }
}

import EdgeCore
import FileTransfer
import Testing

@Suite("Transfer journal")
struct TransferJournalTests {
  static let journal = TransferJournal(
    name: "a.y4m", size: 1000, sha256: Array(0..<32), peer: "gate-box", source: "CAM-1 clips/a.y4m")

  private func read(_ text: String) -> TransferJournal? { TransferJournal(Array(text.utf8)) }

  @Test func `what was durable last is where it goes on`() {
    var text = Self.journal.firstLine
    #expect(read(text) == Self.journal)
    text += TransferJournal.line(durable: 400) + TransferJournal.line(durable: 800)
    #expect(read(text)?.durable == 800)
    // Cut short by a crash.
    for cut in 1..<TransferJournal.line(durable: 900).utf8.count {
      let begun = String(TransferJournal.line(durable: 900).prefix(cut))
      #expect(read(text + begun)?.durable == (begun.hasSuffix("}") ? 900 : 800), "\(begun)")
    }
    // Cut back when the disk was full.
    #expect(read(text + TransferJournal.line(durable: 500))?.durable == 500)
  }

  @Test func `never beyond what is there of the part`() {
    var journal = Self.journal
    journal.durable = 800
    #expect(journal.resumeOffset(partBytes: 900) == 800)
    #expect(journal.resumeOffset(partBytes: 300) == 300)
    #expect(journal.resumeOffset(partBytes: 0) == 0)
  }

  @Test func `a damaged journal is none, and damage in a line is passed over`() {
    #expect(read("") == nil)
    #expect(read("{\"durable\":5}\n") == nil)
    #expect(read(String(Self.journal.firstLine.dropLast(4))) == nil)
    #expect(TransferJournal([UInt8](repeating: 0x0A, count: 2 << 20)) == nil)
    let text = Self.journal.firstLine + "{\"durable\":1001}\n{\"durable\":-1}\nx\n{\"durable\":7}\n\0\0\0"
    #expect(read(text)?.durable == 7)
  }

  @Test func `parts are hidden from listings and refused as names`() {
    let name = TransferJournal.partName(sha256: Self.journal.sha256)
    #expect((try? SafeName.check(name)) == nil)
    #expect(TransferJournal.isJournalName(TransferJournal.journalName(sha256: Self.journal.sha256)))
    #expect(!TransferJournal.isJournalName(name))
  }
}

@Suite("Folder listings and progress")
struct FileListingTests {
  @Test func `a listing is read as it was written, without names that are not safe`() throws {
    var listing = FileListing(entries: [
      .init(name: "clips", isFolder: true, size: 0, modified: 1_795_242_075),
      .init(name: "a.y4m", isFolder: false, size: 1 << 41, modified: 1_795_242_075),
    ])
    #expect(FileListing(listing.bytes) == listing)
    listing.entries.append(.init(name: "../x", isFolder: false, size: 1, modified: 0))
    #expect(FileListing(listing.bytes)?.entries.count == 2)
    #expect(FileListing(Array("[]".utf8)) == nil)
    #expect(FileListing(Array("{\"entries\":[1,{}]}".utf8))?.entries.isEmpty == true)
  }

  @Test func `a folder of very many files is cut, and says so`() throws {
    let name = String(repeating: "n", count: 180)
    let listing = FileListing(
      entries: (0..<9_000).map { .init(name: "\(name)\($0)", isFolder: false, size: 1, modified: 0) })
    let bytes = listing.bytes
    #expect(bytes.count <= FileListing.maximumBytes)
    let read = try #require(FileListing(bytes))
    #expect(read.isCut)
    #expect(read.entries.count > 2_000)
  }

  @Test func `the bar tells how much, how fast and how long still`() {
    var meter = TransferMeter(size: 10_000_000, bytes: 0, at: .zero)
    #expect(meter.text(at: .zero) == "[>                       ]   0 %  0 bytes of 10.0 MB")
    for step in 1...5 { meter.note(UInt64(step) * 1_000_000, at: .zero + .seconds(step)) }
    #expect(
      meter.text(at: .zero + .seconds(5)) == "[============>           ]  50 %  5.0 MB of 10.0 MB  1.0 MB/s  6 s left")
    meter.note(10_000_000, at: .zero + .seconds(6))
    #expect(meter.text(at: .zero + .seconds(6)).hasPrefix("[========================] 100 %  10.0 MB of 10.0 MB"))
    // A resumed transfer is as fast as what comes now.
    var resumed = TransferMeter(size: 10_000_000, bytes: 9_000_000, at: .zero)
    resumed.note(9_500_000, at: .zero + .seconds(1))
    #expect(resumed.rate == 500_000)
    #expect(TransferMeter(size: 0, bytes: 0, at: .zero).text(at: .zero).contains("100 %"))
  }
}

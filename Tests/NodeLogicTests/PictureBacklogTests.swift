import EdgeCore
import NodeLogic
import Testing

@Suite("Picture backlog")
struct PictureBacklogTests {
  @Test func `it is the last key frame and what was made since`() {
    var backlog = PictureBacklog<Int>(maximumBytes: 1000)
    backlog.add(1, isKey: false, bytes: 10, at: .zero)
    #expect(backlog.pictures == [])
    backlog.add(2, isKey: true, bytes: 5000, at: .zero)
    backlog.add(3, isKey: false, bytes: 600, at: .zero)
    backlog.add(4, isKey: false, bytes: 400, at: .zero)
    #expect(backlog.pictures == [2, 3, 4])
    backlog.add(5, isKey: true, bytes: 10, at: .zero)
    #expect(backlog.pictures == [5])
  }

  @Test func `what is too much is let go of until the next key frame, never shortened`() {
    var backlog = PictureBacklog<Int>(maximumBytes: 1000)
    backlog.add(1, isKey: true, bytes: 10, at: .zero)
    backlog.add(2, isKey: false, bytes: 600, at: .zero)
    backlog.add(3, isKey: false, bytes: 401, at: .zero)
    #expect(backlog.pictures == [])
    backlog.add(4, isKey: false, bytes: 1, at: .zero)
    #expect(backlog.pictures == [])
    backlog.add(5, isKey: true, bytes: 10, at: .zero)
    backlog.add(6, isKey: false, bytes: 1000, at: .zero)
    #expect(backlog.pictures == [5, 6])
  }

  @Test func `it is over when a new key frame may be had`() {
    var backlog = PictureBacklog<Int>()
    backlog.add(1, isKey: true, bytes: 10, at: .zero + .seconds(5))
    backlog.expire(after: .seconds(1), at: .zero + .milliseconds(5999))
    #expect(backlog.pictures == [1])
    backlog.expire(after: .seconds(1), at: .zero + .seconds(6))
    #expect(backlog.pictures == [])
  }
}

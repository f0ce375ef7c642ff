public import Alarms
import EdgeCore
public import LinuxIO
import StatusModel

/// The events of a node's cameras, one JSON object per line: what `edge events` on the node shows.
public final class EventJournal {
  /// Bytes after which the file is put aside as `events.1.jsonl`, in place of the one before.
  public static let maximumBytes = 1 << 20

  public let pictures: PictureFolder
  private let directory: String
  private var file: AppendFile
  private var bytes: Int

  public init(directory: String) throws(FileError) {
    self.directory = directory
    pictures = try PictureFolder(directory + "/events")
    bytes = File.size(Self.path(in: directory)) ?? 0
    file = try AppendFile(Self.path(in: directory))
  }

  public static func path(in directory: String) -> String { directory + "/events.jsonl" }
  public static func asidePath(in directory: String) -> String { directory + "/events.1.jsonl" }

  /// Durable when it returns.
  ///
  /// - Parameters:
  ///   - isSent: whether a message goes to those who may watch the camera.
  ///   - picture: path of the file.
  public func note(_ event: AlarmEvent, isSent: Bool, picture: String? = nil) throws(FileError) {
    guard case .object(var members) = event.json else { return }
    members.append(.init("sent", .bool(isSent)))
    if let picture { members.append(.init("picture", .string(picture))) }
    let line = Array((JSONWriter.text(.object(members)) + "\n").utf8)
    if bytes + line.count > Self.maximumBytes {
      try File.move(Self.path(in: directory), to: Self.asidePath(in: directory))
      file = try AppendFile(Self.path(in: directory))
      bytes = 0
    }
    try file.append(line)
    bytes += line.count
  }
}

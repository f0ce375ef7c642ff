import EdgeCore
import FrameCodec
import NodeLogic

/// One rendition that is encoded, as the reactor's thread knows it.
struct WatchedRendition {
  let rendition: Rendition
  /// No viewer has room for it.
  var isHeld = false
  private var hasBegun = false
  /// The camera's own pictures, each of which builds on the one before.
  private(set) var isInterCoded = false
  private var backlog = PictureBacklog<EncodedPicture>()

  init(_ rendition: Rendition) { self.rendition = rendition }

  mutating func note(_ picture: EncodedPicture) {
    if picture.frame.isKey { hasBegun = true }
    isInterCoded = picture.isInterCoded
    backlog.add(picture, isKey: picture.frame.isKey, bytes: picture.frame.byteCount, at: picture.encoded)
  }

  /// Whether pictures are to be made for viewers whose session is not open yet. The first serves them all, as the
  /// backlog; those after it would be old by then. H.264 cannot go on after a gap.
  var isMadeAhead: Bool { isInterCoded || !hasBegun }

  /// What a viewer may go on with at once. Where only the camera makes key frames nothing is too old.
  mutating func current(at now: Instant) -> [EncodedPicture] {
    if !isInterCoded { backlog.expire(after: KeyFrameLimiter.standardInterval, at: now) }
    return backlog.pictures
  }
}

import Deflate
import EdgeCore
import LinuxIO
import Picture

/// A page with the live picture and the figures, for a browser on this machine.
///
///     GET /               the page
///     GET /stream         multipart/x-mixed-replace: PNG, or JPEG where the camera makes it
///     GET /picture        the next picture
///     GET /stats.json     the figures, as in `--stats`
///
/// Bound to a loopback address, and deaf to requests for any other host name: another site's page cannot reach it by
/// a name of its own. A browser too slow for the pictures gets fewer.
final class LocalPage {
  private final class Client {
    let connection: TCPConnection
    var request: [UInt8] = []
    var deadline: Reactor.TimerToken?
    var isStreaming = false
    var awaitsPicture = false

    init(_ connection: TCPConnection) { self.connection = connection }
  }

  private struct Encoded: Sendable {
    var bytes: [UInt8]
    var type: String
  }

  private struct Work: Sendable {
    var picture: [UInt8]
    var format: PictureFormat
  }

  private let reactor: Reactor
  private let listener: TCPListener
  private let stats: () -> String
  private let queue: WorkQueue<Work>
  private let mailbox: Mailbox<Encoded>
  private let thread: LinuxIO.Thread
  private let inlet: Inlet
  private var clients: [Client] = []
  private var isEncoding = false

  private final class Inlet {
    var receive: ((Encoded) -> Void)?
  }

  static let maximumClients = 16
  private static let maximumRequestBytes = 8192
  private static let requestDeadline = Duration.seconds(5)
  private static let boundary = "edge-picture"

  var address: SocketAddress { listener.localAddress }

  init(reactor: Reactor, address: SocketAddress, stats: @escaping () -> String) throws(SystemError) {
    self.reactor = reactor
    self.stats = stats
    listener = try TCPListener(reactor: reactor, bind: address)
    let inlet = Inlet()
    self.inlet = inlet
    let mailbox = try Mailbox<Encoded>(reactor: reactor, capacity: 2) { inlet.receive?($0) }
    self.mailbox = mailbox
    let queue = WorkQueue<Work>(capacity: 1)
    self.queue = queue
    thread = try LinuxIO.Thread(name: "page") {
      while let work = queue.pop() {
        if work.format.pixelFormat == .mjpeg {
          mailbox.post(Encoded(bytes: work.picture, type: "image/jpeg"))
          continue
        }
        let png = PNGWriter(deflate: { Zlib.deflate($0, level: 1) }).file(work.picture, work.format)
        mailbox.post(Encoded(bytes: png ?? [], type: "image/png"))
      }
    }
    inlet.receive = { [unowned(unsafe) self] in deliver($0) }
    listener.onAccept = { [unowned(unsafe) self] in accept($0) }
  }

  func close() {
    inlet.receive = nil
    listener.onAccept = nil
    listener.close()
    queue.close()
    mailbox.close()
    for client in clients {
      if let deadline = client.deadline { reactor.cancel(deadline) }
      client.connection.close()
    }
    clients = []
  }

  /// Encodes the picture if anybody looks, and is not busy with the one before.
  func show(_ picture: [UInt8], _ format: PictureFormat) {
    guard !isEncoding, clients.contains(where: { $0.awaitsPicture || $0.isStreaming && $0.connection.unsentBytes == 0 })
    else { return }
    isEncoding = queue.push(Work(picture: picture, format: format))
  }

  private func deliver(_ picture: Encoded) {
    isEncoding = false
    guard !picture.bytes.isEmpty else { return }
    for client in clients {
      if client.awaitsPicture {
        client.awaitsPicture = false
        answer(client, "200 OK", picture.type, picture.bytes)
      } else if client.isStreaming, client.connection.unsentBytes == 0 {
        let head =
          "--\(Self.boundary)\r\nContent-Type: \(picture.type)\r\nContent-Length: \(picture.bytes.count)\r\n\r\n"
        client.connection.send(Array(head.utf8) + picture.bytes + [13, 10])
      }
    }
  }

  // MARK: Requests

  private func accept(_ connection: TCPConnection) {
    guard clients.count < Self.maximumClients else { return connection.close() }
    let client = Client(connection)
    clients.append(client)
    client.deadline = reactor.schedule(after: Self.requestDeadline) { [unowned(unsafe) self, unowned(unsafe) client] in
      client.deadline = nil
      client.connection.close()
      forget(client)
    }
    connection.onClosed = { [unowned(unsafe) self, unowned(unsafe) client] _ in forget(client) }
    connection.onBytes = { [unowned(unsafe) self, unowned(unsafe) client] bytes in receive(bytes, client) }
  }

  private func forget(_ client: Client) {
    if let deadline = client.deadline { reactor.cancel(deadline) }
    client.deadline = nil
    let kept = client
    clients.removeAll { $0 === client }
    // Its connection may be what is calling us.
    reactor.enqueue(.bulk) { _ = kept }
  }

  private func receive(_ bytes: RawSpan, _ client: Client) {
    guard client.deadline != nil else { return }
    client.request += [UInt8](copying: bytes)
    guard let end = Self.end(of: client.request) else {
      if client.request.count > Self.maximumRequestBytes { answer(client, "431 Request Header Fields Too Large") }
      return
    }
    if let deadline = client.deadline { reactor.cancel(deadline) }
    client.deadline = nil
    let lines = client.request[..<end].split(separator: 13).map { line in
      String(decoding: line.first == 10 ? line.dropFirst() : line, as: UTF8.self)
    }
    client.request = []
    let words = (lines.first ?? "").utf8.split(separator: 32).map { String(decoding: Array($0), as: UTF8.self) }
    guard words.count == 3, words[0] == "GET" else { return answer(client, "405 Method Not Allowed") }
    guard isForUs(lines) else { return answer(client, "403 Forbidden") }
    switch words[1] {
    case "/": answer(client, "200 OK", "text/html; charset=utf-8", Array(Self.page.utf8))
    case "/stats.json": answer(client, "200 OK", "application/json", Array(stats().utf8))
    case "/picture": client.awaitsPicture = true
    case "/stream":
      client.isStreaming = true
      client.connection.send(Self.head("200 OK", "multipart/x-mixed-replace; boundary=\(Self.boundary)", nil))
    default: answer(client, "404 Not Found")
    }
  }

  /// The empty line.
  private static func end(of request: [UInt8]) -> Int? {
    guard request.count >= 4 else { return nil }
    for index in 0...request.count - 4 where request[index...index + 3].elementsEqual([13, 10, 13, 10]) { return index }
    return nil
  }

  /// Named by an address of this machine, and by nothing else.
  private func isForUs(_ lines: [String]) -> Bool {
    for line in lines.dropFirst() {
      let bytes = Array(ASCII.lowercased(line).utf8)
      guard bytes.starts(with: "host:".utf8) else { continue }
      let value = String(decoding: bytes.dropFirst(5).filter { $0 != 32 }, as: UTF8.self)
      let port = ":\(listener.localAddress.port)"
      return [
        "127.0.0.1" + port, "localhost" + port, "[::1]" + port, listener.localAddress.description,
      ].contains(value)
    }
    return false
  }

  private func answer(_ client: Client, _ status: String, _ type: String = "text/plain", _ body: [UInt8]? = nil) {
    let body = body ?? Array((status + "\n").utf8)
    client.connection.send(Self.head(status, type, body.count) + body)
    client.connection.closeAfterSending()
  }

  private static func head(_ status: String, _ type: String, _ length: Int?) -> [UInt8] {
    var head = "HTTP/1.1 \(status)\r\nContent-Type: \(type)\r\nCache-Control: no-store\r\nConnection: close\r\n"
    head += "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'self' 'unsafe-inline'\r\n"
    if let length { head += "Content-Length: \(length)\r\n" }
    return Array((head + "\r\n").utf8)
  }

  private static let page = """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><title>edge</title>
    <style>
    body{margin:0;background:#111;color:#ddd;font:14px/1.5 system-ui,sans-serif;text-align:center}
    img{max-width:100%;max-height:80vh;background:#000}
    table{margin:8px auto;text-align:left}td{padding:0 12px}td+td{font-variant-numeric:tabular-nums}
    </style></head>
    <body><img src="/stream" alt="live picture"><p id="trouble"></p><table id="figures"></table>
    <script>
    const rows = {serial: "camera", format: "format", size: "size", fps: "pictures/s", frames: "pictures",
      frames_lost: "lost", path: "path", remote: "remote", rtt_ms: "round trip, ms"};
    async function tick() {
      try {
        const s = await (await fetch("/stats.json")).json();
        document.getElementById("trouble").textContent = s.camera_trouble ?? (s.format == "H264" ?
          "The camera sends H.264, which is not shown here: edge view --play, or --format h264" : "");
        const table = document.getElementById("figures");
        table.textContent = "";
        const add = (name, value) => {
          const row = table.insertRow();
          row.insertCell().textContent = name;
          row.insertCell().textContent = value ?? "-";
        };
        for (const key in rows) add(rows[key], s[key]);
        for (const stage in s.latency ?? {}) {
          const t = s.latency[stage];
          if (t) add(stage + ", ms (median, 95 %)", t.p50_ms + ", " + t.p95_ms);
        }
      } catch {}
      setTimeout(tick, 1000);
    }
    tick();
    </script></body></html>

    """
}

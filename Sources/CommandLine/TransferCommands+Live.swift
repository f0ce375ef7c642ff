internal import Config
internal import FileTransfer
internal import LinuxIO
internal import StatusModel
internal import ViewerRuntime

/// What `edge get`, `put` and `chat` do.
enum TransferCommands {
  static func get(_ options: GetOptions) -> ExitCode {
    let job: TransferOptions.Job
    if options.lists {
      job = .list(path: options.path)
    } else {
      let (folder, name) = place(options.output)
      job = .fetch(path: options.path, folder: folder, name: name)
    }
    let wanted = TransferOptions(name: options.serial, job: job, route: options.route.route)
    return run(options.account, wanted) { result in
      if let listing = result.listing {
        Program.writeOutput(options.json ? JSONWriter.text(listing.json) + "\n" : text(listing))
      } else {
        Program.writeOutput(options.json ? JSONWriter.text(result.json) + "\n" : result.path + "\n")
      }
    }
  }

  static func put(_ options: PutOptions) -> ExitCode {
    let wanted = TransferOptions(name: options.name, job: .send(file: options.file), route: options.route.route)
    return run(options.account, wanted) { result in
      Program.writeOutput(options.json ? JSONWriter.text(result.json) + "\n" : "delivered\n")
    }
  }

  static func chat(_ options: ChatOptions) -> ExitCode {
    do throws(CommandFailure) {
      let account = try options.account.load()
      return ChatProgram.run(
        with: options.name, as: account, folder: options.folder, progress: EdgeProgram.Commands.progress
      ) { Program.writeOutput($0) }
    } catch {
      return EdgeProgram.report(error)
    }
  }

  private static func run(
    _ account: AccountOptions, _ options: TransferOptions, _ show: @escaping (TransferResult) -> Void
  ) -> ExitCode {
    do throws(CommandFailure) {
      let account = try account.load()
      return TransferProgram.run(options, as: account, progress: EdgeProgram.Commands.progress, show: show)
    } catch {
      return EdgeProgram.report(error)
    }
  }

  /// A folder and, where it is not the file's own, a name.
  private static func place(_ output: String?) -> (folder: String, name: String?) {
    guard let output else { return (".", nil) }
    let bytes = Array(output.utf8)
    if bytes.last == UInt8(ascii: "/") || File.isDirectory(output) { return (output, nil) }
    guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return (".", output) }
    let folder = slash == 0 ? "/" : String(decoding: bytes[..<slash], as: UTF8.self)
    return (folder, String(decoding: bytes[(slash + 1)...], as: UTF8.self))
  }

  private static func text(_ listing: FileListing) -> String {
    var text = ""
    for entry in listing.entries {
      let size = entry.isFolder ? "folder" : Plain.byteCount(Int64(clamping: entry.size))
      text += String(repeating: " ", count: max(0, 10 - size.utf8.count)) + size + "  " + Plain.time(entry.modified)
      text += "  " + ShownText.line(entry.name) + (entry.isFolder ? "/" : "") + "\n"
    }
    if listing.isCut { text += "... and more\n" }
    return text
  }
}

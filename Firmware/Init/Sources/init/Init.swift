import CInit

/// The first program of the image: sets the machine up as `/etc/init.conf` says, then keeps one
/// program running. There is no shell and no other program.
///
/// `/etc/init.conf` has one directive a line, carried out in order; a failing one is told on the
/// console and the rest goes on, because a box that is half up can still be reached:
///
///     load /modules/vivid.ko n_devs=1      a kernel module, with its parameters
///     mount TYPE SOURCE FOLDER [OPTIONS]
///     folder /run/edge
///     host gate-box
///     address eth0 10.0.2.15/24            an IPv4 address; brings the interface up
///     route 10.0.2.2                       the default gateway
///     run /bin/edge run ...                the program; started again 1 s after it ends
///     once /bin/edge ...                   the same, but the machine is switched off when it ends
///
/// SIGINT (Ctrl-Alt-Del) and SIGTERM restart the machine, SIGUSR2 switches it off.
@main
struct Init {
  static func main() {
    Mounts.base()
    say("starting")
    var configuration = Configuration()
    if let text = File.read("/etc/init.conf", atMost: 65536) {
      configuration.carryOut(text)
    } else {
      say("/etc/init.conf cannot be read: \(lastError())")
    }
    guard !configuration.program.isEmpty else {
      say("/etc/init.conf names no program to run")
      Machine.powerOff()
    }
    Supervisor(program: configuration.program, once: configuration.once).run()
  }
}

/// One line on the console.
func say(_ text: String) {
  var line = Array("init: \(text)\n".utf8)
  line.withUnsafeMutableBytes { bytes in _ = write(2, bytes.baseAddress, bytes.count) }
}

/// The text of the last failed call.
func lastError() -> String { String(cString: strerror(init_errno())) }

enum Machine {
  static func powerOff() -> Never { end(Int32(bitPattern: UInt32(RB_POWER_OFF)), "switching off") }
  static func restart() -> Never { end(Int32(RB_AUTOBOOT), "restarting") }

  private static func end(_ how: Int32, _ text: String) -> Never {
    say(text)
    kill(-1, SIGTERM)
    var left = timespec(tv_sec: 0, tv_nsec: 300_000_000)
    nanosleep(&left, nil)
    sync()
    reboot(how)
    say("the kernel refused: \(lastError())")
    while true { pause() }
  }
}

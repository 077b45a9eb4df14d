// SPDX-License-Identifier: Apache-2.0
// What commands print: results on stdout, notes and progress on stderr.

import Foundation
import ReFTHost
import ReFTTensor

/// The two streams of a command.
///
/// A result that cannot be written ends the command with status 74 and one line on stderr; a reader
/// that went away, such as `head`, wants no such line. Everything else is written where it can be.
/// What is shown to people is made safe for terminals; JSON and generated texts stay exact.
enum Output {
  /// Where results go: what was standard output when the program began.
  ///
  /// From the first use on, standard output itself leads to standard error, so that what a plugin prints
  /// is no part of a result.
  static let resultDescriptor: Int32 = {
    let own = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10)
    guard own >= 0 else { return STDOUT_FILENO }
    if dup2(STDERR_FILENO, STDOUT_FILENO) < 0 {
      let nothing = open("/dev/null", O_WRONLY | O_CLOEXEC)
      dup2(nothing, STDOUT_FILENO)
      close(nothing)
    }
    return own
  }()

  /// Prints a line of the result.
  static func line(_ text: String = "") { result(TerminalText.text(text) + "\n") }

  /// Prints a part of a generated text as it comes, without a line end.
  ///
  /// The text belongs to the user: files and pipes get it as it is. A terminal would obey its
  /// control characters, and gets them escaped.
  static func piece(_ text: String) {
    result(isatty(resultDescriptor) == 1 ? TerminalText.text(text) : text)
  }

  /// Tells the user something that is not part of the result, in one line.
  static func note(_ text: String) { tell(TerminalText.sentence(text) + "\n") }

  /// Asks for a line of input on the terminal.
  static func prompt(_ text: String) { tell(text) }

  /// Tells something that only a person at a terminal wants to know.
  static func remark(_ text: String) {
    if isatty(STDERR_FILENO) == 1 { note(text) }
  }

  /// Writes to stderr as it is; what cannot be written is dropped, since no work may end by it.
  static func tell(_ text: String) {
    _ = StandardStream.write(text, to: STDERR_FILENO, patienceMilliseconds: 1000)
  }

  /// Writes a part of the result as it is.
  static func result(_ text: String) {
    let code = StandardStream.write(text, to: resultDescriptor)
    if code != 0 { fail(code) }
  }

  /// Makes sure that the result has left the process: some file systems report late that they are
  /// full.
  static func finish() {
    let copy = dup(resultDescriptor)
    if copy >= 0, close(copy) != 0, errno != EINTR { fail(errno) }
  }

  private static func fail(_ code: Int32) -> Never {
    let reason = String(cString: strerror(code))
    if code != EPIPE {
      note(
        "error: cannot write the result to standard output: \(reason); check where it is "
          + "redirected to"
      )
    }
    ForeignCalls.expectExit()
    exit(ReFTError.Code.inputOutput.exitStatus)
  }

  /// Prints the one JSON document of a command.
  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity",
      negativeInfinity: "-Infinity",
      nan: "NaN"
    )
    let data = try encoder.encode(value)
    result(String(decoding: data, as: UTF8.self) + "\n")
  }

  /// Prints rows in columns, two spaces between them; long cells are cut.
  static func table(_ cells: [[String]]) {
    let rows = cells.map { $0.map(TerminalText.name) }
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    let lines = rows.map { row in
      let padded = row.enumerated().map { column, cell in
        cell
          + String(repeating: " ", count: column == row.count - 1 ? 0 : widths[column] - cell.count)
      }
      return padded.joined(separator: "  ") + "\n"
    }
    result(lines.joined())
  }
}

/// A value of a JSON document that may be null but never absent.
struct OrNull<Value: Encodable>: Encodable {
  private let value: Value?

  init(_ value: Value?) { self.value = value }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let value { try container.encode(value) } else { try container.encodeNil() }
  }
}

/// Numbers and durations as people read them.
enum Readable {
  /// "1,234,567".
  static func count(_ value: Int) -> String {
    let digits = Array(String(value.magnitude))
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return value < 0 ? "-" + text : text
  }

  /// "97.6 MB".
  static func bytes(_ value: Int) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"]
    var number = Double(value)
    var unit = 0
    while number >= 1000, unit < units.count - 1 {
      number /= 1000
      unit += 1
    }
    return unit == 0 ? "\(value) bytes" : "\(fixed(number, 1)) \(units[unit])"
  }

  /// "2m05s".
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "?" }
    let whole = Int(max(0, seconds).rounded())
    if whole < 60 { return "\(whole)s" }
    let (minutes, rest) = (whole / 60, whole % 60)
    if minutes < 60 { return "\(minutes)m" + pad(rest) + "s" }
    return "\(minutes / 60)h" + pad(minutes % 60) + "m"
  }

  /// A word as a shell takes it: in quotes where it holds more than plain characters.
  static func word(_ text: String) -> String {
    let plain = text.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
      default: "-_./=,:+@%".utf8.contains(byte)
      }
    }
    return plain && !text.isEmpty ? text : "'" + text.replacing("'", with: "'\\''") + "'"
  }

  /// "0.6 % of the time in plugin loreft", a line for each plugin.
  static func shares(_ shares: [String: Double]) -> [String] {
    shares.sorted { $0.key < $1.key }.map { name, share in
      "\(fixed(100 * share, 1)) % of the time in plugin \(name)"
    }
  }

  /// A number with a fixed number of decimals.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    String(format: "%.\(decimals)f", value)
  }

  /// A number with its sign, as it is or with a fixed number of decimals.
  static func signed(_ value: Double, _ decimals: Int? = nil) -> String {
    (value < 0 ? "-" : "+") + (decimals.map { fixed(value.magnitude, $0) } ?? "\(value.magnitude)")
  }

  private static func pad(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}

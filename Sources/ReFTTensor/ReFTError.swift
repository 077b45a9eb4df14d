// SPDX-License-Identifier: Apache-2.0
// The one error type of the library modules. Each module adds factories in `ReFTError+Topic.swift`;
// the command line maps `code` to an exit status, in one place.

/// An error with a code, a sentence that names values and remedy, and its cause.
public struct ReFTError: Error, CustomStringConvertible, Sendable {
  /// What kind of thing went wrong; new kinds can be added without breaking callers.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    private enum Kind: String, Sendable {
      case usage, badData, inputMissing, pluginRefused, misbehaved, internalFault, inputOutput
      case badConfiguration, interrupted
    }
    private let kind: Kind

    /// The caller asked for something that does not exist or does not fit together.
    public static let usage = Code(kind: .usage)
    /// A file or a row holds something that its format does not allow.
    public static let badData = Code(kind: .badData)
    /// A file, model, adapter or other input is not there.
    public static let inputMissing = Code(kind: .inputMissing)
    /// A plugin was not found, or was refused before it was called.
    public static let pluginRefused = Code(kind: .pluginRefused)
    /// A loaded plugin broke its contract; it is disabled and the host goes on.
    public static let misbehaved = Code(kind: .misbehaved)
    /// A fault of this program.
    public static let internalFault = Code(kind: .internalFault)
    /// The operating system could not read or write.
    public static let inputOutput = Code(kind: .inputOutput)
    /// A configuration key or value is unknown, of the wrong type, or impossible.
    public static let badConfiguration = Code(kind: .badConfiguration)
    /// The user ended the work; what was done is saved.
    public static let interrupted = Code(kind: .interrupted)

    /// The name of the code, as it stands in JSON.
    public var description: String { kind.rawValue }

    /// The exit status of the command line for this code (sysexits).
    public var exitStatus: Int32 {
      switch kind {
      case .usage: 64
      case .badData: 65
      case .inputMissing: 66
      case .pluginRefused, .misbehaved: 69
      case .internalFault: 70
      case .inputOutput: 74
      case .badConfiguration: 78
      case .interrupted: 130
      }
    }
  }

  /// Where in the source the error was made.
  public struct Location: Sendable {
    /// The function's name.
    public var function: String
    /// The file, as `Module/File.swift`.
    public var fileID: String
    /// The line in that file.
    public var line: Int

    /// Captures the place of the caller.
    public static func here(
      function: String = #function,
      fileID: String = #fileID,
      line: Int = #line
    ) -> Location {
      Location(function: function, fileID: fileID, line: line)
    }
  }

  /// The kind of error.
  public var code: Code
  /// What happened, with the values found and expected, and what to do.
  public var message: String
  /// The error that led to this one, kept as it was.
  public var cause: (any Error)?
  /// Where the error was made.
  public var location: Location

  /// Makes an error; call sites use the factories in `ReFTError+Topic.swift`.
  public init(
    _ code: Code,
    _ message: String,
    cause: (any Error)? = nil,
    location: Location = .here()
  ) {
    self.code = code
    self.message = message
    self.cause = cause
    self.location = location
  }

  /// The message in one line that is safe to show: names from files may hold anything.
  public var description: String { TerminalText.sentence(message) }

  /// The message, the source location and the causes, one per line, each safe to show.
  public func detailedDescription() -> String {
    var lines = ["\(code): \(self) [\(location.fileID):\(location.line) \(location.function)]"]
    var next = cause
    while let error = next {
      if let error = error as? ReFTError {
        lines.append("  caused by \(error.code): \(error)")
        next = error.cause
      } else {
        lines.append("  caused by \(TerminalText.sentence("\(error)"))")
        next = nil
      }
    }
    return lines.joined(separator: "\n")
  }
}

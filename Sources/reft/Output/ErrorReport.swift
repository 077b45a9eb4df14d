// SPDX-License-Identifier: Apache-2.0
// How an error reaches the user: `error: …` in one line on stderr, and an exit status.

import ArgumentParser
import Foundation
import ReFTHost
import ReFTTensor

/// The text and the exit status of an error.
struct ErrorReport {
  let text: String
  let status: Int32
  /// Help and version requests come as errors from the parser but are results.
  let isResult: Bool

  init(_ error: any Error, verbose: Bool) {
    if let error = error as? ReFTError {
      text = "error: " + (verbose ? error.detailedDescription() : error.description)
      status = error.code.exitStatus
      isResult = false
      return
    }
    let code = Reft.exitCode(for: error)
    status = code.rawValue
    isResult = code == .success
    if isResult {
      text = Reft.fullMessage(for: error)
    } else if code == .validationFailure {
      let message = TerminalText.sentence(Reft.message(for: error))
      let hint =
        message.hasPrefix("Missing value for '--")
        ? "; a value that begins with '-' is written --option=VALUE" : ""
      text = "error: \(message)\(hint); see '\(Self.helpCall(error))'"
    } else {
      text = error is ExitCode ? "" : "error: " + TerminalText.sentence(Reft.message(for: error))
    }
  }

  func exit() -> Never {
    if isResult, !text.isEmpty {
      Output.line(text)
      Output.finish()
    } else if !text.isEmpty {
      Output.tell(text + "\n")
    }
    ForeignCalls.expectExit()
    Foundation.exit(status)
  }

  /// The help of the command that the user meant, read off the usage line of the parser's message.
  private static func helpCall(_ error: any Error) -> String {
    let message = Reft.fullMessage(for: error)
    guard let usage = message.split(separator: "\n").first(where: { $0.hasPrefix("Usage: ") })
    else { return "reft --help" }
    let words = usage.dropFirst("Usage: ".count).split(separator: " ")
    let path = words.prefix { !$0.hasPrefix("<") && !$0.hasPrefix("[") && !$0.hasPrefix("-") }
    return (path + ["--help"]).joined(separator: " ")
  }
}

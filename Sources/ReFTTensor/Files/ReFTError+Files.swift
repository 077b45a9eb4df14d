// SPDX-License-Identifier: Apache-2.0
// The errors of reading and writing files, and the one place where errno becomes a `ReFTError`.

import Foundation

/// What the operating system said: the cause of an `inputOutput` error.
package struct SystemError: Error, CustomStringConvertible, Sendable {
  /// The value of errno.
  package let number: Int32

  /// Keeps the number of a failed system call.
  package init(_ number: Int32) { self.number = number }

  /// The system's own sentence.
  package var description: String { "\(String(cString: strerror(number))) (errno \(number))" }

  /// What to do about it.
  package var remedy: String {
    switch number {
    case ENOMEM: "free memory, or raise the limit (`ulimit -v`)"
    case EFBIG: "raise the limit on the size of files (`ulimit -f`)"
    case EMFILE, ENFILE: "close files, or raise the limit on open ones (`ulimit -n`)"
    case ENOSPC, EDQUOT: "free space on the disk"
    case EROFS: "choose a place that can be written"
    default: "check permissions and free space"
    }
  }
}

extension ReFTError {
  /// A file could not be opened; a missing one has its own code.
  package static func cannotOpen(
    _ path: String,
    errno number: Int32,
    location: Location = .here()
  ) -> ReFTError {
    if number == ENOENT || number == ENOTDIR {
      return ReFTError(
        .inputMissing,
        "File '\(path)' does not exist; check the path.",
        cause: SystemError(number),
        location: location
      )
    }
    return systemCall("open", path, errno: number, location: location)
  }

  /// A system call on a file failed.
  package static func systemCall(
    _ operation: String,
    _ path: String,
    errno number: Int32,
    location: Location = .here()
  ) -> ReFTError {
    let cause = SystemError(number)
    return ReFTError(
      .inputOutput,
      "Could not \(operation) '\(path)': \(cause); \(cause.remedy).",
      cause: cause,
      location: location
    )
  }

  /// The path names a folder, a pipe or a device.
  package static func notARegularFile(
    _ path: String,
    location: Location = .here()
  ) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)' is not a regular file; give the path of the file itself.",
      location: location
    )
  }

  /// A link leads nowhere, so nobody knows what writing to it would make.
  package static func linkToNothing(
    _ path: String,
    location: Location = .here()
  ) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' is a link to something that does not exist; remove it, or give the path of a file.",
      location: location
    )
  }

  /// A file does not have the form that its format asks for.
  package static func malformed(
    _ format: String,
    _ path: String,
    _ detail: String,
    remedy: String = "The file is damaged or incomplete; fetch or write it again.",
    cause: (any Error)? = nil,
    location: Location = .here()
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(format) file '\(path)': \(detail). \(remedy)",
      cause: cause,
      location: location
    )
  }

  /// Values handed to a writer do not fit the format.
  package static func cannotEncode(
    _ format: String,
    _ path: String,
    _ detail: String,
    location: Location = .here()
  ) -> ReFTError {
    ReFTError(
      .usage,
      "Cannot write the \(format) file '\(path)': \(detail).",
      location: location
    )
  }
}

// SPDX-License-Identifier: Apache-2.0
// A file of events for TensorBoard beside metrics.jsonl. Each process of a run writes one of its own:
// TensorBoard reads them in the order of their names, and drops what a later one takes back.

import Foundation
import ReFTTensor

/// The file of a run's events, written as they happen.
final class EventFile {
  /// How the names of such files begin; TensorBoard finds them by it.
  static let prefix = "events.out.tfevents."
  private let path: String
  private let descriptor: Int32

  /// Makes a file.
  ///
  /// - Parameters:
  ///   - folder: the run folder.
  ///   - step: the steps that are done.
  /// - Throws: `inputOutput` when it cannot be written.
  init(folder: String, after step: Int) throws(ReFTError) {
    let now = Date().timeIntervalSince1970
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW
    var (name, opened) = ("", Int32(-1))
    // A process that goes on from the same step within a second takes a later one.
    for second in Int(now)..<Int(now) + 60 where opened < 0 {
      name = "\(folder)/\(Self.prefix)\(second).reft.\(getpid()).\(step)"
      opened = open(name, flags, 0o644)
      if opened < 0, errno != EEXIST { break }
    }
    (path, descriptor) = (name, opened)
    guard descriptor >= 0 else { throw .cannotWrite(path, errno: errno) }
    try append(TensorBoardEvent(wallTime: now, step: 0, content: .fileVersion))
    try append(TensorBoardEvent(wallTime: now, step: step + 1, content: .start))
  }

  deinit { close(descriptor) }

  /// Adds the numbers of a step.
  func append(_ record: StepRecord) throws(ReFTError) {
    let now = Date().timeIntervalSince1970
    try append(
      TensorBoardEvent(wallTime: now, step: record.step, content: .scalars(record.scalars))
    )
  }

  private func append(_ event: TensorBoardEvent) throws(ReFTError) {
    var rest = RecordFrame.frame(event.bytes)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        throw .cannotWrite(path, errno: errno)
      }
      rest = rest.dropFirst(count)
    }
  }
}

extension RunFolder {
  /// Whether a run gives such a name to a file of events.
  static func isEventFile(_ name: String) -> Bool {
    guard name.hasPrefix(EventFile.prefix) else { return false }
    let parts = name.dropFirst(EventFile.prefix.count)
      .split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[1] == "reft"
      && [parts[0], parts[2], parts[3]].allSatisfy { part in
        !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
      }
  }

  /// The files of events in the folder.
  func eventFiles() throws(ReFTError) -> [String] {
    try names(in: path).filter(Self.isEventFile).sorted()
  }
}

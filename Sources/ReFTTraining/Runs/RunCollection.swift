// SPDX-License-Identifier: Apache-2.0
// The runs that a user names: run folders, and folders of sweeps with all of theirs.

import Foundation
package import ReFTTensor

/// Runs to look at together.
package struct RunCollection: Sendable {
  /// The runs, each with a name of its own.
  package private(set) var runs: [RunRecord] = []
  /// The results of their sweeps.
  package private(set) var results: [SweepResult] = []
  /// What is worth a word, in sentences.
  package private(set) var notes: [String] = []

  /// Reads folders.
  ///
  /// - Throws: `inputMissing` for a folder with neither run nor sweep in it; `badData` where a file is
  ///   broken.
  package init(folders: [String]) throws(ReFTError) {
    for folder in folders {
      let path = URL(fileURLWithPath: folder).standardizedFileURL.path
      let file = path + "/" + TrainingSweep.resultsName
      if FileManager.default.fileExists(atPath: file) {
        try addSweep(path, SweepResult.read(path: file))
      } else {
        runs.append(try RunRecord(folder: path))
      }
    }
    guard !runs.isEmpty else {
      throw ReFTError(
        .inputMissing,
        "'\(folders.joined(separator: "', '"))' holds no run that has begun; train first"
      )
    }
    tellApart()
  }

  /// Adds the runs of a sweep that have begun, from wherever its folder lies now.
  private mutating func addSweep(
    _ folder: String,
    _ results: [SweepResult]
  ) throws(ReFTError) {
    var absent = 0
    for result in results {
      let path = folder + "/runs/" + result.name
      guard RunFolder.Kind(RunFolder(path).manifest) != .absent else {
        absent += 1
        continue
      }
      runs.append(try RunRecord(folder: path))
    }
    self.results += results
    if absent > 0 {
      notes.append("\(absent) of the \(results.count) runs of '\(folder)' have not begun")
    }
  }

  /// Gives runs of equal names as much of their paths as tells them apart.
  private mutating func tellApart() {
    var length = 1
    while length < 32, Set(runs.map(\.name)).count < runs.count {
      length += 1
      let counts = Dictionary(runs.map { ($0.name, 1) }, uniquingKeysWith: +)
      for index in runs.indices where counts[runs[index].name] ?? 0 > 1 {
        let parts = runs[index].folder.split(separator: "/").suffix(length)
        runs[index].name = parts.joined(separator: "/")
      }
    }
  }
}

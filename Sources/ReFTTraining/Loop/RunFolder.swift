// SPDX-License-Identifier: Apache-2.0
// The folder of a run: what lies where, and who may write to it.

import Foundation
package import ReFTTensor

/// The folder that holds a run's configuration, metrics, checkpoints, adapter and report.
package final class RunFolder {
  /// Its path.
  let path: String
  private var lock: Int32 = -1

  package init(_ path: String) { self.path = path }

  deinit { if lock >= 0 { close(lock) } }

  var configuration: String { path + "/config.yaml" }
  var metrics: String { path + "/metrics.jsonl" }
  var manifest: String { path + "/manifest.json" }
  var report: String { path + "/report.html" }
  var adapter: String { path + "/adapter" }
  var checkpoints: String { path + "/checkpoints" }

  /// Makes the folder and keeps other processes from training in it.
  ///
  /// - Throws: `usage` when one does already, `inputOutput` when the system refuses.
  package func open() throws(ReFTError) {
    do {
      try FileManager.default.createDirectory(
        atPath: checkpoints,
        withIntermediateDirectories: true
      )
    } catch {
      throw .cannotMakeRunFolder(path, error: error)
    }
    let file = path + "/.lock"
    lock = Foundation.open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard lock >= 0 else { throw .cannotWrite(file, errno: errno) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else { throw .runFolderInUse(path) }
  }

  /// Whether a run has come to its end here.
  var isFinished: Bool {
    guard let data = FileManager.default.contents(atPath: manifest),
      let state = try? JSONDecoder().decode(ManifestStatus.self, from: data)
    else { return false }
    return state.status == "finished"
  }

  /// Whether a run has begun here.
  var hasRun: Bool { FileManager.default.fileExists(atPath: manifest) }

  /// What lies in the folder under a name that a run would use, though no run is here.
  func strangers() throws(ReFTError) -> [String] {
    let names = [report, metrics, configuration, adapter].filter {
      FileManager.default.fileExists(atPath: $0)
    }
    return names + (try self.names(in: checkpoints).map { checkpoints + "/" + $0 })
  }

  /// Marks the folder as one that holds a run, before anything else is written.
  func mark() throws(ReFTError) {
    try AtomicFile.write("{\"format\": \"reft-run\", \"status\": \"starting\"}\n", to: manifest)
  }

  /// Removes a run, and nothing else that lies in the folder; its mark goes last.
  func clear() throws(ReFTError) {
    for name in try names(in: checkpoints) { try remove(checkpoints + "/" + name) }
    for item in [report, metrics, configuration, adapter, manifest] { try remove(item) }
  }

  /// The names in a folder; none where there is no folder.
  func names(in folder: String) throws(ReFTError) -> [String] {
    guard FileManager.default.fileExists(atPath: folder) else { return [] }
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder)
    } catch {
      throw ReFTError(.inputOutput, "cannot list '\(folder)'; check its permissions", cause: error)
    }
  }

  /// Removes a file or a folder, if it is there.
  func remove(_ item: String) throws(ReFTError) {
    guard FileManager.default.fileExists(atPath: item) else { return }
    do {
      try FileManager.default.removeItem(atPath: item)
    } catch {
      throw ReFTError(.inputOutput, "cannot remove '\(item)'; check its permissions", cause: error)
    }
  }

  private struct ManifestStatus: Decodable { var status: String }
}

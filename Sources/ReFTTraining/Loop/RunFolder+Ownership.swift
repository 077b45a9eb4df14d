// SPDX-License-Identifier: Apache-2.0
// What in a run folder is ours: the files that the manifest of a run lists, where they are files, and
// nothing else. All of it is looked at before anything is written or removed.

import Foundation
import ReFTHost
import ReFTTensor

extension RunFolder {
  /// What a run writes into its folder; its manifest lists them under `files`.
  static let files = [
    ".lock", "adapter/README.md", "adapter/adapter_config.json",
    "adapter/adapter_model.safetensors", "checkpoints/step-*", "config.yaml",
    EventFile.prefix + "*", "manifest.json", "metrics.jsonl", "report.html",
  ]

  /// What a checkpoint's folder holds.
  private static let checkpointFiles = ["optimizer.safetensors", "state.json"]
  private static let adapterFiles = [
    "README.md", "adapter_config.json", "adapter_model.safetensors",
  ]

  /// What `manifest.json` says of the folder.
  enum Claim {
    /// There is no manifest: no run has begun here.
    case none
    /// There is one that is of no run of this program.
    case foreign
    /// A run, and what of the folder it has written.
    case run(isFinished: Bool, files: Set<String>)
  }

  /// Whose the folder is.
  func claim() -> Claim {
    guard Kind(manifest) != .absent else { return .none }
    guard Kind(manifest) == .file,
      case .object(let members)? = (try? JSONFile.read(path: manifest))?.value,
      members["format"] == .string("reft-run")
    else { return .foreign }
    var listed = Self.files
    if case .array(let names)? = members["files"] {
      listed = listed.filter { names.contains(.string($0)) }
    }
    return .run(isFinished: members["status"] == .string("finished"), files: Set(listed))
  }

  /// Makes sure that nothing of anybody else's lies where a run writes or removes.
  ///
  /// - Parameter removesAll: whether what the last run left is to be removed.
  /// - Throws: `usage` naming the first such item.
  func checkOwnership(removesAll: Bool) throws(ReFTError) {
    try checkFolder()
    var owned: Set<String> = []
    switch claim() {
    case .none: break
    case .foreign: throw .runFolderTaken(path, by: manifest, isLink: Kind(manifest) == .link)
    case .run(_, let files): owned = files
    }
    // The folders first: of a link's target nothing is looked at.
    let ownsAdapter = owned.contains("adapter/adapter_config.json")
    try check(adapter, is: .folder, isOwned: ownsAdapter)
    try check(checkpoints, is: .folder, isOwned: true)
    for name in Self.files where !name.contains("*") {
      try check(path + "/" + name, is: .file, isOwned: owned.contains(name) || name == ".lock")
    }
    for name in try eventFiles() {
      try check(path + "/" + name, is: .file, isOwned: owned.contains(EventFile.prefix + "*"))
    }
    for name in try names(in: checkpoints) where Self.step(ofName: name) != nil {
      let folder = checkpoints + "/" + name
      try check(folder, is: .folder, isOwned: owned.contains("checkpoints/step-*"))
      if removesAll, let stranger = try stranger(inCheckpoint: folder) {
        throw .runFolderTaken(path, by: stranger)
      }
    }
  }

  private func check(_ item: String, is kind: Kind, isOwned: Bool) throws(ReFTError) {
    let found = Kind(item)
    guard found == .absent || found == kind && isOwned else {
      throw .runFolderTaken(path, by: item, isLink: found == .link)
    }
  }

  /// Something in a checkpoint's folder that no run writes there.
  func stranger(inCheckpoint folder: String) throws(ReFTError) -> String? {
    for name in try names(in: folder) where name != "adapter" {
      let item = folder + "/" + name
      if !Self.checkpointFiles.contains(name) || Kind(item) != .file { return item }
    }
    let adapter = folder + "/adapter"
    if ![.absent, .folder].contains(Kind(adapter)) { return adapter }
    for name in try names(in: adapter) {
      let item = adapter + "/" + name
      if !Self.adapterFiles.contains(name) || Kind(item) != .file { return item }
    }
    return nil
  }

  /// The step of a checkpoint's name; nil for any other name.
  static func step(ofName name: String) -> Int? {
    let digits = name.utf8.dropFirst(5)
    guard name.hasPrefix("step-"), digits.allSatisfy({ (0x30...0x39).contains($0) }),
      digits.count == 8 || digits.count > 8 && digits.first != 0x30
    else { return nil }
    return Int(name.dropFirst(5))
  }

  /// Marks the folder as one that holds a run, before anything else is written.
  func mark() throws(ReFTError) {
    let list = Self.files.map { "\"\($0)\"" }.joined(separator: ", ")
    try AtomicFile.write(
      "{\"format\": \"reft-run\", \"format_version\": 1, \"status\": \"starting\", "
        + "\"files\": [\(list)]}\n",
      to: manifest
    )
  }

  /// Removes a run, and nothing else that lies in the folder; its mark goes last.
  ///
  /// - Precondition: `checkOwnership(removesAll: true)` has found the folder ours.
  func clear() throws(ReFTError) {
    for name in try names(in: checkpoints) where Self.step(ofName: name) != nil {
      try remove(checkpoints + "/" + name)
    }
    for item in [report, metrics, configuration] { try remove(item) }
    for name in try eventFiles() { try remove(path + "/" + name) }
    for name in Self.adapterFiles { try remove(adapter + "/" + name) }
    // Stays where the user keeps something in it.
    rmdir(adapter)
    try remove(manifest)
  }

  /// Removes what writers that were killed have left half-written.
  ///
  /// - Precondition: the folder is locked, so that no writer is at work.
  func removeLeftovers() throws(ReFTError) {
    for name in try names(in: checkpoints) {
      let isOurs =
        Self.isLeftover(name, of: ".step-", ".tmp-") || Self.isLeftover(name, of: ".removed-", "-")
      let item = checkpoints + "/" + name
      if isOurs, Kind(item) == .folder { try remove(item) }
    }
    for name in try names(in: path) {
      let item = path + "/" + name
      if Self.isLeftover(name, of: ".adapter.tmp-"), Kind(item) == .folder { try remove(item) }
      let files = ["config.yaml", "manifest.json", "metrics.jsonl", "report.html"]
      let isOurs = files.contains { Self.isLeftover(name, of: "." + $0 + ".tmp-", "-") }
      if isOurs, Kind(item) == .file { try remove(item) }
    }
  }

  /// Whether a name is a number, or two, between given texts.
  private static func isLeftover(_ name: String, of start: String, _ middle: String? = nil) -> Bool
  {
    guard name.hasPrefix(start) else { return false }
    let rest = name.dropFirst(start.count)
    let parts = middle.map { rest.split(separator: $0, omittingEmptySubsequences: false) } ?? [rest]
    return parts.count == (middle == nil ? 1 : 2)
      && parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
  }
}

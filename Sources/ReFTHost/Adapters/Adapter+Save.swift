// SPDX-License-Identifier: Apache-2.0
// An adapter into its folder, which is the old one or the new one at every moment.

import CReFTPlatform
import Foundation
public import ReFTTensor

extension Adapter {
  /// Writes the adapter folder: configuration, tensors and model card.
  ///
  /// A folder that is there already is replaced in one step; files in it that are not an adapter's
  /// stay. The same adapter gives the same bytes.
  ///
  /// - Throws: `.usage` where a file or a link has the name; `.inputOutput` with the system's reason.
  ///   The old folder is then as it was.
  public func save(to path: String) throws(ReFTError) {
    let tensors = AdapterTensors.named(parameters) + embeddedInputs
    try AdapterFolder(file: AdapterFile(self), tensors: tensors, raw: embeddedFiles)
      .save(to: path)
  }

  /// The files of an adapter folder.
  package static let fileNames = [
    AdapterFile.configName, AdapterFile.tensorName, AdapterFile.cardName,
  ]

  /// Removes an adapter's files from its folder, and the folder where nothing else is in it.
  ///
  /// - Throws: `.inputOutput` with the system's reason.
  package static func remove(at path: String) throws(ReFTError) {
    for name in fileNames where unlink(path + "/" + name) != 0 && errno != ENOENT {
      throw .systemCall("remove", path + "/" + name, errno: errno)
    }
    rmdir(path)
  }
}

/// The content of an adapter folder.
struct AdapterFolder {
  let file: AdapterFile
  let tensors: [NamedTensor]
  /// Files that it takes in.
  var raw: [RawTensor] = []

  /// Writes the folder.
  ///
  /// - Throws: as `Adapter.save`.
  func save(to path: String) throws(ReFTError) {
    var target = path
    while target.count > 1, target.hasSuffix("/") { target.removeLast() }
    var status = stat()
    if lstat(target, &status) == 0, status.st_mode & S_IFMT != S_IFDIR {
      throw .adapterPlaceTaken(target, isLink: status.st_mode & S_IFMT == S_IFLNK)
    }
    let parent = PathParts.folder(of: target)
    let temporary = parent + "/.\(PathParts.name(of: target)).tmp-\(getpid())"
    let files = FileManager.default
    do {
      try files.createDirectory(
        atPath: parent,
        withIntermediateDirectories: true
      )
      if files.fileExists(atPath: temporary) { try files.removeItem(atPath: temporary) }
      try files.createDirectory(atPath: temporary, withIntermediateDirectories: false)
    } catch {
      throw .adapterNotWritable(path, cause: error)
    }
    do throws(ReFTError) {
      try writeFiles(into: temporary)
      try Self.replace(target, with: temporary)
    } catch {
      // The error that matters is the first one; the temporary folder is hidden and harmless.
      try? files.removeItem(atPath: temporary)
      throw error
    }
    try AtomicFile.synchronize(folder: parent)
  }

  private func writeFiles(into folder: String) throws(ReFTError) {
    try AtomicFile.write(
      try file.json(),
      to: folder + "/" + AdapterFile.configName
    )
    try Safetensors.write(
      tensors,
      raw: raw,
      metadata: ["format": AdapterFile.format],
      to: folder + "/" + AdapterFile.tensorName
    )
    try AtomicFile.write(modelCard(), to: folder + "/" + AdapterFile.cardName)
  }

  /// Gives the new folder the target's name, and brings along what else was in the old one.
  private static func replace(_ target: String, with temporary: String) throws(ReFTError) {
    let files = FileManager.default
    guard files.fileExists(atPath: target) else {
      guard rename(temporary, target) == 0 else { throw .adapterNotReplaced(target, errno: errno) }
      return
    }
    let code = reft_system_exchange(temporary, target)
    if code == -EINVAL || code == -ENOSYS {
      try replaceFiles(of: target, from: temporary)
      return
    }
    guard code == 0 else { throw .adapterNotReplaced(target, errno: -code) }
    // From here on `temporary` is the old folder.
    do {
      for name in try files.contentsOfDirectory(atPath: temporary)
      where !Adapter.fileNames.contains(name) {
        try files.moveItem(atPath: temporary + "/" + name, toPath: target + "/" + name)
      }
      try files.removeItem(atPath: temporary)
    } catch {
      throw .adapterNotWritable(target, cause: error)
    }
  }

  /// For file systems that cannot swap folders: file by file, the tensors before their description.
  private static func replaceFiles(
    of target: String,
    from temporary: String
  ) throws(ReFTError) {
    for name in [AdapterFile.tensorName, AdapterFile.configName, AdapterFile.cardName] {
      guard rename(temporary + "/" + name, target + "/" + name) == 0 else {
        throw .adapterNotReplaced(target, errno: errno)
      }
    }
    try AtomicFile.synchronize(folder: target)
    rmdir(temporary)
  }
}

// SPDX-License-Identifier: Apache-2.0
// Fetching from a hub: a folder with all its files, or one GGUF file with all its parts.

import Foundation
public import ReFTTensor

extension ModelLibrary {
  /// Fetches a repository's folder, or one of its GGUF files, unless it is there already.
  ///
  /// A folder appears in the library complete and checked, or not at all; a download that was
  /// interrupted goes on where it stopped.
  ///
  /// - Parameters:
  ///   - hub: the repository.
  ///   - file: a `.gguf` file of it, of a split model any part; nil: the folder.
  ///   - sha256: what the file must hash to, where the user knows.
  /// - Returns: where the model is kept, with the digest of its largest file.
  /// - Throws: `inputMissing` for a file that the hub lacks, `badData` for a wrong digest or size,
  ///   `usage` when something else is in its place, `inputOutput` when the download fails.
  public func pull(
    _ hub: HubRepository,
    file: String?,
    sha256: String? = nil
  ) throws(ReFTError) -> Pulled {
    guard let file else { return try pullFolder(hub) }
    guard HubRepository.isPlain(file), file.lowercased().hasSuffix(".gguf") else {
      throw .hubFile(file)
    }
    guard let split = SplitName(path: file) else {
      return try pullFile(hub, file, sha256: sha256)
    }
    var all: Pulled?
    for number in 1...split.count {
      let part = split.path(of: number)
      let pulled = try pullFile(hub, part, sha256: part == file ? sha256 : nil)
      guard var first = all else {
        all = pulled
        continue
      }
      first.byteCount += pulled.byteCount
      first.isNew = first.isNew || pulled.isNew
      all = first
    }
    guard let all else { throw .hubFile(file) }
    return all
  }

  private func pullFile(
    _ hub: HubRepository,
    _ file: String,
    sha256: String?
  ) throws(ReFTError) -> Pulled {
    let target = folder + "/" + PathParts.name(of: file)
    guard var known = try hub.announcement(of: file) else {
      throw .hubLacks(file, hub.address(of: file))
    }
    known.sha256 = sha256?.lowercased() ?? known.sha256
    if FileManager.default.fileExists(atPath: target) {
      let actual = try SHA256Digest.hex(ofFile: target)
      let size = FetchTool.byteCount(of: target)
      guard known.sha256 ?? actual == actual, known.byteCount ?? size == size else {
        throw .hubPlaceTaken(target)
      }
      return Pulled(path: target, sha256: actual, byteCount: size, isNew: false)
    }
    try FetchTool.makeFolder(folder)
    let part = folder + "/." + PathParts.name(of: file) + ".part"
    let digest = try fetch(hub, file, known, to: part)
    try FetchTool.move(part, to: target)
    return Pulled(
      path: target,
      sha256: digest,
      byteCount: FetchTool.byteCount(of: target),
      isNew: true
    )
  }

  private func pullFolder(_ hub: HubRepository) throws(ReFTError) -> Pulled {
    let target = folder + "/" + hub.shortName
    let isThere = FileManager.default.fileExists(atPath: target)
    let place = isThere ? target : folder + "/.fetch-" + hub.shortName
    if !isThere { try FetchTool.makeFolder(place) }
    var result = Pulled(path: target, sha256: "", byteCount: 0, isNew: !isThere)
    var largest = -1
    func take(_ file: String, required: Bool) throws(ReFTError) {
      guard let known = try hub.announcement(of: file) else {
        if required { throw .hubLacks(file, hub.address(of: file)) }
        return
      }
      let path = place + "/" + file
      let digest: String
      if FileManager.default.fileExists(atPath: path) {
        digest = try SHA256Digest.hex(ofFile: path)
        let size = FetchTool.byteCount(of: path)
        guard known.sha256 ?? digest == digest, known.byteCount ?? size == size else {
          throw .hubPlaceTaken(path)
        }
      } else {
        guard !isThere else { throw .hubPlaceTaken(target) }
        let part = path + ".part"
        digest = try fetch(hub, file, known, to: part)
        try FetchTool.move(part, to: path)
      }
      let size = FetchTool.byteCount(of: path)
      result.byteCount += size
      if size > largest { (largest, result.sha256) = (size, digest) }
    }
    for (index, file) in HubRepository.folderFiles.enumerated() {
      try take(file, required: index == 0)
    }
    let index = "model.safetensors.index.json"
    if try hub.announcement(of: index) == nil {
      try take("model.safetensors", required: true)
    } else {
      try take(index, required: true)
      for file in try ModelFolder.fileNames(in: place) {
        guard HubRepository.isPlain(file) else { throw .hubFile(file) }
        try take(file, required: true)
      }
    }
    if !isThere { try FetchTool.move(place, to: target) }
    return result
  }

  /// Fetches a file, from where an earlier attempt stopped, and checks it.
  ///
  /// - Returns: its digest.
  private func fetch(
    _ hub: HubRepository,
    _ file: String,
    _ known: HubRepository.Announcement,
    to part: String
  ) throws(ReFTError) -> String {
    let there = FetchTool.byteCount(of: part)
    // What is longer than the file is no beginning of it, and asking for what follows its end fails.
    if let size = known.byteCount, there > size { unlink(part) }
    if known.byteCount == nil || FetchTool.byteCount(of: part) != known.byteCount {
      try FetchTool.run(
        [
          "curl", "--fail", isatty(STDERR_FILENO) == 1 ? "--progress-bar" : "--silent",
          "--show-error", "--location", "--retry", "2", "--connect-timeout", "30",
          "--continue-at", "-", "--output", part, hub.address(of: file),
        ],
        purpose: "download \(hub.address(of: file))"
      )
    }
    if known.byteCount == 0, !FileManager.default.fileExists(atPath: part) {
      try AtomicFile.write("", to: part)
    }
    let actual = try SHA256Digest.hex(ofFile: part)
    let size = FetchTool.byteCount(of: part)
    if let expected = known.byteCount, size != expected {
      unlink(part)
      throw .hubSize(file, found: size, expected: expected)
    }
    if let expected = known.sha256, expected != actual {
      unlink(part)
      throw .pullBadDigest(file, expected: expected, actual: actual)
    }
    return actual
  }
}

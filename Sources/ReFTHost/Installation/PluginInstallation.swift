// SPDX-License-Identifier: Apache-2.0
// The user's own folder of plugins: what is put there and taken away, and nothing outside of it.

import Foundation
public import ReFTTensor

/// The folder in which a user's plugins lie.
public struct PluginInstallation: Sendable {
  /// The folder, which need not exist yet.
  public let folder: String
  private let catalog: PluginCatalog

  /// Opens the folder of this user.
  ///
  /// - Parameters:
  ///   - catalog: how plugins that are there already are opened.
  ///   - environment: where `REFT_HOME` and `HOME` are looked up; nil: the process's own.
  /// - Throws: `.inputOutput` where neither is set.
  public init(
    catalog: PluginCatalog,
    environment: [String: String]? = nil
  ) throws(ReFTError) {
    guard let folder = UserFolder.plugins(environment: environment) else {
      throw .noPluginFolder()
    }
    self.folder = folder
    self.catalog = catalog
  }

  /// Copies a plugin into the folder; each file is whole or as it was.
  ///
  /// - Parameters:
  ///   - package: the bytes.
  ///   - ids: the ids of the plugins that they hold.
  ///   - replacesOthers: whether a file of another plugin may be replaced.
  /// - Returns: the path of the installed file.
  /// - Throws: `.pluginRefused` when a file of that name belongs to another plugin, or others may write
  ///   to the folder; `.inputOutput` when it cannot be written.
  public func install(
    _ package: PluginPackage,
    ids: [String],
    replacesOthers: Bool
  ) throws(ReFTError) -> String {
    try makeFolder()
    let files = try package.files()
    let target = folder + "/" + (files.last?.name ?? "")
    if !replacesOthers { try check(files, target: target, ids: ids) }
    for (name, file) in files {
      let path = folder + "/" + name
      try AtomicFile.write(to: path) { writer throws(ReFTError) in try writer.write(file.bytes) }
      // Whatever was there before: nobody else may write to it.
      chmod(path, 0o644)
    }
    return target
  }

  /// Removes a plugin's file, and with a manifest the library that only it names.
  ///
  /// - Parameter word: the name of a file there, its path, or a plugin's name or id.
  /// - Returns: the paths that are gone, the plugin's own first.
  /// - Throws: `.usage` when nothing there is meant, or several files are; `.inputOutput` when a file
  ///   cannot be removed.
  public func remove(_ word: String) throws(ReFTError) -> [String] {
    let file = try file(meant: word)
    var gone = [file]
    if file.hasSuffix(".reft.json") {
      let others = PluginCatalog.files(in: folder).filter { $0 != file }
      let kept = PluginCatalog.libraries(of: others)
      gone += PluginCatalog.libraries(of: [file]).filter { library in
        (library as NSString).deletingLastPathComponent == folder && !kept.contains(library)
      }
    }
    for path in gone where unlink(path) != 0 {
      throw .notRemoved(path, errno: errno)
    }
    return gone
  }

  /// The file there that a word means.
  ///
  /// - Throws: as `remove` does.
  public func file(meant word: String) throws(ReFTError) -> String {
    let files = PluginCatalog.files(in: folder)
    if word.contains("/") {
      let path = URL(fileURLWithPath: word).standardizedFileURL.path
      guard files.contains(path) else { throw .notInstalled(path, folder: folder) }
      return path
    }
    let served = PluginCatalog.libraries(of: files)
    let wanted = PluginCatalog.normalized(word.split(separator: ".").last.map(String.init) ?? word)
    let tests: [(String) -> Bool] = [
      { ($0 as NSString).lastPathComponent == word },
      { self.plugins(in: $0).contains { $0.id == word || $0.name == word } },
      { PluginCatalog.normalized(path: $0) == wanted },
    ]
    for test in tests {
      let meant = files.filter { !served.contains($0) && test($0) }
      if meant.count > 1 { throw .severalInstalled(word, files: meant) }
      if let file = meant.first { return file }
    }
    throw unknown(word, files: files.filter { !served.contains($0) })
  }

  private func unknown(_ word: String, files: [String]) -> ReFTError {
    if let elsewhere = try? catalog.file(named: word) {
      return .installedElsewhere(word, path: elsewhere, folder: folder)
    }
    let names = files.flatMap { file in
      plugins(in: file).map(\.name) + [(file as NSString).lastPathComponent]
    }
    return .notInstalledAtAll(word, folder: folder, known: names)
  }

  private func plugins(in file: String) -> [Plugin] {
    (try? catalog.plugins(inFile: file)) ?? []
  }

  private func makeFolder() throws(ReFTError) {
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw .pluginFolderNotMade(folder, cause: error)
    }
    guard let real = realpath(folder, nil) else {
      throw .pluginFolderMissing(folder, reason: errno)
    }
    defer { free(real) }
    try FolderTrust.checkWriters(of: String(cString: real))
  }

  /// Refuses to replace what is not an earlier build of the same plugin.
  private func check(
    _ files: [(name: String, file: PluginFile)],
    target: String,
    ids: [String]
  ) throws(ReFTError) {
    let manager = FileManager.default
    let isThere = manager.fileExists(atPath: target)
    if isThere, (try? PluginFile(path: target))?.hash != files.last?.file.hash {
      let there = plugins(in: target).map(\.id)
      guard !Set(there).isDisjoint(with: ids) else {
        throw .installedOther(target, there: there, ids: ids)
      }
    }
    for (name, file) in files.dropLast() where !isThere {
      let path = folder + "/" + name
      guard manager.fileExists(atPath: path) else { continue }
      guard (try? PluginFile(path: path))?.hash == file.hash else {
        throw .installedOther(path, there: [], ids: ids)
      }
    }
  }
}

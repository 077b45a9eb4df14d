// SPDX-License-Identifier: Apache-2.0
// The local record of trust: a JSON file by hash of the plugin's bytes.

import Foundation
public import ReFTTensor

/// The record of which plugins the user trusts, and of what checks of them found here.
public final class TrustStore: Sendable {
  /// How many warnings of a check are kept.
  private static let warningLimit = 8

  /// The file; nil when there is no place for one, and then nothing is known.
  public let path: String?
  /// Folders in which the plugins that come with this program lie.
  public let installedFolders: [String]
  /// The plugins that come with this program; any other file in these folders is a stranger's.
  public static let ownLibraries: Set<String> = [
    "libLoReFT.so", "libDiReFT.so", "libAdditiveSteering.so", "libLowRankFamily.so",
    "libProjectionFamily.so", "libRED.so", "libGatedSteering.so", "libInterchange.so",
  ]

  private struct File: Codable {
    var version: Int
    var plugins: [String: TrustRecord]

    enum CodingKeys: String, CodingKey {
      case plugins
      case version = "reft_trust"
    }
  }

  /// Opens the record of this user.
  ///
  /// - Parameter environment: where `REFT_HOME` and `HOME` are looked up; nil: the process's own.
  public convenience init(environment: [String: String]? = nil) {
    let folder = PluginCatalog.executableFolder
    let parent = folder.map { ($0 as NSString).deletingLastPathComponent }
    self.init(
      path: UserFolder.data(environment: environment).map { $0 + "/trust.json" },
      installedFolders: [folder, parent.map { $0 + "/lib/reft/plugins" }, "/usr/lib/reft/plugins"]
        .compactMap(\.self)
    )
  }

  /// Opens a record in a file, which need not exist.
  public init(path: String?, installedFolders: [String] = []) {
    self.path = path
    self.installedFolders = installedFolders
  }

  /// The hash by which trust in a plugin's file is recorded: of its bytes, and for a manifest of the
  /// library that it names too.
  ///
  /// - Throws: as opening the file, and the library, for loading would.
  public static func hash(ofPlugin path: String) throws(ReFTError) -> String {
    try PluginBytes(try PluginFile(path: path)).hash
  }

  /// What is known about a file with a hash.
  ///
  /// - Throws: `.badData` or `.inputOutput` when the record cannot be read or be believed.
  public func trust(hash: String, path: String) throws(ReFTError) -> PluginTrust {
    let record = try read().plugins[hash]
    if let quarantine = record?.quarantine {
      return .quarantined(capsule: quarantine.capsule, reason: quarantine.reason)
    }
    if record?.isTrusted == true { return .trusted }
    return isInstalled(path) ? .installed : .unknown
  }

  /// How the last check of a file with a hash ended.
  public func lastCheck(hash: String) throws(ReFTError) -> CheckOutcome {
    let record = try read().plugins[hash]
    if let rules = record?.brokenRules { return .failed(rules: rules) }
    return record?.checkedLevel.map {
      .passed(level: $0, warnings: record?.checkWarnings ?? [])
    } ?? .none
  }

  /// The entry of a hash, if there is one.
  public func record(hash: String) throws(ReFTError) -> TrustRecord? { try read().plugins[hash] }

  /// Notes that a plugin passed a check, and what that warned of; ends its quarantine, and gives no
  /// trust.
  public func noteCheck(
    hash: String,
    name: String,
    path: String,
    level: Int,
    warnings: [String] = []
  ) throws(ReFTError) {
    try change(hash, name, path) { record in
      record.checkedLevel = level
      record.checkedAt = Date().ISO8601Format()
      record.brokenRules = nil
      record.checkWarnings =
        warnings.isEmpty
        ? nil : warnings.prefix(Self.warningLimit).map { String(ForeignText.line($0).prefix(300)) }
      record.quarantine = nil
    }
  }

  /// Notes that a plugin failed a check, by the numbers of the broken `rules`, in place of an earlier
  /// success.
  public func noteFailedCheck(
    hash: String,
    name: String,
    path: String,
    rules: [String]
  ) throws(ReFTError) {
    try change(hash, name, path) { record in
      record.checkedLevel = nil
      record.checkedAt = Date().ISO8601Format()
      record.brokenRules = rules
      record.checkWarnings = nil
    }
  }

  /// Notes that the user trusts a plugin, or no longer does; trusting ends its quarantine.
  public func setTrusted(
    _ isTrusted: Bool,
    hash: String,
    name: String,
    path: String
  ) throws(ReFTError) {
    try change(hash, name, path) { record in
      record.isTrusted = isTrusted
      if isTrusted { record.quarantine = nil }
    }
  }

  /// Notes that a call ended the worker twice: the plugin is not run again until it is checked,
  /// trusted or rebuilt.
  public func quarantine(
    hash: String,
    name: String,
    path: String,
    capsule: String,
    reason: String
  ) throws(ReFTError) {
    try change(hash, name, path) { record in
      record.checkedLevel = nil
      record.isTrusted = false
      record.quarantine = TrustRecord.Quarantine(capsule: capsule, reason: reason)
    }
  }

  private func isInstalled(_ path: String) -> Bool {
    let folder = (path as NSString).deletingLastPathComponent
    return Self.ownLibraries.contains((path as NSString).lastPathComponent)
      && installedFolders.contains(folder)
  }

  private func read() throws(ReFTError) -> File {
    guard let path else { return File(version: 1, plugins: [:]) }
    try checkFolder(of: path)
    var status = stat()
    guard stat(path, &status) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return File(version: 1, plugins: [:]) }
      throw .trustUnreadable(path, reason: String(cString: strerror(errno)))
    }
    guard status.st_mode & (S_IWOTH | S_IWGRP) == 0,
      status.st_uid == geteuid() || status.st_uid == 0
    else { throw .trustWritableByOthers(path) }
    let file = try JSONFile.decode(File.self, path: path)
    guard file.version == 1 else {
      throw .trustUnreadable(path, reason: "it has version \(file.version), expected 1")
    }
    return file
  }

  /// Refuses a folder in which others could put another record in this one's place.
  private func checkFolder(of path: String) throws(ReFTError) {
    let folder = (path as NSString).deletingLastPathComponent
    guard let real = realpath(folder, nil) else { return }
    defer { free(real) }
    var status = stat()
    guard stat(real, &status) == 0 else { return }
    guard status.st_uid == geteuid() || status.st_uid == 0 else {
      throw .trustFolderOfOthers(folder, owner: status.st_uid)
    }
    do throws(ReFTError) {
      try FolderTrust.checkWriters(of: String(cString: real))
    } catch {
      throw .trustFolderOpen(folder)
    }
  }

  /// Reads, changes and replaces the file while no other process does.
  private func change(
    _ hash: String,
    _ name: String,
    _ pluginPath: String,
    _ body: (inout TrustRecord) -> Void
  ) throws(ReFTError) {
    guard let path else { throw .trustWithoutHome() }
    let folder = (path as NSString).deletingLastPathComponent
    do {
      try FileManager.default.createDirectory(
        atPath: folder,
        withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700]
      )
    } catch {
      throw .trustUnreadable(
        path,
        reason: "its folder cannot be made: \(error.localizedDescription)"
      )
    }
    let lock = open(path + ".lock", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
    guard lock >= 0, flock(lock, LOCK_EX) == 0 else {
      throw .trustUnreadable(path, reason: String(cString: strerror(errno)))
    }
    defer { close(lock) }
    var file = try read()
    var record =
      file.plugins[hash]
      ?? TrustRecord(
        name: name,
        path: pluginPath,
        isTrusted: false,
        checkedLevel: nil,
        checkedAt: nil,
        brokenRules: nil,
        checkWarnings: nil,
        quarantine: nil
      )
    record.name = name
    record.path = pluginPath
    body(&record)
    file.plugins[hash] = record
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let data: Data
    do {
      data = try encoder.encode(file)
    } catch {
      throw .trustUnreadable(path, reason: "it cannot be written: \(error)")
    }
    try AtomicFile.write(data, to: path)
    chmod(path, 0o600)
  }
}

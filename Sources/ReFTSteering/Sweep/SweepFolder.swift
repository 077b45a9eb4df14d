// SPDX-License-Identifier: Apache-2.0
// What a sweep leaves in its folder, and which of the files there are a sweep's. Others are never
// replaced or dropped.

import Foundation
import ReFTHost
public import ReFTTensor

/// The folder of a sweep.
public struct SweepFolder: Sendable {
  /// Its path.
  public let path: String

  /// Names a folder, which need not be there.
  public init(_ path: String) { self.path = path }

  /// A line for each setting.
  public var results: String { path + "/" + SweepStore.fileName }
  /// The report.
  public var report: String { path + "/report.html" }
  /// The adapter of the recommended setting.
  public var adapter: String { path + "/adapter" }

  /// Makes sure that what a sweep would replace there is a sweep's, before any work is done.
  ///
  /// Results are a sweep's by their first line; beside these the report by its title, and the adapter
  /// where it is a setting that they list.
  ///
  /// - Throws: `usage`, naming what is of no sweep; `inputOutput` where the system refuses.
  public func checkOwnership() throws(ReFTError) {
    let lines = try resultLines()
    if Self.exists(results) {
      guard let lines, lines.isEmpty || Self.isHeader(lines[0]) else {
        throw .sweepFolderTaken(path, by: results)
      }
    }
    let isOurs = lines?.isEmpty == false
    if Self.exists(report) {
      guard isOurs, Self.isReport(report) else { throw .sweepFolderTaken(path, by: report) }
    }
    guard Self.exists(adapter) else { return }
    guard Self.isFolder(adapter) else { throw .sweepFolderTaken(path, by: adapter) }
    // What else lies in that folder stays.
    guard Adapter.fileNames.contains(where: { Self.exists(adapter + "/" + $0) }) else { return }
    guard isOurs, let setting = adapterSetting,
      (lines ?? []).dropFirst().contains(where: { Self.setting(of: $0) == setting })
    else { throw .sweepFolderTaken(path, by: adapter) }
  }

  /// Removes all that a sweep left, the results last, which tell whose the rest is.
  ///
  /// - Precondition: `checkOwnership` found nothing.
  /// - Throws: `inputOutput` where the system refuses.
  func drop() throws(ReFTError) {
    try dropAdapter()
    for file in [report, results] where unlink(file) != 0 && errno != ENOENT {
      throw .systemCall("remove", file, errno: errno)
    }
  }

  /// Removes the adapter that an earlier sweep there recommended.
  ///
  /// - Precondition: `checkOwnership` found nothing.
  /// - Throws: `inputOutput` where the system refuses.
  public func dropAdapter() throws(ReFTError) {
    if Self.exists(adapter) { try Adapter.remove(at: adapter) }
  }

  // MARK: Whose it is

  /// The lines of the results; nil where there is no file.
  private func resultLines() throws(ReFTError) -> [ArraySlice<UInt8>]? {
    var status = stat()
    guard stat(results, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return try TextFile.bytes(path: results, limit: SweepStore.limit)
      .split(separator: UInt8(ascii: "\n"))
  }

  private static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  private static func isHeader(_ line: ArraySlice<UInt8>) -> Bool {
    (try? JSONDecoder().decode(SweepStore.Header.self, from: Data(line))) != nil
  }

  /// The setting of a line; nil for one that is damaged, which says nothing of the adapter.
  private static func setting(of line: ArraySlice<UInt8>) -> SteeringSetting? {
    (try? JSONDecoder().decode(SteeringResult.self, from: Data(line)))?.setting
  }

  private static func isReport(_ path: String) -> Bool {
    guard let file = FileHandle(forReadingAtPath: path) else { return false }
    let start = (try? file.read(upToCount: 512)) ?? Data()
    return String(decoding: start, as: UTF8.self)
      .contains("<title>\(SteeringReport.title)</title>")
  }

  /// What the adapter does; nil where no sweep would have written it.
  private var adapterSetting: SteeringSetting? {
    guard let specs = try? AdapterSummary(path: adapter).specs, let spec = specs.first,
      specs.count == 1, spec.layers.count == 1
    else { return nil }
    switch spec.options["alpha"] {
    case .float(let strength)?: return .steered(layer: spec.layers[0], strength: strength)
    case .int(let strength)?: return .steered(layer: spec.layers[0], strength: Double(strength))
    default: return nil
    }
  }
}

extension ReFTError {
  fileprivate static func sweepFolderTaken(_ path: String, by item: String) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' holds '\(item)', which is of no sweep there and would be replaced; choose another "
        + "--output, or move it away"
    )
  }
}

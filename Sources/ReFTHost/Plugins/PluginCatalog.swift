// SPDX-License-Identifier: Apache-2.0
// Finds plugins by name. The order of the folders is a law: docs/abi.md, "Loading".

import Foundation
public import ReFTTensor
import Synchronization

/// The plugins of this machine: looked for by name, opened once.
public final class PluginCatalog: Sendable {
  /// Turns a file that was looked at into plugins; the place where trust decides on isolation.
  public typealias Loader =
    @Sendable (PluginFile, Isolation?) throws(ReFTError) -> [Plugin]

  /// A folder that is searched, and why.
  public struct Folder: Sendable, Hashable {
    /// The absolute path.
    public var path: String
    /// What named it, such as `--plugin-path`.
    public var origin: String
    /// Whether everything in it is meant to be a plugin, so that other libraries are worth a word.
    public var isDedicated: Bool
  }

  /// What a scan found in one file.
  public enum Entry: Sendable {
    /// A plugin; `isShadowed` where an earlier folder has one of the same id.
    case plugin(Plugin, isShadowed: Bool)
    /// A file or folder that was refused.
    case refused(path: String, error: ReFTError)
  }

  private struct Key: Hashable {
    var path: String
    var isolation: Isolation?
  }

  /// The folders, in the order of the search.
  public let folders: [Folder]
  /// Entries of the search path that were left out, in sentences.
  public let refusedFolders: [(path: String, error: ReFTError)]
  private let choice: IsolationChoice
  private let loader: Loader
  private let opened = Mutex<[Key: Result<[Plugin], ReFTError>]>([:])

  /// Prepares a search; nothing is read yet.
  ///
  /// - Parameters:
  ///   - extraPaths: folders of `--plugin-path`, first in the order.
  ///   - environment: where `REFT_PLUGIN_PATH` and `HOME` are looked up; nil: the process's own.
  ///   - executableFolder: the folder of the running program; nil: found out.
  ///   - choice: where the user wants plugins to run.
  ///   - loader: turns files into plugins.
  public init(
    extraPaths: [String] = [],
    environment: [String: String]? = nil,
    executableFolder: String? = nil,
    choice: IsolationChoice = IsolationChoice(),
    loader: @escaping Loader = PluginCatalog.standardLoader
  ) {
    let candidates = Self.candidates(
      extraPaths: extraPaths,
      environment: environment ?? ProcessInfo.processInfo.environment,
      executableFolder: executableFolder ?? Self.executableFolder
    )
    var folders: [Folder] = []
    var refused: [(path: String, error: ReFTError)] = []
    for candidate in candidates {
      do throws(ReFTError) {
        if let path = try FolderTrust.checked(candidate.path, isRequired: candidate.isRequired),
          !folders.contains(where: { $0.path == path })
        {
          folders.append(
            Folder(path: path, origin: candidate.origin, isDedicated: candidate.isDedicated)
          )
        }
      } catch {
        refused.append((candidate.path, error))
      }
    }
    self.folders = folders
    refusedFolders = refused
    self.choice = choice
    self.loader = loader
  }

  /// Follows the user's record of trust, with workers as `docs/environment.md` says.
  public static let standardLoader: Loader = trustingLoader(
    store: TrustStore(),
    settings: IsolationSettings(environment: ProcessInfo.processInfo.environment)
  )

  /// Finds a plugin by its name or full id.
  ///
  /// Files whose own name resembles the plugin's are opened first, so that most searches open one.
  ///
  /// - Throws: `.pluginRefused`: the reason for the refusal of the file that should have held it, or
  ///   the places that were searched.
  public func find(_ name: String, isolation: Isolation? = nil) throws(ReFTError) -> Plugin {
    let isolation = choice.isolation(of: name, written: isolation)
    let wanted = Self.normalized(name.split(separator: ".").last.map(String.init) ?? name)
    var firstRefusal: ReFTError?
    var known: [String] = []
    for isLikely in [true, false] {
      for folder in folders {
        for path in Self.files(in: folder.path)
        where (Self.normalized(path: path) == wanted) == isLikely {
          switch open(path, isolation: isolation) {
          case .success(let plugins):
            if let plugin = plugins.first(where: { $0.name == name || $0.id == name }) {
              return plugin
            }
            known += plugins.map(\.name)
          case .failure(let error):
            if isLikely, firstRefusal == nil { firstRefusal = error }
          }
        }
      }
      if let firstRefusal { throw firstRefusal }
    }
    throw .pluginNotFound(
      name,
      searched: folders.map(\.path),
      refused: refusedFolders.map(\.error),
      known: known
    )
  }

  /// Opens everything on the search path.
  public func list() -> [Entry] {
    var entries = refusedFolders.map { Entry.refused(path: $0.path, error: $0.error) }
    var ids: Set<String> = []
    for folder in folders {
      let files = Self.files(in: folder.path)
      let served = Self.libraries(of: files)
      for path in files {
        switch open(path, isolation: choice.others) {
        case .success(let plugins):
          for plugin in plugins {
            let isNew = ids.insert(plugin.id).inserted
            entries.append(.plugin(plugin, isShadowed: !isNew))
          }
        case .failure(let error):
          let isDedicated = folder.isDedicated && !served.contains(path)
          if isDedicated || !PluginFile.isForeign(path) {
            entries.append(.refused(path: path, error: error))
          }
        }
      }
    }
    return entries
  }

  /// Opens one file, by its absolute path, wherever it lies.
  public func plugins(
    inFile path: String,
    isolation: Isolation? = nil
  ) throws(ReFTError) -> [Plugin] {
    try open(path, isolation: isolation ?? choice.others).get()
  }

  private func open(_ path: String, isolation: Isolation?) -> Result<[Plugin], ReFTError> {
    let key = Key(path: path, isolation: isolation)
    return opened.withLock { opened in
      if let known = opened[key] { return known }
      let result = Result { () throws(ReFTError) in
        try loader(try PluginFile(path: path), isolation)
      }
      opened[key] = result
      return result
    }
  }
}

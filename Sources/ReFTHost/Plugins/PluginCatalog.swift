// SPDX-License-Identifier: Apache-2.0
// Finds plugins by name. The order of the folders is a law: docs/abi.md, "Loading".

import Foundation
import Logging
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
    /// A plugin, and which words find it.
    case plugin(Plugin, Reach)
    /// A file or folder that was refused.
    case refused(path: String, error: ReFTError)
  }

  /// Which words of a configuration find a plugin.
  public enum Reach: Sendable, Hashable {
    /// Its name and its id.
    case name
    /// Its id alone: the name finds a plugin of another id.
    case id
    /// None: another file with the same id comes first.
    case nothing
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
  private let told = Mutex<Set<String>>([])

  /// Prepares a search; nothing is read yet.
  ///
  /// - Parameters:
  ///   - extraPaths: folders of `--plugin-path`, first in the order.
  ///   - environment: where `REFT_PLUGIN_PATH`, `REFT_HOME` and `HOME` are looked up; nil: the
  ///     process's own.
  ///   - executableFolder: the folder of the running program; nil: found out.
  ///   - choice: where the user wants plugins to run.
  ///   - loader: turns files into plugins; nil: follows the user's record of trust, with workers as
  ///     `docs/environment.md` says.
  public init(
    extraPaths: [String] = [],
    environment: [String: String]? = nil,
    executableFolder: String? = nil,
    choice: IsolationChoice = IsolationChoice(),
    loader: Loader? = nil
  ) {
    let environment = environment ?? ProcessInfo.processInfo.environment
    let candidates = Self.candidates(
      extraPaths: extraPaths,
      environment: environment,
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
    self.loader =
      loader
      ?? Self.trustingLoader(
        store: TrustStore(environment: environment),
        settings: IsolationSettings(environment: environment)
      )
  }

  /// Finds a plugin by its name or full id: the one lookup of all commands.
  ///
  /// The first folder that has it decides. In a folder, files whose own name is the plugin's are opened
  /// before the others; one of that name that is refused is an error, and no later folder replaces it.
  ///
  /// - Throws: `.pluginRefused`: the reason for the refusal of the file that should have held it, or
  ///   the places that were searched.
  public func find(_ name: String, isolation: Isolation? = nil) throws(ReFTError) -> Plugin {
    let plugin = try lookUp(name, isolation: isolation)
    tell(of: plugin)
    return plugin
  }

  private func lookUp(_ name: String, isolation: Isolation? = nil) throws(ReFTError) -> Plugin {
    let isolation = choice.isolation(of: name, written: isolation)
    let wanted = Self.normalized(name.split(separator: ".").last.map(String.init) ?? name)
    var known: [String] = []
    for folder in folders {
      let files = Self.files(in: folder.path)
      let likely = files.filter { Self.normalized(path: $0) == wanted }
      var refusal: ReFTError?
      for path in likely + files.filter({ !likely.contains($0) }) {
        switch open(path, isolation: isolation) {
        case .success(let plugins):
          if let plugin = plugins.first(where: { $0.name == name || $0.id == name }) {
            return plugin
          }
          known += plugins.map(\.name)
        case .failure(let error):
          if refusal == nil, likely.contains(path) { refusal = error }
        }
      }
      if let refusal, folder.isDedicated || !likely.allSatisfy(PluginFile.isForeign) {
        throw refusal
      }
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
    for folder in folders {
      let files = Self.files(in: folder.path)
      let served = Self.libraries(of: files)
      for path in files {
        switch open(path, isolation: choice.others) {
        case .success(let plugins):
          for plugin in plugins { entries.append(.plugin(plugin, reach(of: plugin))) }
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

  /// Which words find a plugin, by asking the lookup itself.
  private func reach(of plugin: Plugin) -> Reach {
    func finds(_ word: String) -> Bool {
      guard let found = try? lookUp(word) else { return false }
      return found.path == plugin.path && found.id == plugin.id
    }
    return finds(plugin.name) ? .name : finds(plugin.id) ? .id : .nothing
  }

  /// Opens one file, by its absolute path, wherever it lies.
  public func plugins(
    inFile path: String,
    isolation: Isolation? = nil
  ) throws(ReFTError) -> [Plugin] {
    let plugins = try open(path, isolation: isolation ?? choice.others).get()
    plugins.first.map(tell)
    return plugins
  }

  /// Says once of a plugin that is used that it is isolated for want of trust.
  private func tell(of plugin: Plugin) {
    guard plugin.isUntrusted, told.withLock({ $0.insert(plugin.path).inserted }) else { return }
    Logger(label: "reft.plugins").notice(
      """
      plugin '\(plugin.path)' is not trusted, so it runs in a process of its own; if you know who \
      made it, `reft plugin trust \(plugin.path)` lets it into this one
      """
    )
  }

  /// The file that a word of a configuration means, without opening more than the search has to: the
  /// first one of that name, else the one that holds a plugin of that name.
  ///
  /// - Throws: as `find` does.
  public func file(named name: String) throws(ReFTError) -> String {
    let wanted = Self.normalized(name.split(separator: ".").last.map(String.init) ?? name)
    for folder in folders {
      let files = Self.files(in: folder.path).filter { Self.normalized(path: $0) == wanted }
      // A manifest stands for the library beside it.
      if let manifest = files.first(where: { $0.hasSuffix(".reft.json") }) { return manifest }
      if let file = files.first(where: { !PluginFile.isForeign($0) }) { return file }
    }
    return try lookUp(name).path
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

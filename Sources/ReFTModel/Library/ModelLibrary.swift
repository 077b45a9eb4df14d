// SPDX-License-Identifier: Apache-2.0
// Where models live on this machine, and how a name on the command line becomes a file.

import Foundation
public import ReFTTensor

/// The folder of models: `$REFT_HOME/models`, by default `~/.cache/reft/models`.
public struct ModelLibrary: Sendable {
  /// A model file of the library.
  public struct Entry: Sendable, Hashable {
    /// The file's name without `.gguf` and the part's number, or the folder's.
    public var name: String
    /// The path of the file, the first part of a split model, or the folder.
    public var path: String
  }

  /// The folder that is searched, with its sub-folders.
  public let folder: String

  /// Opens the library of a folder.
  ///
  /// - Parameter folder: where models lie; nil means what the environment says.
  public init(folder: String? = nil) {
    self.folder = folder ?? UserFolder.cache() + "/models"
  }

  /// All models of the library, by name.
  ///
  /// Links to files and folders count as what they lead to; what lies within a model's own folder is
  /// not a model beside it. A folder that does not exist holds none.
  public func entries() -> [Entry] {
    entries(of: folder, depth: 0).sorted { ($0.name, $0.path) < ($1.name, $1.path) }
  }

  /// The models in a folder and, down to `ORG/NAME/PART`, in those within it.
  private func entries(of folder: String, depth: Int) -> [Entry] {
    let items = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return items.filter { !$0.hasPrefix(".") }.flatMap { item -> [Entry] in
      let place = folder + "/" + item
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: place, isDirectory: &isFolder) else { return [] }
      if isFolder.boolValue {
        if FileManager.default.fileExists(atPath: place + "/config.json") {
          return [Entry(name: item, path: place)]
        }
        return depth < 3 ? entries(of: place, depth: depth + 1) : []
      }
      if let split = SplitName(path: place) {
        let stem = (split.stem as NSString).lastPathComponent
        return split.number == 1 ? [Entry(name: stem, path: place)] : []
      }
      return item.hasSuffix(".gguf") ? [Entry(name: String(item.dropLast(5)), path: place)] : []
    }
  }

  /// Turns what the user wrote into the path of a model.
  ///
  /// A file that exists is taken as it is, and so is a folder with config.json. Otherwise the name is looked up in the library, in any
  /// case, with or without `.gguf` and the suffix that names the quantisation; where nothing has it, the
  /// other name of a model that `pull` knows is one too.
  ///
  /// - Throws: `inputMissing` when there is none, `usage` when several files fit the name.
  public func resolve(_ name: String) throws(ReFTError) -> String {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: name, isDirectory: &isFolder) {
      let configuration = name + "/config.json"
      if isFolder.boolValue, !FileManager.default.fileExists(atPath: configuration) {
        throw .modelIsFolder(name)
      }
      return name
    }
    if name.contains("/") { throw .modelFileMissing(name, known: entries().map(\.name)) }
    let wanted = name.lowercased()
    let fits = entries().filter { entry in
      let stem = entry.name.lowercased()
      return wanted == stem + ".gguf" || wanted == stem || wanted == Self.withoutQuantisation(stem)
    }
    guard let first = fits.first else {
      let pulled = Self.known(wanted)?.fileName
      if let entry = entries().first(where: { PathParts.name(of: $0.path) == pulled }) {
        return entry.path
      }
      throw .modelUnknown(name, folder: folder, known: entries().map(\.name))
    }
    if fits.count > 1, Set(fits.map(\.name)).count > 1 {
      throw .modelAmbiguous(name, candidates: fits.map(\.name))
    }
    return first.path
  }

  /// Drops a suffix such as `.Q4_1`, `-q8_0`, `.f16` or `-Q4_K_M` from a name in lower case.
  static func withoutQuantisation(_ name: String) -> String {
    guard let cut = name.lastIndex(where: { $0 == "." || $0 == "-" }) else { return name }
    let tail = name[name.index(after: cut)...]
    let isFloat = ["f32", "f16", "bf16"].contains(String(tail))
    let body = tail.hasPrefix("iq") ? tail.dropFirst(2) : tail.dropFirst(1)
    let isQuantised =
      (tail.hasPrefix("q") || tail.hasPrefix("iq")) && (body.first?.isNumber ?? false)
    return isFloat || isQuantised ? String(name[..<cut]) : name
  }
}

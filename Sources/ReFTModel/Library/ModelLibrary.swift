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
  /// A folder that does not exist holds none.
  public func entries() -> [Entry] {
    guard let walk = FileManager.default.enumerator(atPath: folder) else { return [] }
    var found: [Entry] = []
    for case let item as String in walk {
      let file = (item as NSString).lastPathComponent
      guard !item.hasPrefix("."), !item.contains("/.") else { continue }
      let place = folder + "/" + item
      if let split = SplitName(path: place) {
        guard split.number == 1 else { continue }
        let stem = (split.stem as NSString).lastPathComponent
        found.append(Entry(name: stem, path: place))
      } else if file.hasSuffix(".gguf") {
        found.append(Entry(name: String(file.dropLast(5)), path: place))
      } else if file == "config.json", item.contains("/") {
        let parent = (place as NSString).deletingLastPathComponent
        found.append(Entry(name: (parent as NSString).lastPathComponent, path: parent))
      }
    }
    return found.sorted { ($0.name, $0.path) < ($1.name, $1.path) }
  }

  /// Turns what the user wrote into the path of a model.
  ///
  /// A file that exists is taken as it is, and so is a folder with config.json. Otherwise the name is looked up in the library, in any
  /// case, with or without `.gguf` and the suffix that names the quantisation.
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

// SPDX-License-Identifier: Apache-2.0
// Which folders and files a search for plugins looks at.

import Foundation
import ReFTTensor

extension PluginCatalog {
  struct Candidate {
    var path: String
    var origin: String
    var isDedicated = true
    /// Whether its absence is worth a word.
    var isRequired = false
  }

  /// Folders in the order of the search; the current directory is never one of them.
  static func candidates(
    extraPaths: [String],
    environment: [String: String],
    executableFolder: String?
  ) -> [Candidate] {
    var result = extraPaths.map {
      Candidate(path: $0, origin: "--plugin-path", isRequired: true)
    }
    if let list = environment["REFT_PLUGIN_PATH"], !list.isEmpty {
      for path in list.split(separator: ":") {
        result.append(
          Candidate(path: String(path), origin: "REFT_PLUGIN_PATH", isRequired: true)
        )
      }
    }
    if let folder = UserFolder.plugins(environment: environment) {
      result.append(Candidate(path: folder, origin: "the user"))
    }
    if let executableFolder {
      result.append(
        Candidate(path: executableFolder, origin: "the program's folder", isDedicated: false)
      )
      let parent = (executableFolder as NSString).deletingLastPathComponent
      result.append(Candidate(path: parent + "/lib/reft/plugins", origin: "the installation"))
    }
    result.append(Candidate(path: "/usr/lib/reft/plugins", origin: "the system"))
    return result
  }

  /// The folder of the running program, with links resolved.
  public static var executableFolder: String? {
    guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    else { return nil }
    return (path as NSString).deletingLastPathComponent
  }

  /// The files of a folder that can hold plugins, by name.
  static func files(in folder: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter(isPluginFileName).sorted().map { folder + "/" + $0 }
  }

  /// The libraries that manifests among some files name: being no plugins is no fault of theirs.
  static func libraries(of files: [String]) -> Set<String> {
    var result: Set<String> = []
    for path in files where path.hasSuffix(".reft.json") {
      guard let file = try? PluginFile(path: path),
        let manifest = try? Manifest(file.bytes, path: path)
      else { continue }
      result.insert((manifest.libraryPath as NSString).standardizingPath)
    }
    return result
  }

  /// Whether a file of that name is looked at.
  static func isPluginFileName(_ name: String) -> Bool {
    name.hasSuffix(".so") || name.hasSuffix(".reft.json")
  }

  /// A name without case and separators: `libAdditiveSteering.so` is `additivesteering`.
  static func normalized(path: String) -> String {
    var name = Substring((path as NSString).lastPathComponent)
    for suffix in [".reft.json", ".so"] where name.hasSuffix(suffix) {
      name.removeLast(suffix.count)
      break
    }
    if name.hasPrefix("lib") { name.removeFirst(3) }
    return normalized(String(name))
  }

  static func normalized(_ name: String) -> String {
    name.lowercased().filter { $0 != "-" && $0 != "_" }
  }
}

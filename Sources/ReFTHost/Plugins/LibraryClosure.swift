// SPDX-License-Identifier: Apache-2.0
// All libraries that a plugin needs, found before any of its code runs: what this program has loaded,
// what the system's administrator installed, and what is the plugin's own, which is copied, sealed
// and hashed like the plugin itself.

import CReFTPlatform
import Foundation
import ReFTTensor

/// The libraries that are loaded with a plugin, each after those that it needs itself.
struct LibraryClosure: Sendable {
  /// One of them.
  struct Library: Sendable {
    /// The name by which others need it.
    let name: String
    /// Where it lies, without links.
    let path: String
    /// The sealed copy of a library that is neither this program's nor the system's.
    let file: PluginFile?
  }

  var libraries: [Library] = []

  /// Those that belong to the plugin.
  var own: [PluginFile] { libraries.compactMap(\.file) }

  /// Those that can be opened by their paths, as nobody but the administrator can replace them.
  var systems: [Library] { libraries.filter { $0.file == nil } }

  /// The hash of a plugin together with its own libraries: a change of any is another plugin.
  func hash(with plugin: String) -> String {
    let hashes = own.map(\.hash)
    guard !hashes.isEmpty else { return plugin }
    let text = ([plugin] + hashes.sorted()).joined(separator: "\n")
    return "sha256:" + Data(text.utf8).withUnsafeBytes { SHA256Digest.hex(of: $0) }
  }

  /// Finds what a library needs, and what that needs.
  ///
  /// - Throws: `.pluginRefused` for a dependency that is not there, that could come from an unsafe
  ///   place, or of which others decide what it is.
  init(of image: ELFImage, path: String) throws(ReFTError) {
    var walk = LibraryWalk(plugin: path)
    try walk.visit(image, path: path, outerPaths: [])
    libraries = walk.found
  }

  init(libraries: [Library]) { self.libraries = libraries }

  /// The need of what needs nothing.
  static let none = LibraryClosure(libraries: [])
}

/// A walk over what a plugin needs.
private struct LibraryWalk {
  let plugin: String
  var found: [LibraryClosure.Library] = []
  private var known: Set<String> = []
  /// Those whose needs are being looked at: none of them is loaded before these are.
  private var open: Set<String> = []
  /// More would be no plugin's need but a trap.
  private static let limit = 256

  init(plugin: String) { self.plugin = plugin }

  /// Adds what a library needs to `found`; `outerPaths` are the RPATH folders of those that need it,
  /// which count for it too.
  mutating func visit(
    _ image: ELFImage,
    path: String,
    outerPaths: [String]
  ) throws(ReFTError) {
    try LibrarySearch.check(needed: image.needed, searchFolders: image.searchFolders, path: path)
    let own = image.runPaths.isEmpty ? image.rPaths : []
    let inherited = own.compactMap { LibrarySearch.expanded($0, of: path) } + outerPaths
    let later = image.runPaths.compactMap { LibrarySearch.expanded($0, of: path) }
    let folders = (image.runPaths.isEmpty ? inherited : []) + later
    for name in image.needed {
      guard !open.contains(name) else {
        throw .pluginDependency(
          plugin,
          name,
          reason: "needs '\(path)' itself, so neither can be loaded before the other"
        )
      }
      guard known.insert(name).inserted else { continue }
      guard known.count <= Self.limit else {
        throw .pluginDependency(plugin, name, reason: "is one of more than \(Self.limit)")
      }
      if let path = ProgramLibraries.path(of: name) {
        found.append(.init(name: name, path: path, file: nil))
      } else {
        try add(name, neededBy: path, folders: folders, outerPaths: inherited)
      }
    }
  }

  private mutating func add(
    _ name: String,
    neededBy path: String,
    folders: [String],
    outerPaths: [String]
  ) throws(ReFTError) {
    let place = try locate(name, folders: folders)
    open.insert(name)
    defer { open.remove(name) }
    if place.isSystems, Self.isStandard(place.path) {
      let image = try Self.image(ofSystem: place.path)
      try checkName(name, image)
      try visit(image, path: place.path, outerPaths: outerPaths)
      found.append(.init(name: name, path: place.path, file: nil))
      return
    }
    let file = try PluginFile(library: place.path)
    let image = try ELFImage(file.bytes, path: place.path, withSymbols: false)
    guard !image.hasTextRelocations else { throw .pluginWithTextRelocations(place.path) }
    try checkName(name, image)
    try visit(image, path: place.path, outerPaths: outerPaths)
    found.append(.init(name: name, path: place.path, file: file))
  }

  /// The linker takes a library that is loaded already for the one that is needed by its name alone.
  private func checkName(_ name: String, _ image: ELFImage) throws(ReFTError) {
    guard image.soname == name else {
      throw .pluginDependency(
        plugin,
        name,
        reason:
          "is a library that calls itself '\(ForeignText.line(image.soname ?? ""))', and would be looked "
          + "for anew; link it with -Wl,-soname,\(ForeignText.line(name))"
      )
    }
  }

  private func locate(_ name: String, folders: [String]) throws(ReFTError) -> FileWalk.Place {
    let candidates =
      name.contains("/")
      ? [name]
      : folders.map { "\($0)/\(name)" } + [LibraryCache.paths[name]].compactMap(\.self)
        + LibraryCache.defaultFolders.map { "\($0)/\(name)" }
    for candidate in candidates where access(candidate, F_OK) == 0 {
      let reason: String
      switch FileWalk.walk(candidate) {
      case .missing: continue
      case .there(let place) where place.isOpen:
        reason = "'\(place.path)' can be written by everybody"
      case .there(let place):
        guard let foreign = place.foreign else { return place }
        reason = foreign
      case .refused(let open): reason = open
      }
      throw .pluginDependency(plugin, name, reason: "is not taken from '\(candidate)': \(reason)")
    }
    throw .pluginDependencyMissing(plugin, name, searched: folders)
  }

  /// Whether a path is where systems keep libraries.
  private static func isStandard(_ path: String) -> Bool {
    ["/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/"].contains { path.hasPrefix($0) }
  }

  private static func image(ofSystem path: String) throws(ReFTError) -> ELFImage {
    guard let data = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
    else {
      throw .pluginUnreadable(path, errno: errno)
    }
    let result = data.withUnsafeBytes { bytes in
      Result { () throws(ReFTError) in try ELFImage(bytes, path: path, withSymbols: false) }
    }
    return try result.get()
  }
}

/// The libraries that this program itself was loaded with: whoever decides about those decides about
/// the program.
enum ProgramLibraries {
  /// Their paths by their names, as of the first look, which precedes the first plugin.
  static let all: [String: String] = {
    var result: [String: String] = [:]
    withUnsafeMutablePointer(to: &result) { target in
      reft_system_each_library(
        { text, context in
          guard let text, let target = context?.assumingMemoryBound(to: [String: String].self)
          else {
            return
          }
          let path = String(cString: text)
          if path.hasPrefix("/") {
            target.pointee[(path as NSString).lastPathComponent] = path
          }
        },
        target
      )
    }
    return result
  }()

  /// Where a library of this program lies; nil for any other.
  static func path(of name: String) -> String? { all[name] }
}

// SPDX-License-Identifier: Apache-2.0
// Makes the folder of a new plugin. The files themselves are embedded in EmbeddedFiles.swift.

import Foundation
public import ReFTTensor

/// A working plugin to start from, in one language.
public enum PluginTemplate: String, Sendable, CaseIterable {
  /// C11, one source file, any compiler.
  case c
  /// Swift 6.3, with ReFTPluginKit as source.
  case swift

  /// Finds a language by its name.
  ///
  /// - Throws: `.usage` for one that there is no template for.
  public init(language: String) throws(ReFTError) {
    guard let template = Self(rawValue: language) else {
      throw .unknownTemplateLanguage(language, known: Self.allCases.map(\.rawValue))
    }
    self = template
  }

  /// The languages in words, such as "c or swift".
  public static var list: String {
    let names = allCases.map(\.rawValue)
    return names.dropLast().joined(separator: ", ") + " or " + (names.last ?? "")
  }

  /// Makes a folder where `make` builds `NAME.so` and `make check` checks it.
  ///
  /// - Parameters:
  ///   - name: the plugin's name: lower-case letters, digits and single hyphens.
  ///   - folder: the folder to make; it must not exist yet, or be empty.
  /// - Returns: the paths of the files, relative to the folder.
  /// - Throws: `.usage` for a name that cannot be one, `.inputOutput` when the folder is not empty or
  ///   cannot be written.
  @discardableResult
  public func create(name: String, in folder: String) throws(ReFTError) -> [String] {
    guard Self.isName(name) else { throw .badPluginName(name) }
    let manager = FileManager.default
    let present = (try? manager.contentsOfDirectory(atPath: folder)) ?? []
    guard present.isEmpty else { throw .templateFolderNotEmpty(folder, found: present.sorted()[0]) }
    let files = self == .c ? EmbeddedFiles.c : EmbeddedFiles.swift
    var paths: [String] = []
    for file in files {
      let path = file.path.replacingOccurrences(of: "@NAME@", with: name)
      let text = file.text.replacingOccurrences(of: "@NAME@", with: name)
        .replacingOccurrences(of: "@MODULE@", with: Self.typeName(name))
      let target = URL(fileURLWithPath: folder).appendingPathComponent(path)
      do {
        try manager.createDirectory(
          at: target.deletingLastPathComponent(),
          withIntermediateDirectories: true
        )
        try Data(text.utf8).write(to: target)
      } catch {
        throw .templateNotWritten(target.path, cause: error)
      }
      paths.append(path)
    }
    return paths
  }

  private static func isName(_ name: String) -> Bool {
    name.utf8.count <= 64
      && name.wholeMatch(of: /[a-z][a-z0-9]*(-[a-z0-9]+)*/) != nil
  }

  /// `my-edit` as the name of a Swift type: `MyEditPlugin`.
  private static func typeName(_ name: String) -> String {
    name.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
      + "Plugin"
  }
}

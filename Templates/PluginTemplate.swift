// SPDX-License-Identifier: Apache-2.0
// Makes the folder of a new plugin. Its files lie in `files/` here; the build embeds them in the program,
// which works from anywhere on the disk.

import Foundation
public import ReFTTensor

/// A working plugin to start from, in one language.
public enum PluginTemplate: String, Sendable, CaseIterable {
  /// C11, one source file, any compiler.
  case c
  /// C++17, one source file, any compiler.
  case cpp
  /// Rust, plain rustc: the ABI as a module, no crates.
  case rust
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
    var paths: [String] = []
    for file in files {
      let path = file.path.replacingOccurrences(of: "@NAME@", with: name)
      let text = String(decoding: file.bytes, as: UTF8.self)
        .replacingOccurrences(
          of: "@CHECK@\n",
          with: String(decoding: PackageResources.check_mk, as: UTF8.self)
        )
        .replacingOccurrences(of: "@NAME@", with: name)
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

  /// The files of a new plugin: path in its folder, and contents with names to fill in.
  private var files: [(path: String, bytes: [UInt8])] {
    let common = [
      ("reft_plugin.h", PackageResources.reft_plugin_h), ("test.c", PackageResources.test_c),
      ("test.h", PackageResources.test_h), (".gitignore", PackageResources.gitignore),
    ]
    switch self {
    case .c:
      return common + [
        ("@NAME@.c", PackageResources.plugin_c), ("Makefile", PackageResources.c_Makefile),
        ("README.md", PackageResources.c_README_md),
      ]
    case .cpp:
      return common + [
        ("@NAME@.cpp", PackageResources.plugin_cpp), ("Makefile", PackageResources.cpp_Makefile),
        ("README.md", PackageResources.cpp_README_md),
      ]
    case .rust:
      return common + [
        ("@NAME@.rs", PackageResources.plugin_rs),
        ("reft_plugin.rs", PackageResources.reft_plugin_rs),
        ("Makefile", PackageResources.rust_Makefile),
        ("README.md", PackageResources.rust_README_md),
      ]
    case .swift:
      return common + [
        ("Plugin.swift", PackageResources.Plugin_swift),
        ("Makefile", PackageResources.swift_Makefile),
        ("README.md", PackageResources.swift_README_md),
        ("module.modulemap", PackageResources.module_modulemap),
        ("exports.map", PackageResources.exports_map),
        ("reft_cuda.h", PackageResources.reft_cuda_h),
        ("kit/Calls.swift", PackageResources.Calls_swift),
        ("kit/DeviceForm.swift", PackageResources.DeviceForm_swift),
        ("kit/Intervention.swift", PackageResources.Intervention_swift),
        ("kit/Options.swift", PackageResources.Options_swift),
        ("kit/PluginLibrary.swift", PackageResources.PluginLibrary_swift),
      ]
    }
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

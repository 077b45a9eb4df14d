// SPDX-License-Identifier: Apache-2.0
// Loads a plugin into this process. The steps and their order are a law: docs/abi.md, "Loading".

import CReFTPlatform
package import CReFTPlugin
import Foundation
import Logging
package import ReFTTensor
import Synchronization

/// Loads plugins into this process, each file once.
package enum InProcessLoader {
  /// A library that was loaded and whose entry answered.
  package struct Library: @unchecked Sendable {
    // Sendable: the description is static data that lives as long as the process.

    /// What the entry returned, checked.
    package let plugins: [UnsafePointer<reft_plugin_t>]
    /// The ABI that it states, such as `1.0`.
    package let abi: String
    /// What had to be put right while loading, in sentences.
    package let warnings: [String]
  }

  private static let loaded = Mutex<[String: Library]>([:])
  private static let loading: StaticString = "loading"

  /// Looks at a file, loads it and makes plugins of what its entry describes.
  ///
  /// - Throws: `.pluginRefused`, with the reason in a sentence.
  package static func load(_ file: PluginFile) throws(ReFTError) -> [Plugin] {
    let library = try library(of: file)
    var plugins: [Plugin] = []
    for table in library.plugins {
      let description = try PluginTable.describe(
        table,
        file: file,
        abi: library.abi,
        warnings: library.warnings
      )
      let shared = InProcessPlugin(description: description, table: table)
      plugins.append(
        Plugin(description, isolation: .none) {
          site,
          options,
          inputs throws(ReFTError) in
          try InProcessInstance(shared, at: site, options: options, inputs: inputs)
        }
      )
    }
    return plugins
  }

  /// The library of a file, loaded at the first call for its bytes.
  package static func library(of file: PluginFile) throws(ReFTError) -> Library {
    try file.look()
    return try loaded.withLock { loaded throws(ReFTError) in
      if let library = loaded[file.hash] { return library }
      let library = try open(file)
      loaded[file.hash] = library
      return library
    }
  }

  private static func open(_ file: PluginFile) throws(ReFTError) -> Library {
    let signals = reft_system_signals_save()
    // Never freed: whatever of it runs later is known by this name.
    let name = strdup(file.path)
    reft_foreign_begin(name, loading.utf8Start)
    let (outcome, change) = FloatingPointGuard.run { () -> Result<Library, ReFTError> in
      Result { () throws(ReFTError) in try callEntry(of: file) }
    }
    reft_foreign_end()
    let changedSignals = SignalGuard.putBack(signals)
    let library = try outcome.get()
    var warnings: [String] = []
    if let change {
      warnings.append(
        "plugin file '\(file.path)' \(change.description) while it was loaded; this was put back; "
          + "link it without -Ofast and -ffast-math"
      )
    }
    if !changedSignals.isEmpty {
      warnings.append(
        "plugin file '\(file.path)' changed what \(SignalGuard.words(changedSignals)) do while it was "
          + "loaded; this was put back; a plugin leaves signals alone"
      )
    }
    let logger = Logger(label: "reft.plugins")
    for warning in warnings { logger.warning("\(warning)") }
    return Library(plugins: library.plugins, abi: library.abi, warnings: warnings)
  }

  private static func callEntry(of file: PluginFile) throws(ReFTError) -> Library {
    try file.libraries.get().load(for: file.path)
    // The linker knows libraries by name: the descriptor, and with it the name, stays taken.
    file.keepOpen()
    guard let handle = dlopen(file.sealedPath, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE)) else {
      let reason = dlerror().map { String(cString: $0) } ?? "no reason given"
      throw .pluginNotLoadable(
        file.path,
        reason: reason.replacingOccurrences(of: file.sealedPath, with: "the file")
      )
    }
    guard let symbol = dlsym(handle, REFT_ENTRY_SYMBOL) else {
      throw .pluginWithoutEntry(file.path)
    }
    typealias Entry =
      @convention(c) (UnsafePointer<reft_entry_args_t>?) -> UnsafePointer<reft_library_t>?
    let entry = unsafeBitCast(symbol, to: Entry.self)
    var message = [CChar](repeating: 0, count: 1024)
    let answer = file.path.withForeign { path in
      message.withUnsafeMutableBufferPointer { buffer in
        var arguments = reft_entry_args_t()
        arguments.struct_size = UInt32(MemoryLayout<reft_entry_args_t>.size)
        arguments.host_abi_major = 1
        arguments.host_abi_minor = UInt32(PluginDescription.hostMinor)
        arguments.library_path = path
        arguments.error = buffer.baseAddress
        arguments.error_capacity = UInt64(buffer.count)
        return entry(&arguments)
      }
    }
    guard let answer else {
      let length = message.firstIndex(of: 0) ?? message.count
      let reason = ForeignText.readable(message, UInt64(length))
      throw .pluginDeclined(file.path, reason: reason)
    }
    return try PluginTable.check(answer, path: file.path)
  }
}

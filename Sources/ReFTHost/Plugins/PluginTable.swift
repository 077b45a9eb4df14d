// SPDX-License-Identifier: Apache-2.0
// The negotiation: versions, sizes, required slots, texts and ids of what an entry returned.

import CReFTPlugin
import ReFTTensor

/// Checks the tables of a library once, before anything in them is called.
enum PluginTable {
  /// The most interventions that one library may hold.
  private static let limit: UInt32 = 256

  /// Checks the library's own table and the required parts of each plugin's.
  static func check(
    _ library: UnsafePointer<reft_library_t>,
    path: String
  ) throws(ReFTError) -> InProcessLoader.Library {
    let table = library.pointee
    try checkSize(table.struct_size, MemoryLayout<reft_library_t>.size, "reft_library_t", path)
    guard table.abi_major == 1 else {
      throw .pluginOfOtherMajor(path, found: [String(table.abi_major)])
    }
    guard (1...limit).contains(table.n_plugins) else {
      throw .badTable(path, "it holds \(table.n_plugins) plugins; from 1 to \(limit) are possible")
    }
    guard let list = table.plugins else { throw .badTable(path, "its list of plugins is null") }
    var plugins: [UnsafePointer<reft_plugin_t>] = []
    var ids: Set<String> = []
    for index in 0..<Int(table.n_plugins) {
      guard let plugin = list[index] else {
        throw .badTable(path, "plugin \(index) of \(table.n_plugins) is null")
      }
      let size = Int(plugin.pointee.struct_size)
      try checkSize(UInt32(size), MemoryLayout<reft_plugin_t>.size, "reft_plugin_t", path)
      let id = try checkTexts(plugin.pointee, index: index, path: path)
      guard ids.insert(id).inserted else {
        throw .badTable(path, "two of its plugins have the id '\(id)'")
      }
      try checkSlots(plugin.pointee, id: id, path: path)
      plugins.append(plugin)
    }
    return InProcessLoader.Library(
      plugins: plugins,
      abi: "\(table.abi_major).\(table.abi_minor)",
      warnings: []
    )
  }

  private static func checkSize(
    _ found: UInt32,
    _ needed: Int,
    _ name: String,
    _ path: String
  ) throws(ReFTError) {
    guard Int(found) >= needed else {
      throw .badTable(
        path,
        "\(name) has struct_size \(found); ABI 1.0 has \(needed), and structs only grow"
      )
    }
  }

  /// Checks the texts and returns the id.
  private static func checkTexts(
    _ plugin: reft_plugin_t,
    index: Int,
    path: String
  ) throws(ReFTError) -> String {
    let texts = [
      ("id", plugin.id), ("version", plugin.version), ("summary", plugin.summary),
      ("license", plugin.license),
    ]
    var result: [String] = []
    for (name, text) in texts {
      guard let value = ForeignText.strict(text) else {
        throw .badTable(
          path,
          "the \(name) of plugin \(index) is not UTF-8 text of at most 65536 bytes"
        )
      }
      result.append(value)
    }
    let id = result[0]
    guard PluginDescription.isID(id) else {
      throw .badTable(
        path,
        "the id of plugin \(index) is '\(id)'; it must be a reverse domain such as "
          + "org.example.my-edit"
      )
    }
    guard !result[1].isEmpty, ForeignText.isPlain(result[1]) else {
      throw .badTable(path, "plugin '\(id)' states no version, or one with control characters")
    }
    return id
  }

  private static func checkSlots(
    _ plugin: reft_plugin_t,
    id: String,
    path: String
  ) throws(ReFTError) {
    var missing: [String] = []
    if plugin.create == nil { missing.append("create") }
    if plugin.destroy == nil { missing.append("destroy") }
    if plugin.param_info == nil { missing.append("param_info") }
    if plugin.plan == nil { missing.append("plan") }
    if plugin.forward == nil { missing.append("forward") }
    let isInferenceOnly = plugin.capabilities & PluginCapabilities.noBackward.rawValue != 0
    if plugin.backward == nil, !isInferenceOnly { missing.append("backward") }
    guard missing.isEmpty else {
      let remedy =
        missing == ["backward"] ? "; write it, or set REFT_CAP_NO_BACKWARD for inference only" : ""
      throw .badTable(
        path,
        "plugin '\(id)' leaves the required slot \(missing.joined(separator: ", ")) null"
          + remedy
      )
    }
    guard plugin.dtypes >> UInt64(REFT_F32) & 1 == 1 else {
      throw .badTable(
        path,
        "plugin '\(id)' does not serve float32 rows (dtypes is \(plugin.dtypes)), and this "
          + "host offers no others"
      )
    }
  }
}

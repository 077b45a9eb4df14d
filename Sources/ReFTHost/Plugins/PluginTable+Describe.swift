// SPDX-License-Identifier: Apache-2.0
// What a checked table says about a plugin and its options, as Swift values.

import CReFTPlugin
import ReFTTensor

extension PluginTable {
  /// The most options and parameters that a plugin may have.
  static let listLimit: UInt32 = 256

  /// Reads texts, promises and the option schema of a plugin.
  static func describe(
    _ table: UnsafePointer<reft_plugin_t>,
    file: PluginFile,
    abi: String,
    warnings: [String]
  ) throws(ReFTError) -> PluginDescription {
    let plugin = table.pointee
    let id = ForeignText.strict(plugin.id) ?? ""
    return PluginDescription(
      id: id,
      version: ForeignText.strict(plugin.version) ?? "",
      summary: ForeignText.line(ForeignText.strict(plugin.summary) ?? ""),
      license: ForeignText.line(ForeignText.strict(plugin.license) ?? ""),
      abi: abi,
      path: file.path,
      hash: file.hash,
      capabilities: PluginCapabilities(rawValue: plugin.capabilities).known(to: abi),
      options: try options(of: plugin, id: id, path: file.path),
      warnings: warnings
    )
  }

  private static func options(
    of plugin: reft_plugin_t,
    id: String,
    path: String
  ) throws(ReFTError) -> [PluginOption] {
    guard let describe = plugin.option_info else { return [] }
    var options: [PluginOption] = []
    for index in 0..<listLimit {
      var info = reft_option_info_t()
      info.struct_size = UInt32(MemoryLayout<reft_option_info_t>.size)
      let status = FloatingPointGuard.run { describe(index, &info) }.0
      if status == REFT_E_INVALID { return options }
      guard status == REFT_OK else {
        throw .badTable(
          path,
          "plugin '\(id)' answers status \(status) when asked for option \(index)"
        )
      }
      let option = try option(info, index: index, id: id, path: path)
      guard !options.contains(where: { $0.name == option.name }) else {
        throw .badTable(path, "plugin '\(id)' has two options named '\(option.name)'")
      }
      options.append(option)
    }
    throw .badTable(path, "plugin '\(id)' states more than \(listLimit) options")
  }

  private static func option(
    _ info: reft_option_info_t,
    index: UInt32,
    id: String,
    path: String
  ) throws(ReFTError) -> PluginOption {
    guard let name = ForeignText.strict(info.name), !name.isEmpty, ForeignText.isPlain(name),
      let help = ForeignText.strict(info.help),
      let choices = ForeignText.strict(info.choices), ForeignText.isPlain(choices),
      let text = ForeignText.strict(info.default_s)
    else {
      throw .badTable(
        path,
        "option \(index) of plugin '\(id)' has no name, or texts that are not plain UTF-8"
      )
    }
    let (kind, value): (PluginOption.Kind, OptionValue)
    switch info.type {
    case REFT_OPTION_INT: (kind, value) = (.int, .int(info.default_i))
    case REFT_OPTION_FLOAT: (kind, value) = (.float, .float(info.default_f))
    case REFT_OPTION_STRING: (kind, value) = (.string, .string(text))
    case REFT_OPTION_FLAG: (kind, value) = (.flag, .flag(info.default_i != 0))
    default:
      throw .badTable(path, "option '\(name)' of plugin '\(id)' is of unknown type \(info.type)")
    }
    let isNumber = kind == .int || kind == .float
    let hasRange = isNumber && info.minimum <= info.maximum
    let option = PluginOption(
      name: name,
      kind: kind,
      help: ForeignText.line(help),
      defaultValue: value,
      choices: choices.split(separator: "|").map(String.init),
      range: hasRange ? info.minimum...info.maximum : nil
    )
    guard (try? option.resolve(value, plugin: id)) != nil else {
      throw .badTable(
        path,
        "the default \(value) of option '\(name)' of plugin '\(id)' is not one it allows"
      )
    }
    return option
  }
}

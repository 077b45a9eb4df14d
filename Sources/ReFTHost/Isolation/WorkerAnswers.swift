// SPDX-License-Identifier: Apache-2.0
// A plugin that writes where it should not can forge what its worker says. Every answer is held
// against the rules that a plugin in this process has to keep, before the host computes with it.

import ReFTTensor

extension WorkerHello {
  /// The descriptions, if they could be those of a file.
  ///
  /// - Throws: `.misbehaved` otherwise.
  func checked(path: String, hash: String) throws(ReFTError) -> [PluginDescription] {
    guard (1...256).contains(plugins.count) else {
      throw .workerAnswer(path, "the file holds \(plugins.count) plugins")
    }
    guard Set(plugins.map(\.id)).count == plugins.count else {
      throw .workerAnswer(path, "two plugins have the same id")
    }
    var result: [PluginDescription] = []
    for plugin in plugins {
      guard PluginDescription.isID(plugin.id) else {
        throw .workerAnswer(path, "a plugin's id is '\(ForeignText.line(plugin.id))'")
      }
      let description = plugin.description(path: path, hash: hash)
      guard description.options.count == plugin.options.count,
        plugin.options.count <= PluginTable.listLimit,
        Set(description.options.map(\.name)).count == plugin.options.count,
        description.options.allSatisfy({ option in
          ForeignText.isPlain(option.name + option.choices.joined())
            && (try? option.resolve(option.defaultValue, plugin: plugin.id)) != nil
        }),
        ForeignText.isPlain(description.version + description.summary + description.abi)
      else { throw .workerAnswer(path, "its texts or options are not those of a plugin") }
      result.append(description)
    }
    return result
  }
}

extension WorkerParameter {
  /// The parameters, if they could be those of a plugin.
  ///
  /// - Throws: `.misbehaved` otherwise.
  static func checked(
    _ answer: [WorkerParameter],
    plugin: String,
    inputs: [PluginInput] = [],
    memoryLimit: Int
  ) throws(ReFTError) -> [ParameterInfo] {
    guard answer.count <= PluginTable.listLimit else {
      throw .workerAnswer(plugin, "it has \(answer.count) parameters")
    }
    var result: [ParameterInfo] = []
    var byteCount = 0
    for parameter in answer {
      let info = parameter.info
      guard ParameterInfo.isName(info.name) else {
        throw .workerAnswer(plugin, "a parameter's name is '\(ForeignText.line(info.name))'")
      }
      if let fault = info.fault(after: result) ?? info.inputFault(inputs) {
        throw .workerAnswer(plugin, "parameter '\(info.name)' \(fault)")
      }
      // No overflow: the count of each has a bound, and so have their number and this sum.
      if info.inputIndex == nil { byteCount += WorkerLayout.rounded(4 * info.count) }
      guard byteCount <= memoryLimit else {
        throw .workerTooLarge(plugin, what: "its parameters", limit: memoryLimit)
      }
      result.append(info)
    }
    return result
  }
}

extension WorkerWorkspace {
  /// The sizes, if a call over so many rows stays within what the plugin may have.
  ///
  /// - Throws: `.misbehaved` otherwise.
  func checked(
    rows: Int,
    plugin: String,
    memoryLimit: Int
  ) throws(ReFTError) -> PluginWorkspace {
    if let fault = workspace.fault(rows: rows) {
      throw .workerAnswer(plugin, "plan states \(fault)")
    }
    // No overflow: each of the four is below 2^40.
    let need = workspace.savedByteCount(rows: rows) + workspace.scratchByteCount(rows: rows)
    guard need <= memoryLimit else {
      throw .workerTooLarge(plugin, what: "a call over \(rows) rows", limit: memoryLimit)
    }
    return workspace
  }
}

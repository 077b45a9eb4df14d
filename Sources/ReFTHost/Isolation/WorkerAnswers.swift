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
        Set(description.options.map(\.name)).count == plugin.options.count,
        description.options.allSatisfy({ ForeignText.isPlain($0.name) }),
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
    plugin: String
  ) throws(ReFTError) -> [ParameterInfo] {
    guard answer.count <= PluginTable.listLimit else {
      throw .workerAnswer(plugin, "it has \(answer.count) parameters")
    }
    var result: [ParameterInfo] = []
    for parameter in answer {
      let info = parameter.info
      guard ParameterInfo.isName(info.name) else {
        throw .workerAnswer(plugin, "a parameter's name is '\(ForeignText.line(info.name))'")
      }
      if let fault = info.fault(after: result) {
        throw .workerAnswer(plugin, "parameter '\(info.name)' \(fault)")
      }
      result.append(info)
    }
    return result
  }
}

extension WorkerWorkspace {
  /// The sizes, if this machine has the memory for a call over so many rows.
  ///
  /// - Throws: `.misbehaved` otherwise.
  func checked(rows: Int, plugin: String) throws(ReFTError) -> PluginWorkspace {
    if let fault = workspace.fault(rows: rows) {
      throw .workerAnswer(plugin, "plan states \(fault)")
    }
    return workspace
  }
}

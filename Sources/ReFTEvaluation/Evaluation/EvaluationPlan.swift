// SPDX-License-Identifier: Apache-2.0
// What `reft eval` does: a model, who is asked, and tasks. A YAML file says it, or the command's options.

import Foundation
public import ReFTHost
public import ReFTTensor
import ReFTText
import ReFTTraining

/// A model, adapters and tasks.
public struct EvaluationPlan: Sendable {
  /// A task with what is asked of it.
  public struct Item: Sendable {
    /// The name of a task that comes along, or the path of a task file.
    public var task: String
    /// The file of rows, in place of the task's own.
    public var data: String?
    /// Take only the first rows; nil: as the plan says.
    public var limit: Int?
    /// How many answered rows are shown before each; nil: as the task says.
    public var shots: Int?
    /// The wording around prompts, in place of the task's: none, alpaca, chat, adapter or a format string.
    public var template: String?
    /// Where it was named, as `file:line:column`; nil: by options of a command.
    public var place: String?

    /// Names a task.
    public init(task: String, data: String? = nil, limit: Int? = nil, shots: Int? = nil) {
      (self.task, self.data, self.limit, self.shots) = (task, data, limit, shots)
    }

    /// The task, with what was asked of it.
    ///
    /// - Throws: as reading a task file; `badConfiguration` for a name that there is no task of, where a
    ///   file says it.
    public func read() throws(ReFTError) -> TaskFile {
      var file = try named()
      if let shots {
        var own = file.shots ?? FewShots(count: shots)
        own.count = shots
        file.shots = shots == 0 ? nil : own
      }
      switch template {
      case nil: break
      case "none"?: file.template = nil
      case "adapter"?: file.template = .adapters
      case .some(let text): file.template = .chosen(try Template(text))
      }
      return file
    }
  }

  /// An adapter to ask.
  public struct Entry: Sendable {
    /// What results call it.
    public var name: String
    /// Whether the user chose that name; else it is that of a folder.
    public let hasOwnName: Bool
    /// Its folder, with `:0.5` behind it where half of its change counts.
    public var path: String
    /// Further ones that edit together with it, written alike.
    public var with: [String] = []
    /// What they are together where they edit the same.
    public var rule = CompositionRule.sum
    /// Where it was named, as `file:line:column`; nil: by options of a command.
    public var place: String?

    /// Names an adapter by its folder, or by its run where that is its folder's name.
    public init(path: String, name: String? = nil) {
      self.path = path
      hasOwnName = name != nil
      let word = try? AdapterWord(path)
      let folder = word?.path ?? path
      let parts = URL(fileURLWithPath: folder).standardizedFileURL.pathComponents
      let last = parts.last ?? folder
      let usual = last == "adapter" && parts.count > 2 ? parts[parts.count - 2] : last
      self.name = name ?? usual + path.dropFirst(folder.count)
    }

    /// All that edit together, as the user wrote them.
    ///
    /// - Throws: `usage` for a strength that is none.
    public func words() throws(ReFTError) -> [AdapterWord] {
      var words: [AdapterWord] = []
      for text in [path] + with { words.append(try AdapterWord(text)) }
      return words
    }
  }

  /// `model`: a file or folder, or a short name of the model library.
  public var model = ""
  /// `adapters`: folders, or {name, path}; none by default.
  public var adapters: [Entry] = []
  /// `frozen`: whether the model is asked without an adapter too; by default where there is none.
  public var asksFrozen: Bool?
  /// Where that was written; nil: by an option, or nowhere.
  public var frozenPlace: String?
  /// `tasks`: names, files, or {task, data, limit, shots}.
  public var tasks: [Item] = []
  /// `limit`: take only the first rows of each task; all by default.
  public var limit: Int?
  /// `batch_size`: how many rows are asked at once.
  public var batchSize: Int?
  /// `output`: the folder for outputs and results; none by default.
  public var output: String?
  /// `plugin_path`: further folders with plugins.
  public var pluginPaths: [String] = []

  /// An empty plan.
  public init() {}

  /// Reads a plan; relative paths begin at its folder.
  ///
  /// - Throws: `inputMissing` without the file, `badConfiguration` with the line for anything wrong.
  public static func load(path: String) throws(ReFTError) -> EvaluationPlan {
    let root = try ConfigurationNode.parse(
      yaml: ConfigurationText.read(path: path),
      path: path,
      as: .evaluation
    )
    return try EvaluationPlan(root, folder: PathParts.folder(of: path))
  }

  private init(_ root: ConfigurationNode, folder: String) throws(ReFTError) {
    let keys = PlanKeys(folder: folder)
    var reader = try ConfigurationReader(root, path: "")
    model = try reader.required("model", purpose: "name a .gguf file or a model of the library") {
      (reader, key) throws(ReFTError) in try reader.string(key)
    }
    if model.contains("/") || FileManager.default.fileExists(atPath: keys.path(model)) {
      model = keys.path(model)
    }
    for node in reader.node("adapters")?.items ?? [] { adapters.append(try keys.adapter(node)) }
    asksFrozen = try reader.flag("frozen")
    frozenPlace = reader.node("frozen")?.origin.description
    for node in reader.node("tasks")?.items ?? [] { tasks.append(try keys.task(node)) }
    limit = try reader.integer("limit", in: 1...Int.max)
    batchSize = try reader.integer("batch_size", in: 1...65_536)
    output = try reader.string("output").map(keys.path)
    for node in reader.node("plugin_path")?.items ?? [] {
      pluginPaths.append(keys.path(try node.string(key: "plugin_path")))
    }
    try reader.finish()
    guard !tasks.isEmpty else {
      throw .missingKey("tasks", at: root.origin, purpose: "write a list of tasks")
    }
  }
}

/// Reads the parts of a plan.
private struct PlanKeys {
  let folder: String

  func path(_ text: String) -> String {
    text.hasPrefix("/") || folder == "." ? text : folder + "/" + text
  }

  func adapter(_ node: ConfigurationNode) throws(ReFTError) -> EvaluationPlan.Entry {
    var entry = try adapterEntry(node)
    entry.place = node.origin.description
    return entry
  }

  private func adapterEntry(
    _ node: ConfigurationNode
  ) throws(ReFTError) -> EvaluationPlan.Entry {
    guard case .mapping = node.content else {
      return EvaluationPlan.Entry(path: path(try node.string(key: "adapters")))
    }
    var reader = try ConfigurationReader(node, path: "adapters")
    let path = try reader.required("path", purpose: "name the adapter's folder") {
      (reader, key) throws(ReFTError) in try reader.string(key)
    }
    let name = try reader.string("name")
    var entry = EvaluationPlan.Entry(path: self.path(path), name: name)
    entry.with = try reader.strings("with")?.map { self.path($0) } ?? []
    entry.rule = try reader.choice("compose") ?? .sum
    try reader.finish()
    return entry
  }

  func task(_ node: ConfigurationNode) throws(ReFTError) -> EvaluationPlan.Item {
    var item = try taskItem(node)
    item.place = node.origin.description
    return item
  }

  private func taskItem(_ node: ConfigurationNode) throws(ReFTError) -> EvaluationPlan.Item {
    guard case .mapping = node.content else {
      return EvaluationPlan.Item(task: taskPath(try node.string(key: "tasks")))
    }
    var reader = try ConfigurationReader(node, path: "tasks")
    let task = try reader.required("task", purpose: "name a task, or a task file") {
      (reader, key) throws(ReFTError) in try reader.string(key)
    }
    var item = EvaluationPlan.Item(
      task: taskPath(task),
      data: try reader.string("data").map(path),
      limit: try reader.integer("limit", in: 1...Int.max),
      shots: try reader.integer("shots", in: 0...1000)
    )
    item.template = try reader.string("template")
    try reader.finish()
    return item
  }

  private func taskPath(_ text: String) -> String {
    text.hasSuffix(".yaml") || text.hasSuffix(".yml") ? path(text) : text
  }
}

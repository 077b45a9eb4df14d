// SPDX-License-Identifier: Apache-2.0
// An entry of `train.validate`: a task that measures the adapter at each validation.

import Foundation
import ReFTTensor

/// A task that measures the adapter while it is trained.
public struct TaskCheck: Sendable, Equatable {
  /// `task`: the name of a task that comes along, or a task file.
  public var task: String
  /// `data`: the file of rows; the task's own by default.
  public var data: String?
  /// `limit`: take only the first rows; all by default.
  public var limit: Int?
  /// `shots`: how many answered rows are shown before each; as the task says by default.
  public var shots: Int?
  /// `template`: the wording around prompts; as the task says by default.
  public var template: String?
  /// Where the entry was written, as `file:line:column`, for errors found later; nil: in code.
  public var place: String?

  /// Names a task.
  public init(task: String) { self.task = task }

  /// Reads an entry: a name, or a mapping.
  init(_ node: ConfigurationNode, key: String, folder: URL) throws(ReFTError) {
    guard case .mapping = node.content else {
      self.init(task: Self.path(try node.string(key: key), in: folder))
      place = node.origin.description
      return
    }
    var reader = try ConfigurationReader(node, path: key)
    guard let task = try reader.string("task") else {
      throw .missingKey("\(key).task", at: node.origin, purpose: "name one of `reft task list`")
    }
    self.init(task: Self.path(task, in: folder))
    place = node.origin.description
    data = try reader.string("data").map { absolute($0, in: folder) }
    limit = try reader.integer("limit", in: 1...1_000_000_000)
    shots = try reader.integer("shots", in: 0...1000)
    template = try reader.string("template")
    try reader.finish()
  }

  /// Whether two ask the same; where they were written is no part of it.
  public static func == (one: TaskCheck, other: TaskCheck) -> Bool {
    (one.task, one.data, one.limit, one.shots, one.template)
      == (other.task, other.data, other.limit, other.shots, other.template)
  }

  private static func path(_ task: String, in folder: URL) -> String {
    task.hasSuffix(".yaml") || task.hasSuffix(".yml") ? absolute(task, in: folder) : task
  }
}

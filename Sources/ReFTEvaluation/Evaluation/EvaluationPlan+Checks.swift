// SPDX-License-Identifier: Apache-2.0
// What must hold of a plan before a model is asked: tasks and adapters that results can tell apart, rows
// for each task, and somebody who is asked.

public import ReFTTensor

extension EvaluationPlan {
  /// Reads tasks whose results stand side by side.
  ///
  /// - Parameters:
  ///   - items: the tasks.
  ///   - key: what names them, for messages: a key of a file, or an option.
  /// - Returns: each with its task, in their order.
  /// - Throws: as reading a task file. Where two have one name, or one names no file of rows:
  ///   `badConfiguration` with the place, `usage` where options name them.
  public static func read(
    _ items: [Item],
    of key: String
  ) throws(ReFTError) -> [(item: Item, file: TaskFile)] {
    var tasks: [(item: Item, file: TaskFile)] = []
    var names: Set<String> = []
    for item in items {
      let file = try item.read()
      guard names.insert(file.name).inserted else {
        throw .taskTwice(file.name, of: key, at: item.place)
      }
      guard item.data != nil || file.data.path != nil else {
        throw .taskWithoutData(file.name, word: item.task, at: item.place)
      }
      tasks.append((item, file))
    }
    return tasks
  }

  /// What results call each adapter: the name that it was given, else that of its folder, and where
  /// another has that, the folder.
  ///
  /// - Returns: the names, in the order of the adapters.
  /// - Throws: where a given name is another's or the frozen model's, or nobody is asked at all:
  ///   `badConfiguration` with the place, `usage` where options name them.
  public func adapterNames() throws(ReFTError) -> [String] {
    if asksFrozen == false, adapters.isEmpty { throw .nobodyAsked(at: frozenPlace) }
    var taken: Set<String> = [Contender.frozen.name]
    for entry in adapters where entry.hasOwnName {
      guard taken.insert(entry.name).inserted else {
        throw .adapterNameTaken(entry.name, at: entry.place)
      }
    }
    var names: [String] = []
    for entry in adapters {
      guard !entry.hasOwnName else {
        names.append(entry.name)
        continue
      }
      // Two runs may have adapters of one name; their folders tell them apart.
      let name = taken.contains(entry.name) ? entry.path : entry.name
      guard taken.insert(name).inserted else { throw .adapterNameTaken(name, at: entry.place) }
      names.append(name)
    }
    return names
  }
}

extension EvaluationPlan.Item {
  /// The task as it comes along, or as its file has it.
  func named() throws(ReFTError) -> TaskFile {
    do throws(ReFTError) {
      return try TaskFile(task)
    } catch {
      guard error.code == .usage, let place else { throw error }
      throw ReFTError(.badConfiguration, "\(place): \(error.message)", cause: error)
    }
  }

  /// Makes sure that the task's rows can be read.
  ///
  /// - Parameter file: the task, as it was read.
  /// - Throws: `inputMissing` without the file of rows; `badData` with file and line for anything wrong
  ///   in it.
  public func checkRows(of file: TaskFile) throws(ReFTError) {
    _ = try file.rows(data, limit: limit)
  }
}

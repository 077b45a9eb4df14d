// SPDX-License-Identifier: Apache-2.0
// The tasks that come along: YAML files in `Library`, embedded by the build. No rows come with them;
// each says which file to get.

public import ReFTTensor

/// The tasks that come along.
public enum TaskLibrary {
  /// What stands before each task in the embedded file.
  private static let mark = "--- # "

  /// The YAML texts, by name.
  private static let texts: [(name: String, yaml: String)] = {
    let whole = String(decoding: PackageResources.tasks_yaml, as: UTF8.self)
    var texts: [(name: String, yaml: String)] = []
    for line in whole.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix(mark) {
        texts.append((String(line.dropFirst(mark.count)), ""))
      } else if !texts.isEmpty {
        texts[texts.count - 1].yaml += line + "\n"
      }
    }
    return texts
  }()

  /// The names, in the order of the library.
  public static var names: [String] { texts.map(\.name) }

  /// All tasks, in the order of the library.
  ///
  /// - Throws: `internalFault` for one that cannot be read.
  public static func tasks() throws(ReFTError) -> [TaskFile] {
    var tasks: [TaskFile] = []
    for (name, yaml) in texts { tasks.append(try parse(name, yaml)) }
    return tasks
  }

  /// A task by its name.
  ///
  /// - Throws: `usage` where there is none, with the nearest name.
  public static func task(named name: String) throws(ReFTError) -> TaskFile {
    guard let text = texts.first(where: { $0.name == name }) else {
      let guess = NearestName.find(name, in: names).map { "; did you mean '\($0)'?" } ?? ";"
      throw ReFTError(
        .usage,
        "there is no task '\(name.shown())'\(guess) `reft task list` tells the names, and a task of "
          + "your own is a path that ends in .yaml"
      )
    }
    return try parse(text.name, text.yaml)
  }

  private static func parse(_ name: String, _ yaml: String) throws(ReFTError) -> TaskFile {
    do throws(ReFTError) {
      var task = try TaskFile.parse(yaml: yaml, path: "\(name).yaml")
      task.name = name
      return task
    } catch {
      throw ReFTError(.internalFault, "the task '\(name)': \(error.message)", cause: error)
    }
  }
}

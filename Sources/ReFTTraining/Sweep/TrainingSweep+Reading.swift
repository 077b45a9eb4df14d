// SPDX-License-Identifier: Apache-2.0
// From a sweep's YAML file to its runs, all of them checked before the first begins.

import Foundation
public import ReFTTensor

extension TrainingSweep {
  /// Reads a sweep file and the configuration that it starts from.
  ///
  /// - Parameters:
  ///   - path: the YAML file.
  ///   - overrides: texts such as `train.max_steps=2`, applied to the configuration of every run.
  ///   - output: the sweep's folder, in place of the file's.
  /// - Returns: the sweep.
  /// - Throws: `inputMissing` when a file is not there; `badConfiguration` for anything in the sweep, or
  ///   in the configuration of any of its runs, that is unknown, of the wrong type or impossible.
  public static func load(
    path: String,
    overrides: [String] = [],
    output: String? = nil
  ) throws(ReFTError) -> TrainingSweep {
    let node = try ConfigurationNode.parse(
      yaml: ConfigurationText.read(path: path),
      path: path,
      as: .sweep
    )
    var reader = try ConfigurationReader(node, path: "")
    let file = URL(fileURLWithPath: path).standardizedFileURL
    let folder = file.deletingLastPathComponent()
    guard let base = try reader.string("base") else {
      throw .missingKey("base", at: reader.origin, purpose: "name the configuration to start from")
    }
    let variants = try Self.variants(reader.node("variants"))
    let grid = try Self.grid(reader.node("grid"))
    let random = try Self.random(reader.node("random"))
    let seeds = try Self.seeds(reader.node("seeds"))
    let tasks = try Self.tasks(reader.node("eval"), in: folder)
    let metric = try reader.string("metric")
    let metricPlace = reader.node("metric")?.origin.description
    let own = try reader.string("output")
    try reader.finish()
    let name = file.deletingPathExtension().lastPathComponent
    let place = output.map { URL(fileURLWithPath: $0).standardizedFileURL.path }
    var plan = TrainingSweep(
      path: path,
      output: place ?? absolute(own ?? "sweeps/" + name, in: folder),
      metric: metric,
      metricPlace: metricPlace,
      tasks: tasks,
      runs: []
    )
    let points = try Self.points(variants, grid, random, seeds, at: reader.origin)
    plan.runs = try Self.runs(
      points,
      base: absolute(base, in: folder),
      overrides: overrides,
      output: plan.output
    )
    return plan
  }

  // MARK: Parts of the file

  /// A value at a key.
  struct Change {
    var key: String
    var value: ConfigurationNode
  }

  /// What one run changes, and what of it is shown.
  struct Point {
    var variant: String?
    var changes: [Change] = []
    var varied: [Change] = []
    var seed: UInt64?
  }

  private static func variants(
    _ node: ConfigurationNode?
  ) throws(ReFTError) -> [(name: String, changes: [Change])] {
    guard let node else { return [] }
    var result: [(name: String, changes: [Change])] = []
    for entry in try ConfigurationReader(node, path: "variants").keys {
      let parts = try ConfigurationReader(entry.value, path: "variants.\(entry.key)").keys
      result.append((entry.key, parts.map { Change(key: $0.key, value: $0.value) }))
    }
    return result
  }

  private static func grid(
    _ node: ConfigurationNode?
  ) throws(ReFTError) -> [(key: String, values: [ConfigurationNode])] {
    guard let node else { return [] }
    var result: [(key: String, values: [ConfigurationNode])] = []
    for entry in try ConfigurationReader(node, path: "grid").keys {
      guard case .sequence(let values) = entry.value.content, !values.isEmpty else {
        throw .wrongType(
          entry.value,
          key: "grid.\(entry.key)",
          expected: "a list of values, such as [1e-3, 4e-3]"
        )
      }
      var seen: Set<String> = []
      for value in values where !seen.insert(value.identity).inserted {
        throw .configuration(
          value.origin,
          "'grid.\(entry.key)' has the value \(value.summary.shown()) twice; name it once"
        )
      }
      result.append((entry.key, values))
    }
    return result
  }

  private static func seeds(_ node: ConfigurationNode?) throws(ReFTError) -> [ConfigurationNode] {
    guard let node else { return [] }
    var seen: Set<Int> = []
    for item in node.items {
      let seed = try item.integer(key: "seeds", in: 0...Int.max)
      guard seen.insert(seed).inserted else {
        throw .configuration(item.origin, "'seeds' names \(seed) twice; name it once")
      }
    }
    return node.items
  }

  private static func tasks(
    _ node: ConfigurationNode?,
    in folder: URL
  ) throws(ReFTError) -> [Task] {
    var result: [Task] = []
    for (index, item) in (node?.items ?? []).enumerated() {
      guard case .mapping = item.content else {
        var task = Task(name: taskName(try item.string(key: "eval.\(index)"), in: folder))
        task.place = item.origin.description
        result.append(task)
        continue
      }
      var reader = try ConfigurationReader(item, path: "eval.\(index)")
      guard let name = try reader.string("task") else {
        throw .missingKey(
          "eval.\(index).task",
          at: item.origin,
          purpose: "name one of `reft task list`, or a task file"
        )
      }
      result.append(
        Task(
          name: taskName(name, in: folder),
          data: try reader.string("data").map { absolute($0, in: folder) },
          limit: try reader.integer("limit", in: 1...1_000_000_000),
          shots: try reader.integer("shots", in: 0...1000),
          place: item.origin.description
        )
      )
      try reader.finish()
    }
    return result
  }

  /// A file beside the sweep, or else a name.
  private static func taskName(_ text: String, in folder: URL) -> String {
    let file = absolute(text, in: folder)
    return FileManager.default.fileExists(atPath: file) ? file : text
  }

  // MARK: All of them

  private static func points(
    _ variants: [(name: String, changes: [Change])],
    _ grid: [(key: String, values: [ConfigurationNode])],
    _ draws: [[Change]],
    _ seeds: [ConfigurationNode],
    at origin: ConfigurationNode.Origin
  ) throws(ReFTError) -> [Point] {
    var keys: Set<String> = []
    for key in grid.map(\.key) + (draws.first ?? []).map(\.key)
      + (seeds.isEmpty ? [] : ["train.seed"])
    {
      guard keys.insert(key).inserted else {
        throw .configuration(origin, "'\(key)' is varied twice; keep it in one place")
      }
    }
    let counts = [variants.count, draws.count, seeds.count] + grid.map(\.values.count)
    let total = counts.reduce(1) { min($0 * max(1, $1), mostRuns + 1) }
    guard total <= mostRuns else {
      throw .configuration(origin, "the sweep has more than \(mostRuns) runs; take fewer values")
    }
    var points =
      variants.isEmpty ? [Point()] : variants.map { Point(variant: $0.name, changes: $0.changes) }
    for (key, values) in grid {
      points = points.flatMap { point in values.map { point.varying([Change(key: key, value: $0)]) }
      }
    }
    if !draws.isEmpty { points = points.flatMap { point in draws.map(point.varying) } }
    guard !seeds.isEmpty else { return points }
    return points.flatMap { point in
      seeds.map { node in
        var copy = point
        copy.changes.append(Change(key: "train.seed", value: node))
        copy.seed = node.integerValue.map(UInt64.init)
        return copy
      }
    }
  }

  private static func runs(
    _ points: [Point],
    base: String,
    overrides: [String],
    output: String
  ) throws(ReFTError) -> [Run] {
    var root = try ConfigurationNode.parse(yaml: ConfigurationText.read(path: base), path: base)
    let set = try root.apply(overrides: overrides)
    for point in points {
      for change in point.changes {
        if let text = set[change.key] {
          throw .configuration(
            .override(text: text),
            "the sweep itself gives '\(change.key)' its values; leave one of them out"
          )
        }
      }
    }
    let short = shortNames(points.flatMap { $0.varied.map(\.key) })
    let settings = points.map { point in
      (point.variant.map { [Setting(name: "variant", value: $0)] } ?? [])
        + point.varied.map { Setting(name: short[$0.key] ?? $0.key, value: $0.value.summary) }
    }
    let names = RunName.names(
      zip(settings, points).map { settings, point in
        settings + (point.seed.map { [Setting(name: "seed", value: "\($0)")] } ?? [])
      }
    )
    var runs: [Run] = []
    for (index, point) in points.enumerated() {
      var node = root
      for change in point.changes { try node.set(change.value, at: change.key) }
      var configuration = try RunConfiguration(node, path: base)
      configuration.output = "\(output)/runs/\(names[index])"
      runs.append(
        Run(
          name: names[index],
          settings: settings[index],
          seed: point.seed,
          configuration: configuration
        )
      )
    }
    return runs
  }

  /// The last word of each key that is no number, or the whole key where two end alike.
  private static func shortNames(_ keys: [String]) -> [String: String] {
    var result: [String: String] = [:]
    for key in Set(keys) {
      let words = key.split(separator: ".").map(String.init)
      result[key] = words.last { Int($0) == nil } ?? key
    }
    let counts = Dictionary(result.values.map { ($0, 1) }, uniquingKeysWith: +)
    return result.reduce(into: [:]) { names, pair in
      let isTaken = counts[pair.value] ?? 0 > 1 || ["variant", "seed"].contains(pair.value)
      names[pair.key] = isTaken ? pair.key : pair.value
    }
  }
}

extension TrainingSweep.Point {
  /// The point with further values, which are shown.
  fileprivate func varying(_ more: [TrainingSweep.Change]) -> TrainingSweep.Point {
    var copy = self
    copy.changes += more
    copy.varied += more
    return copy
  }
}

// SPDX-License-Identifier: Apache-2.0
// One plugin on one page: what `reft plugin info` prints, as text and as JSON.

import ReFTHost

/// What is known of a plugin, with the parameters of an instance with default options.
struct PluginPage: Encodable {
  struct Option: Encodable {
    var name: String
    var type: String
    var `default`: OptionValue
    var choices: [String]
    var minimum: Double?
    var maximum: Double?
    var help: String
  }
  struct Parameter: Encodable {
    var name: String
    var shape: [Int]
    var constraint: String
    var initialization: String
    var trainable: Bool
    var decay: Bool
  }

  var name: String
  var id: String
  var version: String
  var abi: String
  var summary: String
  var license: String
  var path: String
  var hash: String
  var isolation: String
  var trust: String
  var check: String
  var check_warnings: [String]
  var capabilities: [String]
  var options: [Option]
  var parameters: [Parameter]
  var warnings: [String]
  private var isUntrusted: Bool

  private enum CodingKeys: String, CodingKey {
    case name, id, version, abi, summary, license, path, hash, isolation, trust, check
    case check_warnings, capabilities, options, parameters, warnings
  }

  init(_ plugin: Plugin, width: Int, store: TrustStore) throws {
    let description = plugin.description
    let site = PluginSite(dim: width, layer: 0, component: "block_output")
    let namesInputs = plugin.options.contains { $0.kind == .tensor || $0.kind == .file }
    // Parameters of a plugin that needs an input are known once there is one.
    let made =
      namesInputs
      ? try? plugin.makeInstance(at: site, options: [:])
      : try plugin.makeInstance(at: site, options: [:])
    name = plugin.name
    id = plugin.id
    version = plugin.version
    abi = plugin.abi
    summary = description.summary
    license = description.license
    path = plugin.path
    hash = plugin.hash
    isolation = plugin.isolation.rawValue
    isUntrusted = plugin.isUntrusted
    trust = try store.trust(hash: hash, path: path).description
    let outcome = try store.lastCheck(hash: hash)
    check = outcome.description
    if case .passed(_, let seen) = outcome { check_warnings = seen } else { check_warnings = [] }
    capabilities = plugin.capabilities.names
    warnings = description.warnings
    options = plugin.options.map { option in
      Option(
        name: option.name,
        type: option.kind.rawValue,
        default: option.defaultValue,
        choices: option.choices,
        minimum: option.range?.lowerBound,
        maximum: option.range?.upperBound,
        help: option.help
      )
    }
    parameters = (made?.parameters ?? []).map { parameter in
      Parameter(
        name: parameter.name,
        shape: parameter.shape,
        constraint: parameter.constraint.words,
        initialization: parameter.initialization.words,
        trainable: parameter.isTrainable,
        decay: parameter.allowsDecay
      )
    }
  }

  func show() {
    Output.line("\(name) \(version) (\(id), ABI \(abi), \(license))")
    Output.line("  \(summary)")
    Output.line()
    Output.table([
      ["  file", path], ["  hash", hash],
      [
        "  runs",
        isolation == "none"
          ? "in this process"
          : "in a worker process" + (isUntrusted ? ", as you do not trust it" : ""),
      ],
      ["  trust", trust], ["  last check", check],
      ["  promises", capabilities.joined(separator: ", ")],
    ])
    Output.line("\nOptions")
    Output.table(
      options.map { option in
        ["  " + option.name, option.type, "default \(option.default)", option.range, option.help]
      }
    )
    Output.line("\nParameters")
    Output.table(
      parameters.map { parameter in
        let shape = parameter.shape.map(String.init).joined(separator: " × ")
        let flags = [
          parameter.trainable ? "trainable" : "fixed", parameter.decay ? "may decay" : "no decay",
        ]
        return [
          "  " + parameter.name, "[\(shape)]", parameter.constraint,
          "starts \(parameter.initialization)", flags.joined(separator: ", "),
        ]
      }
    )
    for warning in check_warnings { Output.note("the check warned: \(warning)") }
    for warning in warnings { Output.note("warning: \(warning)") }
  }
}

extension PluginPage.Option {
  fileprivate var range: String {
    if !choices.isEmpty { return choices.joined(separator: "|") }
    guard let minimum, let maximum else { return "" }
    return "\(Self.number(minimum))…\(Self.number(maximum))"
  }

  private static func number(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
  }
}

extension ParameterConstraint {
  fileprivate var words: String {
    switch self {
    case .none: "unconstrained"
    case .orthonormalRows: "orthonormal rows"
    case .orthonormalColumns: "orthonormal columns"
    case .unitRows: "rows of unit length"
    case .box(let lower, let upper): "values in \(lower)…\(upper)"
    }
  }
}

extension ParameterInitialization {
  fileprivate var words: String {
    switch self {
    case .zeros: "at zero"
    case .constant(let value): "at \(value)"
    case .uniform(let lower, let upper):
      "uniform in " + Readable.fixed(lower, 4) + "…" + Readable.fixed(upper, 4)
    case .normal(let mean, let deviation): "normal, mean \(mean), deviation \(deviation)"
    case .orthogonal: "orthonormal"
    case .copy(let index): "as a copy of parameter \(index)"
    case .custom: "as the plugin says"
    case .input(let index): "as input \(index)"
    }
  }
}

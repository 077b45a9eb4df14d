// SPDX-License-Identifier: Apache-2.0
// What is known on this machine about the bytes of one plugin.

/// Why a plugin may run in this process, or may not.
///
/// What a check found is no part of it.
public enum PluginTrust: Sendable, Hashable {
  /// The user said so.
  case trusted
  /// It is one of our own, lying where this program was installed: who can write there can replace
  /// the program itself.
  case installed
  /// A call ended its worker twice.
  case quarantined(capsule: String, reason: String)
  /// Nothing is known.
  case unknown

  /// Whether calls may be made in this process.
  public var allowsInProcess: Bool {
    switch self {
    case .trusted, .installed: true
    case .quarantined, .unknown: false
    }
  }

  /// One or two words, for lists.
  public var description: String {
    switch self {
    case .trusted: "trusted"
    case .installed: "installed"
    case .quarantined: "quarantined"
    case .unknown: "unknown"
    }
  }
}

/// How the last `reft plugin check` of a plugin's bytes ended here.
///
/// It is advice for the user, who alone trusts a plugin.
public enum CheckOutcome: Sendable, Hashable, CustomStringConvertible {
  /// There was none.
  case none
  /// All rules up to a level hold; what the check warned of, a sentence each.
  case passed(level: Int, warnings: [String])
  /// Rules are broken, by their numbers.
  case failed(rules: [String])

  /// A few words, for lists.
  public var description: String {
    switch self {
    case .none: return "none"
    case .passed(let level, let warnings):
      let noun = warnings.count > 1 ? "warnings" : "warning"
      return "passed level \(level)" + (warnings.isEmpty ? "" : ", \(warnings.count) \(noun)")
    case .failed(let rules):
      let more = rules.count > 1 ? " and \(rules.count - 1) more" : ""
      return "failed \(rules.first ?? "")\(more)"
    }
  }
}

/// An entry of the record of trust.
public struct TrustRecord: Codable, Sendable, Hashable {
  /// A call that ended the worker twice.
  public struct Quarantine: Codable, Sendable, Hashable {
    /// The file that `reft plugin check --replay` runs again.
    public var capsule: String
    /// What happened.
    public var reason: String
  }

  /// The plugin's name when the entry was made.
  public var name: String
  /// Where it was when the entry was made.
  public var path: String
  /// Whether the user said that it may run in process.
  public var isTrusted: Bool
  /// The level of the last check, if it passed that.
  public var checkedLevel: Int?
  /// When it was last checked, as ISO 8601.
  public var checkedAt: String?
  /// The rules that the last check found broken; nil after a success.
  public var brokenRules: [String]?
  /// What the last check warned of, a sentence each.
  public var checkWarnings: [String]?
  /// Why it may not run any more.
  public var quarantine: Quarantine?

  private enum CodingKeys: String, CodingKey {
    case name, path, quarantine
    case isTrusted = "trusted"
    case checkedLevel = "checked_level"
    case checkedAt = "checked_at"
    case brokenRules = "broken_rules"
    case checkWarnings = "check_warnings"
  }
}

// SPDX-License-Identifier: Apache-2.0
// The check of device forms: `reft plugin check FILE --device cuda`.

package import ReFTCUDA
import ReFTHost
public import ReFTTensor

/// Compares the device forms of a file's plugins with their host forms, on a card.
///
/// The plugin runs in this process: a card takes no orders from a confined one. Whoever calls has seen to
/// it that the user trusts the file.
public struct DeviceCheck {
  /// The level of its rules.
  public static let level = 6

  private let file: String
  private let seed: UInt64

  /// Prepares a check.
  ///
  /// - Parameters:
  ///   - file: the plugin's shared library.
  ///   - seed: of all random choices.
  public init(file: String, seed: UInt64) {
    self.file = file
    self.seed = seed
  }

  /// Runs the rules of level 6 on the first card; without one, each is skipped with the reason.
  ///
  /// - Parameter progress: called after each rule.
  /// - Returns: one result per rule.
  /// - Throws: as `ConformanceSuite.run` where the file cannot be read.
  public func run(_ progress: (RuleResult) -> Void) throws(ReFTError) -> [RuleResult] {
    let device: CUDADevice
    do throws(ReFTError) {
      device = try CUDADevice.open(cache: CUDADevice.userCache)
    } catch {
      return skipAll("No card is used: \(error.message)", progress)
    }
    return try run(on: device, progress)
  }

  /// Skips all rules.
  public func skipAll(_ reason: String, _ progress: (RuleResult) -> Void) -> [RuleResult] {
    deviceRules.map {
      let result = RuleResult($0.rule, status: .skipped, message: reason, seconds: 0, wasRun: false)
      progress(result)
      return result
    }
  }

  /// Runs the rules on any card, the tests' emulator among them.
  package func run(
    on device: CUDADevice,
    _ progress: (RuleResult) -> Void = { _ in }
  ) throws(ReFTError) -> [RuleResult] {
    let specimen = try Specimen(path: file)
    let cases: [DeviceCase]
    do {
      cases = try specimen.hostPlugins().flatMap { try DeviceCase.all(of: $0) }
    } catch {
      let reason = (error as? Breach)?.message ?? "\(error)"
      return deviceRules.map {
        let result = RuleResult($0.rule, status: .failed, message: reason, seconds: 0)
        progress(result)
        return result
      }
    }
    guard !cases.isEmpty else {
      return skipAll("No plugin of the file has a device form (reft.cuda/1).", progress)
    }
    let bench = DeviceBench(device, seed: seed)
    return deviceRules.map { rule in
      var result = judge(rule, cases, bench)
      if result.status.isFault { result.replay = "reft plugin check \(file) --device cuda" }
      progress(result)
      return result
    }
  }

  private func judge(
    _ rule: DeviceRule,
    _ cases: [DeviceCase],
    _ bench: DeviceBench
  ) -> RuleResult {
    let start = monotonicSeconds()
    var (status, message, worst) = (RuleStatus.passed, "", 0.0)
    do {
      for one in cases { worst = max(worst, try rule.judge(one, bench)) }
      message = "\(cases.count) cases"
      message += worst > 0 ? ", largest error \(brief(worst))." : "."
    } catch {
      status = .failed
      message = (error as? Breach)?.message ?? "\(error)"
    }
    return RuleResult(
      rule.rule,
      status: status,
      message: message,
      seconds: monotonicSeconds() - start
    )
  }
}

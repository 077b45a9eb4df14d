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

/// The model that `make demo` fetches, for tests that need a real one.
public enum RealModel {
  /// Its file name.
  public static let fileName = "SmolLM2-135M-Instruct.Q4_1.gguf"

  /// Its path, or nil on a machine without it.
  ///
  /// The value of `REFT_TEST_MODEL`, else a file of that name below `$REFT_HOME/models`, where
  /// `REFT_HOME` is `~/.cache/reft` unless it is set.
  public static let path: String? = {
    let environment = ProcessInfo.processInfo.environment
    if let path = environment["REFT_TEST_MODEL"], !path.isEmpty { return path }
    let home = environment["REFT_HOME"] ?? NSHomeDirectory() + "/.cache/reft"
    let models = home + "/models"
    let names = FileManager.default.enumerator(atPath: models)
    while let name = names?.nextObject() as? String {
      if (name as NSString).lastPathComponent == fileName { return models + "/" + name }
    }
    return nil
  }()

  /// Its path; a recorded issue when it is missing, so ask for `.requiresRealModel` first.
  public static func required() throws -> String { try #require(path) }
}

extension Trait where Self == ConditionTrait {
  /// Skips the test, with one line, on a machine without the real model.
  public static var requiresRealModel: Self {
    .enabled(
      if: RealModel.path != nil,
      "needs \(RealModel.fileName): set REFT_TEST_MODEL to its path, or run 'make demo' once"
    )
  }
}

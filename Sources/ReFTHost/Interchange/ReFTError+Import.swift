// SPDX-License-Identifier: Apache-2.0
// What can be wrong with an adapter of another program.

import ReFTModel
import ReFTTensor

extension ReFTError {
  static func importIsPEFT(_ path: String) -> ReFTError {
    ReFTError(.usage, "'\(path)' is a folder of PEFT; take it over with --format peft")
  }

  static func importMissing(_ path: String, _ expected: String) -> ReFTError {
    ReFTError(.inputMissing, "'\(path)' is not what was asked for: \(expected); check the path")
  }

  static func pyreftWithoutConfiguration(_ path: String) -> ReFTError {
    ReFTError(
      .inputMissing,
      "'\(path)' has no config.json, which says what its files are; a checkpoint of pyreft's trainer "
        + "lacks it: load it into the model that it was trained with, and save that with "
        + "reft_model.save(FOLDER)"
    )
  }

  static func pyreftFileMissing(_ path: String, names: [String]) -> ReFTError {
    ReFTError(
      .inputMissing,
      "'\(path)' has none of the files \(names.map { "'\($0)'" }.joined(separator: " and ")), which its "
        + "config.json names; fetch it again, whole"
    )
  }

  static func pyreftTooMany(_ path: String, _ site: Site, count: Int) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)' has \(count) interventions at the \(site); one, or one for each end of the prompt, can be "
        + "taken over: save them apart"
    )
  }

  static func positionsNeeded(_ path: String, isApart: Bool) -> ReFTError {
    let hint =
      isApart
      ? "it has a set of weights for each end, so something like f7+l7" : "such as f7+l7 or l1"
    return ReFTError(
      .usage,
      "'\(path)' does not say which tokens it edits (pyreft keeps that in the training script); give "
        + "--positions, \(hint)"
    )
  }

  static func twoEndsNeeded(_ path: String, given: PositionRule) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' has one set of weights for the first tokens and one for the last; --positions \(given) "
        + "names only one group; give both, such as f7+l7"
    )
  }

  static func pluginNeeded(_ path: String, possible: [String]) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter_config.json of '\(path)' does not say whether the projection is subtracted, so it may be "
        + "\(possible.joined(separator: " or ")); give --plugin with the one that was trained"
    )
  }

  static func importOtherPlugin(_ path: String, given: String, possible: [String]) -> ReFTError {
    ReFTError(
      .usage,
      "--plugin is '\(given)', and '\(path)' says that it is \(possible.joined(separator: " or ")); leave "
        + "it out, or name that"
    )
  }

  static func importOptionUnused(_ option: String, format: AdapterFormat) -> ReFTError {
    ReFTError(.usage, "\(option) has no meaning for the format \(format.rawValue); leave it out")
  }

  static func importEditsNothing(_ path: String) -> ReFTError {
    ReFTError(.badData, "'\(path)' edits no token of any layer; there is nothing to take over")
  }

  static func importLacks(_ path: String, _ name: String) -> ReFTError {
    ReFTError(.badData, "'\(path)' lacks the tensor '\(name)'; fetch it again, or save it anew")
  }

  static func importHasMore(_ path: String, _ name: String) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)' has the tensor '\(name.shown())', which belongs to nothing that can be taken over; check "
        + "that --format names the program that wrote it"
    )
  }

  static func importNotFinite(_ path: String, _ name: String) -> ReFTError {
    ReFTError(.badData, "'\(path)': '\(name)' holds numbers that are not finite; train it again")
  }

  static func importedRank(
    _ path: String,
    _ name: String,
    found: [Int],
    expected: Int
  ) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)': '\(name.shown())' has the shape \(found); \(expected == 1 ? "a vector" : "a matrix") is "
        + "expected; check that --format names the program that wrote it"
    )
  }

  static func importedRotation(_ path: String, original: [Int], base: [Int]) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)': no rotation can be made of an 'original' of shape \(original) and a 'base' of shape \(base); "
        + "n × r and n × n with r below n are expected; save it again with a lower rank"
    )
  }

  static func importedShape(
    _ path: String,
    _ name: String,
    found: [Int],
    expected: [Int],
    model: String
  ) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)': '\(name)' has the shape \(found); for the model '\(model)' it must be \(expected); name the "
        + "model that it was made for with --model"
    )
  }

  static func importOtherModel(_ path: String, width: Int, base: BaseModel) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' was made for a model of width \(width); '\(base.configuration.name)' has "
        + "\(base.configuration.hiddenSize); name the model that it was made for with --model"
    )
  }
}

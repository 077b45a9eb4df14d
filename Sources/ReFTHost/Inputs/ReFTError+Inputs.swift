// SPDX-License-Identifier: Apache-2.0
// What can be wrong with the inputs that options name.

import ReFTTensor

extension ReFTError {
  static func badInput(_ option: String, plugin: String, found: String) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "option '\(option)' of plugin '\(plugin)' is '\(found)'; it must name a tensor of a safetensors "
        + "file as FILE#TENSOR, such as directions.safetensors#layer.5"
    )
  }

  static func inputFileMissing(_ path: String, option: String, plugin: String) -> ReFTError {
    ReFTError(
      .inputMissing,
      "'\(path)', which option '\(option)' of plugin '\(plugin)' names, is not there; paths in a "
        + "configuration are relative to its folder"
    )
  }

  static func inputShape(
    _ path: String,
    tensor: String,
    shape: [Int],
    option: String,
    plugin: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "tensor '\(tensor)' of '\(path)' has the shape \(shape); option '\(option)' of plugin '\(plugin)' "
        + "takes 1 to 4 dimensions and at least one number"
    )
  }

  static func inputNotFinite(
    _ path: String,
    tensor: String,
    option: String,
    plugin: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "tensor '\(tensor)' of '\(path)', which option '\(option)' of plugin '\(plugin)' names, holds "
        + "numbers that are not finite as float32; write it again without them"
    )
  }

  static func adapterInputMissing(
    _ adapter: String,
    option: String,
    path: String
  ) -> ReFTError {
    ReFTError(
      .inputMissing,
      "adapter '\(adapter)' reads '\(path)' for option '\(option)' (its inputs above 16 MiB stay where "
        + "they are), and the file is not there; put it back, or make the adapter again with the "
        + "file where it is now"
    )
  }

  static func adapterInputChanged(
    _ adapter: String,
    option: String,
    input: String,
    found: String,
    expected: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "adapter '\(adapter)' was made with other numbers for option '\(option)': '\(input)' has "
        + "\(found.prefix(19))… now and \(expected.prefix(19))… then; put the old file back, or make "
        + "the adapter again"
    )
  }

  static func adapterInputDescription(
    _ place: String,
    option: String,
    reason: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): the input of option '\(option)' \(reason); save the adapter again with this version"
    )
  }
}

// SPDX-License-Identifier: Apache-2.0
// What can be wrong with an adapter folder.

import Foundation
import ReFTTensor

extension ReFTError {
  static func adapterMissing(_ path: String) -> ReFTError {
    ReFTError(
      .inputMissing,
      "'\(path)' is no adapter: it is no folder with a file adapter_config.json; name the folder "
        + "that `reft train` wrote, such as runs/NAME/adapter"
    )
  }

  static func adapterPlaceTaken(_ path: String, isLink: Bool) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' is a \(isLink ? "link" : "file") and no adapter folder; nothing of it is changed: "
        + "move it away, or choose another place"
    )
  }

  /// `file` is `path:line:column` here and below where `place` is a path of keys.
  static func adapterValue(
    _ file: String,
    place: String,
    found: String,
    expected: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(file): \(place) is \(found); it must be \(expected); mend the file"
    )
  }

  static func adapterPositions(_ file: String, place: String, cause: ReFTError) -> ReFTError {
    ReFTError(.badData, "\(file): \(place): \(cause.message)", cause: cause)
  }

  static func adapterUnknownKey(_ file: String, place: String, nearest: String?) -> ReFTError {
    let remedy = nearest.map { "did you mean '\($0)'?" } ?? "remove it, or update reft"
    return ReFTError(
      .badData,
      "\(file): \(place) is a key that this version does not know; \(remedy)"
    )
  }

  static func adapterContradictsItself(_ path: String, plugin: String, id: String) -> ReFTError {
    ReFTError(
      .badData,
      "the adapter '\(path)' names the plugin '\(plugin)' and the id '\(id)', whose last part is another "
        + "name; mend its adapter_config.json"
    )
  }

  static func adapterOfOtherPlugin(_ path: String, made id: String, found: Plugin) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "the adapter '\(path)' was made with plugin \(id), which is not here; '\(found.name)' here is "
        + "\(found.id) ('\(found.path)'), another plugin; put \(id) where plugins are found, or name its "
        + "folder with --plugin-path"
    )
  }

  static func adapterOfOtherBuild(
    _ path: String,
    plugin: Plugin,
    made: String,
    cause: ReFTError
  ) -> ReFTError {
    let fault = cause.message.components(separatedBy: "; it does not belong").first ?? ""
    return ReFTError(
      .pluginRefused,
      "the adapter '\(path)' does not fit plugin '\(plugin.name)' as it is here: \(fault); it was made with "
        + "another build (\(made.prefix(19))…, here \(plugin.hash.prefix(19))…): use that one, or train anew",
      cause: cause
    )
  }

  static func adapterVersion(_ file: String, found: Int, known: Int) -> ReFTError {
    ReFTError(
      .badData,
      "\(file): format_version is \(found); this program reads \(known); update reft"
    )
  }

  static func adapterForOtherModel(
    _ path: String,
    model: String,
    what: String,
    found: String,
    expected: String,
    here: String
  ) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter '\(path)' was made for '\(model)' with \(what) \(found); the model '\(here)' has "
        + "\(expected); use it with the model that it was made for"
    )
  }

  static func adapterTensorNames(
    _ path: String,
    missing: [String],
    extra: [String]
  ) -> ReFTError {
    var faults: [String] = []
    if !missing.isEmpty { faults.append("lacks \(listed(missing))") }
    if !extra.isEmpty { faults.append("has \(listed(extra)), which no intervention owns") }
    return ReFTError(
      .badData,
      "'\(path)' \(faults.joined(separator: " and ")); it does not belong to the "
        + "adapter_config.json beside it"
    )
  }

  static func adapterTensorShape(
    _ path: String,
    _ name: String,
    found: [Int],
    expected: [Int]
  ) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)': '\(name)' has the shape \(found); its intervention needs \(expected); it does "
        + "not belong to the adapter_config.json beside it"
    )
  }

  static func adapterNotFinite(_ path: String, _ name: String) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)': '\(name)' holds numbers that are not finite; take an earlier checkpoint"
    )
  }

  static func adapterNotWritable(_ path: String, cause: any Error) -> ReFTError {
    ReFTError(
      .inputOutput,
      "adapter folder '\(path)' cannot be written; check the path, permissions and free space",
      cause: cause
    )
  }

  static func adapterNotReplaced(_ path: String, errno: Int32) -> ReFTError {
    ReFTError(
      .inputOutput,
      "adapter folder '\(path)' cannot be replaced: \(String(cString: strerror(errno))); the old "
        + "one is as it was"
    )
  }

  private static func listed(_ names: [String]) -> String {
    let shown = names.prefix(4).map { "'\($0)'" }.joined(separator: ", ")
    return names.count > 4 ? "\(shown) and \(names.count - 4) more tensors" : shown
  }
}

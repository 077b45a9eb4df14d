// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a manifest and with the library that it names.

import ReFTTensor

extension ReFTError {
  static func badManifest(_ path: String, place: String, reason: String) -> ReFTError {
    ReFTError(.pluginRefused, "manifest '\(path)': \(place) \(ForeignText.line(reason))")
  }

  static func manifestNotJSON(_ path: String, _ fault: JSONFault) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "manifest '\(path)' is not valid JSON at \(fault.place): \(fault.message); check quotes and "
        + "commas",
      cause: fault
    )
  }

  static func manifestLibraryNotLoaded(_ path: String, library: String, reason: String) -> ReFTError
  {
    ReFTError(
      .pluginRefused,
      "manifest '\(path)': its library '\(library)' cannot be loaded: \(reason)"
    )
  }

  static func manifestSymbolMissing(_ path: String, symbol: String, library: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "manifest '\(path)': the library '\(library)' has no function '\(symbol)'; `nm -D \(library)` "
        + "lists what it has (C++ and Rust need extern \"C\" and no mangling)"
    )
  }

  static func manifestSymbolNoFunction(
    _ path: String,
    symbol: String,
    library: String
  ) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "manifest '\(path)': '\(symbol)' of the library '\(library)' is data, not a function; name a function"
    )
  }

  static func manifestOptionTooLarge(
    _ path: String,
    code: Code,
    option: String,
    value: OptionValue,
    symbol: String,
    type: String
  ) -> ReFTError {
    ReFTError(
      code,
      "manifest '\(path)': option '\(option)' is \(value), which does not fit the \(type) that function "
        + "'\(symbol)' takes; give another value, and the option a 'range'"
    )
  }

  static func manifestHasNoBackward(_ plugin: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin '\(plugin)' serves inference only: its manifest names no 'backward', so it cannot be "
        + "trained and no gradient passes through it"
    )
  }

  static func manifestSizeImpossible(
    _ plugin: String,
    what: String,
    dim: Int,
    options: String
  ) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "plugin '\(plugin)': the size of \(what) for rows of width \(dim) with \(options) is not "
        + "between 1 and 2^40 numbers; change the options"
    )
  }

  static func manifestCallFailed(_ plugin: String, symbol: String, status: Int32) -> ReFTError {
    ReFTError(
      .misbehaved,
      "plugin '\(plugin)': function '\(symbol)' returned \(status), expected 0"
    )
  }
}

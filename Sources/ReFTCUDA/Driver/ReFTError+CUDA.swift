// SPDX-License-Identifier: Apache-2.0
// What can go wrong with a card and its libraries. The one place where their codes become errors.

package import ReFTTensor

/// What a library of CUDA said: the cause of an error.
package struct CUDAFailure: Error, CustomStringConvertible, Sendable {
  /// The library that said it.
  package let role: CUDARole
  /// The code.
  package let number: Int32
  /// The code's name in the library's header.
  package let name: String
  /// The library's own sentence.
  package let text: String

  /// The name, the number and the sentence.
  package var description: String { "\(name) (\(number)): \(text)" }

  /// What to do about it.
  var remedy: String {
    guard role == .driver else {
      return "install another release of \(role.rawValue), or report this with the command"
    }
    switch number {
    case CUResult.outOfMemory:
      return
        "take a smaller batch or model, or free the card's memory (nvidia-smi tells whose it is)"
    case CUResult.noDevice: return "see whether nvidia-smi lists a card"
    case CUResult.invalidImage, CUResult.noBinaryForCard:
      return "install an NVRTC that knows this card, or a driver as new as NVRTC"
    case CUResult.uncorrectable: return "the card's memory is damaged; take another card"
    case CUResult.illegalAddress, CUResult.launchFailed:
      return "it may be this operation or one before it; start again, and report it"
    case CUResult.outOfResources: return "this card has too few registers for the kernel; report it"
    case CUResult.driverMismatch: return "restart the machine: its driver was replaced while it ran"
    default: return "start again; where it comes back, report it with the command"
    }
  }
}

extension ReFTError {
  /// A library of CUDA is nowhere, or the linker does not take it.
  static func cudaLibraryMissing(
    _ role: CUDARole,
    names: [String],
    folders: [String],
    refusals: [String],
    location: Location = .here()
  ) -> ReFTError {
    let places = folders.isEmpty ? "" : ", in \(folders.joined(separator: ", "))"
    let reasons = refusals.isEmpty ? "" : " (\(refusals.joined(separator: "; ")))"
    return ReFTError(
      .inputMissing,
      "No \(role.rawValue) library was found: looked for \(names.joined(separator: ", ")) where the "
        + "system's linker looks\(places)\(reasons); \(role.remedy).",
      location: location
    )
  }

  /// A library lacks a function that this program calls.
  static func cudaFunctionMissing(
    _ name: String,
    _ path: String,
    location: Location = .here()
  ) -> ReFTError {
    ReFTError(
      .inputMissing,
      "Library '\(path)' has no function '\(name)', expected one of CUDA 12 or later; install a newer "
        + "driver and toolkit.",
      location: location
    )
  }

  /// Keys and values were to be cached in a way that only the processor has.
  static func cacheOnCard(_ format: String, location: Location = .here()) -> ReFTError {
    ReFTError(
      .usage,
      "A card caches keys and values as bfloat16, or float32 with --exact, and not as "
        + "\(format); leave out --kv-cache, or use --device cpu.",
      location: location
    )
  }

  /// The driver is there, and drives nothing.
  static func noCard(_ failure: CUDAFailure, location: Location = .here()) -> ReFTError {
    ReFTError(
      .inputMissing,
      "The CUDA driver finds no card here: \(failure); \(failure.remedy), and whether "
        + "CUDA_VISIBLE_DEVICES hides it.",
      cause: failure,
      location: location
    )
  }

  /// There is no card of that number.
  static func cardUnknown(
    _ ordinal: Int,
    count: Int,
    location: Location = .here()
  ) -> ReFTError {
    let known = count == 0 ? "none" : count == 1 ? "number 0 alone" : "numbers 0 to \(count - 1)"
    return ReFTError(
      .usage,
      "There is no card number \(ordinal); this machine shows \(known). Choose one of them, or see "
        + "whether CUDA_VISIBLE_DEVICES hides it.",
      location: location
    )
  }

  /// A call of a library of CUDA failed while an operation ran, as "launching attention_forward".
  package static func cudaFailed(
    _ operation: String,
    _ failure: CUDAFailure,
    location: Location = .here()
  ) -> ReFTError {
    ReFTError(
      .inputOutput,
      "The card failed at \(operation): \(failure); \(failure.remedy).",
      cause: failure,
      location: location
    )
  }

  /// The card has not so much memory.
  static func noCardMemory(
    _ byteCount: Int,
    for purpose: String,
    free: Int,
    total: Int,
    card: String,
    _ failure: CUDAFailure,
    location: Location = .here()
  ) -> ReFTError {
    ReFTError(
      .inputOutput,
      "No memory on '\(card)' for \(purpose): \(Bytes(byteCount)) were asked for, \(Bytes(free)) of "
        + "\(Bytes(total)) are free; \(failure.remedy).",
      cause: failure,
      location: location
    )
  }

  /// The text of a kernel is not accepted by the compiler.
  static func kernelNotCompiled(
    _ name: String,
    options: [String],
    log: String,
    _ failure: CUDAFailure,
    location: Location = .here()
  ) -> ReFTError {
    ReFTError(
      .internalFault,
      "Kernel text '\(name)' does not compile with \(options.joined(separator: " ")): \(failure.name). "
        + "\(log)\nUse an NVRTC that knows this card, or correct the text.",
      cause: failure,
      location: location
    )
  }

  /// A module has no kernel of that name.
  static func kernelUnknown(
    _ name: String,
    module: String,
    _ failure: CUDAFailure,
    location: Location = .here()
  ) -> ReFTError {
    ReFTError(
      .internalFault,
      "Kernel text '\(module)' has no kernel '\(name)'; expected one declared extern \"C\" __global__. "
        + "Correct the name or the text.",
      cause: failure,
      location: location
    )
  }

  /// The numbers of a launch are not what a launch can have.
  static func launchImpossible(
    _ kernel: String,
    _ reason: String,
    location: Location = .here()
  ) -> ReFTError {
    ReFTError(
      .usage,
      "Kernel '\(kernel)' cannot be launched: \(reason). Take a smaller batch or shorter texts.",
      location: location
    )
  }

  /// Something was asked for that a graph cannot hold.
  static func notInGraph(_ operation: String, location: Location = .here()) -> ReFTError {
    ReFTError(
      .internalFault,
      "A graph cannot hold \(operation); copy from pinned memory, and wait after the capture.",
      location: location
    )
  }
}

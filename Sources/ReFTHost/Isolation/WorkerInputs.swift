// SPDX-License-Identifier: Apache-2.0
// The inputs of isolated plugins: written once into a file in memory that a worker maps for reading, and
// not with each call.

import CReFTPlatform
import CReFTPlugin
import Foundation
import ReFTTensor

/// An input on its way: where in the file it lies.
struct WorkerInput: Codable {
  var option, text, hash: String
  var isFile: Bool
  var shape: [Int]
  var offset, byteCount: Int

  /// The input, mapped for reading; nil when the kernel refuses or the numbers cannot be.
  func mapped() -> PluginInput? {
    guard let mapping = Mapping(byteCount: byteCount, offset: offset, isFile: isFile) else {
      return nil
    }
    return PluginInput(
      text: text,
      path: text,
      tensor: isFile ? nil : text,
      shape: shape,
      hash: hash,
      bytes: UnsafeRawBufferPointer(start: mapping.base, count: byteCount),
      owner: mapping
    )
  }

  /// A part of the file in memory; of an empty file of the user nothing, which cannot be mapped.
  private final class Mapping {
    let base: UnsafeMutableRawPointer?
    let byteCount: Int

    init?(byteCount: Int, offset: Int, isFile: Bool) {
      self.byteCount = byteCount
      if byteCount == 0, isFile {
        base = nil
        return
      }
      let place = off_t(offset)
      guard byteCount > 0,
        let start = mmap(nil, byteCount, PROT_READ, MAP_SHARED, REFT_WORKER_INPUTS_FD, place),
        start != MAP_FAILED
      else { return nil }
      base = start
    }

    deinit {
      if let base { munmap(base, byteCount) }
    }
  }
}

/// The host's side of the file.
final class WorkerInputs {
  /// The file.
  let descriptor: Int32
  /// Bytes in it.
  private(set) var byteCount = 0
  private var places: [ObjectIdentifier: (input: PluginInput, offset: Int)] = [:]

  init() throws(WorkerFailure) {
    descriptor = reft_memory_file("reft-inputs")
    guard descriptor >= 0 else {
      throw .notStarted("no memory for inputs: \(String(cString: strerror(-descriptor)))")
    }
  }

  deinit { close(descriptor) }

  /// Writes inputs that are not there yet, and says where they lie.
  func describe(_ inputs: [String: PluginInput]) throws(WorkerFailure) -> [WorkerInput] {
    var result: [WorkerInput] = []
    for (option, input) in inputs.sorted(by: { $0.key < $1.key }) {
      result.append(
        WorkerInput(
          option: option,
          text: input.text,
          hash: input.hash,
          isFile: input.isFile,
          shape: input.shape,
          offset: try place(input),
          byteCount: input.bytes.count
        )
      )
    }
    return result
  }

  private func place(_ input: PluginInput) throws(WorkerFailure) -> Int {
    if let known = places[ObjectIdentifier(input)] { return known.offset }
    let offset = byteCount
    let page = Int(getpagesize())
    let end = offset + (input.bytes.count + page - 1) / page * page
    guard ftruncate(descriptor, off_t(end)) == 0 else {
      throw .notStarted("no \(end) bytes for inputs: \(String(cString: strerror(errno)))")
    }
    var written = 0
    while written < input.bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: input.bytes[written...])
      let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + written))
      guard count > 0 else {
        throw .notStarted("inputs cannot be written: \(String(cString: strerror(errno)))")
      }
      written += count
    }
    byteCount = end
    places[ObjectIdentifier(input)] = (input, offset)
    return offset
  }
}

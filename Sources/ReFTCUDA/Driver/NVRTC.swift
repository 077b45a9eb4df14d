// SPDX-License-Identifier: Apache-2.0
// The functions of NVRTC, as nvrtc.h of CUDA 12 and 13 declares them.

import ReFTTensor

/// libnvrtc, loaded.
final class NVRTC: @unchecked Sendable {
  // Sendable: addresses of functions; each program is used by one thread.
  let library: SharedLibrary
  /// The release, such as 13.2: part of what names a compiled kernel in the cache.
  let version: (major: Int, minor: Int)

  private let nvrtcCreateProgram:
    @convention(c) (
      UnsafeMutablePointer<CUHandle?>, UnsafePointer<CChar>, UnsafePointer<CChar>?, Int32,
      UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<UnsafePointer<CChar>?>?
    ) -> CUStatus
  private let nvrtcDestroyProgram: @convention(c) (UnsafeMutablePointer<CUHandle?>) -> CUStatus
  private let nvrtcCompileProgram:
    @convention(c) (CUHandle?, Int32, UnsafePointer<UnsafePointer<CChar>?>?) -> CUStatus
  private let nvrtcGetCUBINSize: @convention(c) (CUHandle?, UnsafeMutablePointer<Int>) -> CUStatus
  private let nvrtcGetCUBIN: @convention(c) (CUHandle?, UnsafeMutablePointer<CChar>) -> CUStatus
  private let nvrtcGetProgramLogSize:
    @convention(c) (CUHandle?, UnsafeMutablePointer<Int>) -> CUStatus
  private let nvrtcGetProgramLog:
    @convention(c) (CUHandle?, UnsafeMutablePointer<CChar>) -> CUStatus
  private let nvrtcGetErrorString: @convention(c) (CUStatus) -> UnsafePointer<CChar>?

  /// Looks up every function and asks for the version.
  ///
  /// - Throws: `inputMissing` when the library lacks one, `inputOutput` when it tells no version.
  init(_ library: SharedLibrary) throws(ReFTError) {
    self.library = library
    nvrtcCreateProgram = try library.function("nvrtcCreateProgram")
    nvrtcDestroyProgram = try library.function("nvrtcDestroyProgram")
    nvrtcCompileProgram = try library.function("nvrtcCompileProgram")
    nvrtcGetCUBINSize = try library.function("nvrtcGetCUBINSize")
    nvrtcGetCUBIN = try library.function("nvrtcGetCUBIN")
    nvrtcGetProgramLogSize = try library.function("nvrtcGetProgramLogSize")
    nvrtcGetProgramLog = try library.function("nvrtcGetProgramLog")
    nvrtcGetErrorString = try library.function("nvrtcGetErrorString")
    let nvrtcVersion:
      @convention(c) (UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int32>) -> CUStatus =
        try library.function("nvrtcVersion")
    var (major, minor): (Int32, Int32) = (0, 0)
    let status = nvrtcVersion(&major, &minor)
    version = (Int(major), Int(minor))
    guard status == 0 else { throw .cudaFailed("asking NVRTC for its version", failure(status)) }
  }

  /// Compiles the text of one module.
  ///
  /// - Parameters:
  ///   - text: CUDA C++, complete in itself.
  ///   - name: how the compiler's messages name it.
  ///   - options: as NVRTC's documentation lists them; they name a real architecture.
  /// - Returns: the machine code, an ELF image.
  /// - Throws: `internalFault` with the compiler's messages.
  func compile(_ text: String, name: String, options: [String]) throws(ReFTError) -> [UInt8] {
    var program: CUHandle?
    let created = nvrtcCreateProgram(&program, text, name, 0, nil, nil)
    guard created == 0 else { throw .cudaFailed("reading kernel text '\(name)'", failure(created)) }
    defer { _ = nvrtcDestroyProgram(&program) }
    let status = Self.withCStrings(options) {
      nvrtcCompileProgram(program, Int32(options.count), $0)
    }
    guard status == 0 else {
      throw .kernelNotCompiled(name, options: options, log: log(of: program), failure(status))
    }
    var size = 0
    var image: [UInt8] = []
    var result = nvrtcGetCUBINSize(program, &size)
    if result == 0, size > 0 {
      image = [UInt8](repeating: 0, count: size)
      result = image.withUnsafeMutableBytes { bytes in
        bytes.withMemoryRebound(to: CChar.self) { characters in
          characters.baseAddress.map { nvrtcGetCUBIN(program, $0) } ?? 0
        }
      }
    }
    guard result == 0, !image.isEmpty else {
      throw .cudaFailed("taking the machine code of '\(name)'", failure(result))
    }
    return image
  }

  private func log(of program: CUHandle?) -> String {
    var size = 0
    guard nvrtcGetProgramLogSize(program, &size) == 0, size > 1 else { return "" }
    var text = [CChar](repeating: 0, count: size + 1)
    guard nvrtcGetProgramLog(program, &text) == 0 else { return "" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private func failure(_ status: CUStatus) -> CUDAFailure {
    let text = nvrtcGetErrorString(status).map { String(cString: $0) } ?? "NVRTC error \(status)"
    return CUDAFailure(role: .compiler, number: status, name: text, text: "NVRTC's own words")
  }

  /// Texts as C wants them, for the time of one call.
  private static func withCStrings<Result>(
    _ texts: [String],
    _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Result
  ) -> Result {
    // One block of memory with all texts, so that no pointer outlives what it points to.
    var offsets: [Int] = []
    var characters: [CChar] = []
    for text in texts {
      offsets.append(characters.count)
      characters.append(contentsOf: text.utf8CString)
    }
    return characters.withUnsafeBufferPointer { block in
      let pointers = offsets.map { offset in block.baseAddress.map { $0 + offset } }
      return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
    }
  }
}

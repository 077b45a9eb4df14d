// SPDX-License-Identifier: Apache-2.0
// The functions of cuBLAS, as cublas_api.h of CUDA 12 and 13 declares them.

import ReFTTensor

/// libcublas, loaded.
final class CuBLAS: @unchecked Sendable {
  // Sendable: addresses of functions; each handle is used by one thread at a time.
  let library: SharedLibrary
  /// The release, such as 13.1.0.
  let version: (major: Int, minor: Int, patch: Int)

  let cublasCreate: @convention(c) (UnsafeMutablePointer<CUHandle?>) -> CUStatus
  let cublasDestroy: @convention(c) (CUHandle?) -> CUStatus
  let cublasSetStream: @convention(c) (CUHandle?, CUHandle?) -> CUStatus
  let cublasSetWorkspace: @convention(c) (CUHandle?, UnsafeMutableRawPointer?, Int) -> CUStatus
  let cublasSetMathMode: @convention(c) (CUHandle?, Int32) -> CUStatus
  // Handle, op A, op B, m, n, k, alpha, A, its type, lda, B, its type, ldb, beta, C, its type, ldc,
  // type of the sums, algorithm. Matrices are column-major; alpha and beta are floats of the host.
  let cublasGemmEx:
    @convention(c) (
      CUHandle?, Int32, Int32, Int32, Int32, Int32, UnsafeRawPointer?, UnsafeRawPointer?, Int32,
      Int32, UnsafeRawPointer?, Int32, Int32, UnsafeRawPointer?, UnsafeMutableRawPointer?, Int32,
      Int32, Int32, Int32
    ) -> CUStatus
  private let cublasGetStatusName: @convention(c) (CUStatus) -> UnsafePointer<CChar>?
  private let cublasGetStatusString: @convention(c) (CUStatus) -> UnsafePointer<CChar>?

  /// Looks up every function and asks for the version.
  ///
  /// - Throws: `inputMissing` when the library lacks one.
  init(_ library: SharedLibrary) throws(ReFTError) {
    self.library = library
    cublasCreate = try library.function("cublasCreate_v2")
    cublasDestroy = try library.function("cublasDestroy_v2")
    cublasSetStream = try library.function("cublasSetStream_v2")
    cublasSetWorkspace = try library.function("cublasSetWorkspace_v2")
    cublasSetMathMode = try library.function("cublasSetMathMode")
    cublasGemmEx = try library.function("cublasGemmEx")
    cublasGetStatusName = try library.function("cublasGetStatusName")
    cublasGetStatusString = try library.function("cublasGetStatusString")
    let cublasGetProperty: @convention(c) (Int32, UnsafeMutablePointer<Int32>) -> CUStatus =
      try library.function("cublasGetProperty")
    var numbers: [Int32] = [0, 0, 0]
    let parts = [
      CuBLASConstant.majorVersion, CuBLASConstant.minorVersion, CuBLASConstant.patchLevel,
    ]
    for (index, part) in parts.enumerated() { _ = cublasGetProperty(part, &numbers[index]) }
    version = (Int(numbers[0]), Int(numbers[1]), Int(numbers[2]))
  }

  /// What cuBLAS calls a status, and what it says about it.
  func failure(_ status: CUStatus) -> CUDAFailure {
    CUDAFailure(
      role: .products,
      number: status,
      name: cublasGetStatusName(status).map { String(cString: $0) } ?? "cuBLAS status \(status)",
      text: cublasGetStatusString(status).map { String(cString: $0) } ?? "no text"
    )
  }
}

// SPDX-License-Identifier: Apache-2.0
// The numbers of CUDA's headers that this program uses, under the headers' names.

/// `CUresult` of cuda.h.
enum CUResult {
  static let success: CUStatus = 0  // CUDA_SUCCESS
  static let outOfMemory: CUStatus = 2  // CUDA_ERROR_OUT_OF_MEMORY
  static let noDevice: CUStatus = 100  // CUDA_ERROR_NO_DEVICE
  static let invalidImage: CUStatus = 200  // CUDA_ERROR_INVALID_IMAGE
  static let noBinaryForCard: CUStatus = 209  // CUDA_ERROR_NO_BINARY_FOR_GPU
  static let uncorrectable: CUStatus = 214  // CUDA_ERROR_ECC_UNCORRECTABLE
  static let illegalAddress: CUStatus = 700  // CUDA_ERROR_ILLEGAL_ADDRESS
  static let outOfResources: CUStatus = 701  // CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES
  static let launchFailed: CUStatus = 719  // CUDA_ERROR_LAUNCH_FAILED
  static let driverMismatch: CUStatus = 803  // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
}

/// `CUdevice_attribute` of cuda.h.
enum CUDeviceAttribute {
  static let multiprocessorCount: Int32 = 16  // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
  static let capabilityMajor: Int32 = 75  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
  static let capabilityMinor: Int32 = 76  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR
  // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
  static let sharedBytesPerBlock: Int32 = 97
}

/// Flags and modes of cuda.h.
enum CUFlag {
  static let streamNonBlocking: UInt32 = 1  // CU_STREAM_NON_BLOCKING
  static let captureRelaxed: Int32 = 2  // CU_STREAM_CAPTURE_MODE_RELAXED
  static let eventDefault: UInt32 = 0  // CU_EVENT_DEFAULT
  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
  static let maximumDynamicSharedBytes: Int32 = 8
}

/// `CUlaunchConfig`, field by field.
struct CULaunchConfiguration {
  var grid: (UInt32, UInt32, UInt32)
  var block: (UInt32, UInt32, UInt32)
  var sharedBytes: UInt32
  var stream: CUHandle?
  var attributes: UnsafeMutablePointer<CULaunchAttribute>?
  var attributeCount: UInt32
}

/// `CUlaunchAttribute`: what it is, and 64 bytes of its value.
struct CULaunchAttribute {
  var id: UInt32
  var padding: UInt32 = 0
  var value: InlineArray<8, UInt64>

  /// CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION: the kernel may begin before the one in
  /// front of it ends, for whose end it waits itself.
  static var overlap: CULaunchAttribute {
    var value = InlineArray<8, UInt64>(repeating: 0)
    value[0] = 1
    return CULaunchAttribute(id: 6, value: value)
  }
}

/// Numbers of cublas_api.h and library_types.h.
enum CuBLASConstant {
  static let float32: Int32 = 0  // CUDA_R_32F
  static let float16: Int32 = 2  // CUDA_R_16F
  static let bfloat16: Int32 = 14  // CUDA_R_16BF
  static let plain: Int32 = 0  // CUBLAS_OP_N
  static let transposed: Int32 = 1  // CUBLAS_OP_T
  static let compute32: Int32 = 68  // CUBLAS_COMPUTE_32F
  static let compute32Pedantic: Int32 = 69  // CUBLAS_COMPUTE_32F_PEDANTIC
  static let gemmDefault: Int32 = -1  // CUBLAS_GEMM_DEFAULT
  // CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION: partial sums of a split
  // product are added in float32 too.
  static let mathFullSums: Int32 = 0 | 16
  static let majorVersion: Int32 = 0  // MAJOR_VERSION
  static let minorVersion: Int32 = 1  // MINOR_VERSION
  static let patchLevel: Int32 = 2  // PATCH_LEVEL
}

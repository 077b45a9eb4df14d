// SPDX-License-Identifier: Apache-2.0
// The functions of the CUDA driver API, as cuda.h of CUDA 12 and 13 declares them. Names are the
// maker's; where a name has a version in the library (`_v2`), the table has it without.

import ReFTTensor

/// An opaque handle of the driver: context, stream, module, function, graph or event.
typealias CUHandle = OpaquePointer
/// `CUresult`, `nvrtcResult` and `cublasStatus_t`: 0 is success.
typealias CUStatus = Int32
/// `CUdeviceptr`.
typealias CUAddress = UInt64

/// libcuda, loaded.
final class CUDADriver: @unchecked Sendable {
  // Sendable: addresses of functions that may be called from any thread.
  let library: SharedLibrary

  let cuInit: @convention(c) (UInt32) -> CUStatus
  let cuDriverGetVersion: @convention(c) (UnsafeMutablePointer<Int32>) -> CUStatus
  let cuGetErrorName:
    @convention(c) (CUStatus, UnsafeMutablePointer<UnsafePointer<CChar>?>) -> CUStatus
  let cuGetErrorString:
    @convention(c) (CUStatus, UnsafeMutablePointer<UnsafePointer<CChar>?>) -> CUStatus

  let cuDeviceGetCount: @convention(c) (UnsafeMutablePointer<Int32>) -> CUStatus
  let cuDeviceGet: @convention(c) (UnsafeMutablePointer<Int32>, Int32) -> CUStatus
  let cuDeviceGetName: @convention(c) (UnsafeMutablePointer<CChar>, Int32, Int32) -> CUStatus
  let cuDeviceGetAttribute: @convention(c) (UnsafeMutablePointer<Int32>, Int32, Int32) -> CUStatus
  let cuDeviceTotalMem: @convention(c) (UnsafeMutablePointer<Int>, Int32) -> CUStatus
  let cuDevicePrimaryCtxRetain: @convention(c) (UnsafeMutablePointer<CUHandle?>, Int32) -> CUStatus
  let cuDevicePrimaryCtxRelease: @convention(c) (Int32) -> CUStatus
  let cuCtxSetCurrent: @convention(c) (CUHandle?) -> CUStatus

  let cuMemGetInfo:
    @convention(c) (UnsafeMutablePointer<Int>, UnsafeMutablePointer<Int>) -> CUStatus
  let cuMemAlloc: @convention(c) (UnsafeMutablePointer<CUAddress>, Int) -> CUStatus
  let cuMemFree: @convention(c) (CUAddress) -> CUStatus
  let cuMemAllocHost:
    @convention(c) (UnsafeMutablePointer<UnsafeMutableRawPointer?>, Int) -> CUStatus
  let cuMemFreeHost: @convention(c) (UnsafeMutableRawPointer) -> CUStatus
  let cuMemcpyHtoDAsync: @convention(c) (CUAddress, UnsafeRawPointer, Int, CUHandle?) -> CUStatus
  let cuMemcpyDtoHAsync:
    @convention(c) (UnsafeMutableRawPointer, CUAddress, Int, CUHandle?) -> CUStatus
  let cuMemcpyDtoDAsync: @convention(c) (CUAddress, CUAddress, Int, CUHandle?) -> CUStatus
  let cuMemsetD8Async: @convention(c) (CUAddress, UInt8, Int, CUHandle?) -> CUStatus

  let cuStreamCreate: @convention(c) (UnsafeMutablePointer<CUHandle?>, UInt32) -> CUStatus
  let cuStreamDestroy: @convention(c) (CUHandle?) -> CUStatus
  let cuStreamSynchronize: @convention(c) (CUHandle?) -> CUStatus
  let cuStreamWaitEvent: @convention(c) (CUHandle?, CUHandle?, UInt32) -> CUStatus
  let cuStreamBeginCapture: @convention(c) (CUHandle?, Int32) -> CUStatus
  let cuStreamEndCapture: @convention(c) (CUHandle?, UnsafeMutablePointer<CUHandle?>) -> CUStatus
  let cuGraphInstantiateWithFlags:
    @convention(c) (UnsafeMutablePointer<CUHandle?>, CUHandle?, UInt64) -> CUStatus
  let cuGraphLaunch: @convention(c) (CUHandle?, CUHandle?) -> CUStatus
  let cuGraphExecDestroy: @convention(c) (CUHandle?) -> CUStatus
  let cuGraphDestroy: @convention(c) (CUHandle?) -> CUStatus

  let cuEventCreate: @convention(c) (UnsafeMutablePointer<CUHandle?>, UInt32) -> CUStatus
  let cuEventDestroy: @convention(c) (CUHandle?) -> CUStatus
  let cuEventRecord: @convention(c) (CUHandle?, CUHandle?) -> CUStatus
  let cuEventSynchronize: @convention(c) (CUHandle?) -> CUStatus
  let cuEventElapsedTime:
    @convention(c) (UnsafeMutablePointer<Float>, CUHandle?, CUHandle?) -> CUStatus

  let cuModuleLoadData:
    @convention(c) (UnsafeMutablePointer<CUHandle?>, UnsafeRawPointer) -> CUStatus
  let cuModuleUnload: @convention(c) (CUHandle?) -> CUStatus
  let cuModuleGetFunction:
    @convention(c) (UnsafeMutablePointer<CUHandle?>, CUHandle?, UnsafePointer<CChar>) -> CUStatus
  let cuFuncSetAttribute: @convention(c) (CUHandle?, Int32, Int32) -> CUStatus
  /// Function, grid x y z, block x y z, dynamic shared bytes, stream, arguments, extra.
  let cuLaunchKernel:
    @convention(c) (
      CUHandle?, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, CUHandle?,
      UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
      UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    ) -> CUStatus
  /// Configuration, function, arguments, extra.
  let cuLaunchKernelEx:
    @convention(c) (
      UnsafeRawPointer, CUHandle?, UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
      UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    ) -> CUStatus

  /// Looks up every function.
  ///
  /// - Throws: `inputMissing` when the library lacks one: its driver is older than CUDA 12's.
  init(_ library: SharedLibrary) throws(ReFTError) {
    self.library = library
    cuInit = try library.function("cuInit")
    cuDriverGetVersion = try library.function("cuDriverGetVersion")
    cuGetErrorName = try library.function("cuGetErrorName")
    cuGetErrorString = try library.function("cuGetErrorString")
    cuDeviceGetCount = try library.function("cuDeviceGetCount")
    cuDeviceGet = try library.function("cuDeviceGet")
    cuDeviceGetName = try library.function("cuDeviceGetName")
    cuDeviceGetAttribute = try library.function("cuDeviceGetAttribute")
    cuDeviceTotalMem = try library.function("cuDeviceTotalMem_v2")
    cuDevicePrimaryCtxRetain = try library.function("cuDevicePrimaryCtxRetain")
    cuDevicePrimaryCtxRelease = try library.function("cuDevicePrimaryCtxRelease_v2")
    cuCtxSetCurrent = try library.function("cuCtxSetCurrent")
    cuMemGetInfo = try library.function("cuMemGetInfo_v2")
    cuMemAlloc = try library.function("cuMemAlloc_v2")
    cuMemFree = try library.function("cuMemFree_v2")
    cuMemAllocHost = try library.function("cuMemAllocHost_v2")
    cuMemFreeHost = try library.function("cuMemFreeHost")
    cuMemcpyHtoDAsync = try library.function("cuMemcpyHtoDAsync_v2")
    cuMemcpyDtoHAsync = try library.function("cuMemcpyDtoHAsync_v2")
    cuMemcpyDtoDAsync = try library.function("cuMemcpyDtoDAsync_v2")
    cuMemsetD8Async = try library.function("cuMemsetD8Async")
    cuStreamCreate = try library.function("cuStreamCreate")
    cuStreamDestroy = try library.function("cuStreamDestroy_v2")
    cuStreamSynchronize = try library.function("cuStreamSynchronize")
    cuStreamWaitEvent = try library.function("cuStreamWaitEvent")
    cuStreamBeginCapture = try library.function("cuStreamBeginCapture_v2")
    cuStreamEndCapture = try library.function("cuStreamEndCapture")
    cuGraphInstantiateWithFlags = try library.function("cuGraphInstantiateWithFlags")
    cuGraphLaunch = try library.function("cuGraphLaunch")
    cuGraphExecDestroy = try library.function("cuGraphExecDestroy")
    cuGraphDestroy = try library.function("cuGraphDestroy")
    cuEventCreate = try library.function("cuEventCreate")
    cuEventDestroy = try library.function("cuEventDestroy_v2")
    cuEventRecord = try library.function("cuEventRecord")
    cuEventSynchronize = try library.function("cuEventSynchronize")
    cuEventElapsedTime = try library.function("cuEventElapsedTime_v2", "cuEventElapsedTime")
    cuModuleLoadData = try library.function("cuModuleLoadData")
    cuModuleUnload = try library.function("cuModuleUnload")
    cuModuleGetFunction = try library.function("cuModuleGetFunction")
    cuFuncSetAttribute = try library.function("cuFuncSetAttribute")
    cuLaunchKernel = try library.function("cuLaunchKernel")
    cuLaunchKernelEx = try library.function("cuLaunchKernelEx")
  }

  /// What the driver calls a result, and what it says about it.
  func failure(_ status: CUStatus) -> CUDAFailure {
    var (name, text): (UnsafePointer<CChar>?, UnsafePointer<CChar>?) = (nil, nil)
    _ = cuGetErrorName(status, &name)
    _ = cuGetErrorString(status, &text)
    return CUDAFailure(
      role: .driver,
      number: status,
      name: name.map { String(cString: $0) } ?? "CUDA error \(status)",
      text: text.map { String(cString: $0) } ?? "no text"
    )
  }
}

// SPDX-License-Identifier: Apache-2.0
// Which libraries drive a card: those of this machine, or one file that stands for all three.

import Foundation
import ReFTTensor

/// Where the libraries of CUDA come from; nothing is opened before `load`.
package struct CUDALibraries: Sendable {
  /// The libraries, with every function looked up.
  struct Loaded: Sendable {
    var driver: CUDADriver
    var compiler: NVRTC
    var products: CuBLAS
    /// The release of CUDA that the driver speaks, as 1000 · major + 10 · minor.
    var driverVersion: Int
  }

  private var file: String?
  private var environment: [String: String]?

  /// The machine's own.
  package static let system = CUDALibraries(file: nil, environment: nil)

  /// A library that has the functions of all three, such as the tests' emulation.
  package static func emulated(_ path: String) -> CUDALibraries {
    CUDALibraries(file: path, environment: nil)
  }

  /// The machine's own, looked for as other variables say.
  package static func system(environment: [String: String]) -> CUDALibraries {
    CUDALibraries(file: nil, environment: environment)
  }

  /// Opens the driver and starts it.
  ///
  /// - Throws: `inputMissing` when there is no driver or no card, `inputOutput` when it fails.
  func loadDriver() throws(ReFTError) -> (driver: CUDADriver, version: Int) {
    let driver = try CUDADriver(find(.driver, driverMajor: 0))
    let status = driver.cuInit(0)
    if status == CUResult.noDevice { throw .noCard(driver.failure(status)) }
    guard status == 0 else { throw .cudaFailed("starting the CUDA driver", driver.failure(status)) }
    var version: Int32 = 0
    let answer = driver.cuDriverGetVersion(&version)
    guard answer == 0 else {
      throw .cudaFailed("asking the CUDA driver for its version", driver.failure(answer))
    }
    return (driver, Int(version))
  }

  /// Opens NVRTC, of a release that the driver can run.
  func loadCompiler(driverVersion: Int) throws(ReFTError) -> NVRTC {
    try NVRTC(find(.compiler, driverMajor: driverVersion / 1000))
  }

  /// Opens cuBLAS, of a release that the driver can run.
  func loadProducts(driverVersion: Int) throws(ReFTError) -> CuBLAS {
    try CuBLAS(find(.products, driverMajor: driverVersion / 1000))
  }

  /// Opens all three; the order matters, since cuBLAS may ask for NVRTC.
  ///
  /// - Throws: `inputMissing` with what was looked for and where; `inputOutput` when a call fails.
  func load() throws(ReFTError) -> Loaded {
    let (driver, version) = try loadDriver()
    return Loaded(
      driver: driver,
      compiler: try loadCompiler(driverVersion: version),
      products: try loadProducts(driverVersion: version),
      driverVersion: version
    )
  }

  private func find(_ role: CUDARole, driverMajor: Int) throws(ReFTError) -> SharedLibrary {
    if let file { return try SharedLibrary(role, names: [file]) }
    let environment = environment ?? ProcessInfo.processInfo.environment
    return try SharedLibrary(
      role,
      names: role.names(driverMajor: driverMajor),
      chosen: CUDASearch.chosen(environment: environment),
      folders: CUDASearch.folders(role, environment: environment),
      companions: role.companions
    )
  }
}

// SPDX-License-Identifier: Apache-2.0
// The three libraries that a card is driven by: what each is for, and where it comes from.

/// One of the libraries of CUDA.
package enum CUDARole: String, CaseIterable, Sendable {
  /// libcuda: memory, streams, launches. Comes with the card's driver.
  case driver = "CUDA driver"
  /// libnvrtc: from the text of a kernel to machine code.
  case compiler = "NVRTC"
  /// libcublas: matrix products.
  case products = "cuBLAS"

  /// The beginning of the library's file name.
  var stem: String {
    switch self {
    case .driver: "libcuda.so"
    case .compiler: "libnvrtc.so"
    case .products: "libcublas.so"
    }
  }

  /// A function that every release of the library has.
  var anySymbol: String {
    switch self {
    case .driver: "cuInit"
    case .compiler: "nvrtcVersion"
    case .products: "cublasCreate_v2"
    }
  }

  /// File names in the order of preference.
  ///
  /// - Parameter driverMajor: the release of CUDA that the driver speaks. Machine code and libraries
  ///   of a later one need not run on it.
  /// - Returns: names without a folder.
  func names(driverMajor: Int) -> [String] {
    if self == .driver { return ["libcuda.so.1", "libcuda.so"] }
    return Self.releases.filter { $0 <= driverMajor }.map { "\(stem).\($0)" } + [stem]
  }

  /// Files that the library opens by bare name and that lie beside it.
  var companions: [String] {
    switch self {
    case .driver: []
    case .compiler: ["libnvrtc-builtins.so"]
    case .products: ["libcublasLt.so"]
    }
  }

  /// How to get it.
  var remedy: String {
    switch self {
    case .driver: "install the driver of the NVIDIA card, or compute on the processor"
    case .compiler: remedy(wheel: "nvidia-cuda-nvrtc")
    case .products: remedy(wheel: "nvidia-cublas")
    }
  }

  /// The releases whose functions these tables were written for, the latest first.
  private static let releases = [13, 12]

  private func remedy(wheel: String) -> String {
    "install the CUDA toolkit, or `pip install \(wheel)`, and name the library's folder in "
      + "REFT_CUDA_LIBRARIES where it is in another place"
  }
}

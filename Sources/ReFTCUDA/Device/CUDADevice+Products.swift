// SPDX-License-Identifier: Apache-2.0
// Matrix products by cuBLAS.

package import ReFTTensor

extension CUDADevice {
  /// Computes a product, in the stream's order.
  ///
  /// Without inputs (k, or backward n, is 0) the result is zeros, or stays when it accumulates.
  ///
  /// - Throws: `usage` when a size is more than cuBLAS can have, `inputOutput` when it fails.
  package func gemm(_ product: GEMM) throws(ReFTError) {
    // cuBLAS is column-major: to it, our matrices are transposed, and so is their product.
    let columns = product.transposesWeight ? product.n : product.k
    let depth = product.transposesWeight ? product.k : product.n
    guard product.rows > 0, columns > 0 else { return }
    guard let m = Int32(exactly: columns), let n = Int32(exactly: product.rows),
      let k = Int32(exactly: depth), let lda = Int32(exactly: product.weightStride),
      let ldb = Int32(exactly: product.xStride), let ldc = Int32(exactly: product.yStride)
    else {
      throw .launchImpossible("gemm", "\(Self.shape(product)) is more than a C int holds")
    }
    context.bindThread()
    let input = product.input.cudaDataType
    let alpha: Float = 1
    let beta: Float = product.accumulates ? 1 : 0
    let status = withUnsafePointer(to: alpha) { alpha in
      withUnsafePointer(to: beta) { beta in
        libraries.products.cublasGemmEx(
          products,
          product.transposesWeight ? CuBLASConstant.transposed : CuBLASConstant.plain,
          product.transposesInput ? CuBLASConstant.transposed : CuBLASConstant.plain,
          m,
          n,
          k,
          alpha,
          Self.pointer(product.weight),
          input,
          max(lda, 1),
          Self.pointer(product.x),
          input,
          max(ldb, 1),
          beta,
          Self.pointer(product.y),
          product.output.cudaDataType,
          ldc,
          product.exact ? CuBLASConstant.compute32Pedantic : CuBLASConstant.compute32,
          CuBLASConstant.gemmDefault
        )
      }
    }
    guard status == 0 else {
      throw .cudaFailed("the product \(Self.shape(product))", libraries.products.failure(status))
    }
  }

  private static func pointer(_ place: DevicePointer) -> UnsafeMutableRawPointer? {
    UnsafeMutableRawPointer(bitPattern: UInt(place.address))
  }

  private static func shape(_ product: GEMM) -> String {
    let (rows, n, k) = (product.rows, product.n, product.k)
    return product.transposesWeight
      ? "[\(rows), \(k)] × [\(n), \(k)]ᵀ" : "[\(rows), \(n)] × [\(n), \(k)]"
  }
}

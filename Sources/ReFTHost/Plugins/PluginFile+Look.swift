// SPDX-License-Identifier: Apache-2.0
// Look before load: refusals that need nothing of the plugin to run.

package import ReFTTensor

extension PluginFile {
  /// Sonames, by their beginnings, that bring a second linear algebra or thread runtime.
  private static let foreignRuntimes: [(prefix: String, kind: String)] = [
    ("libgomp.", "OpenMP runtime"), ("libomp.", "OpenMP runtime"),
    ("libiomp5.", "OpenMP runtime"), ("libopenblas", "BLAS"), ("libblas.", "BLAS"),
    ("libcblas.", "BLAS"), ("libblis", "BLAS"), ("libatlas.", "BLAS"), ("libsatlas.", "BLAS"),
    ("libtatlas.", "BLAS"), ("libmkl_", "BLAS"), ("libflexiblas", "BLAS"), ("libnvpl_blas", "BLAS"),
    ("libarmpl", "BLAS"), ("libtbb.", "thread runtime"),
  ]

  /// Reads the ELF tables and refuses what must not be loaded.
  ///
  /// - Returns: what the tables say.
  /// - Throws: `.pluginRefused`, with the reason in a sentence.
  @discardableResult
  package func look() throws(ReFTError) -> ELFImage {
    let image = try ELFImage(bytes, path: path)
    let versions = image.entryVersions
    guard !versions.isEmpty else { throw .pluginWithoutEntry(path) }
    guard versions.contains("1") else {
      throw .pluginOfOtherMajor(path, found: versions)
    }
    for soname in image.needed {
      if let runtime = Self.foreignRuntimes.first(where: { soname.hasPrefix($0.prefix) }) {
        throw .pluginBringsRuntime(path, soname: soname, kind: runtime.kind)
      }
    }
    guard !image.hasTextRelocations else { throw .pluginWithTextRelocations(path) }
    _ = try libraries.get()
    return image
  }

  /// Reads the ELF tables of a library that a manifest names, which may bring whatever it likes but
  /// must have the functions.
  ///
  /// - Throws: `.pluginRefused`, with the reason in a sentence.
  func look(for manifest: Manifest) throws(ReFTError) {
    let image: ELFImage
    do throws(ReFTError) {
      image = try ELFImage(bytes, path: path)
      guard !image.hasTextRelocations else { throw .pluginWithTextRelocations(path) }
      _ = try libraries.get()
    } catch {
      throw .manifestLibraryNotLoaded(manifest.path, library: path, reason: error.message)
    }
    let exports = Set(image.exports)
    for symbol in [manifest.forward.symbol, manifest.backward?.symbol].compactMap(\.self) {
      guard exports.contains(symbol) else {
        throw .manifestSymbolMissing(manifest.path, symbol: symbol, library: path)
      }
      guard !image.dataExports.contains(symbol) else {
        throw .manifestSymbolNoFunction(manifest.path, symbol: symbol, library: path)
      }
    }
  }

  /// Whether a library is no plugin at all: it exports no entry of any version.
  static func isForeign(_ path: String) -> Bool {
    guard path.hasSuffix(".so"), let file = try? PluginFile(path: path),
      let image = try? ELFImage(file.bytes, path: path)
    else { return false }
    return image.entryVersions.isEmpty
  }
}

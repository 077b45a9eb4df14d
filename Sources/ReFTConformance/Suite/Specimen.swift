// SPDX-License-Identifier: Apache-2.0
// What is under check: bytes, copied and sealed once, that every rule's process and the loader get.
// Whatever happens to the file meanwhile, the outcome is about these bytes and their hash.

import Glibc
import ReFTHost
import ReFTTensor

/// The sealed bytes of a plugin's file, and of the library that it names when it is a manifest.
struct Specimen: Sendable {
  /// The file, as an absolute path.
  let path: String
  /// The bytes; without the library of a manifest that cannot be opened.
  let bytes: PluginBytes
  /// Why the host would not load plugins from there, in a sentence.
  let refusal: String?

  /// Copies and seals a file.
  ///
  /// - Throws: as `PluginFile` does, but for places that others may write to: an author may check there.
  init(path: String) throws(ReFTError) {
    guard let real = realpath(path, nil) else { throw .pluginFileMissing(path, code: errno) }
    defer { free(real) }
    self.path = String(cString: real)
    do throws(ReFTError) {
      bytes = try PluginBytes(try PluginFile(path: self.path))
      refusal = nil
    } catch {
      refusal = error.message
      bytes = PluginBytes(file: try PluginFile(anywhere: self.path), library: nil)
    }
  }

  /// Takes over the copies that the process which made them handed on.
  init(sealed file: PluginFile, library: PluginFile?, refusal: String?) {
    path = file.path
    bytes = PluginBytes(file: file, library: library)
    self.refusal = refusal
  }

  /// The hash by which trust would be recorded; nil where the host would not load the file.
  var hash: String? { refusal == nil ? bytes.hash : nil }

  /// Whether the file is a manifest and no shared library.
  var isManifest: Bool { path.hasSuffix(".reft.json") }

  /// What the tables of the shared library say.
  ///
  /// - Throws: a breach in the host's words.
  func image() throws -> ELFImage {
    do throws(ReFTError) {
      return try ELFImage(bytes.file.bytes, path: path)
    } catch {
      throw Breach(error.message + ".")
    }
  }

  /// Loads the plugin as the host does.
  ///
  /// - Throws: a breach in the host's words.
  func hostPlugins() throws -> [Plugin] {
    do throws(ReFTError) {
      if isManifest, bytes.library == nil { return try PluginBytes(bytes.file).loadHere() }
      return try bytes.loadHere()
    } catch {
      throw Breach("The host refuses \(isManifest ? "the manifest" : "it"): \(error.message)")
    }
  }
}

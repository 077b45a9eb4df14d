// SPDX-License-Identifier: Apache-2.0
// The bytes of a plugin's file: opened once, copied, sealed and hashed, so that what is looked at,
// what is hashed and what is loaded are the same bytes whatever happens to the file.

import CReFTPlatform
import Foundation
public import ReFTTensor

/// The file of a plugin, held as bytes that nobody can change any more.
public final class PluginFile: @unchecked Sendable {
  // Sendable: everything is fixed at the end of init; the mapping is read-only.

  /// The absolute path that it was opened by.
  public let path: String
  /// `sha256:…` of the bytes; where libraries belong to them, of these too.
  public let hash: String
  /// The bytes; valid for the life of the object.
  public let bytes: UnsafeRawBufferPointer
  /// The descriptor of the sealed copy; it stays open until the process ends once it is loaded.
  package let descriptor: Int32
  /// A path under which the sealed copy can be opened in this process.
  package var sealedPath: String { "/proc/self/fd/\(descriptor)" }
  /// Whether the descriptor outlives the object: a loaded library is known by its number.
  private let isKept = KeepFlag()
  /// What it needs, or why that cannot be had; nothing for a file that is no library.
  let libraries: Result<LibraryClosure, ReFTError>

  private final class KeepFlag { var value = false }

  /// The largest file that is opened as a plugin.
  private static let sizeLimit = 1 << 30

  /// Opens, checks, copies, seals and hashes a file.
  ///
  /// - Parameter path: absolute; the file must be a regular one that not everybody may write to, in
  ///   a folder of which the same is true.
  /// - Throws: `.pluginRefused`, `.inputMissing` or `.inputOutput`, with the reason.
  public convenience init(path: String) throws(ReFTError) {
    try self.init(path: path, checksPlace: true, findsLibraries: true)
  }

  /// Copies a file from a place that plugins may not be loaded from: for looking, not for running.
  ///
  /// - Throws: as `init(path:)`, but for what others could write to.
  package convenience init(anywhere path: String) throws(ReFTError) {
    try self.init(path: path, checksPlace: false, findsLibraries: true)
  }

  /// Opens a library that a plugin needs, whose place was looked at and whose own needs are found
  /// elsewhere.
  convenience init(library path: String) throws(ReFTError) {
    try self.init(path: path, checksPlace: false, findsLibraries: false)
  }

  private init(path: String, checksPlace: Bool, findsLibraries: Bool) throws(ReFTError) {
    guard path.hasPrefix("/") else { throw .relativePluginPath(path) }
    // Without O_NONBLOCK, a pipe of that name would be waited for.
    let source = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard source >= 0 else { throw .pluginUnreadable(path, errno: errno) }
    defer { close(source) }
    let size = try Self.checkedSize(of: source, path: path, checksPlace: checksPlace)
    let copy = reft_system_sealed_copy(source, size, (path as NSString).lastPathComponent)
    guard copy >= 0 else { throw .pluginUnreadable(path, errno: -copy) }
    guard let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, copy, 0), start != MAP_FAILED else {
      let code = errno
      close(copy)
      throw .pluginUnreadable(path, errno: code)
    }
    self.path = path
    descriptor = copy
    bytes = UnsafeRawBufferPointer(start: start, count: size)
    libraries = findsLibraries ? Self.libraries(of: bytes, path: path) : .success(.none)
    let own = "sha256:" + SHA256Digest.hex(of: bytes)
    hash = (try? libraries.get())?.hash(with: own) ?? own
  }

  private static func libraries(
    of bytes: UnsafeRawBufferPointer,
    path: String
  ) -> Result<LibraryClosure, ReFTError> {
    guard !path.hasSuffix(".reft.json") else { return .success(.none) }
    return Result { () throws(ReFTError) in
      let image = try ELFImage(bytes, path: path, withSymbols: false)
      return try LibraryClosure(of: image, path: path)
    }
  }

  /// Takes over a copy that another process of this program has sealed and checked.
  ///
  /// - Parameters:
  ///   - descriptor: the copy, which belongs to this object from now on.
  ///   - path: the file that it was made from, for messages.
  /// - Throws: `.inputOutput` when the copy cannot be mapped.
  package convenience init(sealed descriptor: Int32, path: String) throws(ReFTError) {
    try self.init(sealed: descriptor, path: path, libraries: nil)
  }

  /// The same with what it needs, as the other process found it; nil: it is found here.
  init(
    sealed descriptor: Int32,
    path: String,
    libraries: LibraryClosure?
  ) throws(ReFTError) {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size > 0,
      let start = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0),
      start != MAP_FAILED
    else { throw .pluginUnreadable(path, errno: errno) }
    self.path = path
    self.descriptor = descriptor
    bytes = UnsafeRawBufferPointer(start: start, count: Int(status.st_size))
    self.libraries = libraries.map { .success($0) } ?? Self.libraries(of: bytes, path: path)
    let own = "sha256:" + SHA256Digest.hex(of: bytes)
    hash = (try? self.libraries.get())?.hash(with: own) ?? own
  }

  deinit {
    munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    if !isKept.value { close(descriptor) }
  }

  /// Loads what it needs, from where the host takes it.
  ///
  /// - Throws: `.pluginRefused` when something of it is not there or not to be trusted.
  package func loadNeeds() throws(ReFTError) { try libraries.get().load(for: path) }

  /// Keeps the descriptor open for the rest of the process; called before the bytes are loaded.
  package func keepOpen() { isKept.value = true }

  private static func checkedSize(
    of file: Int32,
    path: String,
    checksPlace: Bool
  ) throws(ReFTError) -> Int {
    var status = stat()
    guard fstat(file, &status) == 0 else { throw .pluginUnreadable(path, errno: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .pluginNotAFile(path) }
    if checksPlace { try checkPlace(of: path, mode: status.st_mode) }
    let size = Int(status.st_size)
    guard size > 0 else {
      throw path.hasSuffix(".reft.json")
        ? .badManifest(path, place: "the manifest", reason: "is empty, expected a JSON object")
        : .pluginNotELF(path, reason: "it is empty")
    }
    guard size <= sizeLimit else { throw .pluginTooLarge(path, size: size, limit: sizeLimit) }
    return size
  }

  private static func checkPlace(of path: String, mode: mode_t) throws(ReFTError) {
    guard mode & S_IWOTH == 0 else { throw .worldWritablePlugin(path) }
    guard let real = realpath(path, nil) else { throw .pluginUnreadable(path, errno: errno) }
    defer { free(real) }
    try FolderTrust.checkWriters(of: (String(cString: real) as NSString).deletingLastPathComponent)
  }
}

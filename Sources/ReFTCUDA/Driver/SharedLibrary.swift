// SPDX-License-Identifier: Apache-2.0
// A library of the card's maker, opened at run time. It stays open for the life of the process:
// these libraries keep threads of their own, which closing would pull the ground from under.

import Foundation
import ReFTTensor

/// A shared library that was found, with the path that the system's linker took for it.
struct SharedLibrary: @unchecked Sendable {
  // Sendable: a handle that is never closed, and a path.
  private let handle: UnsafeMutableRawPointer
  /// Where it lies, as far as the linker tells.
  let path: String

  /// Opens the first of some files that the linker takes.
  ///
  /// - Parameters:
  ///   - role: what the library is for, in an error.
  ///   - names: its names, the wished for first.
  ///   - chosen: folders that the user named: they come before all else.
  ///   - folders: where to look after the linker has looked on its own, in order.
  ///   - companions: beginnings of names of files that it wants to find beside it.
  /// - Throws: `inputMissing` with the names, the folders and what to do.
  init(
    _ role: CUDARole,
    names: [String],
    chosen: [String] = [],
    folders: [String] = [],
    companions: [String] = []
  ) throws(ReFTError) {
    let places =
      chosen.flatMap { folder in names.map { (folder, $0) } }
      + names.flatMap { name in [("", name)] + folders.map { ($0, name) } }
    var refusals: [String] = []
    for (folder, name) in places {
      let place = folder.isEmpty ? name : folder + "/" + name
      if !folder.isEmpty {
        guard access(place, R_OK) == 0 else { continue }
        Self.preload(companions, beside: folder)
      }
      if let handle = Self.open(place, &refusals) {
        (self.handle, path) = (handle, Self.origin(of: handle, role.anySymbol) ?? place)
        return
      }
    }
    throw .cudaLibraryMissing(role, names: names, folders: chosen + folders, refusals: refusals)
  }

  /// The address of a function, under the first of its names that the library knows.
  ///
  /// - Precondition: `Function` is the `@convention(c)` type that the maker's header declares.
  /// - Throws: `inputMissing` when the library is too old, or no such library.
  func function<Function>(_ names: String...) throws(ReFTError) -> Function {
    for name in names {
      if let address = dlsym(handle, name) { return unsafeBitCast(address, to: Function.self) }
    }
    throw .cudaFunctionMissing(names[0], path)
  }

  private static func open(
    _ name: String,
    _ refusals: inout [String]
  ) -> UnsafeMutableRawPointer? {
    // Global: cuBLAS and NVRTC open parts of each other by name, and find those that are there.
    if let handle = dlopen(name, RTLD_NOW | RTLD_GLOBAL) { return handle }
    let reason = dlerror().map { String(cString: $0) } ?? "no reason given"
    // A name that is nowhere is no news; a file that cannot be used is.
    if name.contains("/") || !reason.contains("No such file") { refusals.append(reason) }
    return nil
  }

  /// Opens parts that a library asks for by bare name, where the linker would not look for them.
  private static func preload(_ companions: [String], beside folder: String) {
    guard !companions.isEmpty else { return }
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    for companion in companions {
      for file in files.sorted() where file.hasPrefix(companion) {
        // What cannot be opened is missed, and then named, when the library itself is opened.
        _ = dlopen(folder + "/" + file, RTLD_NOW | RTLD_GLOBAL)
      }
    }
  }

  /// The file that a function of a library was mapped from, as the kernel lists it.
  private static func origin(of handle: UnsafeMutableRawPointer, _ symbol: String) -> String? {
    guard let address = dlsym(handle, symbol),
      let maps = try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
    else { return nil }
    let place = UInt(bitPattern: address)
    for line in maps.split(separator: "\n") {
      // 7f00-7fff r-xp 00000000 08:01 1234   /usr/lib/libcuda.so.1
      let parts = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
      let ends = (parts.first ?? "").split(separator: "-").compactMap { UInt($0, radix: 16) }
      if parts.count == 6, ends.count == 2, ends[0] <= place, place < ends[1] {
        return String(parts[5].drop { $0 == " " })
      }
    }
    return nil
  }
}

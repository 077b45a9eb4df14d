// SPDX-License-Identifier: Apache-2.0
// What the dynamic linker would see in a shared library, read without running anything of it.

package import ReFTTensor

/// The dynamic section of an ELF64 file: what it needs and what it exports.
package struct ELFImage: Sendable {
  /// Libraries that it needs, by soname; those that it filters among them.
  package private(set) var needed: [String] = []
  /// Names of the defined global symbols, in the file's order.
  package private(set) var exports: [String] = []
  /// Those of the exports that are data, not functions.
  package private(set) var dataExports: Set<String> = []
  /// Names of the symbols that it expects from elsewhere.
  package private(set) var imports: [String] = []
  /// The name by which the dynamic linker knows it, where it says one.
  package private(set) var soname: String?
  /// Folders in which the dynamic linker would look for what it needs, as the file says them: DT_RPATH.
  package private(set) var rPaths: [String] = []
  /// The same: DT_RUNPATH, in whose presence the others do not count.
  package private(set) var runPaths: [String] = []
  /// All of them.
  package var searchFolders: [String] { rPaths + runPaths }
  /// Whether code pages would have to be written while it is loaded.
  package private(set) var hasTextRelocations = false
  /// Whether it asks for a stack that can be executed.
  package private(set) var hasExecutableStack = false
  /// Whether a part of it can be written and executed at once.
  package private(set) var hasWritableCode = false

  /// Symbols of this prefix are entries; what follows is the ABI's major version.
  package static let entryPrefix = "reft_plugin_entry_v"

  /// The number of the machine that this program was built for.
  package static var hostMachine: UInt16 {
    #if arch(x86_64)
    62
    #else
    183
    #endif
  }

  /// The major versions of the entries that it exports.
  package var entryVersions: [String] {
    exports.filter { $0.hasPrefix(Self.entryPrefix) }.map {
      String($0.dropFirst(Self.entryPrefix.count))
    }
  }

  /// Reads a file.
  ///
  /// - Parameters:
  ///   - bytes: the whole file.
  ///   - path: the file, for messages.
  ///   - withSymbols: whether exports and imports are wanted, of which some libraries have thousands.
  /// - Throws: `.pluginRefused`, with what is wrong, for anything but a shared library of 64 bits in
  ///   little-endian order whose tables lie within the file.
  package init(
    _ bytes: UnsafeRawBufferPointer,
    path: String,
    withSymbols: Bool = true
  ) throws(ReFTError) {
    var reader = ELFReader(bytes, path: path)
    try reader.readHeader()
    hasExecutableStack = reader.hasExecutableStack
    hasWritableCode = reader.hasWritableCode
    let dynamic = try reader.dynamicEntries()
    let texts = try reader.stringTable(dynamic)
    for entry in dynamic {
      switch entry.tag {
      case ELFReader.Tag.needed, ELFReader.Tag.filter, ELFReader.Tag.auxiliary:
        needed.append(try texts.name(at: entry.value))
      case ELFReader.Tag.soname: soname = try texts.name(at: entry.value)
      case ELFReader.Tag.runPath, ELFReader.Tag.rPath:
        let list = try texts.name(at: entry.value)
        let folders = list.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if entry.tag == ELFReader.Tag.runPath { runPaths += folders } else { rPaths += folders }
      case ELFReader.Tag.textRelocations: hasTextRelocations = true
      case ELFReader.Tag.flags: if entry.value & 4 != 0 { hasTextRelocations = true }
      default: break
      }
    }
    guard withSymbols else { return }
    for symbol in try reader.symbols(dynamic) where symbol.isGlobal {
      let name = try texts.name(at: UInt64(symbol.name))
      if symbol.isDefined {
        guard symbol.isVisible else { continue }
        exports.append(name)
        if symbol.isData { dataExports.insert(name) }
      } else {
        imports.append(name)
      }
    }
  }

  /// A place that the dynamic linker fills with the address of a symbol.
  package struct Slot: Sendable {
    /// Where it is, from the start of the loaded library.
    package var offset: UInt64
    /// The symbol's name.
    package var symbol: String
  }

  /// The places of a library through which it reaches functions of other libraries.
  ///
  /// - Throws: as reading the file's image does.
  package static func slots(
    _ bytes: UnsafeRawBufferPointer,
    path: String
  ) throws(ReFTError) -> [Slot] {
    var reader = ELFReader(bytes, path: path)
    try reader.readHeader()
    let dynamic = try reader.dynamicEntries()
    let texts = try reader.stringTable(dynamic)
    let symbols = try reader.symbols(dynamic)
    var slots: [Slot] = []
    for relocation in try reader.relocations(dynamic)
    where relocation.symbol > 0 && relocation.symbol < symbols.count {
      let symbol = symbols[relocation.symbol]
      let name = try texts.name(at: UInt64(symbol.name))
      slots.append(Slot(offset: relocation.offset, symbol: name))
    }
    return slots
  }
}

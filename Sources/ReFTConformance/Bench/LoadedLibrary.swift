// SPDX-License-Identifier: Apache-2.0
// The plugin file in memory, and its raw tables, read with suspicion: a short struct, a null pointer
// or a wrong length is a breach and never a crash of the checker.

import CReFTPlugin
import Glibc
import ReFTHost
import ReFTTensor

/// A plugin library, opened with dlopen.
final class LoadedLibrary {
  typealias Entry =
    @convention(c) (UnsafePointer<reft_entry_args_t>?) -> UnsafePointer<
      reft_library_t
    >?

  let path: String
  let entry: Entry

  /// Opens a file as the host does: everything resolved, nothing shared, never closed.
  init(_ specimen: Specimen, loadsFile: Bool) throws {
    path = specimen.path
    if specimen.isManifest {
      entry = try ManifestBridge.entry(specimen)
      return
    }
    // What it needs is loaded with it, and is not checked: it must come from where the host takes it.
    try specimen.checkSearch()
    try specimen.loadNeeds()
    specimen.bytes.file.keepOpen()
    let place = loadsFile ? path : specimen.bytes.file.sealedPath
    guard let handle = dlopen(place, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) else {
      let reason = String(cString: dlerror()).replacing(place, with: "the file")
      throw Breach("The dynamic loader refuses it: \(reason).")
    }
    guard let symbol = dlsym(handle, REFT_ENTRY_SYMBOL) else {
      throw Breach("It does not export \(REFT_ENTRY_SYMBOL); declare it with REFT_EXPORT.")
    }
    entry = unsafeBitCast(symbol, to: Entry.self)
  }

  /// Calls the entry; `tail` bytes of a future version follow the arguments.
  func callEntry(
    tail: Int = 0,
    minor: UInt32 = REFT_ABI_MINOR
  ) throws -> UnsafePointer<reft_library_t> {
    let size = MemoryLayout<reft_entry_args_t>.size
    let memory = try GuardedBuffer(
      "entry arguments",
      byteCount: size + tail,
      alignment: 8,
      fill: 0xFF
    )
    let error = try GuardedBuffer("entry error text", byteCount: 256, alignment: 1)
    let text = try GuardedBuffer("library_path", text: path)
    let arguments = memory.base.bindMemory(to: reft_entry_args_t.self, capacity: 1)
    var values = reft_entry_args_t()
    values.struct_size = UInt32(size + tail)
    values.host_abi_major = 1
    values.host_abi_minor = minor
    values.library_path = text.string
    values.error = error.base.assumingMemoryBound(to: CChar.self)
    values.error_capacity = 256
    arguments.initialize(to: values)
    memory.makeReadOnly()
    guard let library = entry(arguments) else {
      let bytes = UnsafeRawBufferPointer(start: error.base, count: 256)
      let said = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      throw Breach(
        "\(REFT_ENTRY_SYMBOL) returned NULL\(said.isEmpty ? " without a reason" : ": \(said)")."
      )
    }
    return library
  }

  /// The tables of all interventions.
  func interventions() throws -> [Intervention] {
    let library = try callEntry()
    let header = library.pointee
    guard header.struct_size >= 24, header.n_plugins > 0, let plugins = header.plugins else {
      throw Breach(
        "The library description is \(header.struct_size) bytes with \(header.n_plugins) plugins; "
          + "expected at least 24 bytes and one plugin."
      )
    }
    guard header.n_plugins <= 1024 else {
      throw Breach("The library says that it holds \(header.n_plugins) plugins; at most 1024 may.")
    }
    return try (0..<Int(header.n_plugins)).map { index in
      guard let table = plugins[index] else { throw Breach("plugins[\(index)] is NULL.") }
      return try Intervention(table, index: index, minor: header.abi_minor)
    }
  }
}

extension Specimen {
  /// Refuses what the host refuses: dependencies from the current directory or an open folder.
  func checkSearch() throws {
    let image = try image()
    do throws(ReFTError) {
      try LibrarySearch.check(
        needed: image.needed,
        searchFolders: image.searchFolders,
        path: path
      )
    } catch {
      throw Breach(error.message + ".")
    }
  }

  /// Loads what the library needs, from where the host takes it.
  func loadNeeds() throws {
    do throws(ReFTError) {
      try bytes.file.loadNeeds()
    } catch {
      throw Breach(error.message + ".")
    }
  }
}

extension GuardedBuffer {
  /// Text without a terminator that ends at a forbidden page.
  convenience init(_ name: String, text: String) throws {
    let bytes = Array(text.utf8)
    try self.init(name, byteCount: bytes.count, alignment: 1)
    bytes.withUnsafeBytes {
      if let from = $0.baseAddress { base.copyMemory(from: from, byteCount: $0.count) }
    }
    makeReadOnly()
  }

  var string: reft_str_t {
    reft_str_t(ptr: UnsafePointer(base.assumingMemoryBound(to: CChar.self)), len: UInt64(byteCount))
  }
}

/// Reads a text of the plugin; nil when the pointer, the length or the UTF-8 is wrong.
func readText(_ text: reft_str_t, limit: UInt64 = 1 << 16) -> String? {
  if text.len == 0 { return "" }
  guard let pointer = text.ptr, text.len <= limit else { return nil }
  let bytes = UnsafeBufferPointer(
    start: UnsafeRawPointer(pointer).assumingMemoryBound(to: UInt8.self),
    count: Int(text.len)
  )
  return String(validating: bytes, as: UTF8.self)
}

/// One intervention of a library.
final class Intervention {
  let table: UnsafePointer<reft_plugin_t>
  let index: Int
  /// The minor version of the ABI that its library states.
  let minor: UInt32
  let id: String
  /// By how much what the layer reads is wider than its rows; plugins of ABI 1.0 know one width, and one
  /// of later ones may refuse another.
  var sourceExcess: Int
  /// Where it is said that an instance ends.
  weak var bench: Bench?

  init(_ table: UnsafePointer<reft_plugin_t>, index: Int, minor: UInt32) throws {
    let size = Int(table.pointee.struct_size)
    guard size >= MemoryLayout<reft_plugin_t>.size else {
      throw Breach(
        "plugins[\(index)].struct_size is \(size); ABI 1.0 needs at least "
          + "\(MemoryLayout<reft_plugin_t>.size)."
      )
    }
    self.table = table
    self.index = index
    self.minor = minor
    sourceExcess = minor == 0 ? 0 : 3
    let name = readText(table.pointee.id) ?? ""
    id = name.isEmpty ? "plugins[\(index)]" : name
  }

  /// Whether it promises something that the ABI version of its library knows.
  func has(_ capability: UInt64) -> Bool {
    table.pointee.capabilities & capability & knownCapabilities != 0
  }

  /// The width of a row of what the layer reads; 0 for plugins that do not look at it.
  func sourceWidth(of dim: Int) -> Int { has(REFT_CAP_NEEDS_SOURCE) ? dim &+ sourceExcess : 0 }

  /// The capability bits of the ABI version that its library states.
  var knownCapabilities: UInt64 { minor == 0 ? 0x1FF : 0xFFF }

  var hasBackward: Bool { table.pointee.backward != nil && !has(REFT_CAP_NO_BACKWARD) }

  /// Ends an instance; the rule names that call, should it not return.
  func destroy(_ instance: OpaquePointer?) {
    guard let bench, instance != nil else {
      table.pointee.destroy?(instance)
      return
    }
    bench.doing("destroy of \(id)", unless: "destroy") { table.pointee.destroy?(instance) }
  }

  /// The schema of its options.
  func options() throws -> [OptionSchema] {
    guard let describe = table.pointee.option_info else { return [] }
    var list: [OptionSchema] = []
    for index in 0..<UInt32(1000) {
      let memory = try GuardedBuffer(
        "option_info.out",
        byteCount: MemoryLayout<reft_option_info_t>.size,
        alignment: 8
      )
      let out = memory.base.bindMemory(to: reft_option_info_t.self, capacity: 1)
      out.pointee = reft_option_info_t()
      out.pointee.struct_size = UInt32(MemoryLayout<reft_option_info_t>.size)
      guard describe(index, out) == REFT_OK else { break }
      list.append(OptionSchema(out.pointee, index: Int(index)))
    }
    return list
  }
}

/// An option as the plugin describes it.
struct OptionSchema {
  let index: Int
  let type: UInt32
  let name: String
  let nameIsText: Bool
  let helpIsText: Bool
  let choices: [String]
  let defaultInt: Int64
  let defaultFloat: Double
  let defaultString: String?
  let minimum: Double
  let maximum: Double

  init(_ info: reft_option_info_t, index: Int) {
    self.index = index
    type = info.type
    let text = readText(info.name)
    name = text ?? ""
    nameIsText = text != nil
    helpIsText = readText(info.help) != nil
    let list = readText(info.choices) ?? ""
    choices = list.isEmpty ? [] : list.split(separator: "|").map(String.init)
    defaultInt = info.default_i
    defaultFloat = info.default_f
    defaultString = readText(info.default_s)
    minimum = info.minimum
    maximum = info.maximum
  }

  var hasRange: Bool { minimum <= maximum }
}

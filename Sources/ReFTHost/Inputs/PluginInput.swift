// SPDX-License-Identifier: Apache-2.0
// Numbers and files that a user names in an option and the host reads for the plugin.

import CReFTPlugin
import Foundation
import ReFTTensor

/// What the host read for an option of the kind `tensor` or `file`; read-only, and shared by all
/// instances that were made with it.
public final class PluginInput: @unchecked Sendable {
  // Sendable: everything is fixed after init, and the memory is read alone.

  /// What the user wrote: `FILE#TENSOR` or `FILE`.
  public let text: String
  /// The file, as an absolute path; of an input that travels with an adapter, where it came from.
  public let path: String
  /// The tensor's name in the file; nil for a file as a whole.
  public let tensor: String?
  /// The sizes; of a file its bytes.
  public let shape: [Int]
  /// `sha256:…` of the numbers as float32, or of the file's bytes.
  public let hash: String
  /// The numbers or bytes, row after row.
  let bytes: UnsafeRawBufferPointer
  /// What keeps them.
  private let owner: AnyObject

  /// Inputs that an adapter's folder takes in: up to 16 MiB.
  public static let embeddedLimit = 16 << 20
  /// The most bytes that an input may have.
  static let byteLimit = 1 << 34

  /// Takes numbers that lie in memory.
  init(
    text: String,
    path: String,
    tensor: String?,
    shape: [Int],
    hash: String? = nil,
    bytes: UnsafeRawBufferPointer,
    owner: AnyObject
  ) {
    (self.text, self.path, self.tensor, self.shape) = (text, path, tensor, shape)
    self.hash = hash ?? "sha256:" + SHA256Digest.hex(of: bytes)
    (self.bytes, self.owner) = (bytes, owner)
  }

  /// Takes numbers that somebody made.
  package convenience init(text: String, shape: [Int], values: [Float]) {
    let buffer = FloatBuffer(values)
    self.init(
      text: text,
      path: text,
      tensor: text,
      shape: shape,
      bytes: UnsafeRawBufferPointer(start: buffer.base, count: 4 * values.count),
      owner: buffer
    )
  }

  /// Takes the bytes of a file that somebody read.
  package convenience init(text: String, content: [UInt8]) {
    let copy = NSData(bytes: content, length: content.count)
    self.init(
      text: text,
      path: text,
      tensor: nil,
      shape: [content.count],
      bytes: UnsafeRawBufferPointer(start: copy.bytes, count: copy.length),
      owner: copy
    )
  }

  /// How an option names it, wherever the program runs.
  var place: String { path + (tensor.map { "#" + $0 } ?? "") }

  /// Whether it is a file as a whole.
  public var isFile: Bool { tensor == nil }

  /// As the ABI describes it.
  var foreign: reft_tensor_t {
    var result = reft_tensor_t()
    result.struct_size = UInt32(MemoryLayout<reft_tensor_t>.size)
    result.dtype = isFile ? REFT_U8 : REFT_F32
    result.rank = UInt32(shape.count)
    let sizes = shape.map(Int64.init) + [0, 0, 0, 0]
    result.dims = (sizes[0], sizes[1], sizes[2], sizes[3])
    result.data = bytes.baseAddress
    return result
  }

  /// The numbers of a tensor.
  package var values: [Float] { isFile ? [] : Array(bytes.bindMemory(to: Float.self)) }
}

extension PluginInput {
  /// Opens what an option names.
  ///
  /// - Parameters:
  ///   - text: `FILE#TENSOR` of a safetensors file, or `FILE`.
  ///   - option: the option; its kind says which of the two.
  ///   - plugin: the plugin's name, for messages.
  ///   - folder: where relative paths begin; nil: in the current folder.
  /// - Returns: the input.
  /// - Throws: `.badConfiguration` for a text of another form, `.inputMissing` or `.badData` for a file
  ///   that is not there, has no such tensor, or one that holds no finite numbers.
  static func open(
    _ text: String,
    option: PluginOption,
    plugin: String,
    relativeTo folder: String?
  ) throws(ReFTError) -> PluginInput {
    let wantsTensor = option.kind == .tensor
    let mark = text.lastIndex(of: "#")
    guard wantsTensor == (mark != nil) || !wantsTensor, !text.hasPrefix("#") else {
      throw .badInput(option.name, plugin: plugin, found: text)
    }
    let file = wantsTensor ? String(text[..<(mark ?? text.endIndex)]) : text
    let path = absolute(file, in: folder)
    guard FileManager.default.fileExists(atPath: path) else {
      throw .inputFileMissing(path, option: option.name, plugin: plugin)
    }
    guard wantsTensor, let mark else { return try whole(text, path: path) }
    let name = String(text[text.index(after: mark)...])
    return try named(name, text: text, path: path, option: option.name, plugin: plugin)
  }

  private static func absolute(_ file: String, in folder: String?) -> String {
    let expanded = (file as NSString).expandingTildeInPath
    if expanded.hasPrefix("/") { return expanded }
    let start = folder ?? FileManager.default.currentDirectoryPath
    return URL(fileURLWithPath: start).appendingPathComponent(expanded).standardizedFileURL.path
  }

  private static func whole(_ text: String, path: String) throws(ReFTError) -> PluginInput {
    let file = try MappedFile(path: path)
    return PluginInput(
      text: text,
      path: path,
      tensor: nil,
      shape: [file.bytes.count],
      bytes: file.bytes,
      owner: file
    )
  }

  private static func named(
    _ name: String,
    text: String,
    path: String,
    option: String,
    plugin: String
  ) throws(ReFTError) -> PluginInput {
    let file = try Safetensors.read(path: path)
    let values = try file.floats(name)
    let shape = file.tensor(name)?.shape ?? []
    guard shape.count <= 4, !values.isEmpty else {
      throw .inputShape(path, tensor: name, shape: shape, option: option, plugin: plugin)
    }
    guard values.allSatisfy(\.isFinite) else {
      throw .inputNotFinite(path, tensor: name, option: option, plugin: plugin)
    }
    return of(values, shape: shape, text: text, path: path, tensor: name)
  }

  /// Numbers that were read already.
  static func of(
    _ values: [Float],
    shape: [Int],
    text: String,
    path: String,
    tensor: String
  ) -> PluginInput {
    let buffer = FloatBuffer(values)
    return PluginInput(
      text: text,
      path: path,
      tensor: tensor,
      shape: shape,
      bytes: UnsafeRawBufferPointer(start: buffer.base, count: 4 * values.count),
      owner: buffer
    )
  }
}

extension Plugin {
  /// The options of this plugin that name inputs.
  var inputOptions: [PluginOption] {
    options.filter { $0.kind == .tensor || $0.kind == .file }
  }

  /// Opens what resolved options name; an empty text names nothing.
  func openInputs(
    _ options: [String: OptionValue],
    relativeTo folder: String? = nil,
    given: [String: PluginInput] = [:]
  ) throws(ReFTError) -> [String: PluginInput] {
    var result = given
    for option in inputOptions where result[option.name] == nil {
      guard case .string(let text)? = options[option.name], !text.isEmpty else { continue }
      result[option.name] = try PluginInput.open(
        text,
        option: option,
        plugin: name,
        relativeTo: folder
      )
    }
    return result
  }
}

// SPDX-License-Identifier: Apache-2.0
// The making of an instance: shape and options as the ABI wants them.

import CReFTPlugin
import ReFTTensor

extension InProcessInstance {
  static func create(
    _ plugin: InProcessPlugin,
    at site: PluginSite,
    options texts: ForeignOptions,
    services: HostServices
  ) throws(ReFTError) -> OpaquePointer {
    let record = CallRecord()
    var instance: OpaquePointer?
    let status = withExtendedLifetime((record, texts)) {
      withShape(site, maxRows: 64) { shape in
        plugin.guarded("create") {
          plugin.table.pointee.create(
            services.table,
            shape,
            texts.base,
            UInt32(texts.count),
            record.handle,
            &instance
          )
        }
      }
    }
    guard status == REFT_OK else {
      throw .pluginStatus(status, plugin: plugin.name, call: "create", message: record.message)
    }
    guard let instance else {
      throw .pluginMisbehaved(plugin.name, "create reports success and returns no instance")
    }
    return instance
  }

  /// Hands out the shape of a site; valid until the closure returns.
  static func withShape<Result>(
    _ site: PluginSite,
    maxRows: Int,
    _ body: (UnsafePointer<reft_shape_t>) -> Result
  ) -> Result {
    site.component.withForeign { component in
      var shape = reft_shape_t()
      shape.struct_size = UInt32(MemoryLayout<reft_shape_t>.size)
      shape.dtype = REFT_F32
      shape.max_rows = Int64(maxRows)
      shape.dim = Int64(site.dim)
      shape.layer = Int64(site.layer)
      shape.component = component
      shape.source_dim = Int64(site.sourceDim)
      shape.n_locations = Int64(site.locations)
      return body(&shape)
    }
  }
}

/// Options as the ABI wants them; the memory lives as long as the object.
final class ForeignOptions {
  private let options: UnsafeMutableBufferPointer<reft_option_t>
  private var texts: [UnsafeMutableBufferPointer<CChar>] = []

  /// Takes over values; `inputs` are the options that name one, in the order of their indices.
  init(
    _ values: [String: OptionValue],
    of plugin: PluginDescription,
    inputs: [String]
  ) {
    options = .allocate(capacity: values.count)
    for (index, pair) in values.sorted(by: { $0.key < $1.key }).enumerated() {
      var option = reft_option_t()
      option.struct_size = UInt32(MemoryLayout<reft_option_t>.size)
      option.name = keep(pair.key)
      switch pair.value {
      case .int(let value): (option.type, option.i) = (REFT_OPTION_INT, value)
      case .float(let value): (option.type, option.f) = (REFT_OPTION_FLOAT, value)
      case .string(let value): (option.type, option.s) = (REFT_OPTION_STRING, keep(value))
      case .flag(let value): (option.type, option.i) = (REFT_OPTION_FLAG, value ? 1 : 0)
      }
      let kind = plugin.options.first { $0.name == pair.key }?.kind
      if kind == .tensor || kind == .file {
        option.type = kind == .tensor ? REFT_OPTION_TENSOR : REFT_OPTION_FILE
        option.i = Int64(inputs.firstIndex(of: pair.key) ?? -1)
      }
      options.initializeElement(at: index, to: option)
    }
  }

  deinit {
    options.deallocate()
    for text in texts { text.deallocate() }
  }

  var base: UnsafePointer<reft_option_t>? { UnsafePointer(options.baseAddress) }
  var count: Int { options.count }

  private func keep(_ text: String) -> reft_str_t {
    let bytes = Array(text.utf8)
    let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: max(1, bytes.count))
    for (index, byte) in bytes.enumerated() { copy[index] = CChar(bitPattern: byte) }
    texts.append(copy)
    return reft_str_t(ptr: copy.baseAddress, len: UInt64(bytes.count))
  }
}

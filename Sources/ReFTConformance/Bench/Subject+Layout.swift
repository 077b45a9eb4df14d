// SPDX-License-Identifier: Apache-2.0
// What an instance says of itself: its parameter layout and its plan of memory. Sizes that no process
// could hold are a breach, before anything of that size is made.

import CReFTPlugin
import ReFTTensor

extension Subject {
  /// Asks for the parameter layout; a layout that cannot be allocated is a breach.
  static func layout(_ plugin: Intervention, _ instance: OpaquePointer) throws -> [Parameter] {
    var list: [Parameter] = []
    var total = 0
    for index in 0..<UInt32(4096) {
      guard let info = try parameterInfo(plugin, instance, index) else { return list }
      let dims = [info.dims.0, info.dims.1, info.dims.2, info.dims.3]
      guard (1...4).contains(info.rank) else {
        throw Breach("Parameter \(index) has rank \(info.rank); 1 to 4 is allowed.")
      }
      var count = 1
      for dim in dims.prefix(Int(info.rank)) {
        let (product, overflow) = count.multipliedReportingOverflow(by: Int(dim))
        guard dim > 0, !overflow, product < 1 << 32 else {
          throw Breach.size(Int(index), dims.prefix(Int(info.rank)).map { Int($0) })
        }
        count = product
      }
      total += count
      guard total < 1 << 32 else {
        throw Breach("The parameters together have \(total) numbers at this width.")
      }
      list.append(
        Parameter(
          name: readText(info.name) ?? "",
          dims: dims.prefix(Int(info.rank)).map { Int($0) },
          flags: info.flags,
          initKind: info.init_kind,
          initA: info.init_a,
          initB: info.init_b,
          constraint: info.constraint,
          constraintA: info.constraint_a,
          constraintB: info.constraint_b
        )
      )
    }
    throw Breach("`param_info` never ends: index 4095 is still a parameter.")
  }

  /// Makes sure that the process has room for the numbers of a layout, three times as making them takes.
  static func requireRoom(_ parameters: [Parameter]) throws {
    let total = parameters.reduce(0) { $0 + $1.count }
    guard !hasRoom(total) else { return }
    for (index, parameter) in parameters.enumerated() where !hasRoom(parameter.count) {
      throw Breach.size(index, parameter.dims)
    }
    throw Breach("The parameters together have \(total) numbers at this width.")
  }

  private static func hasRoom(_ count: Int) -> Bool {
    do throws(ReFTError) {
      let purpose = MemoryPurpose("the parameters", remedy: "make them fewer")
      try MemoryRoom.check(byteCount: 3 * 4 * count, for: purpose)
      return true
    } catch {
      return false
    }
  }

  /// One answer of `param_info`, nil past the end.
  static func parameterInfo(
    _ plugin: Intervention,
    _ instance: OpaquePointer,
    _ index: UInt32
  ) throws -> reft_param_info_t? {
    let memory = try GuardedBuffer(
      "param_info.out",
      byteCount: MemoryLayout<reft_param_info_t>.size,
      alignment: 8
    )
    let out = memory.base.bindMemory(to: reft_param_info_t.self, capacity: 1)
    var empty = reft_param_info_t()
    empty.struct_size = UInt32(MemoryLayout<reft_param_info_t>.size)
    out.initialize(to: empty)
    guard let describe = plugin.table.pointee.param_info else {
      throw Breach("`param_info` is NULL.")
    }
    let status = describe(instance, index, out)
    if status == REFT_OK { return out.pointee }
    return nil
  }

  /// Asks for the working memory of calls of up to `maxRows` rows.
  static func plan(
    _ plugin: Intervention,
    _ instance: OpaquePointer,
    dim: Int,
    maxRows: Int,
    layer: Int = 3,
    locations: Int = RowPlaces.locationCount,
    future: Bool = false
  ) throws -> reft_workspace_t {
    let shape = try ShapeMemory(
      dim: Int64(dim),
      dtype: REFT_F32,
      maxRows: Int64(maxRows),
      layer: Int64(layer),
      sourceDim: Int64(plugin.sourceWidth(of: dim)),
      locations: locations,
      future: future
    )
    let memory = try GuardedBuffer(
      "plan.out",
      byteCount: MemoryLayout<reft_workspace_t>.size,
      alignment: 8
    )
    let out = memory.base.bindMemory(to: reft_workspace_t.self, capacity: 1)
    var empty = reft_workspace_t()
    empty.struct_size = UInt32(MemoryLayout<reft_workspace_t>.size)
    out.initialize(to: empty)
    guard let plan = plugin.table.pointee.plan else { throw Breach("`plan` is NULL.") }
    let status = plan(instance, shape.pointer, out)
    guard status == REFT_OK else {
      throw Breach("`plan` for \(maxRows) rows of width \(dim) returned status \(status).")
    }
    let answer = out.pointee
    let sizes = [
      answer.saved_bytes_per_row, answer.saved_bytes_fixed, answer.scratch_bytes_per_row,
      answer.scratch_bytes_fixed, answer.state_bytes_per_sequence, answer.collected_per_row,
    ]
    guard sizes.allSatisfy({ $0 < 1 << 32 }) else {
      throw Breach(
        "`plan` asks for \(sizes[0]) + \(sizes[1]) saved and \(sizes[2]) + \(sizes[3]) scratch "
          + "bytes (per row + fixed), \(sizes[4]) of state and \(sizes[5]) collected numbers at width "
          + "\(dim): more than 4 GiB is not served."
      )
    }
    return answer
  }
}

extension Breach {
  /// A parameter that no process could hold.
  fileprivate static func size(_ index: Int, _ dims: [Int]) -> Breach {
    Breach("Parameter \(index) has the dimensions \(dims): not a size that can be allocated.")
  }
}

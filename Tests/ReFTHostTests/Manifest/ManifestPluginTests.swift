// SPDX-License-Identifier: Apache-2.0
// Functions of libraries without our header, called through libffi.

import Foundation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Manifests of bare functions")
struct ManifestPluginTests {
  static let clip = """
    #include <stdint.h>
    int32_t clip_table[4] = {1, 2, 3, 4};
    int32_t clip_rows(const float *x, float *y, int64_t rows, int64_t dim, float limit) {
      for (int64_t i = 0; i < rows * dim; i++) y[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
      return limit > 0 ? 0 : 7;
    }
    int32_t clip_rows_grad(const float *x, const float *dy, float *dx, int64_t rows, int64_t dim, float limit) {
      for (int64_t i = 0; i < rows * dim; i++) dx[i] = x[i] > limit || x[i] < -limit ? 0 : dy[i];
      return 0;
    }
    """
  static let clipManifest = """
    {"reft_manifest": 1, "id": "org.example.clip", "library": "libclip.so",
     "options": [{"name": "limit", "type": "float", "default": 4.0}],
     "forward":  {"symbol": "clip_rows",      "returns": "i32", "arguments": ["x:f32*", "y:f32*", "rows:i64", "dim:i64", "option.limit:f32"]},
     "backward": {"symbol": "clip_rows_grad", "returns": "i32", "arguments": ["x:f32*", "dy:f32*", "dx:f32*", "rows:i64", "dim:i64", "option.limit:f32"]}}
    """
  static let channel = """
    #include <stdint.h>
    void scale_shift(int32_t dim, const float *scale, const float *shift, const float *x, int64_t xs,
                     float *y, int64_t ys, uint32_t rows, double strength, float *saved) {
      for (uint32_t i = 0; i < rows; i++)
        for (int32_t j = 0; j < dim; j++) {
          saved[i * dim + j] = x[i * xs + j];
          y[i * ys + j] = x[i * xs + j] * (1 + (float)strength * scale[j]) + shift[j];
        }
    }
    void scale_shift_grad(int32_t dim, const float *scale, const float *dy, int64_t dys, float *dx,
                          int64_t dxs, uint32_t rows, double strength, const float *saved,
                          float *dscale, float *dshift) {
      for (int32_t j = 0; j < dim; j++) dscale[j] = dshift[j] = 0;
      for (uint32_t i = 0; i < rows; i++)
        for (int32_t j = 0; j < dim; j++) {
          dscale[j] += (float)strength * dy[i * dys + j] * saved[i * dim + j];
          dshift[j] += dy[i * dys + j];
          dx[i * dxs + j] = dy[i * dys + j] * (1 + (float)strength * scale[j]);
        }
    }
    """
  static let channelManifest = """
    {"reft_manifest": 1, "id": "org.example.channel", "version": "2.1.0", "library": "channel.so",
     "summary": "y = x (1 + strength s) + b", "license": "MIT",
     "capabilities": ["rowwise", "affine_in_x"],
     "options": [{"name": "strength", "type": "float", "default": 1, "range": [0, 10], "help": "how much"}],
     "parameters": [
       {"name": "scale", "dims": ["dim"], "init": {"normal": [0, 0.02]}, "constraint": {"box": [-1, 1]}, "decay": false},
       {"name": "shift", "dims": ["dim"]}],
     "saved": {"per_row": "dim"},
     "forward": {"symbol": "scale_shift", "arguments": ["dim:i32", "param.scale:f32*", "param.shift:f32*",
       "x:f32*", "x.stride:i64", "y:f32*", "y.stride:i64", "rows:u32", "option.strength:f64", "saved:f32*"]},
     "backward": {"symbol": "scale_shift_grad", "gradients": "overwrite", "arguments": ["dim:i32",
       "param.scale:f32*", "dy:f32*", "dy.stride:i64", "dx:f32*", "dx.stride:i64", "rows:u32",
       "option.strength:f64", "saved:f32*", "dparam.scale:f32*", "dparam.shift:f32*"]}}
    """

  static func plugin(
    _ manifest: String,
    name: String,
    in folder: String
  ) throws -> Plugin {
    try Data(manifest.utf8).write(to: URL(filePath: "\(folder)/\(name).reft.json"))
    let real = URL(filePath: folder).resolvingSymlinksInPath().path
    let catalog = PluginCatalog(
      extraPaths: [folder],
      environment: [:],
      executableFolder: folder,
      loader: PluginCatalog.trustingLoader(
        store: TrustStore(path: nil),
        settings: IsolationSettings(),
        alsoTrusted: ["\(real)/\(name).reft.json"]
      )
    )
    return try catalog.find(name)
  }

  private func instance(
    _ plugin: Plugin,
    dim: Int,
    options: [String: OptionValue] = [:]
  ) throws -> any PluginInstance {
    try plugin.makeInstance(
      at: PluginSite(dim: dim, layer: 0, component: "block_output"),
      options: options
    )
  }

  @Test("what a manifest asks for, or says of its options, tells whether its numbers are random")
  func randomness() throws {
    try withTemporaryDirectory { folder in
      _ = try CompiledLibrary.c(Self.clip, name: "libclip", in: folder)
      func depends(_ manifest: String, _ options: [String: OptionValue] = [:]) throws -> Bool {
        let plugin = try Self.plugin(manifest, name: "clip", in: folder)
        return try instance(plugin, dim: 3, options: options).dependsOnSequence
      }
      #expect(try !depends(Self.clipManifest))
      let keyed = Self.clipManifest.replacing("\"rows:i64\"", with: "\"random.key:u64\"")
      #expect(try depends(keyed))
      let key = "\"random\": [\"limit\"], \"forward\":"
      let named = keyed.replacing("\"forward\":", with: key)
      #expect(try depends(named))
      #expect(try !depends(named, ["limit": .float(0)]))
      let error = #expect(throws: ReFTError.self) {
        try depends(named.replacing("[\"limit\"]", with: "[\"noise\"]"))
      }
      let says = "is 'noise', expected the name of one of its options"
      #expect(error?.message.contains(says) == true)
    }
  }

  @Test("numbers past the last row of an output are told, with the plugin's name")
  func overrun() throws {
    try withTemporaryDirectory { folder in
      let forward = "y[rows * dim + 2] = 0; return 0;"
      let code = Self.clip.replacing("return limit > 0 ? 0 : 7;", with: forward)
        .replacing("dy[i];\n", with: "dy[i];\n  dx[rows * dim] = 1;\n")
      _ = try CompiledLibrary.c(code, name: "libclip", in: folder)
      let clip = try instance(Self.plugin(Self.clipManifest, name: "clip", in: folder), dim: 3)
      let x = FloatBuffer(Array(repeating: 1, count: 6))
      let out = FloatBuffer(count: 6 + 16)
      var call = PluginCall(rows: 2, x: x.base, xStride: 3)
      (call.y, call.yStride, call.ownsBehindOutput) = (out.base, 3, true)
      let error = #expect(throws: ReFTError.self) { try clip.forward(call) }
      #expect(error?.code == .misbehaved)
      #expect(
        error?.message
          == "plugin 'clip' breaks its contract: forward wrote at least 3 numbers past the last row of "
          + "y; `reft plugin check` tells its author more"
      )
      (call.y, call.dy, call.dyStride) = (nil, x.base, 3)
      (call.dx, call.dxStride) = (out.base, 3)
      let backward = #expect(throws: ReFTError.self) { try clip.backward(call) }
      #expect(backward?.message.contains("at least 1 numbers past the last row of dx") == true)
    }
  }

  @Test(
    "a number past the end of a gradient is told, with the parameter's name, whatever its size",
    arguments: [3, 16],
    [false, true]
  )
  func gradientOverrun(dim: Int, overwrites: Bool) throws {
    try withTemporaryDirectory { folder in
      let start = "for (int32_t j = 0; j < dim; j++) dscale[j] = dshift[j] = 0;"
      let code = Self.channel.replacing(start, with: (overwrites ? start : "") + "dshift[dim] = 1;")
      _ = try CompiledLibrary.c(code, name: "channel", in: folder)
      let manifest =
        overwrites
        ? Self.channelManifest
        : Self.channelManifest.replacing("\"gradients\": \"overwrite\", ", with: "")
      let plugin = try Self.plugin(manifest, name: "channel", in: folder)
      let harness = InstanceHarness(try instance(plugin, dim: dim), dim: dim)
      let gradients = harness.store.makeGradients()
      let x = [Float](repeating: 1, count: dim)
      let saved = try harness.forward(x).saved
      let error = #expect(throws: ReFTError.self) {
        try harness.backward(x, x, saved: saved, gradients: gradients)
      }
      #expect(
        error?.message
          == "plugin 'channel' breaks its contract: backward wrote past the \(dim) numbers of the "
          + "gradient of 'shift'; `reft plugin check` tells its author more"
      )
      #expect(gradients.values.last == 0)
    }
  }

  @Test("a library that knows nothing of us clips rows, found by its manifest's name")
  func clips() throws {
    try withTemporaryDirectory { folder in
      _ = try CompiledLibrary.c(Self.clip, name: "libclip", in: folder)
      let plugin = try Self.plugin(Self.clipManifest, name: "clip", in: folder)
      #expect(plugin.abi == "manifest 1" && plugin.name == "clip" && plugin.hash.count == 71)
      // The rows are strided, and the function knows of no stride.
      let harness = InstanceHarness(
        try instance(plugin, dim: 3, options: ["limit": .float(2)]),
        dim: 3
      )
      let x: [Float] = [1, 2.5, -3, -0.5, 0, 9]
      #expect(try harness.forward(x).y == [1, 2, -2, -0.5, 0, 2])
      let gradients = harness.store.makeGradients()
      #expect(
        try harness.backward(x, [1, 2, 3, 4, 5, 6], saved: [], gradients: gradients)
          == [1, 0, 0, 4, 5, 0]
      )
      let error = #expect(throws: ReFTError.self) {
        _ = try InstanceHarness(
          try instance(plugin, dim: 3, options: ["limit": .float(-1)]),
          dim: 3
        ).forward(x)
      }
      #expect(error?.message == "plugin 'clip': function 'clip_rows' returned 7, expected 0")
    }
  }

  @Test("a function with parameters, saved values and its own strides has the right gradients")
  func channelGradients() throws {
    try withTemporaryDirectory { folder in
      _ = try CompiledLibrary.c(Self.channel, name: "channel", in: folder)
      let plugin = try Self.plugin(Self.channelManifest, name: "channel", in: folder)
      let (rows, dim) = (4, 7)
      let harness = InstanceHarness(
        try instance(plugin, dim: dim, options: ["strength": .float(1.5)]),
        dim: dim
      )
      let infos = harness.instance.parameters
      #expect(infos.map(\.name) == ["scale", "shift"] && infos.map(\.shape) == [[7], [7]])
      #expect(infos[0].initialization == .normal(mean: 0, deviation: 0.02))
      #expect(infos[0].constraint == .box(lower: -1, upper: 1) && !infos[0].allowsDecay)
      var generator = SeededGenerator(seed: 5)
      let x = generator.normals(rows * dim)
      let dy = generator.normals(rows * dim)
      let outcome = try harness.forward(x)
      let gradients = harness.store.makeGradients()
      for index in gradients.values.indices { gradients[index] = 0.25 }
      let dx = try harness.backward(x, dy, saved: outcome.saved, gradients: gradients)
      let scale = Array(harness.store.tensor(0))
      let shift = Array(harness.store.tensor(1))
      for j in 0..<dim {
        var (dScale, dShift): (Float, Float) = (0, 0)
        for i in 0..<rows {
          let k = i * dim + j
          #expect(abs(outcome.y[k] - (x[k] * (1 + 1.5 * scale[j]) + shift[j])) < 1e-5)
          #expect(abs(dx[k] - dy[k] * (1 + 1.5 * scale[j])) < 1e-5)
          dScale += 1.5 * dy[k] * x[k]
          dShift += dy[k]
        }
        // Overwritten by the function, added by the host.
        let found = (
          harness.store.slice(of: gradients, 0)[j], harness.store.slice(of: gradients, 1)[j]
        )
        #expect(abs(found.0 - 0.25 - dScale) < 1e-4 && abs(found.1 - 0.25 - dShift) < 1e-4)
      }
    }
  }

  @Test(
    "a function written in Rust",
    .enabled(if: CompiledLibrary.has("rustc"), "rustc is not here")
  )
  func rust() throws {
    try withTemporaryDirectory { folder in
      let source = """
        /// Soft threshold: moves every number towards zero by `by`.
        #[no_mangle]
        pub unsafe extern "C" fn soften(n: u64, dim: u64, by: f32, x: *const f32, y: *mut f32) -> i32 {
            for i in 0..(n * dim) as usize {
                let v = *x.add(i);
                *y.add(i) = v.signum() * (v.abs() - by).max(0.0);
            }
            0
        }
        """
      try Data(source.utf8).write(to: URL(filePath: "\(folder)/soften.rs"))
      try CompiledLibrary.run(
        [
          "rustc", "--crate-type=cdylib", "-O", "-o", "\(folder)/libsoften.so",
          "\(folder)/soften.rs",
        ])
      let plugin = try Self.plugin(
        """
        {"reft_manifest": 1, "id": "org.example.soften", "library": "libsoften.so",
         "options": [{"name": "by", "type": "float", "default": 0.5}],
         "forward": {"symbol": "soften", "returns": "i32",
                     "arguments": ["rows:u64", "dim:u64", "option.by:f32", "x:f32*", "y:f32*"]}}
        """,
        name: "soften",
        in: folder
      )
      #expect(plugin.capabilities.contains(.noBackward))
      let harness = InstanceHarness(try instance(plugin, dim: 2), dim: 2, gap: 0)
      #expect(try harness.forward([1, -1, 0.25, -0.75]).y == [0.5, -0.5, 0, -0.25])
      let error = #expect(throws: ReFTError.self) {
        _ = try harness.backward(
          [1, 1],
          [1, 1],
          saved: [],
          gradients: harness.store.makeGradients()
        )
      }
      #expect(
        error?.message.hasPrefix("plugin 'soften' serves inference only: its manifest names no")
          == true
      )
    }
  }

  struct Fault: Sendable, CustomTestStringConvertible {
    var change: (String, String)
    var says: String
    var and = ""
    var testDescription: String { says }
  }

  static let faults: [Fault] = [
    Fault(
      change: ("x:f32*\", \"y", "x:f16*\", \"y"),
      says: "forward.arguments[0] has the unknown type 'f16*'"
    ),
    Fault(change: ("\"clip_rows\"", "\"clip_rows2\""), says: "has no function 'clip_rows2'"),
    Fault(change: ("libclip.so", "libclap.so"), says: "its library '"),
    Fault(
      change: ("option.limit:f32\"]},", "option.limits:f32\"]},"),
      says: "names option 'limits', which the manifest does not declare"
    ),
    Fault(
      change: ("option.limit:f32\"]},", "option.limit:f32*\"]},"),
      says: "passes 'option.limit' as f32*; it can be f32, f64"
    ),
    Fault(change: ("rows:i64", "row:i64"), says: "names the unknown argument 'row'; known: x, y,"),
    Fault(
      change: ("rows:i64", "rows:f32"),
      says: "passes 'rows' as f32; it can be i32, i64, u32, u64"
    ),
    Fault(change: ("\"y:f32*\", ", ""), says: "forward.arguments lacks 'y:f32*'"),
    Fault(change: ("\"dx:f32*\", ", ""), says: "backward.arguments lacks 'dx:f32*'"),
    Fault(
      change: ("\"rows:i64\"", "\"rows:i64\", \"rows:i64\""),
      says: "names 'rows' more than once"
    ),
    Fault(
      change: ("\"rows:i64\"", "\"dy:f32*\""),
      says: "asks for 'dy', which exists in backward alone"
    ),
    Fault(
      change: ("\"rows:i64\"", "\"param.w:f32*\""),
      says: "names parameter 'w', which the manifest does not declare"
    ),
    Fault(change: ("\"rows:i64\"", "3"), says: "forward.arguments[2] is a number, expected a text"),
    Fault(
      change: ("\"returns\": \"i32\"", "\"returns\": \"i64\""),
      says: "forward.returns is 'i64', expected 'void' or 'i32'"
    ),
    Fault(
      change: ("\"returns\"", "\"retruns\""),
      says:
        "has an unknown key 'retruns'; known: symbol, arguments, returns; did you mean 'returns'?"
    ),
    Fault(
      change: ("\"reft_manifest\": 1", "\"reft_manifest\": 2"),
      says: "reft_manifest is 2.0, expected 1"
    ),
    Fault(change: ("\"id\": \"org.example.clip\", ", ""), says: "the manifest lacks 'id'"),
    Fault(
      change: ("\"type\": \"float\"", "\"type\": \"double\""),
      says: "options[0].type is 'double', expected int, float, string or flag"
    ),
    Fault(
      change: (
        "\"forward\":",
        "\"parameters\": [{\"name\": \"w\", \"dims\": [\"dim\", \"option.limit\"]}], \"forward\":"
      ),
      says: "uses option 'limit' as a size; it is a float, not an int"
    ),
    Fault(
      change: (
        "\"forward\":", "\"parameters\": [{\"name\": \"w\", \"dims\": [\"dim\"]}], \"forward\":"
      ),
      says: "backward.arguments lacks 'dparam.w:f32*'"
    ),
    Fault(
      change: (
        "\"forward\":", "\"parameters\": [{\"name\": \"w\", \"dims\": [1,1,1,1,1]}], \"forward\":"
      ),
      says: "has 5 dimensions, expected 1 to 4"
    ),
    Fault(
      change: ("}}", "}"),
      says: "expected ',' or '}', found the end of the text; check quotes"
    ),
    Fault(
      change: ("{\"reft_manifest\": 1", "{\"reft_manifest\" 1"),
      says: "is not valid JSON at 1:18: expected ':' after key \"reft_manifest\", found '1'"
    ),
    Fault(
      change: ("{\"reft_manifest\": 1", "{\"reft_manifest\": 1, \"reft_manifest\": 1"),
      says: "at 1:22: key \"reft_manifest\" stands twice in one object, first at 1:2"
    ),
    Fault(
      change: ("\"reft_manifest\": 1", "\"reft_manifest\": 1e400"),
      says: "'1e400' is beyond the range of numbers"
    ),
    Fault(change: ("org.example.clip", "clip"), says: "id is 'clip', expected a reverse domain"),
    Fault(
      change: ("org.example.clip", "org.example.\\u001b[31mclip"),
      says: "id is 'org.example. [31mclip', expected a reverse domain"
    ),
    Fault(
      change: ("\"libclip.so\"", "\"libclip.so\\u0000\""),
      says: "library is 'libclip.so ' with control characters in it"
    ),
    Fault(
      change: ("\"clip_rows\"", "\"clip_table\""),
      says: "'clip_table' of the library '",
      // It has one, but of numbers.
      and: "is data, not a function"
    ),
    Fault(change: ("\"clip_rows\"", "\"system\""), says: "has no function 'system'"),
    Fault(
      change: ("\"type\": \"float\", \"default\": 4.0", "\"type\": \"float\", \"default\": 4e200"),
      says: "option 'limit' is 4e+200, which does not fit the f32 that function 'clip_rows' takes"
    ),
  ]

  @Test(
    "a manifest that cannot be is refused in a sentence before anything is called",
    arguments: faults
  )
  func refuses(fault: Fault) throws {
    try withTemporaryDirectory { folder in
      _ = try CompiledLibrary.c(Self.clip, name: "libclip", in: folder)
      let text = Self.clipManifest
      let range = try #require(text.range(of: fault.change.0))
      let error = #expect(throws: ReFTError.self) {
        _ = try Self.plugin(
          text.replacingCharacters(in: range, with: fault.change.1),
          name: "clip",
          in: folder
        )
      }
      #expect(error?.code == .pluginRefused)
      for text in [fault.says, fault.and] {
        #expect(text.isEmpty || error?.message.contains(text) == true, "\(error?.message ?? "")")
      }
    }
  }

  @Test("a value of an option that its C type cannot hold is refused, not cut")
  func optionRange() throws {
    try withTemporaryDirectory { folder in
      _ = try CompiledLibrary.c(Self.clip, name: "libclip", in: folder)
      let text = Self.clipManifest.replacingOccurrences(
        of: "{\"name\": \"limit\", \"type\": \"float\", \"default\": 4.0}",
        with: "{\"name\": \"limit\", \"type\": \"int\", \"default\": 4}"
      ).replacingOccurrences(of: "option.limit:f32", with: "option.limit:i32")
      let plugin = try Self.plugin(text, name: "clip", in: folder)
      #expect(plugin.isolation == .none)
      _ = try instance(plugin, dim: 2, options: ["limit": .int(-2_147_483_648)])
      let error = #expect(throws: ReFTError.self) {
        _ = try instance(plugin, dim: 2, options: ["limit": .int(1 << 31)])
      }
      #expect(error?.code == .badConfiguration)
      #expect(
        error?.message.contains("option 'limit' is 2147483648, which does not fit the i32") == true
      )
    }
  }

  @Test("memory that the machine does not have is refused before anything is allocated")
  func memory() throws {
    try withTemporaryDirectory { folder in
      _ = try CompiledLibrary.c(Self.clip, name: "libclip", in: folder)
      let text = Self.clipManifest.replacingOccurrences(
        of: "\"options\": [",
        with: "\"saved\": {\"per_row\": 500000000000}, \"options\": ["
      )
      let clip = try instance(try Self.plugin(text, name: "clip", in: folder), dim: 2)
      let error = #expect(throws: ReFTError.self) { _ = try clip.plan(maxRows: 4096) }
      #expect(
        error?.message.contains("asks for saved_bytes_per_row 2000000000000 for 4096 rows") == true
      )
    }
  }

  @Test("start and constraint of a parameter must fit its shape")
  func parameterRules() throws {
    try withTemporaryDirectory { folder in
      _ = try CompiledLibrary.c(Self.clip, name: "libclip", in: folder)
      for (rule, says) in [
        ("\"constraint\": \"orthonormal_rows\"", "cannot have orthonormal rows"),
        ("\"init\": \"orthogonal\"", "is to start orthogonal but is no matrix"),
        ("\"init\": {\"uniform\": [2, 1]}", "has an empty range of initial values"),
      ] {
        let text = Self.clipManifest.replacingOccurrences(
          of: "\"options\": [",
          with: """
            "parameters": [{"name": "w", "dims": [4], "trainable": false, \(rule)}], "options": [
            """
        )
        let plugin = try Self.plugin(text, name: "clip", in: folder)
        let error = #expect(throws: ReFTError.self) { _ = try instance(plugin, dim: 2) }
        #expect(error?.message.contains("parameter 'w' ") == true)
        #expect(error?.message.contains(says) == true, "\(error?.message ?? "")")
      }
    }
  }

  @Test("sizes follow the options, and impossible ones are refused")
  func sizes() throws {
    try withTemporaryDirectory { folder in
      _ = try CompiledLibrary.c(Self.clip, name: "libclip", in: folder)
      let text = Self.clipManifest.replacingOccurrences(
        of: "\"options\": [",
        with: """
          "parameters": [{"name": "w", "dims": ["option.rank", "2*dim"], "trainable": false}],
          "options": [{"name": "rank", "type": "int", "default": 3},
          """
      )
      let plugin = try Self.plugin(text, name: "clip", in: folder)
      #expect(try instance(plugin, dim: 5).parameters[0].shape == [3, 10])
      #expect(try instance(plugin, dim: 5, options: ["rank": .int(1)]).parameters[0].count == 10)
      let error = #expect(throws: ReFTError.self) {
        _ = try instance(plugin, dim: 5, options: ["rank": .int(0)])
      }
      #expect(error?.message.contains("the size of parameter 'w' for rows of width 5") == true)
    }
  }
}

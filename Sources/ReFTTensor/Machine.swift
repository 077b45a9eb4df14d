// SPDX-License-Identifier: Apache-2.0
// What the program runs on, for reports.

import CReFTKernels
import Foundation

/// Facts about this machine.
public enum Machine {
  /// The processor's name as the system states it, or "unknown".
  public static var processorName: String {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    let name = line?.split(separator: ":").last?.trimmingCharacters(in: .whitespaces)
    return name ?? "unknown"
  }

  /// Whether the kernels for AVX2 and FMA are used, and not the portable ones.
  public static var usesFastKernels: Bool { reft_kernels_use_avx2() != 0 }

  /// The kernels that are used, in words: what decides how sums are rounded.
  public static var kernels: String {
    guard usesFastKernels else { return "portable" }
    if reft_kernels_use_tiles() != 0 { return "AVX-512, VNNI and AMX" }
    return reft_kernels_use_vnni() != 0 ? "AVX-512 and VNNI" : "AVX2 and FMA"
  }

  /// Bytes of main memory.
  public static var memoryByteCount: Int { Int(ProcessInfo.processInfo.physicalMemory) }

  /// The bytes of main memory that this process holds now.
  public static var residentByteCount: Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    return (pages ?? 0) * sysconf(Int32(_SC_PAGESIZE))
  }

  /// The bytes of mapped files that this process holds now.
  ///
  /// - Parameter paths: the files.
  /// - Returns: the sum over their mappings; 0 where the system does not say.
  public static func residentByteCount(of paths: [String]) -> Int {
    let files = Set(paths.map { URL(fileURLWithPath: $0).resolvingSymlinksInPath().path })
    let text = systemText("/proc/self/smaps")
    var isCounted = false
    var kibibytes = 0
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      if words.first?.hasSuffix(":") == true {
        if isCounted, words[0] == "Rss:", words.count > 1 { kibibytes += Int(words[1]) ?? 0 }
      } else {
        // Addresses, rights, offset, device, inode, and then the file, in whose name may be spaces.
        isCounted = words.count > 5 && files.contains(words[5...].joined(separator: " "))
      }
    }
    return kibibytes * 1024
  }

  /// A file that the system makes while it is read, which Foundation takes for one page long.
  private static func systemText(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = read(descriptor, &part, part.count), count > 0 {
      bytes += part[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The most bytes of main memory that this process has held so far.
  public static var peakResidentByteCount: Int {
    let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    let kibibytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap {
      Int($0)
    }
    return (kibibytes ?? 0) * 1024
  }

  /// Begins `peakResidentByteCount` anew with what is held now, where the system lets a process do so.
  public static func forgetPeakResidentByteCount() {
    // proc(5): "5" resets the peak. A system without it keeps counting from the process's start.
    try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))
  }
}

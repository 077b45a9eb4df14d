// SPDX-License-Identifier: Apache-2.0
// A file server on loopback for tests of fetching: HEAD, GET, ranges, and connections that break.

import Foundation
import Synchronization

/// Serves files from memory on a port of its own until it is let go.
public final class LoopbackServer: Sendable {
  /// One file, and how it is served.
  public struct File: Sendable {
    /// The content.
    public var bytes: [UInt8]
    /// The digest that the answer names.
    public var digest: String?
    /// After so many bytes the connection is cut, once.
    public var cut: Int?

    /// Describes a file.
    public init(_ bytes: [UInt8], digest: String? = nil, cut: Int? = nil) {
      (self.bytes, self.digest, self.cut) = (bytes, digest, cut)
    }
  }

  private let listener: Int32
  private let port: UInt16
  private let files: Mutex<[String: File]>
  private let log = Mutex<[String]>([])

  /// Starts serving files by their paths, such as "/org/name/resolve/main/config.json".
  public init(_ files: [String: File]) throws {
    self.files = Mutex(files)
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = listener
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, size) == 0 && listen(listener, 16) == 0
          && getsockname(listener, $0, &size) == 0
      }
    }
    guard listener >= 0, isBound else { throw POSIXError(.EADDRNOTAVAIL) }
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { [weak self] in
      while true {
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else { return }
        self?.answer(connection)
        close(connection)
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  /// The address of the server, without a slash at the end.
  public var address: String { "http://127.0.0.1:\(port)" }

  /// The first lines of all requests so far, each with its range.
  public var requests: [String] { log.withLock { $0 } }

  private func answer(_ connection: Int32) {
    var request: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while !String(decoding: request, as: UTF8.self).contains("\r\n\r\n") {
      let count = read(connection, &buffer, buffer.count)
      guard count > 0 else { return }
      request += buffer[..<count]
    }
    let lines = String(decoding: request, as: UTF8.self).components(separatedBy: "\r\n")
    let words = lines[0].split(separator: " ").map(String.init)
    guard words.count > 1 else { return }
    let range = lines.first { $0.lowercased().hasPrefix("range: bytes=") }
    let start = range.flatMap { Int($0.dropFirst(13).prefix { $0.isNumber }) }
    log.withLock { $0.append(words[0] + " " + words[1] + (start.map { " from \($0)" } ?? "")) }
    guard let file = take(words[1], isRead: words[0] == "GET") else {
      return send(connection, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n", [])
    }
    let first = min(start ?? 0, file.bytes.count)
    var head = start == nil ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 206 Partial Content\r\n"
    head += "Content-Length: \(file.bytes.count - first)\r\n"
    if start != nil {
      head += "Content-Range: bytes \(first)-\(file.bytes.count - 1)/\(file.bytes.count)\r\n"
    }
    if let digest = file.digest { head += "X-Linked-ETag: \"\(digest)\"\r\n" }
    guard words[0] == "GET" else { return send(connection, head, []) }
    let end = file.cut.map { min($0, file.bytes.count) } ?? file.bytes.count
    send(connection, head, Array(file.bytes[first..<max(first, end)]))
  }

  /// The file of a path; the cut of one that is read is made once.
  private func take(_ path: String, isRead: Bool) -> File? {
    files.withLock { files in
      let file = files[path]
      if isRead { files[path]?.cut = nil }
      return file
    }
  }

  private func send(_ connection: Int32, _ head: String, _ body: [UInt8]) {
    let bytes = Array((head + "Connection: close\r\n\r\n").utf8) + body
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { write(connection, $0.baseAddress, $0.count) }
      guard count > 0 else { return }
      done += count
    }
  }
}

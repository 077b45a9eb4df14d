// SPDX-License-Identifier: Apache-2.0
// Keys and values of new tokens go to the caches of their sequences: [position,
// kv_width] each.
#include "numbers.cuh"

// Row r of qkv holds a token's keys from column key_offset on and its values
// behind them; they go to row position_of_row[r] of keys[sequence_of_row[r]]
// and values[…].
extern "C" __global__ void store_cache(int rows, const act *qkv, int stride, int key_offset,
                                       int kv_width, const int *sequence_of_row,
                                       const int *position_of_row, act *const *keys,
                                       act *const *values) {
  // Caches begin where allocations do, so that runs of eight fit if they fit
  // the widths.
  bool of_eight = (stride | key_offset | kv_width) % 8 == 0 && wide(qkv);
  in_runs(of_eight, [&](auto width) {
    constexpr int W = decltype(width)::value;
    each_run<W>(rows, 2 * kv_width, [&](int row, int column) {
      float x[W];
      load<W>(qkv + (size_t)row * stride + key_offset + column, x);
      bool is_key = column < kv_width;
      act *cache = (is_key ? keys : values)[sequence_of_row[row]];
      size_t at = (size_t)position_of_row[row] * kv_width + (is_key ? column : column - kv_width);
      store<W>(cache + at, x);
    });
  });
}

/* SPDX-License-Identifier: Apache-2.0
 * Attention of one row over cached keys and values, for one width of registers and one format of
 * the cache. The including file defines TARGET, NAME(x), WIDTH, VECTOR, QUERIES, NUMBER, LOAD and
 * the arithmetic ZERO, SET, FMA, MUL, LOADF and STOREF on floats.
 *
 * Up to QUERIES queries of a group share each load of keys and values, four registers of sums for
 * each. Each sum is one chain of fused multiply-adds, so its bits depend on neither. */

#define ANY TARGET static inline __attribute__((always_inline))

/* Asks for what is read a panel later: the processor's own reading ahead ends with a page, and
 * starts anew with each head. It comes into the second level, as the first is full of the present
 * panel. */
ANY void NAME(ahead)(const NUMBER* at, size_t numbers) {
  for (size_t i = 0; i < numbers * sizeof(NUMBER); i += 64) {
    _mm_prefetch((const char*)at + i, _MM_HINT_T1);
  }
}

/* Scores of `count` x WIDTH neighbouring keys of a panel; asks for `wanted` numbers of each row of
 * the panel at `soon`. */
ANY void NAME(score_some)(int queries, int count, size_t n, float scale, const float* q,
                          const NUMBER* k, float* scores, size_t stride, const NUMBER* soon,
                          size_t wanted) {
  VECTOR s[QUERIES][4], factor = SET(scale);
  UNROLL for (int g = 0; g < queries; g++) UNROLL for (int u = 0; u < count; u++) s[g][u] = ZERO();
  for (size_t j = 0; j < n; j++, k += REFT_CACHE_PANEL, soon += REFT_CACHE_PANEL) {
    NAME(ahead)(soon, wanted);
    VECTOR b[QUERIES];
    UNROLL for (int g = 0; g < queries; g++) b[g] = SET(q[(size_t)g * n + j]);
    UNROLL for (int u = 0; u < count; u++) {
      VECTOR x = LOAD(k + u * WIDTH);
      UNROLL for (int g = 0; g < queries; g++) s[g][u] = FMA(x, b[g], s[g][u]);
    }
  }
  UNROLL for (int g = 0; g < queries; g++) UNROLL for (int u = 0; u < count; u++) {
    STOREF(scores + (size_t)g * stride + u * WIDTH, MUL(s[g][u], factor));
  }
}

/* Scores of all keys, and some behind them, up to a whole register. Values come next. */
ANY void NAME(score)(int queries, size_t n, size_t keys, float scale, const float* q,
                     const NUMBER* k, const NUMBER* v, float* scores, size_t stride) {
  for (size_t first = 0; first < keys;) {
    size_t left = (keys - first + WIDTH - 1) / WIDTH, count = left >= 4 ? 4 : 1;
    size_t place = first % REFT_CACHE_PANEL;
    const NUMBER* panel = k + (first - place) * n;
    const NUMBER* soon = first - place + REFT_CACHE_PANEL < keys ? panel + REFT_CACHE_PANEL * n : v;
    // The last keys of a panel ask for all that the missing ones would.
    size_t end = left > count ? place + count * WIDTH : REFT_CACHE_PANEL;
    if (count == 4) {
      NAME(score_some)
      (queries, 4, n, scale, q, panel + place, scores + first, stride, soon + place, end - place);
    } else {
      NAME(score_some)
      (queries, 1, n, scale, q, panel + place, scores + first, stride, soon + place, end - place);
    }
    first += count * WIDTH;
  }
}

/* Sums of `count` x WIDTH columns over the keys from `first` to `end`; asks for rows at `soon`. */
ANY void NAME(weigh_some)(int queries, int count, size_t n, size_t first, size_t end,
                          const float* weights, size_t stride, const NUMBER* v, const NUMBER* soon,
                          float* out) {
  VECTOR a[QUERIES][4];
  UNROLL for (int g = 0; g < queries; g++) UNROLL for (int u = 0; u < count; u++) {
    a[g][u] = first == 0 ? ZERO() : LOADF(out + (size_t)g * (n + 2) + u * WIDTH);
  }
  for (size_t key = first; key < end; key++) {
    const NUMBER* row = v + key * n;
    NAME(ahead)(soon + (key - first) * n, (size_t)count * WIDTH);
    VECTOR b[QUERIES];
    UNROLL for (int g = 0; g < queries; g++) b[g] = SET(weights[(size_t)g * stride + key]);
    UNROLL for (int u = 0; u < count; u++) {
      VECTOR x = LOAD(row + u * WIDTH);
      UNROLL for (int g = 0; g < queries; g++) a[g][u] = FMA(b[g], x, a[g][u]);
    }
  }
  UNROLL for (int g = 0; g < queries; g++) UNROLL for (int u = 0; u < count; u++) {
    STOREF(out + (size_t)g * (n + 2) + u * WIDTH, a[g][u]);
  }
}

/* Keys whose values stay in the first-level cache while their columns are gone over. */
#define KEY_BLOCK 32

ANY void NAME(weigh)(int queries, size_t n, size_t keys, const float* weights, size_t stride,
                     const NUMBER* v, const NUMBER* next, float* out) {
  for (size_t first = 0; first < keys; first += KEY_BLOCK) {
    size_t end = keys - first < KEY_BLOCK ? keys : first + KEY_BLOCK, j = 0;
    // A panel later, of these values or of the next keys.
    size_t later = first + REFT_CACHE_PANEL;
    const NUMBER* soon = later < keys ? v + later * n : next + first % REFT_CACHE_PANEL * n;
    for (; j + 4 * WIDTH <= n; j += 4 * WIDTH) {
      NAME(weigh_some)(queries, 4, n, first, end, weights, stride, v + j, soon + j, out + j);
    }
    for (; j + WIDTH <= n; j += WIDTH) {
      NAME(weigh_some)(queries, 1, n, first, end, weights, stride, v + j, soon + j, out + j);
    }
    for (; j < n; j++) {
      for (int g = 0; g < queries; g++) {
        float sum = first == 0 ? 0 : out[(size_t)g * (n + 2) + j];
        for (size_t key = first; key < end; key++) {
          sum = __builtin_fmaf(weights[(size_t)g * stride + key], NUMBER_OF(v[key * n + j]), sum);
        }
        out[(size_t)g * (n + 2) + j] = sum;
      }
    }
  }
}

ANY void NAME(attend_some)(int queries, size_t n, size_t skip, size_t keys, float scale, float cap,
                           const float* q, const NUMBER* k, const NUMBER* v, const NUMBER* next,
                           float* scores, float* out) {
  size_t stride = (keys + REFT_CACHE_PANEL - 1) / REFT_CACHE_PANEL * REFT_CACHE_PANEL;
  NAME(score)(queries, n, keys, scale, q, k, v, scores, stride);
  for (int g = 0; g < queries; g++) {
    float* row = scores + (size_t)g * stride;
    float* sums = out + (size_t)g * (n + 2) + n;
    for (size_t key = 0; key < skip; key++) row[key] = 0;
    if (cap > 0) reft_softcap_f32_avx2(keys - skip, 1, cap, row + skip);
    sums[0] = reft_max_f32_avx2(keys - skip, row + skip);
    sums[1] = reft_exp_sum_f32_avx2(keys - skip, sums[0], row + skip);
  }
  NAME(weigh)(queries, n, keys, scores, stride, v, next, out);
}

TARGET void NAME(reft_attend)(size_t group, size_t n, size_t skip, size_t keys, float scale,
                              float cap, const float* q, const void* k, const void* v,
                              const void* next, float* scores, float* out) {
  for (size_t first = 0; first < group;) {
    size_t left = group - first, count = left < QUERIES ? left : QUERIES;
    if (count == 1) NAME(attend_some)(1, n, skip, keys, scale, cap, q, k, v, next, scores, out);
    if (count == 2) NAME(attend_some)(2, n, skip, keys, scale, cap, q, k, v, next, scores, out);
    if (count == 3) NAME(attend_some)(3, n, skip, keys, scale, cap, q, k, v, next, scores, out);
#if QUERIES == 4
    if (count == 4) NAME(attend_some)(4, n, skip, keys, scale, cap, q, k, v, next, scores, out);
#endif
    first += count;
    q += count * n;
    out += count * (n + 2);
  }
}

#undef ANY
#undef NAME
#undef NUMBER
#undef NUMBER_OF
#undef LOAD
#undef KEY_BLOCK

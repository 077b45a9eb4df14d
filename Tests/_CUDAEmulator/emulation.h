// SPDX-License-Identifier: Apache-2.0
// CUDA's words for a C++ compiler: what kernels here use, and nothing more. Placed before their
// text.
#define REFT_EMULATED 1

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

static const emulation_table *emulation;
extern "C" void emulation_bind(const emulation_table *table) {
  emulation = table;
}

#define threadIdx (emulation->place()->thread)
#define blockIdx (emulation->place()->block)
#define blockDim (emulation->place()->block_size)
#define gridDim (emulation->place()->grid_size)
static const int warpSize = 32;

typedef decltype(sizeof(0)) size_t;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;

#define EMULATION_VECTOR(scalar, name, size)                                     \
  struct alignas(2 * sizeof(scalar)) name##2 {                                   \
    scalar x, y;                                                                 \
  };                                                                             \
  struct name##3 {                                                               \
    scalar x, y, z;                                                              \
  };                                                                             \
  struct alignas(size) name##4 {                                                 \
    scalar x, y, z, w;                                                           \
  };                                                                             \
  static inline name##2 make_##name##2(scalar x, scalar y) {                     \
    return {x, y};                                                               \
  }                                                                              \
  static inline name##3 make_##name##3(scalar x, scalar y, scalar z) {           \
    return {x, y, z};                                                            \
  }                                                                              \
  static inline name##4 make_##name##4(scalar x, scalar y, scalar z, scalar w) { \
    return {x, y, z, w};                                                         \
  }
EMULATION_VECTOR(char, char, 4)
EMULATION_VECTOR(unsigned char, uchar, 4)
EMULATION_VECTOR(short, short, 8)
EMULATION_VECTOR(unsigned short, ushort, 8)
EMULATION_VECTOR(int, int, 16)
EMULATION_VECTOR(unsigned, uint, 16)
EMULATION_VECTOR(float, float, 16)

// Numbers.
extern "C" {
float expf(float), exp2f(float), logf(float), log2f(float), log1pf(float), tanhf(float),
    erff(float), erfcf(float), sqrtf(float), fabsf(float), floorf(float), rintf(float),
    roundf(float), powf(float, float), fmaxf(float, float), fminf(float, float),
    fmaf(float, float, float), sinf(float), cosf(float);
double exp(double), log(double), sqrt(double);
void *memcpy(void *, const void *, size_t);
}
static inline float __expf(float x) {
  return expf(x);
}
static inline float __logf(float x) {
  return logf(x);
}
static inline float __fdividef(float x, float y) {
  return x / y;
}
static inline float rsqrtf(float x) {
  return 1 / sqrtf(x);
}
static inline float __frcp_rn(float x) {
  return 1 / x;
}
static inline float __fmaf_rn(float x, float y, float z) {
  return fmaf(x, y, z);
}
static inline float __fmul_rn(float x, float y) {
  return x * y;
}
static inline float __fadd_rn(float x, float y) {
  return x + y;
}
static inline float __int_as_float(int x) {
  return __builtin_bit_cast(float, x);
}
static inline float __uint_as_float(unsigned x) {
  return __builtin_bit_cast(float, x);
}
static inline int __float_as_int(float x) {
  return __builtin_bit_cast(int, x);
}
static inline unsigned __float_as_uint(float x) {
  return __builtin_bit_cast(unsigned, x);
}
static inline int __float2int_rn(float x) {
  return (int)rintf(x);
}
static inline int __popc(unsigned x) {
  return __builtin_popcount(x);
}
static inline int __clz(int x) {
  return x ? __builtin_clz((unsigned)x) : 32;
}
static inline int __ffs(int x) {
  return __builtin_ffs(x);
}
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {
  unsigned long long both = (unsigned long long)y << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; i++) result |= (unsigned)(both >> 8 * (s >> 4 * i & 7) & 255) << 8 * i;
  return result;
}
static inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; i++) c += (signed char)(a >> 8 * i) * (signed char)(b >> 8 * i);
  return c;
}
static inline int min(int a, int b) {
  return a < b ? a : b;
}
static inline int max(int a, int b) {
  return a > b ? a : b;
}
static inline unsigned min(unsigned a, unsigned b) {
  return a < b ? a : b;
}
static inline unsigned max(unsigned a, unsigned b) {
  return a > b ? a : b;
}
static inline long long min(long long a, long long b) {
  return a < b ? a : b;
}
static inline long long max(long long a, long long b) {
  return a > b ? a : b;
}
static inline float min(float a, float b) {
  return fminf(a, b);
}
static inline float max(float a, float b) {
  return fmaxf(a, b);
}
template <class T>
static inline T __ldg(const T *p) {
  return *p;
}
template <class T>
static inline T __ldcg(const T *p) {
  return *p;
}

// Threads.
static inline void __syncthreads() {
  emulation->sync_block();
}
static inline void __syncwarp(unsigned mask = 0xffffffffu) {
  emulation->exchange(mask, nullptr, 0);
}
static inline void __threadfence() {}
static inline void __threadfence_block() {}

static inline int emulation_lane() {
  const emulation_place *p = emulation->place();
  unsigned at = (p->thread.z * p->block_size.y + p->thread.y) * p->block_size.x + p->thread.x;
  return (int)(at % 32);
}
template <class T>
static inline T emulation_read(unsigned mask, T value, int lane) {
  T result;
  const unsigned char *values = emulation->exchange(mask, &value, sizeof value);
  memcpy(&result, values + 32 * lane, sizeof result);
  return result;
}
template <class T>
static inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  int lane = emulation_lane();
  return emulation_read(mask, value, lane / width * width + (source & (width - 1)));
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int with, int width = 32) {
  int lane = emulation_lane(), other = lane ^ with;
  return emulation_read(mask, value, other / width == lane / width ? other : lane);
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  int lane = emulation_lane(), other = lane + (int)by;
  return emulation_read(mask, value, other / width == lane / width ? other : lane);
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  int lane = emulation_lane(), other = lane - (int)by;
  return emulation_read(mask, value, other >= lane / width * width ? other : lane);
}
static inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const unsigned char *values = emulation->exchange(mask, &predicate, sizeof predicate);
  unsigned result = 0;
  for (int lane = 0; lane < 32; lane++) {
    int value = 0;
    memcpy(&value, values + 32 * lane, sizeof value);
    if (mask >> lane & 1 && value) result |= 1u << lane;
  }
  return result;
}
static inline int __any_sync(unsigned mask, int p) {
  return __ballot_sync(mask, p) != 0;
}
static inline int __all_sync(unsigned mask, int p) {
  return __ballot_sync(mask, !p) == 0;
}
static inline int atomicAdd(int *at, int value) {
  int old = *at;
  *at += value;
  return old;
}

// Calls a kernel with the arguments whose addresses a launch gives; where the first is NULL, writes
// the sizes of all to where the second leads.
template <class T, T... I>
struct emulation_sequence {};
template <class... A, int... I>
static inline void emulation_call(void (*kernel)(A...), void **p, emulation_sequence<int, I...>) {
  kernel(*(A *)p[I]...);
}
template <class... A>
static inline void emulation_call(void (*kernel)(A...), void **p) {
  if (sizeof...(A) && !p[0]) {
    unsigned *size = (unsigned *)p[1];
    ((*size++ = sizeof(A)), ...);
    return;
  }
  emulation_call(kernel, p, __make_integer_seq<emulation_sequence, int, sizeof...(A)>());
}

// SPDX-License-Identifier: Apache-2.0
// A correct little plugin, org.reft.kit, and with -DFAULT_<NAME>=1 a broken one. This file has its
// tables, options and layout; edit.h has forward and backward; faults.txt has the list.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>

#include "edit.h"

#define STR(text) \
  { text, sizeof(text) - 1 }
#define COUNT(list) (sizeof(list) / sizeof *(list))

// ---- Faults at load ----

#if FAULT_MISSING_SYMBOL
extern void nobody_defines_this(void);
void* needs_it = (void*)nobody_defines_this;
#endif
#if FAULT_OPENMP
extern int omp_get_max_threads(void) __attribute__((weak));
__attribute__((visibility("default"))) int (*kit_threads)(void) = omp_get_max_threads;
#endif
#if FAULT_TEXT_RELOCATION
__asm__(".text\n.quad reft_plugin_entry_v1\n");
#endif
#if FAULT_EXTRA_EXPORT
__attribute__((visibility("default"))) int reft_helper(void) {
  return 1;
}
#endif
#if FAULT_STRAY_EXPORT
__attribute__((visibility("default"))) int compute(void) {
  return 1;
}
#endif

#if FAULT_FORGES
// Writes "passed" wherever it may be read, and is gone before any rule looks at it.
__attribute__((constructor)) static void forge(void) {
  for (int descriptor = 3; descriptor < 1024; descriptor++) {
    if (write(descriptor, "=passed all is well\n", 20) == 20) continue;
  }
  _exit(0);
}
#endif

#if FAULT_CRASHES_AT_LOAD || FAULT_FLUSH_TO_ZERO_AT_LOAD || FAULT_SIGNAL_AT_LOAD || \
    FAULT_THREAD_AT_LOAD
__attribute__((constructor)) static void at_load(void) {
  if (FAULTY(CRASHES_AT_LOAD)) *(volatile int*)8 = 1;
  if (FAULTY(FLUSH_TO_ZERO_AT_LOAD)) set_flush_to_zero();
  if (FAULTY(SIGNAL_AT_LOAD)) signal(SIGFPE, SIG_IGN);
  pthread_t thread;
  if (FAULTY(THREAD_AT_LOAD)) pthread_create(&thread, NULL, idle, NULL);
}
#endif

// ---- Options ----

static const reft_option_info_t option_list[] = {
    {.struct_size = sizeof(reft_option_info_t),
     .type = REFT_OPTION_INT,
     .name = STR("rank"),
     .help = STR("number of directions"),
     .default_i = FAULTY(DEFAULT_OUT_OF_RANGE) ? 99 : 4,
     .minimum = 1,
     .maximum = 32},
    {.struct_size = sizeof(reft_option_info_t),
     .type = REFT_OPTION_FLOAT,
     .name = STR("scale"),
     .help = STR("factor of the edit"),
     .default_f = 1,
     .minimum = 0,
     .maximum = 4},
    {.struct_size = sizeof(reft_option_info_t),
     .type = REFT_OPTION_FLOAT,
     .name = STR("dropout"),
     .help = STR("share of directions that training leaves out"),
     .minimum = 0,
     .maximum = 0.9},
    {.struct_size = sizeof(reft_option_info_t),
     .type = REFT_OPTION_STRING,
     .name = STR("mode"),
     .help = STR("does nothing"),
     .choices = STR("plain|fancy"),
     .default_s = STR("plain"),
     .minimum = 1},
    {.struct_size = sizeof(reft_option_info_t),
     .type = REFT_OPTION_FLAG,
     .name = STR("quiet"),
     .help = STR("does nothing"),
     .default_i = 1,
     .minimum = 1},
};

static reft_status_t option_info(uint32_t index, reft_option_info_t* out) {
  if (index >= COUNT(option_list))
    return FAULTY(OPTION_PAST_END) ? REFT_E_INTERNAL : REFT_E_INVALID;
  uint32_t size = out->struct_size < sizeof *out ? out->struct_size : (uint32_t)sizeof *out;
  memcpy(out, &option_list[index], size);
  out->struct_size = size;
  if (FAULTY(OPTION_OVERRUN)) memset(out + 1, 0, 8);
  return REFT_OK;
}

static int equal(reft_str_t s, const char* text) {
  return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

static int within(const reft_option_info_t* info, double value) {
  return FAULTY(IGNORES_RANGE) || (value >= info->minimum && value <= info->maximum);
}

static int set_option(reft_instance_t* self, const reft_option_t* o) {
  if (FAULTY(LONG_STRING_OVERRUN) && o->type == REFT_OPTION_STRING)
    memcpy(self->name, o->s.ptr, o->s.len + (o->s.len > 32 ? 1 << 16 : 0));
  for (size_t i = 0; i < COUNT(option_list); i++) {
    const reft_option_info_t* info = &option_list[i];
    if (info->name.len != o->name.len || memcmp(info->name.ptr, o->name.ptr, o->name.len) != 0)
      continue;
    if (o->type != info->type) return FAULTY(IGNORES_TYPE);
    switch (i) {
      case 0:
        self->r = o->i;
        return within(info, (double)o->i);
      case 1:
        self->scale = (float)o->f;
        return within(info, o->f);
      case 2:
        self->dropout = (float)o->f;
        return within(info, o->f);
      case 3:
        self->mode = equal(o->s, "fancy");
        if (FAULTY(CRASHES_ON_CHOICE) && self->mode) abort();
        return self->mode || equal(o->s, "plain");
      default:
        return FAULTY(IGNORES_RANGE) || o->i == 0 || o->i == 1;
    }
  }
  return FAULTY(ACCEPTS_UNKNOWN_OPTION);
}

// ---- Life ----

static reft_status_t fail(const reft_host_t* host, reft_call_t* call, reft_status_t code,
                          const char* text) {
  if (!FAULTY(SILENT_REFUSAL)) host->set_error(host->context, call, code, text, strlen(text));
  return code;
}

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* options, uint32_t n_options, reft_call_t* call,
                            reft_instance_t** out) {
  *out = NULL;
  if (FAULTY(STRICT_HOST) &&
      (host->abi_minor != REFT_ABI_MINOR || host->struct_size != sizeof *host))
    return fail(host, call, REFT_E_UNSUPPORTED, "another host version");
  if (FAULTY(ALLOCATES_BY_WIDTH)) free(memset(calloc((size_t)shape->dim * 4, 1), 0, 4));
  if (shape->dim < 1 || shape->dim > 1 << 20 || shape->dtype != REFT_F32)
    return fail(host, call, REFT_E_UNSUPPORTED, "rows of 1 to 2^20 32-bit floats are served");
  if (FAULTY(CONTRADICTS_ITSELF) && shape->dim == 3) return REFT_OK;
  reft_instance_t made = {.host = host, .d = shape->dim, .r = 4, .layer = shape->layer, .scale = 1};
  if (made.r > made.d) made.r = made.d;
  for (uint32_t i = 0; i < n_options; i++)
    if (!set_option(&made, &options[i]))
      return fail(host, call, REFT_E_INVALID, "an option is unknown or out of its range");
  if (!FAULTY(IGNORES_RANGE) && made.r > 64) return fail(host, call, REFT_E_INVALID, "rank > 64");
  if (FAULTY(IGNORES_RANGE) && (made.r < 1 || made.r > 64)) made.r = 1;
  if (FAULTY(SIGNAL_IN_CREATE)) signal(SIGFPE, SIG_IGN);
  if (FAULTY(FLUSH_TO_ZERO_IN_CREATE)) set_flush_to_zero();
  if (FAULTY(LEAKS_INSTANCES)) take(40);
  reft_instance_t* self = host->alloc(host->context, sizeof *self);
  if (!self) return fail(host, call, REFT_E_NOMEM, "no memory");
  *self = made;
  snprintf(self->name, sizeof self->name, "layer%d.b", (int)shape->layer);
  shared_scale = 0.5f + (float)shape->layer;
  *out = self;
  return REFT_OK;
}

static void destroy(reft_instance_t* self) {
  if (FAULTY(DESTROYS_NULL)) self->calls = 0;
  if (FAULTY(ABORTS_IN_DESTROY) && self) abort();
  if (self && !FAULTY(KEEPS_HOST_MEMORY)) self->host->free(self->host->context, self);
}

static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
  static const reft_str_t names[] = {STR("in.weight"), STR("out.weight"), STR("in.bias")};
  if (index >= P_COUNT) return FAULTY(PARAMETER_PAST_END) ? REFT_E_UNSUPPORTED : REFT_E_INVALID;
  uint32_t size = out->struct_size < sizeof *out ? out->struct_size : (uint32_t)sizeof *out;
  if (FAULTY(STRICT_OUT) && out->struct_size != sizeof *out) return REFT_E_INVALID;
  reft_param_info_t info = {.struct_size = size,
                            .rank = index == P_BIAS ? 1 : 2,
                            .name = names[index],
                            .dims = {self->r, self->d},
                            .dtype = REFT_F32,
                            .flags = REFT_PARAM_TRAINABLE,
                            .init_kind = index == P_A ? REFT_INIT_NORMAL : REFT_INIT_ZEROS,
                            .init_b = 0.02,
                            .learning_rate_scale = 1,
                            .weight_decay_scale = 1};
  if (index == P_BIAS) info.dims[1] = 0;
  if (FAULTY(OVERFLOWING_SIZE) && index == P_B) info.dims[0] = INT64_MAX / 2;
  if (FAULTY(ENORMOUS_SIZE) && index == P_B) info.dims[0] = (1ll << 31) / self->d;
  if (FAULTY(UNKNOWN_INIT) && index == P_B) info.init_kind = 77;
  if (FAULTY(DUPLICATE_PARAMETER) && index == P_B) info.name = names[P_A];
  if (FAULTY(PARAMETER_NAME_NOT_TEXT) && index == P_B) info.name = (reft_str_t)STR("\xff\xfe");
  if (FAULTY(LAYER_IN_NAME) && index == P_BIAS)
    info.name = (reft_str_t){self->name, strlen(self->name)};
  if (FAULTY(LAYOUT_CHANGES) && self->calls > 0 && index == P_BIAS) info.dims[0] = self->r + 1;
  if (FAULTY(RANDOM_INIT) && index == P_A) info.flags |= REFT_PARAM_CUSTOM_INIT;
  memcpy(out, &info, size);
  if (FAULTY(PARAMETER_OVERRUN)) memset(out + 1, 0, 8);
  return REFT_OK;
}

static reft_status_t init_params(reft_instance_t* self, uint64_t seed, void* const* params,
                                 uint32_t n_params, reft_call_t* call) {
  (void)seed, (void)n_params, (void)call;
  for (int64_t i = 0; i < self->r * self->d; i++)
    ((float*)params[P_A])[i] = 0.02f * (float)rand() / (float)RAND_MAX;
  return REFT_OK;
}

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  const uint64_t row = (uint64_t)self->r * 4;
  uint32_t size = out->struct_size < sizeof *out ? out->struct_size : (uint32_t)sizeof *out;
  reft_workspace_t answer = {
      .struct_size = size, .saved_bytes_per_row = row, .scratch_bytes_fixed = 2 * row};
  self->max_rows = shape->max_rows;
  if (FAULTY(ASSUMES_MOST_ROWS)) answer.saved_bytes_fixed = 0;
  if (FAULTY(PLAN_VARIES)) answer.scratch_bytes_fixed += 64 * (uint64_t)(self->calls++ % 2);
  if (FAULTY(PLAN_SHRINKS)) answer.scratch_bytes_fixed += shape->max_rows < 100 ? 1 << 20 : 0;
  if (FAULTY(FLUSH_TO_ZERO_IN_PLAN)) set_flush_to_zero();
  memcpy(out, &answer, size);
  return REFT_OK;
}

static const void* extension(reft_instance_t* self, const char* id) {
  const int draws = self->dropout != 0 && !FAULTY(LIES_DETERMINISTIC);
  return !draws && strcmp(id, "reft.deterministic/1") == 0 ? self : NULL;
}

// ---- Tables ----

static const reft_plugin_t plugin = {
    .struct_size = FAULTY(SHORT_TABLE) ? 96 : sizeof(reft_plugin_t),
    .id = STR(
#if FAULT_ID_NOT_TEXT
        "org.reft.\xc3\x28"
#elif FAULT_ID_WITHOUT_DOMAIN
        "kit"
#else
        "org.reft.kit"
#endif
        ),
    .version = STR(
#if FAULT_ODD_VERSION
        "newest"
#else
        "1.0.0"
#endif
        ),
    .summary = STR("y = x + s B^T tanh(A x + b)"),
    .license = STR("Apache-2.0"),
    .capabilities = REFT_CAP_ROWWISE | REFT_CAP_REENTRANT | REFT_CAP_INPLACE | REFT_CAP_BITWISE |
                    REFT_CAP_IDENTITY_INIT | REFT_CAP_STRIDED |
                    (FAULTY(LIES_AFFINE) ? REFT_CAP_AFFINE_IN_X : 0),
    .dtypes = FAULTY(NO_FLOATS) ? 1u << REFT_F64 : 1u << REFT_F32,
    .option_info = option_info,
    .create = create,
    .destroy = destroy,
    .param_info = param_info,
    .init_params = init_params,
    .plan = FAULTY(NULL_SLOT) ? NULL : plan,
    .forward = forward,
    .backward = FAULTY(NULL_BACKWARD) ? NULL : backward,
    .extension = extension,
};

static const reft_plugin_t* const plugins[] = {&plugin, &plugin};

static reft_library_t library = {
    .struct_size = sizeof(reft_library_t),
    .abi_minor = REFT_ABI_MINOR,
    .abi_major = FAULTY(WRONG_MAJOR) ? 2 : 1,
    .n_plugins = FAULTY(DUPLICATE_ID) ? 2 : 1,
    .plugins = plugins,
};

#if FAULT_NO_ENTRY
#define reft_plugin_entry_v1 kit_entry
REFT_EXPORT const reft_library_t* kit_entry(const reft_entry_args_t* args);
#endif

const reft_library_t* reft_plugin_entry_v1(const reft_entry_args_t* args) {
  if (FAULTY(STRICT_ENTRY) && args->struct_size != sizeof *args) {
    snprintf(args->error, args->error_capacity, "another size of the arguments");
    return NULL;
  }
  Dl_info info;
  if (FAULTY(REFUSES_SEALED_COPY) && dladdr(&library, &info) && !strstr(info.dli_fname, ".so"))
    return NULL;
  if (FAULTY(ENTRY_CHANGES)) {
    reft_library_t* copy = malloc(sizeof *copy);
    *copy = library;
    return copy;
  }
  return &library;
}

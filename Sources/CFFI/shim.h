/* SPDX-License-Identifier: Apache-2.0
 * libffi's types are global variables, which Swift cannot read safely: hence functions. */
#include <ffi.h>
#include <stdint.h>

#define REFT_FFI_VOID 0
#define REFT_FFI_I32 1
#define REFT_FFI_I64 2
#define REFT_FFI_U32 3
#define REFT_FFI_U64 4
#define REFT_FFI_F32 5
#define REFT_FFI_F64 6
#define REFT_FFI_POINTER 7

static inline ffi_type* reft_ffi_type(int32_t kind) {
  switch (kind) {
    case REFT_FFI_I32:
      return &ffi_type_sint32;
    case REFT_FFI_I64:
      return &ffi_type_sint64;
    case REFT_FFI_U32:
      return &ffi_type_uint32;
    case REFT_FFI_U64:
      return &ffi_type_uint64;
    case REFT_FFI_F32:
      return &ffi_type_float;
    case REFT_FFI_F64:
      return &ffi_type_double;
    case REFT_FFI_POINTER:
      return &ffi_type_pointer;
    default:
      return &ffi_type_void;
  }
}

static inline int reft_ffi_prepare(ffi_cif* cif, uint32_t count, ffi_type* result,
                                   ffi_type** arguments) {
  return ffi_prep_cif(cif, FFI_DEFAULT_ABI, count, result, arguments) == FFI_OK;
}

/* Calls `function`; the result, when there is one, is a signed 32-bit number. */
static inline int32_t reft_ffi_call(ffi_cif* cif, void* function, void** arguments) {
  ffi_arg result = 0;
  ffi_call(cif, (void (*)(void))function, &result, arguments);
  return (int32_t)result;
}

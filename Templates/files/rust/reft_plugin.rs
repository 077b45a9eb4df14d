//! The plugin ABI of reft 1.0 for Rust: what a plugin fills and reads, as reft_plugin.h has it. That header,
//! beside this file, says what each field means and who may call what when.
#![allow(dead_code)]

use core::ffi::{c_char, c_void};

pub type Status = i32;
pub const OK: Status = 0;
pub const E_INVALID: Status = -1;
pub const E_UNSUPPORTED: Status = -2;
pub const E_NOMEM: Status = -3;
pub const E_NUMERIC: Status = -4;
pub const E_INTERNAL: Status = -5;

pub const F32: u32 = 1;

pub const CAP_ROWWISE: u64 = 1 << 0;
pub const CAP_REENTRANT: u64 = 1 << 1;
pub const CAP_INPLACE: u64 = 1 << 2;
pub const CAP_BITWISE: u64 = 1 << 3;
pub const CAP_IDENTITY_INIT: u64 = 1 << 5;
pub const CAP_AFFINE_IN_X: u64 = 1 << 6;
pub const CAP_STRIDED: u64 = 1 << 7;
pub const CAP_NO_BACKWARD: u64 = 1 << 8;

pub const PARAM_TRAINABLE: u32 = 1 << 0;
pub const PARAM_NO_DECAY: u32 = 1 << 1;
pub const PARAM_CUSTOM_INIT: u32 = 1 << 2;
pub const INIT_ZEROS: u32 = 0;
pub const INIT_CONSTANT: u32 = 1;
pub const INIT_UNIFORM: u32 = 2;
pub const INIT_NORMAL: u32 = 3;
pub const INIT_ORTHOGONAL: u32 = 4;
pub const INIT_COPY: u32 = 5;
pub const CONSTRAINT_ORTHONORMAL_ROWS: u32 = 1;
pub const CONSTRAINT_ORTHONORMAL_COLUMNS: u32 = 2;
pub const CONSTRAINT_UNIT_ROWS: u32 = 3;
pub const CONSTRAINT_BOX: u32 = 4;

pub const OPTION_INT: u32 = 1;
pub const OPTION_FLOAT: u32 = 2;
pub const OPTION_STRING: u32 = 3;
pub const OPTION_FLAG: u32 = 4;

pub const CALL_TRAINING: u32 = 1 << 0;
pub const CALL_NEED_DX: u32 = 1 << 1;
pub const CALL_NEED_DPARAMS: u32 = 1 << 2;

/// Text of the plugin or the host: not terminated.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    pub ptr: *const c_char,
    pub len: u64,
}

impl Str {
    pub const fn new(text: &'static str) -> Str {
        Str { ptr: text.as_ptr() as *const c_char, len: text.len() as u64 }
    }
}

/// A [rows, cols] view, strides in elements.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Mat {
    pub struct_size: u32,
    pub dtype: u32,
    pub data: *mut f32,
    pub rows: i64,
    pub cols: i64,
    pub row_stride: i64,
    pub col_stride: i64,
}

#[repr(C)]
pub struct OptionInfo {
    pub struct_size: u32,
    pub kind: u32,
    pub name: Str,
    pub help: Str,
    pub choices: Str,
    pub default_i: i64,
    pub default_f: f64,
    pub default_s: Str,
    pub minimum: f64,
    pub maximum: f64,
}

#[repr(C)]
pub struct OptionValue {
    pub struct_size: u32,
    pub kind: u32,
    pub name: Str,
    pub i: i64,
    pub f: f64,
    pub s: Str,
}

#[repr(C)]
pub struct ParamInfo {
    pub struct_size: u32,
    pub rank: u32,
    pub name: Str,
    pub dims: [i64; 4],
    pub dtype: u32,
    pub flags: u32,
    pub init_kind: u32,
    pub constraint: u32,
    pub init_a: f64,
    pub init_b: f64,
    pub constraint_a: f64,
    pub constraint_b: f64,
    pub learning_rate_scale: f64,
    pub weight_decay_scale: f64,
}

#[repr(C)]
pub struct Shape {
    pub struct_size: u32,
    pub dtype: u32,
    pub max_rows: i64,
    pub dim: i64,
    pub layer: i64,
    pub component: Str,
}

#[repr(C)]
pub struct Workspace {
    pub struct_size: u32,
    pub reserved0: u32,
    pub saved_bytes_per_row: u64,
    pub saved_bytes_fixed: u64,
    pub scratch_bytes_per_row: u64,
    pub scratch_bytes_fixed: u64,
}

#[repr(C)]
pub struct Rows {
    pub struct_size: u32,
    pub reserved0: u32,
    pub n: i64,
    pub example: *const i32,
    pub position: *const i32,
    pub length: *const i32,
    pub location: *const i32,
    pub subspace: *const i32,
    pub adapter: *const i32,
}

/// Opaque; belongs to the host.
#[repr(C)]
pub struct Call {
    _private: [u8; 0],
}

#[repr(C)]
pub struct Args {
    pub struct_size: u32,
    pub flags: u32,
    pub call: *mut Call,
    pub x: Mat,
    pub source: Mat,
    pub y: Mat,
    pub dy: Mat,
    pub dx: Mat,
    pub params: *const *const f32,
    pub dparams: *const *mut f32,
    pub n_params: u32,
    pub reserved0: u32,
    pub rows: *const Rows,
    pub saved: *mut c_void,
    pub saved_bytes: u64,
    pub scratch: *mut c_void,
    pub scratch_bytes: u64,
    pub rng_key: u64,
    pub rng_step: u64,
}

pub type Body = extern "C" fn(*mut c_void, i64, i64);

#[repr(C)]
pub struct Host {
    pub struct_size: u32,
    pub abi_major: u32,
    pub abi_minor: u32,
    pub reserved0: u32,
    pub context: *mut c_void,
    pub name: Str,
    pub version: Str,
    pub log: unsafe extern "C" fn(*mut c_void, i32, *const c_char, u64),
    pub set_error: unsafe extern "C" fn(*mut c_void, *mut Call, Status, *const c_char, u64),
    pub alloc: unsafe extern "C" fn(*mut c_void, u64) -> *mut c_void,
    pub free: unsafe extern "C" fn(*mut c_void, *mut c_void),
    pub parallel_for: unsafe extern "C" fn(*mut c_void, *mut Call, i64, i64, Body, *mut c_void),
    pub gemm_f32: unsafe extern "C" fn(
        *mut c_void, *mut Call, u32, u32, i64, i64, i64, f32, *const f32, i64, *const f32, i64, f32,
        *mut f32, i64,
    ),
    pub rng_normal: unsafe extern "C" fn(*mut c_void, u64, u64, u64, *mut f32, i64),
    pub rng_uniform: unsafe extern "C" fn(*mut c_void, u64, u64, u64, *mut f32, i64),
    pub cancelled: unsafe extern "C" fn(*mut c_void, *mut Call) -> u32,
    pub extension: unsafe extern "C" fn(*mut c_void, *const c_char) -> *const c_void,
}

/// One intervention; `Instance` is the plugin's own type.
#[repr(C)]
pub struct Plugin<Instance> {
    pub struct_size: u32,
    pub reserved0: u32,
    pub id: Str,
    pub version: Str,
    pub summary: Str,
    pub license: Str,
    pub capabilities: u64,
    pub dtypes: u64,
    pub option_info: Option<unsafe extern "C" fn(u32, *mut OptionInfo) -> Status>,
    pub create: unsafe extern "C" fn(
        *const Host, *const Shape, *const OptionValue, u32, *mut Call, *mut *mut Instance,
    ) -> Status,
    pub destroy: unsafe extern "C" fn(*mut Instance),
    pub param_info: unsafe extern "C" fn(*mut Instance, u32, *mut ParamInfo) -> Status,
    pub init_params:
        Option<unsafe extern "C" fn(*mut Instance, u64, *const *mut f32, u32, *mut Call) -> Status>,
    pub plan: unsafe extern "C" fn(*mut Instance, *const Shape, *mut Workspace) -> Status,
    pub forward: unsafe extern "C" fn(*mut Instance, *const Args) -> Status,
    pub backward: Option<unsafe extern "C" fn(*mut Instance, *const Args) -> Status>,
    pub extension: Option<unsafe extern "C" fn(*mut Instance, *const c_char) -> *const c_void>,
}

#[repr(C)]
pub struct Library<Instance: 'static> {
    pub struct_size: u32,
    pub abi_major: u32,
    pub abi_minor: u32,
    pub n_plugins: u32,
    pub plugins: *const &'static Plugin<Instance>,
}

#[repr(C)]
pub struct EntryArgs {
    pub struct_size: u32,
    pub host_abi_major: u32,
    pub host_abi_minor: u32,
    pub reserved0: u32,
    pub library_path: Str,
    pub error: *mut c_char,
    pub error_capacity: u64,
}

// Static data that nobody writes.
unsafe impl<Instance> Sync for Plugin<Instance> {}
unsafe impl<Instance> Sync for Library<Instance> {}

/// The `struct_size` of a type.
pub const fn size_of<T>() -> u32 {
    core::mem::size_of::<T>() as u32
}

const _: () = assert!(size_of::<Str>() == 16 && size_of::<Mat>() == 48);
const _: () = assert!(size_of::<OptionInfo>() == 104 && size_of::<OptionValue>() == 56);
const _: () = assert!(size_of::<ParamInfo>() == 120 && size_of::<Shape>() == 48);
const _: () = assert!(size_of::<Workspace>() == 40 && size_of::<Rows>() == 64);
const _: () = assert!(size_of::<Args>() == 336 && size_of::<Host>() == 136);
const _: () = assert!(size_of::<Plugin<u8>>() == 160 && size_of::<Library<u8>>() == 24);
const _: () = assert!(size_of::<EntryArgs>() == 48);

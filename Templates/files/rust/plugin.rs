//! @NAME@: y_j = x_j (1 + s_j) + b_j, a scale and a shift for each channel. The identity at first.

mod reft_plugin;
use core::ffi::{c_char, c_void, CStr};
use core::slice::{from_raw_parts, from_raw_parts_mut};
use reft_plugin::*;

pub struct Instance {
    dim: usize,
}

/// Row i of a matrix that is read, and of one that is written.
unsafe fn row<'a>(m: &Mat, i: i64) -> &'a [f32] {
    from_raw_parts(m.data.offset((i * m.row_stride) as isize), m.cols as usize)
}
unsafe fn row_mut<'a>(m: &Mat, i: i64) -> &'a mut [f32] {
    from_raw_parts_mut(m.data.offset((i * m.row_stride) as isize), m.cols as usize)
}

/// Unknown flags, other types, strided columns.
fn is_unserved(a: &Args) -> bool {
    a.flags >> 16 != 0 || a.x.dtype != F32 || (a.x.cols > 1 && a.x.col_stride != 1)
}

unsafe extern "C" fn create(
    host: *const Host,
    shape: *const Shape,
    _options: *const OptionValue,
    n_options: u32,
    call: *mut Call,
    out: *mut *mut Instance,
) -> Status {
    let (host, shape) = (&*host, &*shape);
    *out = core::ptr::null_mut();
    if n_options > 0 || shape.dim < 1 || shape.dtype != F32 {
        let why = Str::new("@NAME@ has no options and edits rows of float32");
        (host.set_error)(host.context, call, E_INVALID, why.ptr, why.len);
        return if shape.dtype != F32 { E_UNSUPPORTED } else { E_INVALID };
    }
    *out = Box::into_raw(Box::new(Instance { dim: shape.dim as usize }));
    OK
}

unsafe extern "C" fn destroy(this: *mut Instance) {
    if !this.is_null() {
        drop(Box::from_raw(this));
    }
}

unsafe extern "C" fn param_info(this: *mut Instance, index: u32, out: *mut ParamInfo) -> Status {
    if index > 1 {
        return E_INVALID;
    }
    *out = ParamInfo {
        struct_size: size_of::<ParamInfo>(),
        rank: 1,
        name: Str::new(if index == 0 { "scale" } else { "shift" }),
        dims: [(*this).dim as i64, 0, 0, 0],
        dtype: F32,
        flags: PARAM_TRAINABLE | PARAM_NO_DECAY,
        init_kind: INIT_ZEROS,
        constraint: 0,
        init_a: 0.0,
        init_b: 0.0,
        constraint_a: 0.0,
        constraint_b: 0.0,
        learning_rate_scale: 1.0,
        weight_decay_scale: 1.0,
    };
    OK
}

unsafe extern "C" fn plan(_this: *mut Instance, _shape: *const Shape, out: *mut Workspace) -> Status {
    *out = Workspace { struct_size: size_of::<Workspace>(), ..core::mem::zeroed() }; // no further memory
    OK
}

unsafe extern "C" fn forward(this: *mut Instance, args: *const Args) -> Status {
    let (dim, a) = ((*this).dim, &*args);
    if is_unserved(a) {
        return E_UNSUPPORTED;
    }
    let scale = from_raw_parts(*a.params, dim);
    let shift = from_raw_parts(*a.params.add(1), dim);
    for i in 0..a.x.rows {
        // x and y may be the same memory: pointers, not slices.
        let x = row(&a.x, i).as_ptr();
        let y = row_mut(&a.y, i).as_mut_ptr();
        for j in 0..dim {
            *y.add(j) = *x.add(j) * (1.0 + scale[j]) + shift[j];
        }
    }
    OK
}

unsafe extern "C" fn backward(this: *mut Instance, args: *const Args) -> Status {
    let (dim, a) = ((*this).dim, &*args);
    if is_unserved(a) {
        return E_UNSUPPORTED;
    }
    let scale = from_raw_parts(*a.params, dim);
    for i in 0..a.x.rows {
        let x = row(&a.x, i);
        let dy = a.dy.data.offset((i * a.dy.row_stride) as isize);
        if a.flags & CALL_NEED_DPARAMS != 0 {
            let d_scale = from_raw_parts_mut(*a.dparams, dim);
            let d_shift = from_raw_parts_mut(*a.dparams.add(1), dim);
            for j in 0..dim {
                // gradients are added to,
                d_scale[j] += *dy.add(j) * x[j];
                d_shift[j] += *dy.add(j);
            }
        }
        if a.flags & CALL_NEED_DX != 0 {
            let dx = a.dx.data.offset((i * a.dx.row_stride) as isize);
            for j in 0..dim {
                *dx.add(j) = *dy.add(j) * (1.0 + scale[j]); // dx is overwritten
            }
        }
    }
    OK
}

/// In training too, numbers depend on x and the parameters alone.
unsafe extern "C" fn extension(this: *mut Instance, id: *const c_char) -> *const c_void {
    if CStr::from_ptr(id).to_bytes() == b"reft.deterministic/1" {
        return this as *const c_void;
    }
    core::ptr::null()
}

static PLUGIN: Plugin<Instance> = Plugin {
    struct_size: size_of::<Plugin<Instance>>(),
    reserved0: 0,
    id: Str::new("org.example.@NAME@"),
    version: Str::new("0.1.0"),
    summary: Str::new("y = x (1 + s) + b"),
    license: Str::new("Apache-2.0"),
    capabilities: CAP_ROWWISE | CAP_REENTRANT | CAP_INPLACE | CAP_BITWISE | CAP_IDENTITY_INIT
        | CAP_AFFINE_IN_X,
    dtypes: 1 << F32,
    option_info: None,
    create,
    destroy,
    param_info,
    init_params: None,
    plan,
    forward,
    backward: Some(backward),
    extension: Some(extension),
};
static ALL: [&Plugin<Instance>; 1] = [&PLUGIN];
static LIBRARY: Library<Instance> = Library {
    struct_size: size_of::<Library<Instance>>(),
    abi_major: 1,
    abi_minor: 0,
    n_plugins: 1,
    plugins: ALL.as_ptr(),
};

#[no_mangle]
pub extern "C" fn reft_plugin_entry_v1(_args: *const EntryArgs) -> *const Library<Instance> {
    &LIBRARY
}

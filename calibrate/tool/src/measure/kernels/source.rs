//! Puts a kernel's body between the declarations that it needs.

use std::fmt::Write as _;

use super::{Kernel, Of, Param};
use crate::measure::numbers::Format;

/// The WGSL of a kernel for numbers of this format; entry point `main`.
#[must_use]
pub fn wgsl(kernel: &Kernel, format: Format, software: bool) -> String {
    let (threads, body) =
        kernel.software.filter(|_| software).unwrap_or((kernel.threads, kernel.wgsl));
    let number = if format == Format::F16 { "f16" } else { "f32" };
    let mut out = String::new();
    if format == Format::F16 {
        out.push_str("enable f16;\n");
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "alias T = {number};\nalias T4 = vec4<{number}>;");
    for (binding, arg) in kernel.buffers.iter().enumerate() {
        let access = if arg.written { "read_write" } else { "read" };
        let element = match arg.of {
            Of::Numbers => "T",
            Of::Quads => "T4",
            Of::F32 => "f32",
            Of::U32 => "u32",
            Of::Blocks => "vec4<u32>",
        };
        let name = arg.name;
        let _ = writeln!(
            out,
            "@group(0) @binding({binding}) var<storage, {access}> {name}: array<{element}>;"
        );
    }
    let fields: Vec<String> = kernel
        .params
        .iter()
        .map(|param| match param {
            Param::Whole(name) => format!("{name}: u32"),
            Param::Real(name) => format!("{name}: f32"),
        })
        .collect();
    let binding = kernel.buffers.len();
    let _ = writeln!(out, "struct P {{ {} }}", fields.join(", "));
    let _ = writeln!(out, "@group(0) @binding({binding}) var<uniform> p: P;");
    out.push_str(kernel.wgsl_globals);
    let _ = writeln!(
        out,
        "@compute @workgroup_size({threads})\n\
         fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>,\n\
         \x20       @builtin(local_invocation_index) lid: u32) {{\n\
         \x20   let groups = nwg.x * nwg.y;\n\
         \x20   let group = wg.x + wg.y * nwg.x;\n\
         \x20   let i = group * {threads}u + lid;\n{body}}}"
    );
    out
}

/// The CUDA C of a kernel for numbers of this format; entry point `kernel_main`. It includes no
/// headers, so that it compiles where NVRTC is all there is.
#[must_use]
pub fn cuda(kernel: &Kernel, format: Format) -> String {
    let mut out = String::from(match format {
        Format::F16 => CUDA_F16,
        Format::Bf16 => CUDA_BF16,
        Format::F32 | Format::U32 => CUDA_F32,
    });
    out.push_str(CUDA_COMMON);
    let fields: Vec<String> = kernel
        .params
        .iter()
        .map(|param| match param {
            Param::Whole(name) => format!("u32 {name};"),
            Param::Real(name) => format!("float {name};"),
        })
        .collect();
    let args: Vec<String> = kernel
        .buffers
        .iter()
        .map(|arg| {
            let element = match arg.of {
                Of::Numbers => "T",
                Of::Quads => "T4",
                Of::F32 => "float",
                Of::U32 => "u32",
                Of::Blocks => "uint4",
            };
            let constant = if arg.written { "" } else { "const " };
            format!("{constant}{element}* __restrict__ {}", arg.name)
        })
        .collect();
    let _ = writeln!(
        out,
        "struct P {{ {} }};\n\
         extern \"C\" __global__ void __launch_bounds__({threads}) kernel_main({}, P p) {{\n\
         \x20   const u32 groups = gridDim.x * gridDim.y;\n\
         \x20   const u32 group = blockIdx.x + blockIdx.y * gridDim.x;\n\
         \x20   const u32 lid = threadIdx.x;\n\
         \x20   const u32 i = (group * {threads}u + lid) / {lanes}u;\n\
         \x20   (void)groups; (void)i;\n{body}}}",
        fields.join(" "),
        args.join(", "),
        threads = kernel.threads,
        lanes = kernel.cuda_lanes,
        body = kernel.cuda
    );
    out
}

const CUDA_F32: &str = "\
typedef unsigned int u32;
typedef float T;
struct __align__(16) T4 { T x, y, z, w; };
__device__ __forceinline__ float get(T v) { return v; }
__device__ __forceinline__ T put(float v) { return v; }
";

/// Rounds to nearest, ties to even, as the hardware does; NaN stays NaN.
const CUDA_BF16: &str = "\
typedef unsigned int u32;
typedef unsigned short T;
struct __align__(8) T4 { T x, y, z, w; };
__device__ __forceinline__ float get(T v) { return __uint_as_float((u32)v << 16); }
__device__ __forceinline__ T put(float v) {
    u32 b = __float_as_uint(v);
    if ((b & 0x7fffffffu) > 0x7f800000u) return (T)0x7fff;
    return (T)((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
}
";

const CUDA_F16: &str = "\
typedef unsigned int u32;
typedef unsigned short T;
struct __align__(8) T4 { T x, y, z, w; };
__device__ __forceinline__ float get(T v) {
    float f; asm(\"cvt.f32.f16 %0, %1;\" : \"=f\"(f) : \"h\"(v)); return f;
}
__device__ __forceinline__ T put(float v) {
    T h; asm(\"cvt.rn.f16.f32 %0, %1;\" : \"=h\"(h) : \"f\"(v)); return h;
}
";

const CUDA_COMMON: &str = "\
__device__ __forceinline__ float4 get4(T4 v) {
    return make_float4(get(v.x), get(v.y), get(v.z), get(v.w));
}
__device__ __forceinline__ T4 put4(float4 v) {
    T4 t; t.x = put(v.x); t.y = put(v.y); t.z = put(v.z); t.w = put(v.w); return t;
}
__device__ __forceinline__ float silu(float v) { return v / (1.0f + expf(-v)); }
";

//! Products by cuBLASLt, and several at once by cuBLAS's grouped product.
//!
//! Our matrices lie row by row, cuBLAS's column by column: C = A·B is computed as Cᵀ = Bᵀ·Aᵀ, for
//! which no matrix moves.
#![allow(unsafe_code)]

use std::ffi::c_void;

use cudarc::cublas::sys as cublas;
use cudarc::cublaslt::{result as lt, sys as ltsys};
use cudarc::driver::result;
use cudarc::driver::sys::{CUdeviceptr, CUstream};

use super::failed;
use crate::measure::backend::{DeviceError, Gemm};
use crate::measure::numbers::Format;

/// Room that cuBLASLt may use beside its matrices; what NVIDIA advises for Hopper.
const WORKSPACE: usize = 32 << 20;

/// The binary logarithm of the strictest alignment that cuBLASLt knows: 256 bytes.
const MOST_ALIGNED: u32 = 8;

/// Handles, and what plans need as long as they live.
pub struct Blas {
    stream: CUstream,
    lt: ltsys::cublasLtHandle_t,
    grouped: Option<cublas::cublasHandle_t>,
    workspace: CUdeviceptr,
    tables: Vec<CUdeviceptr>,
    plans: Vec<LtPlan>,
}

/// A product that is ready to run.
pub enum Product {
    /// One product: the index of its plan, and its matrices.
    One(usize, [CUdeviceptr; 3]),
    /// One product for each group of rows.
    Grouped(Box<Groups>),
}

impl Product {
    /// Whether it is several at once.
    pub const fn is_grouped(&self) -> bool {
        matches!(self, Self::Grouped(_))
    }
}

struct LtPlan {
    operation: ltsys::cublasLtMatmulDesc_t,
    layouts: [ltsys::cublasLtMatrixLayout_t; 3],
    algorithm: ltsys::cublasLtMatmulAlgo_t,
}

/// The arguments of a grouped product; pointers to matrices lie in device memory.
pub struct Groups {
    operations: Vec<cublas::cublasOperation_t>,
    /// Rows, columns and inner dimension of each, as cuBLAS counts them.
    sides: [Vec<i32>; 3],
    ones: Vec<f32>,
    zeros: Vec<f32>,
    sizes: Vec<i32>,
    /// Device tables of pointers to the first and second operand and the result.
    tables: [CUdeviceptr; 3],
    number: cublas::cudaDataType_t,
}

fn refused(what: &str, error: impl std::fmt::Debug) -> DeviceError {
    DeviceError::Failed(format!("{what}: {error:?}"))
}

const fn number(format: Format) -> ltsys::cudaDataType {
    match format {
        Format::F32 | Format::U32 => ltsys::cudaDataType::CUDA_R_32F,
        Format::F16 => ltsys::cudaDataType::CUDA_R_16F,
        Format::Bf16 => ltsys::cudaDataType::CUDA_R_16BF,
    }
}

const fn number_of_cublas(format: Format) -> cublas::cudaDataType_t {
    match format {
        Format::F32 | Format::U32 => cublas::cudaDataType_t::CUDA_R_32F,
        Format::F16 => cublas::cudaDataType_t::CUDA_R_16F,
        Format::Bf16 => cublas::cudaDataType_t::CUDA_R_16BF,
    }
}

impl Blas {
    /// Handles on this stream.
    pub fn new(stream: CUstream) -> Result<Self, DeviceError> {
        let lt = lt::create_handle().map_err(|e| refused("cuBLASLt", e))?;
        // SAFETY: freed with the process.
        let workspace = unsafe { result::malloc_sync(WORKSPACE) }.map_err(failed)?;
        let grouped = grouped_handle(stream)?;
        Ok(Self { stream, lt, grouped, workspace, tables: Vec::new(), plans: Vec::new() })
    }

    /// Gives back what plans needed; none of them may run any more.
    pub fn release(&mut self) {
        for table in self.tables.drain(..) {
            // SAFETY: allocated here. After a lost context there is nothing to free.
            let _ = unsafe { result::free_sync(table) };
        }
        for plan in self.plans.drain(..) {
            // SAFETY: created here, and no product refers to them any more.
            unsafe {
                let _ = lt::destroy_matmul_desc(plan.operation);
                for layout in plan.layouts {
                    let _ = lt::destroy_matrix_layout(layout);
                }
            }
        }
    }

    /// What runs a product: nothing without rows, one plan a group where there is no grouped one.
    pub fn plan(
        &mut self,
        gemm: &Gemm,
        [a, b, c]: [CUdeviceptr; 3],
    ) -> Result<Vec<Product>, DeviceError> {
        let (n, k) = (u64::from(gemm.n), u64::from(gemm.k));
        let (size, out) = (gemm.format.bytes(), gemm.out.bytes());
        let mut row = 0;
        let mut groups = Vec::new();
        for (group, &rows) in (u64::from(gemm.first_group)..).zip(&gemm.rows) {
            let from = row;
            row += u64::from(rows);
            if rows > 0 {
                let matrix = b + group * n * k * size;
                groups.push((rows, [a + from * k * size, matrix, c + from * n * out]));
            }
        }
        if groups.len() > 1 && self.grouped.is_some() && gemm.format == gemm.out {
            return Ok(vec![self.grouped_plan(gemm, &groups)?]);
        }
        let one = |(rows, matrices): (u32, [CUdeviceptr; 3])| {
            Ok(Product::One(self.lt_plan(gemm, rows, matrices)?, matrices))
        };
        groups.into_iter().map(one).collect()
    }

    fn lt_plan(
        &mut self,
        gemm: &Gemm,
        rows: u32,
        [a, b, c]: [CUdeviceptr; 3],
    ) -> Result<usize, DeviceError> {
        let wrong = |e: lt::CublasError| refused("cuBLASLt", e);
        let single = ltsys::cudaDataType::CUDA_R_32F;
        let compute = ltsys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let operation = lt::create_matmul_desc(compute, single).map_err(wrong)?;
        if let Some(sms) = gemm.sms {
            let sms = sms as i32;
            // SAFETY: the attribute is one 32-bit integer, read during the call.
            unsafe {
                lt::set_matmul_desc_attribute(
                    operation,
                    ltsys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET,
                    (&raw const sms).cast(),
                    size_of::<i32>(),
                )
            }
            .map_err(wrong)?;
        }
        let (m, n, k) = (u64::from(rows), u64::from(gemm.n), u64::from(gemm.k));
        let layout = |format, rows: u64, columns: u64| {
            lt::create_matrix_layout(number(format), rows, columns, rows as i64).map_err(wrong)
        };
        let layouts =
            [layout(gemm.format, n, k)?, layout(gemm.format, k, m)?, layout(gemm.out, n, m)?];
        let preference = preference([b, a, c, c])?;
        // SAFETY: handles are live, and the preference is not used after it is destroyed.
        let found = unsafe {
            let found = lt::get_matmul_algo_heuristic(
                self.lt, operation, layouts[0], layouts[1], layouts[2], layouts[2], preference,
            );
            let _ = lt::destroy_matmul_pref(preference);
            found
        };
        let shape = format!("cuBLASLt knows no way for {m}×{n}×{k}");
        let algorithm =
            found.map_err(|e| DeviceError::Unsupported(format!("{shape}: {e:?}")))?.algo;
        self.plans.push(LtPlan { operation, layouts, algorithm });
        Ok(self.plans.len() - 1)
    }

    fn grouped_plan(
        &mut self,
        gemm: &Gemm,
        groups: &[(u32, [CUdeviceptr; 3])],
    ) -> Result<Product, DeviceError> {
        let count = groups.len();
        // cuBLAS's first operand is our B, its second our A.
        let mut tables = [0; 3];
        for (table, which) in tables.iter_mut().zip([1, 0, 2]) {
            let pointers: Vec<u64> = groups.iter().map(|(_, matrices)| matrices[which]).collect();
            // SAFETY: freed in `release`; the copy ends before the call returns.
            *table = unsafe {
                let table = result::malloc_sync(count * size_of::<u64>()).map_err(failed)?;
                self.tables.push(table);
                result::memcpy_htod_sync(table, &pointers).map_err(failed)?;
                table
            };
        }
        let rows = groups.iter().map(|(rows, _)| *rows as i32).collect();
        Ok(Product::Grouped(Box::new(Groups {
            operations: vec![cublas::cublasOperation_t::CUBLAS_OP_N; count],
            sides: [vec![gemm.n as i32; count], rows, vec![gemm.k as i32; count]],
            ones: vec![1.0; count],
            zeros: vec![0.0; count],
            sizes: vec![1; count],
            tables,
            number: number_of_cublas(gemm.format),
        })))
    }

    /// Enqueues a product.
    pub fn run(&self, product: &Product) -> Result<(), DeviceError> {
        match product {
            Product::One(plan, [a, b, c]) => {
                let plan = &self.plans[*plan];
                let (one, zero) = (1.0_f32, 0.0_f32);
                // SAFETY: plan and matrices live until `release`; scalars are read during the call.
                unsafe {
                    lt::matmul(
                        self.lt,
                        plan.operation,
                        (&raw const one).cast(),
                        (&raw const zero).cast(),
                        *b as *const c_void,
                        plan.layouts[0],
                        *a as *const c_void,
                        plan.layouts[1],
                        *c as *const c_void,
                        plan.layouts[2],
                        *c as *mut c_void,
                        plan.layouts[2],
                        &raw const plan.algorithm,
                        self.workspace as *mut c_void,
                        WORKSPACE,
                        self.stream.cast(),
                    )
                }
                .map_err(|e| refused("cuBLASLt", e))
            }
            Product::Grouped(groups) => self.run_groups(groups),
        }
    }

    fn run_groups(&self, groups: &Groups) -> Result<(), DeviceError> {
        let Some(handle) = self.grouped else {
            return Err(DeviceError::Unsupported("grouped products".to_owned()));
        };
        let [first, second, result] = groups.tables;
        let [n, m, k] = &groups.sides;
        // SAFETY: host arrays hold one entry a group and are read during the call; device tables and
        // the matrices they point to live until `release`.
        unsafe {
            cublas::cublasGemmGroupedBatchedEx(
                handle,
                groups.operations.as_ptr(),
                groups.operations.as_ptr(),
                n.as_ptr(),
                m.as_ptr(),
                k.as_ptr(),
                groups.ones.as_ptr().cast(),
                first as *const *const c_void,
                groups.number,
                n.as_ptr(),
                second as *const *const c_void,
                groups.number,
                k.as_ptr(),
                groups.zeros.as_ptr().cast(),
                result as *const *mut c_void,
                groups.number,
                n.as_ptr(),
                groups.sizes.len() as i32,
                groups.sizes.as_ptr(),
                cublas::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            )
        }
        .result()
        .map_err(|e| refused("cuBLAS's grouped product", e))
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        self.release();
        // SAFETY: made here and given back once, after the stream was waited for. What cannot be
        // given back goes with the process.
        unsafe {
            let _ = result::free_sync(self.workspace);
            let _ = lt::destroy_handle(self.lt);
            if let Some(handle) = self.grouped {
                let _ = cudarc::cublas::result::destroy_handle(handle);
            }
        }
    }
}

/// What an algorithm may use and rely on: room, and how its operands are aligned. Without a word
/// cuBLASLt takes them to be aligned as whole buffers are, which the rows of a later group are not.
fn preference(
    operands: [CUdeviceptr; 4],
) -> Result<ltsys::cublasLtMatmulPreference_t, DeviceError> {
    use ltsys::cublasLtMatmulPreferenceAttributes_t as P;
    let wrong = |e: lt::CublasError| refused("cuBLASLt", e);
    let made = lt::create_matmul_pref().map_err(wrong)?;
    let room = WORKSPACE;
    let aligned = operands.map(|at| 1_u32 << at.trailing_zeros().min(MOST_ALIGNED));
    let sides = [
        P::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        P::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        P::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        P::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
    ];
    let most = P::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    // SAFETY: the room is one machine word, an alignment 32 bits; both are read during the call.
    unsafe {
        lt::set_matmul_pref_attribute(made, most, (&raw const room).cast(), size_of::<usize>())
            .map_err(wrong)?;
        for (side, bytes) in sides.into_iter().zip(&aligned) {
            let value = std::ptr::from_ref(bytes).cast();
            lt::set_matmul_pref_attribute(made, side, value, size_of::<u32>()).map_err(wrong)?;
        }
    }
    Ok(made)
}

/// A handle for grouped products; none where cuBLAS is older than 12.5 and has none.
fn grouped_handle(stream: CUstream) -> Result<Option<cublas::cublasHandle_t>, DeviceError> {
    type Any = unsafe extern "C" fn();
    // SAFETY: the symbol is only looked for.
    if unsafe { cublas::culib().get::<Any>(b"cublasGemmGroupedBatchedEx") }.is_err() {
        return Ok(None);
    }
    let handle = cudarc::cublas::result::create_handle().map_err(|e| refused("cuBLAS", e))?;
    // SAFETY: handle and stream are live.
    unsafe { cudarc::cublas::result::set_stream(handle, stream.cast()) }
        .map_err(|e| refused("cuBLAS", e))?;
    Ok(Some(handle))
}

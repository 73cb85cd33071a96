//! The table beside a profile: `family`, coordinates `x0`…`x4`, `knot`, `residual`.
//!
//! One row is the log residual of one measured shape at one running size, in ten-thousandths, so
//! that the table stays small: half of 10⁻⁴ is far below any measurement's noise.

use std::collections::BTreeMap;

use crate::base::table::{Table, TableError};
use crate::kernels::curves::{Curves, Kriging, Site};
use crate::kernels::profile::{MemoryKernel, MovingFit};

/// Residuals are stored in units of this.
pub(super) const UNIT: f64 = 1e-4;
/// Log residuals beyond this are no measurement: a factor of 10⁶.
const MOST: f64 = 14.0;

/// Residuals by family, then by shape, then by running size.
pub(super) struct Residuals<'t> {
    families: BTreeMap<&'t str, BTreeMap<Vec<u32>, BTreeMap<u32, f64>>>,
    table: &'t Table,
}

impl<'t> Residuals<'t> {
    pub(super) fn new(table: &'t Table) -> Result<Self, TableError> {
        let families_of_rows = table.texts("family")?;
        let axes = [0, 1, 2, 3, 4].map(|axis| format!("x{axis}"));
        let coordinates =
            axes.iter().map(|name| table.integers(name)).collect::<Result<Vec<_>, _>>()?;
        let (knots, residuals) = (table.integers("knot")?, table.integers("residual")?);
        let mut families: BTreeMap<&str, BTreeMap<Vec<u32>, BTreeMap<u32, f64>>> = BTreeMap::new();
        for row in 0..table.rows() {
            let whole = |value: Option<i64>| value.and_then(|v| u32::try_from(v).ok());
            let at: Vec<u32> = coordinates.iter().map_while(|axis| whole(axis[row])).collect();
            let knot = whole(knots[row]).filter(|knot| *knot > 0);
            let residual = residuals[row].map(|r| r as f64 * UNIT).filter(|r| r.abs() <= MOST);
            let (Some(family), Some(knot), Some(residual)) =
                (families_of_rows[row], knot, residual)
            else {
                return Err(wrong(table, format!("row {row} is incomplete or out of range")));
            };
            families.entry(family).or_default().entry(at).or_default().insert(knot, residual);
        }
        Ok(Self { families, table })
    }

    /// The curves of a family; none at all when the table does not know it.
    pub(super) fn curves(&self, family: &str, kriging: Kriging) -> Result<Curves, TableError> {
        let axes = kriging.scales.first().map_or(0, |scale| scale.lengths.len());
        self.curves_of(family, axes, kriging)
    }

    /// As [`Self::curves`], of shapes with this many coordinates; lengths beyond are of those that change
    /// along curves.
    pub(super) fn curves_of(
        &self,
        family: &str,
        axes: usize,
        kriging: Kriging,
    ) -> Result<Curves, TableError> {
        let Some(shapes) = self.families.get(family) else {
            return Ok(Curves::none());
        };
        let knots: Option<Vec<u32>> = shapes.values().next().map(|c| c.keys().copied().collect());
        let knots = knots.unwrap_or_default();
        let mut sites = Vec::with_capacity(shapes.len());
        for (at, curve) in shapes {
            if at.len() != axes || !curve.keys().eq(&knots) {
                let found = format!("family {family}: shape {at:?} does not match the others");
                return Err(wrong(self.table, found));
            }
            sites.push(Site { at: at.clone(), residual: curve.values().copied().collect() });
        }
        Ok(Curves::new(knots.into_iter().map(f64::from).collect(), sites, kriging))
    }
}

impl Residuals<'_> {
    /// Of kernels that mostly move memory and were measured by themselves: by the width of a row, then by bytes.
    pub(super) fn of_memory_kernels(&self) -> BTreeMap<MemoryKernel, MovingFit> {
        let of = |kernel: MemoryKernel| {
            let shapes = self.families.get(format!("memory/{}", kernel.name()).as_str())?;
            let wide = |(at, curve): (&Vec<u32>, &BTreeMap<u32, f64>)| {
                at.first().map(|&width| (width, curve.clone()))
            };
            Some((kernel, MovingFit { residual: shapes.iter().filter_map(wide).collect() }))
        };
        MemoryKernel::ALL.into_iter().filter_map(of).collect()
    }
}

fn wrong(table: &Table, found: String) -> TableError {
    TableError {
        table: table.name().to_owned(),
        column: None,
        found,
        help: "write the profile again with `calibrate fit`".to_owned(),
    }
}

//! What `plotters` asks of wasm-bindgen.

/// Conversions between types of a browser's objects; here there is one type.
pub trait JsCast: Sized {
    /// The same as another type.
    ///
    /// # Errors
    /// None.
    fn dyn_into<T: From<Self>>(self) -> Result<T, Self> {
        Ok(T::from(self))
    }
}

impl<T> JsCast for T {}

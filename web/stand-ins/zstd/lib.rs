//! What `parquet` asks of zstd, with ruzstd beneath, which is Rust alone. Tables are read; none is written in a browser.

/// Whole buffers at once.
pub mod bulk {
    use std::io::{self, Cursor};
    use std::marker::PhantomData;

    use ruzstd::decoding::FrameDecoder;

    /// Reads frames.
    pub struct Decompressor<'a> {
        decoder: FrameDecoder,
        life: PhantomData<&'a ()>,
    }

    impl Decompressor<'static> {
        /// One that has read nothing yet.
        ///
        /// # Errors
        /// None: as zstd's own is declared.
        pub fn new() -> io::Result<Self> {
            Ok(Self { decoder: FrameDecoder::new(), life: PhantomData })
        }
    }

    impl Decompressor<'_> {
        /// Reads whole frames to where the buffer is, within the room that it has reserved; tells how many bytes it
        /// then holds beyond that place.
        ///
        /// # Errors
        /// If they are no frames of zstd, or hold more than there is room for.
        pub fn decompress_to_buffer(
            &mut self,
            frames: &[u8],
            to: &mut Cursor<&mut Vec<u8>>,
        ) -> io::Result<usize> {
            let at = usize::try_from(to.position()).map_err(io::Error::other)?;
            let room = to.get_ref().capacity().saturating_sub(at);
            let buffer = &mut **to.get_mut();
            buffer.resize(at + room, 0);
            let read = self.decoder.decode_all(frames, &mut buffer[at..]).map_err(io::Error::other)?;
            buffer.truncate(at + read);
            to.set_position((at + read) as u64);
            Ok(read)
        }
    }

    /// Writes nothing.
    pub struct Compressor<'a>(PhantomData<&'a ()>);

    impl Compressor<'static> {
        /// One that will refuse.
        ///
        /// # Errors
        /// None: as zstd's own is declared.
        pub fn new(_level: i32) -> io::Result<Self> {
            Ok(Self(PhantomData))
        }
    }

    impl Compressor<'_> {
        /// Nothing is compressed here.
        ///
        /// # Errors
        /// Always.
        pub fn compress_to_buffer(
            &mut self,
            _bytes: &[u8],
            _to: &mut Cursor<&mut Vec<u8>>,
        ) -> io::Result<usize> {
            Err(io::Error::other("tables are not written in WebAssembly: zstd is read alone"))
        }
    }
}

/// Sizes.
pub mod zstd_safe {
    /// The size of a frame's contents is not looked up: pages of Parquet say it themselves.
    ///
    /// # Errors
    /// None.
    pub const fn get_frame_content_size(_frame: &[u8]) -> Result<Option<u64>, ()> {
        Ok(None)
    }

    /// Room for compressed bytes, of which there are none.
    #[must_use]
    pub const fn compress_bound(_bytes: usize) -> usize {
        0
    }
}

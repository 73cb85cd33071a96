//! What `plotters` asks of a browser's page: how large a text is. It makes an element with a text and a style, puts it
//! into the page, and asks for the element's height and width.
//!
//! Here the answers are those that plotters' own measure gives where it is not compiled to WebAssembly
//! (`style/font/ab_glyph.rs`): the advances of the glyphs and their kerning, in the font that moesim ships.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, ScaleFont};

const FONT: &[u8] = include_bytes!("../../../sim/output/plot/font/LiberationSans-Regular.ttf");
/// Of a size of the font, what plotters takes for its em.
const SIZE_PER_EM: f64 = 1.24;

/// The window of a page.
pub struct Window;

/// The window.
#[must_use]
pub const fn window() -> Option<Window> {
    Some(Window)
}

impl Window {
    /// Its document.
    #[must_use]
    pub const fn document(&self) -> Option<Document> {
        Some(Document)
    }
}

/// A page.
pub struct Document;

impl Document {
    /// Where elements are put.
    #[must_use]
    pub fn body(&self) -> Option<HtmlElement> {
        Some(Element::default())
    }

    /// An element without a text.
    ///
    /// # Errors
    /// None.
    pub fn create_element(&self, _name: &str) -> Result<Element, Infallible> {
        Ok(Element::default())
    }
}

/// An element of a page: its text and its size.
#[derive(Debug, Default)]
pub struct Element {
    text: RefCell<String>,
    size: Cell<f64>,
}

/// Elements are all of a kind here.
pub type HtmlElement = Element;
/// Elements are all that a page has here.
pub type Node = Element;

impl Element {
    /// Gives it a text.
    pub fn set_text_content(&self, text: Option<&str>) {
        self.text.replace(text.unwrap_or_default().to_owned());
    }

    /// Gives it a style, of which the size of the font counts.
    ///
    /// # Errors
    /// None.
    pub fn set_attribute(&self, _name: &str, style: &str) -> Result<(), Infallible> {
        let size = style.split("font-size: ").nth(1).and_then(|rest| rest.split("px").next());
        self.size.set(size.and_then(|size| size.parse().ok()).unwrap_or_default());
        Ok(())
    }

    /// Puts another one into it.
    ///
    /// # Errors
    /// None.
    pub fn append_with_node_1(&self, _other: &Node) -> Result<(), Infallible> {
        Ok(())
    }

    /// Takes it out of the page.
    pub fn remove(&self) {}

    /// Its height in pixels.
    #[must_use]
    pub fn offset_height(&self) -> i32 {
        (self.size.get() / SIZE_PER_EM) as i32
    }

    /// Its width in pixels.
    #[must_use]
    pub fn offset_width(&self) -> i32 {
        static SHIPPED: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
        let shipped = SHIPPED.get_or_init(|| FontRef::try_from_slice(FONT).ok());
        let Some(font) = shipped else { return 0 };
        let font = font.as_scaled(self.size.get() as f32);
        let (mut wide, mut before) = (0.0_f32, None);
        for letter in self.text.borrow().chars() {
            let glyph = font.glyph_id(letter);
            wide += font.h_advance(glyph);
            wide += before.map_or(0.0, |before| font.kern(before, glyph));
            before = Some(glyph);
        }
        wide as i32
    }
}
